"""A file that a person writes by hand, such as a configuration: read whole, or refused at once."""

import errno
import stat
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 1 << 20


def read_small_file(path: Path, most_bytes: int = MAX_BYTES) -> str:
    """Return the text of a regular file of at most so many bytes in UTF-8.

    Raises:
        OSError: it cannot be read, is no regular file, which may never end or never begin, or is
            too large; `strerror` says which.
        UnicodeDecodeError: it is not UTF-8.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes >> 20} MiB", str(path))
    return content.decode()
