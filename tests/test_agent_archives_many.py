"""Many archives at once, as a first start finds them: few are unpacked at a time."""

import gzip
from pathlib import Path
from secrets import token_hex

import pytest

from agent.content import Unpacked
from tests.agent_world import Bench, age, bench, event_line, ids

ARCHIVES = 60
AT_ONCE = 8


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An agent before archives that nobody knows, each of three events."""
    monkeypatch.setattr("agent.archives.AT_ONCE", AT_ONCE)
    for number in range(ARCHIVES):
        path = tmp_path / f"{number}.log.gz"
        lines = (event_line(3 * number + one) + b"\n" for one in range(3))
        path.write_bytes(gzip.compress(b"".join(lines)))
        age(path)
    return bench(tmp_path, "*.gz")


def test_few_of_many_archives_are_unpacked_at_a_time(agent: Bench) -> None:
    for looks in range(1, 100):
        agent.drain()
        unpacked = [one for one in agent.follower.contents() if isinstance(one.content, Unpacked)]
        assert len(unpacked) <= AT_ONCE
        if not agent.follower.is_copy_awaited and looks * AT_ONCE > ARCHIVES:
            break
    assert agent.settled_ids == ids(*range(3 * ARCHIVES))
    assert max(agent.read_ids.values()) == 1


@pytest.mark.parametrize(
    "first_bytes",
    [pytest.param(10, id="too short to be known"), pytest.param(9000, id="read as they grow")],
)
def test_archives_that_grow_all_the_time_hold_no_other_up(
    agent: Bench, tmp_path: Path, first_bytes: int
) -> None:
    """Not even as many as are unpacked at a time; whoever may write there can make them."""
    growing = [tmp_path / f"growing{number}.log.gz" for number in range(AT_ONCE)]
    numbers = range(1000, 1100)
    lines = (
        event_line(number, pad=200).replace(b"x" * 200, token_hex(100).encode())
        for number in numbers
    )
    whole = gzip.compress(b"\n".join(lines) + b"\n")
    assert len(whole) > 9100
    for path in growing:
        path.write_bytes(whole[:first_bytes])
    every = agent.settings
    agent = bench(tmp_path, "growing*.gz")
    agent.look()
    agent.follower.renew(every, agent.read_bytes)
    for looks in range(40):
        for path in growing:
            path.write_bytes(whole[: first_bytes + looks])
        agent.drain()
        unpacked = [one for one in agent.follower.contents() if isinstance(one.content, Unpacked)]
        assert len(unpacked) <= AT_ONCE
    assert agent.settled_ids >= ids(*range(3 * ARCHIVES))
    for path in growing:
        path.write_bytes(whole)
    for _ in range(20):
        agent.drain()
    assert agent.settled_ids == ids(*range(3 * ARCHIVES), *numbers)
    assert not agent.follower.is_copy_awaited
    others = ids(*range(3 * ARCHIVES))
    assert {agent.read_ids[one] for one in others} == {1}, "those that are whole are read once"


def test_while_nothing_is_settled_no_more_are_begun_and_the_rest_is_awaited(agent: Bench) -> None:
    for _ in range(3):
        agent.look()
    assert len(agent.read_ids) == 3 * AT_ONCE
    assert not agent.follower.has_more, "a loop that reads on would never rest"
    assert agent.follower.is_copy_awaited, "who ends by itself goes on"
