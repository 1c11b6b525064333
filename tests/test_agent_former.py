"""A file that other globs let go while lines of it are in flight, and that is matched again."""

import gzip
import os
from pathlib import Path

import msgspec
import pytest

from tests.agent_world import Bench, bench, event_line, ids, read_twice, write


def reload(agent: Bench, *patterns: str) -> None:
    directory = Path(agent.settings.state_directory).parent
    paths = tuple(str(directory / pattern) for pattern in patterns)
    agent.settings = msgspec.structs.replace(agent.settings, paths=paths)
    agent.follower.renew(agent.settings, agent.read_bytes)


def append_garbage(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"garbage\n")


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_let_go_in_flight_and_matched_again_a_file_is_no_copy_of_itself(
    tmp_path: Path, looks: int
) -> None:
    """Taken for a copy, it was closed when it was quiet, and lost what was written after that."""
    agent = bench(tmp_path, rotated_grace_seconds=2)
    path = tmp_path / "a.log"
    write(path, *range(10), pad=200)
    agent.drain()
    write(path, 10, pad=200)
    append_garbage(path)
    agent.look()
    reload(agent, "*.other")
    for _ in range(looks):
        agent.look()
    write(path, 11, pad=200)
    reload(agent, "*.log")
    agent.look()
    agent.settle_all()
    for _ in range(4):
        agent.look(later=2)
    (tail,) = agent.follower.tails.values()
    assert not tail.rotated
    assert tail.descriptor >= 0, "somebody still writes to it"
    write(path, 12, pad=200)
    path.unlink()
    agent.drain()
    assert agent.settled_ids == ids(*range(13))
    assert read_twice(agent) == []
    assert len(agent.refusals) == 1, "the garbage was buried once"
    assert len(list(agent.follower.places())) == 1


def test_what_was_let_go_in_flight_may_have_other_content_when_it_is_matched_again(
    tmp_path: Path,
) -> None:
    agent = bench(tmp_path)
    write(tmp_path / "a.log", *range(10), pad=200)
    agent.look()
    reload(agent, "*.other")
    agent.look()
    os.truncate(tmp_path / "a.log", 0)
    write(tmp_path / "a.log", *range(20, 40), pad=200)
    reload(agent, "*.log")
    agent.look()
    agent.drain()
    assert agent.settled_ids == ids(*range(10), *range(20, 40))
    assert read_twice(agent) == []


def test_an_archive_that_is_let_go_in_flight_and_matched_again_is_read_on(tmp_path: Path) -> None:
    agent = bench(tmp_path, "*.gz", read_bytes=10_000)
    lines = b"".join(event_line(number, pad=200) + b"\n" for number in range(100))
    (tmp_path / "a.gz").write_bytes(gzip.compress(lines))
    agent.now += 1
    agent.follower.rescan(agent.now)
    while not agent.loader.counters.lines:
        chunk = agent.follower.read(agent.now)
        if chunk is not None:
            agent.loader.load(chunk, agent.now)
    reload(agent, "*.other")
    agent.look()
    reload(agent, "*.gz")
    agent.look()
    assert agent.follower.tails == {}, "left alone until it is settled"
    agent.settle_all()
    agent.look()
    agent.drain()
    assert agent.settled_ids == ids(*range(100))
    assert read_twice(agent) == []
