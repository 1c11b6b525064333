"""What is done with descriptors of files that stay open for long."""

import errno
import os
from typing import TypeGuard


def is_still(descriptor: int, identity: tuple[int, int]) -> bool:
    """Tell whether a descriptor is still that of the file with this device and inode.

    Where somebody closed it, the next file or socket that the process opens has its number.
    """
    try:
        found = os.fstat(descriptor)
    except OSError as error:
        if not is_of_system(error):
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
    """Close them and forget them; nothing is to be learnt from an error of the system there.

    What a signal handler throws meanwhile comes out when all are closed.
    """
    thrown: BaseException | None = None
    while descriptors:
        try:
            os.close(descriptors.pop())
        except BaseException as error:  # noqa: BLE001  # raised below
            if not is_of_system(error):
                thrown = error
    if thrown is not None:
        raise thrown


def is_of_system(error: BaseException) -> TypeGuard[OSError]:
    """Tell whether a system call failed; a TimeoutError of a signal handler has no number."""
    return isinstance(error, OSError) and error.errno is not None
