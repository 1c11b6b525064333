"""How long the oldest unshipped line of a file waits: by its own timestamp, read or not."""

from pathlib import Path

import pytest

from agent import lag
from agent.lag import Lags
from agent.tail import Tail
from tests.agent_world import INSTANT, Bench, bench, event_line, write

EARLIER = "2026-11-23T09:00:00.000000Z"


def line(number: int, instant: str = INSTANT, pad: int = 0) -> bytes:
    return event_line(number, pad=pad).replace(INSTANT.encode(), instant.encode()) + b"\n"


def look(agent: Bench) -> dict[str, str]:
    """Find what is there without reading it, as under backpressure."""
    agent.now += 1
    agent.follower.rescan(agent.now)
    return {
        Path(tail.path).name: since
        for tail, since in Lags().measure(agent.follower.contents()).items()
    }


def only_tail(agent: Bench) -> Tail:
    return next(iter(agent.follower.tails.values()))


def test_nothing_waits_in_a_file_that_is_settled(tmp_path: Path) -> None:
    agent = bench(tmp_path)
    write(tmp_path / "a.log", 0)
    agent.drain()
    assert look(agent) == {}


def test_a_line_that_was_read_is_known(tmp_path: Path) -> None:
    agent = bench(tmp_path)
    (tmp_path / "a.log").write_bytes(b"garbage\n" + line(1, EARLIER) + line(2))
    agent.look()
    assert Lags().measure(agent.follower.contents()) == {only_tail(agent): EARLIER}


@pytest.mark.parametrize(
    ("content", "since"),
    [
        pytest.param(line(1, EARLIER) + line(2), EARLIER, id="the first line counts"),
        pytest.param(b"\n" + line(1, EARLIER), EARLIER, id="an empty line has no age"),
        pytest.param(b"garbage\n" + line(1, EARLIER), EARLIER, id="nor has one that is no event"),
        pytest.param(line(1, EARLIER, pad=30_000), EARLIER, id="a long line"),
        pytest.param(line(1, EARLIER)[:-1], "", id="a half line is no line yet"),
        pytest.param(b"garbage\n", "", id="nothing that is known"),
        pytest.param(line(1, EARLIER, pad=80_000), "", id="no event is so long"),
    ],
)
def test_a_line_that_was_not_read_yet_is_looked_at(
    content: bytes, since: str, tmp_path: Path
) -> None:
    agent = bench(tmp_path)
    (tmp_path / "a.log").write_bytes(content)
    assert look(agent) == {"a.log": since}


def test_a_quiet_file_that_is_written_to_again_is_no_hour_behind(tmp_path: Path) -> None:
    """What was settled last says nothing of the line that waits now."""
    agent = bench(tmp_path)
    (tmp_path / "a.log").write_bytes(line(1, EARLIER))
    agent.drain()
    write(tmp_path / "a.log", 2)
    assert look(agent) == {"a.log": INSTANT}


def test_a_file_that_does_not_move_is_looked_into_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = bench(tmp_path)
    write(tmp_path / "a.log", 0)
    look(agent)
    lags = Lags()
    assert lags.measure(agent.follower.contents()) == {only_tail(agent): INSTANT}
    monkeypatch.setattr(lag, "LOOK_BYTES", ())
    assert lags.measure(agent.follower.contents()) == {only_tail(agent): INSTANT}


def test_so_many_files_are_looked_into_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "LOOKS", 2)
    agent = bench(tmp_path)
    for number in range(4):
        write(tmp_path / f"{number}.log", number)
    assert sorted(look(agent).values()) == ["", "", INSTANT, INSTANT]
