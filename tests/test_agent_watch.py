"""Watchdog wakes the agent; where it cannot, it says so and nothing else breaks."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.watch import GATHER_SECONDS, Watch


class Woken:
    """A watch and the paths that it told of so far."""

    def __init__(self, *patterns: str) -> None:
        self.event = threading.Event()
        self.watch = Watch(patterns, self.event.set)
        self.wakes = 0
        self.paths: set[str] = set()

    def wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + 60
        while str(path) not in self.paths:
            assert self.event.wait(max(0.0, deadline - time.monotonic())), f"not told of {path}"
            self.event.clear()
            self.wakes += 1
            self.paths |= self.watch.take()


@pytest.fixture
def woken(tmp_path: Path) -> Iterator[Woken]:
    one = Woken(f"{tmp_path}/*.log", f"{tmp_path}/deep/**/*.log", f"{tmp_path}/later/*.log")
    (tmp_path / "deep" / "x").mkdir(parents=True)
    one.watch.start()
    one.watch.renew(0.0)
    yield one
    one.watch.stop()


def test_it_tells_of_new_changed_and_renamed_files_below_too(woken: Woken, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x")
    woken.wait_for(path)
    woken.paths.clear()
    with path.open("ab") as file:
        file.write(b"y")
    woken.wait_for(path)
    path.rename(tmp_path / "a.log.1")
    woken.wait_for(tmp_path / "a.log.1")
    below = tmp_path / "deep" / "x" / "b.log"
    below.write_bytes(b"x")
    woken.wait_for(below)


def test_a_directory_that_appears_later_is_watched_then(woken: Woken, tmp_path: Path) -> None:
    directory = tmp_path / "later"
    assert woken.watch.failures == {str(directory): "No such file or directory"}
    directory.mkdir()
    woken.watch.renew(100.0)
    assert woken.watch.failures == {}
    (directory / "a.log").write_bytes(b"x")
    woken.wait_for(directory / "a.log")


def test_a_storm_of_writes_wakes_a_few_times_a_second(woken: Woken, tmp_path: Path) -> None:
    """Ten thousand writes to two files in turn, which the kernel does not merge."""
    start = time.monotonic()
    with (tmp_path / "a.log").open("ab", 0) as one, (tmp_path / "b.log").open("ab", 0) as two:
        for _ in range(5000):
            one.write(b"x")
            two.write(b"x")
    (tmp_path / "end.log").touch()
    woken.wait_for(tmp_path / "end.log")
    took = time.monotonic() - start
    # Each path that is told of wakes once a gathering: two files, and the end.
    assert woken.wakes <= 3 * (took / GATHER_SECONDS + 3)


def test_without_inotify_everything_is_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("agent.watch._Gatherer", refuse)
    woken = Woken(f"{tmp_path}/*.log")
    woken.watch.start()
    woken.watch.renew(0.0)
    assert woken.watch.failures == {str(tmp_path): "Too many open files"}
    assert woken.watch.take() == set()
    woken.watch.stop()


def test_links_below_a_directory_are_not_followed_and_itself_may_be_one(tmp_path: Path) -> None:
    """Two links to where they stand are 2^40 directories: the agent would never begin."""
    (tmp_path / "real" / "app").mkdir(parents=True)
    (tmp_path / "base").symlink_to("real")
    for name in ("p", "q"):
        (tmp_path / "real" / "app" / name).symlink_to(".")
    one = Woken(f"{tmp_path}/base/*/a.log")
    one.watch.start()
    one.watch.renew(0.0)
    (tmp_path / "real" / "app" / "a.log").touch()
    one.wait_for(tmp_path / "base" / "app" / "a.log")
    assert not one.watch.failures
    one.watch.stop()
