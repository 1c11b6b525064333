"""Write one file, whole or not at all, and never readable to more than it should be."""

import os
import secrets
from pathlib import Path


def write_file(path: Path, content: bytes, *, mode: int, group: int | None = None) -> None:
    """Replace `path` by `content` with exactly `mode`, synced before it has its name.

    The scratch file is made exclusively, under a name that nobody can guess: the directory may be
    one in which another user can make files.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if group is not None:
                os.fchown(file.fileno(), -1, group)
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
