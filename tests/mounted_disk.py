"""Real file systems that fill, fail and are mended, for tests that root runs.

Where this user may not mount, the test is skipped, and says so.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _mount(*arguments: str | Path) -> None:
    """Mount, or skip the test."""
    tried = shutil.which("mount") and subprocess.run(
        ["mount", *arguments],  # noqa: S607  # wherever it lies
        capture_output=True,
        check=False,
        text=True,
    )
    if not tried or tried.returncode:
        why = tried.stderr.partition("\n")[0] if tried else "there is no mount"
        pytest.skip(f"this user may not mount a file system: {why}")


def _make_ext4(image: Path, *options: str) -> None:
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("this machine has no mkfs.ext4")
    with image.open("wb") as file:
        file.truncate(32 << 20)
    _run("mkfs.ext4", "-q", "-b", "4096", *options, image)


def sync(directory: Path) -> None:
    """Write all of this file system, and of no other."""
    _run("sync", "--file-system", directory)


def fill(directory: Path) -> Path:
    """Take all that is left of a file system, also once more; returns what to delete."""
    filler = directory / "filler"
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler


@contextmanager
def small_disk(path: Path, size: str) -> Generator[Path]:
    """A file system in memory, of this size, that can be filled."""
    path.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", path)
    try:
        yield path
    finally:
        _run("umount", "--lazy", path)


class ErringDisk:
    """An ext4 that turns read-only over an error, as most servers mount theirs.

    Nothing makes it writable again but to unmount it, which needs every file on it closed.
    """

    def __init__(self, path: Path, image: Path) -> None:
        self.path = path
        self._image = image

    def fail(self) -> None:
        """Let its kernel find an error."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        source = next(one[0] for one in mounts if one[1] == str(self.path))
        trigger = Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error")
        if not os.access(trigger, os.W_OK):
            pytest.skip("this user may not let an ext4 find an error")
        trigger.write_text("a test")

    def mend(self) -> None:
        """Unmount, check, mount: what an operator does."""
        _run("umount", self.path)
        # 1: errors were corrected.
        checked = subprocess.run(
            ["fsck.ext4", "-fy", self._image],  # noqa: S607  # wherever it lies
            capture_output=True,
            check=False,
        )
        assert checked.returncode in (0, 1), checked.stdout
        _run("mount", "-o", "loop", self._image, self.path)


@contextmanager
def erring_disk(path: Path) -> Generator[ErringDisk]:
    """Mounted at `path`."""
    path.mkdir()
    image = path.with_suffix(".image")
    _make_ext4(image, "-e", "remount-ro")
    _mount("-o", "loop", image, path)
    try:
        yield ErringDisk(path, image)
    finally:
        _run("umount", "--lazy", path)


class ThinDisk:
    """An ext4 on storage that has less than it promised: writes succeed, and no sync does.

    It does not keep its word to the byte: what its last successful sync told to be on the disk may
    go with the first write that fails (Linux 6.18, with nothing but `write` and `fsync`).
    """

    def __init__(self, path: Path, storage: Path) -> None:
        self.path = path
        self._storage = storage
        self._filler: Path | None = None

    def fill(self) -> None:
        """Take what is left of the storage."""
        sync(self.path)
        self._filler = fill(self._storage)

    def free(self) -> None:
        """Let it have room again."""
        assert self._filler is not None
        self._filler.unlink()

    def forget(self, path: Path) -> None:
        """Let the kernel drop what it has of a file in memory, once it tried to write it."""
        with path.open("rb") as file:
            try:
                os.fsync(file.fileno())
            except OSError as error:
                assert error.errno in (errno.EIO, errno.ENOSPC)  # noqa: PT017  # either may come
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def thin_disk(path: Path) -> Generator[ThinDisk]:
    """Mounted at `path`."""
    path.mkdir()
    with small_disk(path.with_name("storage"), "12m") as storage:
        image = storage / "image"
        _make_ext4(image, "-O", "^has_journal", "-E", "lazy_itable_init=0")
        _mount("-o", "loop", image, path)
        try:
            yield ThinDisk(path, storage)
        finally:
            _run("umount", "--lazy", path)
