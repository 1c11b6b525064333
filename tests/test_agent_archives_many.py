"""Many archives at once, as a first start finds them: few are unpacked at a time."""

import gzip
from pathlib import Path

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


def test_while_nothing_is_settled_no_more_are_begun_and_the_rest_is_awaited(agent: Bench) -> None:
    for _ in range(3):
        agent.look()
    assert len(agent.read_ids) == 3 * AT_ONCE
    assert not agent.follower.has_more, "a loop that reads on would never rest"
    assert agent.follower.is_copy_awaited, "who ends by itself goes on"
