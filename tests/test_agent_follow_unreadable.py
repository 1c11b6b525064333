"""A file that the system refuses to read, at once or in the middle, stops no other."""

import errno
import os
from contextlib import suppress
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


class Stale:
    """Makes every handle of one file useless that is open now, as a server of NFS does.

    It was deleted there, or restored from elsewhere; whoever opens it anew reads it.
    """

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._pread, self._fstat, self._close = os.pread, os.fstat, os.close
        inode = path.stat().st_ino
        self.stale = {one for one in open_descriptors() if os.fstat(one).st_ino == inode}
        assert self.stale
        monkeypatch.setattr(os, "pread", self.pread)
        monkeypatch.setattr(os, "fstat", self.fstat)
        monkeypatch.setattr(os, "close", self.close)

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        self.check(descriptor)
        return self._pread(descriptor, length, offset)

    def fstat(self, descriptor: int) -> os.stat_result:
        self.check(descriptor)
        return self._fstat(descriptor)

    def close(self, descriptor: int) -> None:
        self.stale.discard(descriptor)
        self._close(descriptor)

    def check(self, descriptor: int) -> None:
        if descriptor in self.stale:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def open_descriptors() -> list[int]:
    found = list[int]()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            os.fstat(int(path.name))
            found.append(int(path.name))
    return found


def test_a_file_that_another_host_deleted_ends_no_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.log", 1, 2)
    agent = bench(tmp_path)
    agent.look()
    stale = Stale(tmp_path / "a.log", monkeypatch)
    (tmp_path / "a.log").unlink()
    write(tmp_path / "b.log", 3)
    rest(agent)
    assert agent.settled_ids == ids(1, 2, 3)
    assert stale.stale == set(), "its descriptor is closed"
    assert [tail.path for tail in agent.follower.contents()] == [str(tmp_path / "b.log")]


def test_a_file_whose_handle_is_stale_is_opened_again_and_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.log", 1, 2)
    agent = bench(tmp_path)
    agent.look()
    Stale(tmp_path / "a.log", monkeypatch)
    write(tmp_path / "a.log", 3)
    agent.look()
    write(tmp_path / "a.log", 4)
    rest(agent)
    write(tmp_path / "a.log", 5)
    rest(agent)
    assert agent.settled_ids == ids(1, 2, 3, 4, 5)
    assert read_twice(agent) == []
    assert agent.follower.unreadable == {}


@pytest.mark.parametrize("is_growing", [True, False])
def test_an_archive_whose_handle_is_stale_ends_no_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_growing: bool
) -> None:
    """Also while it is only waited for whether it grows."""
    write(tmp_path / "a.log", *range(400), pad=2000)
    archive = compress(tmp_path / "a.log")
    whole = archive.read_bytes()
    if is_growing:
        archive.write_bytes(whole[:12])
    agent = bench(tmp_path, "*.log*")
    agent.follower.rescan(agent.now)
    if is_growing:
        agent.read()
    Stale(archive, monkeypatch)
    archive.write_bytes(whole)
    age(archive)
    write(tmp_path / "b.log", 1000)
    rest(agent)
    assert agent.settled_ids == ids(*range(400), 1000)
    assert read_twice(agent) == []
    assert agent.follower.unreadable == {}


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
