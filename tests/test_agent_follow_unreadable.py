"""A file that the system refuses to read, at once or in the middle, stops no other."""

import errno
import os
from pathlib import Path

import pytest

from tests.agent_world import age, bench, compress, ids, read_twice, rest, write

PAGEMAP = Path("/proc/self/pagemap")
"""Read in other pieces than of 8 bytes, it is an invalid argument."""


@pytest.mark.skipif(not PAGEMAP.exists(), reason="only Linux has it")
def test_a_link_to_what_cannot_be_read_in_pieces_stops_no_other_file(tmp_path: Path) -> None:
    """An application that may write there can make it, and the others would never be shipped."""
    (tmp_path / "a.log").symlink_to(PAGEMAP)
    write(tmp_path / "b.log", 1, 2)
    agent = bench(tmp_path)
    rest(agent)
    assert agent.settled_ids == ids(1, 2)
    assert list(agent.follower.unreadable) == [str(tmp_path / "a.log")]


class Disk:
    """Refuses one file from an offset on, as a disk does of which a part is gone."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.good_bytes = path.stat().st_size + 1
        self._inode = path.stat().st_ino
        self._pread = os.pread
        monkeypatch.setattr(os, "pread", self.pread)

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        is_bad = offset >= self.good_bytes and os.fstat(descriptor).st_ino == self._inode
        if is_bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._pread(descriptor, length, offset)


@pytest.mark.parametrize("good_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("when", ["before", "once it is found", "once it is read"])
def test_an_archive_on_a_bad_disk_stops_no_other_file_and_is_whole_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, good_share: float
) -> None:
    """However much of it was unpacked by then."""
    for number in range(400):
        write(tmp_path / "a.log", number, pad=2000 + number)
    archive = compress(tmp_path / "a.log")
    age(archive)
    disk = Disk(archive, monkeypatch)
    agent = bench(tmp_path, "*.log*")
    if when == "once it is found":
        agent.follower.rescan(agent.now)
    elif when == "once it is read":
        agent.look()
    disk.good_bytes = int(archive.stat().st_size * good_share)
    write(tmp_path / "b.log", 1000)
    rest(agent)
    assert ids(1000) <= agent.settled_ids
    disk.good_bytes = archive.stat().st_size + 1
    rest(agent)
    assert agent.settled_ids == ids(*range(400), 1000)
    assert agent.follower.unreadable == {}
    assert read_twice(agent) == []
    assert not agent.refusals
