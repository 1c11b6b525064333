"""What is done with descriptors of files that stay open for long."""

import contextlib
import errno
import os


def is_still(descriptor: int, identity: tuple[int, int]) -> bool:
    """Tell whether a descriptor is still that of the file with this device and inode.

    Where somebody closed it, the next file or socket that the process opens has its number.
    """
    try:
        found = os.fstat(descriptor)
    except OSError as error:
        if error.errno is None:  # none of the system's: a TimeoutError of a signal handler
            raise
        return error.errno != errno.EBADF
    return (found.st_dev, found.st_ino) == identity


def sync_and_close(descriptors: list[int]) -> None:
    """Sync what `take_unsynced` returned, and close it, also after an error.

    Raises:
        OSError: what was written may not be on the disk; another sync proves nothing for it.
    """
    try:
        for descriptor in descriptors:
            os.fsync(descriptor)
    finally:
        close_all(descriptors)


def close_all(descriptors: list[int]) -> None:
    """Close them and forget them; nothing is to be learnt from an error there."""
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop())
