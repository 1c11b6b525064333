"""Up to when the log is complete, by the heartbeats of those that write it."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from webapi.pulses import Heard, Pulse, SourcesAnswer, intervals_of, judge, pulses_of, quiet_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def heard(
    live: int,
    until: float | None,
    late: float | None = None,
    *,
    known: int | None = None,
    late_ones: int = 1,
) -> Heard:
    return Heard(
        known=live if known is None else known,
        live=live,
        late=0 if late is None else late_ones,
        complete_until=None if until is None else ago(until),
        late_since=None if late is None else ago(late),
    )


@pytest.mark.parametrize(
    ("pulses", "silent", "intervals", "expected"),
    [
        pytest.param([], {}, {}, heard(0, None), id="nobody says that it lives"),
        pytest.param([Pulse("a", ago(9))], {}, {}, heard(1, 9), id="one that lives"),
        pytest.param(
            [Pulse("a", ago(9)), Pulse("b", ago(59))], {}, {}, heard(2, 59), id="the quietest"
        ),
        pytest.param([Pulse("a", ago(210))], {}, {}, heard(1, 210), id="just not late"),
        pytest.param([Pulse("a", ago(211))], {}, {}, heard(1, 211, 211), id="late"),
        pytest.param(
            [Pulse("a", ago(211)), Pulse("b", ago(900)), Pulse("c", ago(1))],
            {},
            {},
            heard(3, 900, 900, late_ones=2),
            id="two are late, one is not",
        ),
        pytest.param(
            [Pulse("a", ago(1000))], {}, {"a": 600.0}, heard(1, 1000), id="an interval of its own"
        ),
        pytest.param(
            [Pulse("a", ago(900), is_closed=True)], {}, {}, heard(0, 0, known=1), id="it ended"
        ),
        pytest.param(
            [Pulse("a", ago(900), is_closed=True), Pulse("b", ago(5))],
            {},
            {},
            heard(1, 5, known=2),
            id="one ended, one lives",
        ),
        pytest.param(
            [Pulse("a", ago(900))], {"a": ago(600)}, {}, heard(0, 0, known=1), id="it fell silent"
        ),
        pytest.param(
            [Pulse("a", ago(9))], {"a": ago(600)}, {}, heard(1, 9), id="silent, and back again"
        ),
        pytest.param(
            [Pulse("a", ago(-900))], {}, {}, heard(1, 0), id="a clock that is ahead is no promise"
        ),
    ],
)
def test_what_heartbeats_come_to(
    pulses: list[Pulse],
    silent: dict[str, datetime],
    intervals: dict[str, float],
    expected: Heard,
) -> None:
    assert judge(pulses, silent, intervals, NOW) == expected


def test_who_would_be_late_is_asked_for_its_interval() -> None:
    live = [Pulse("a", ago(100)), Pulse("b", ago(220)), Pulse("c", ago(300))]
    assert [one.source_id for one in quiet_of(live, NOW)] == ["b", "c"]


def test_the_last_line_counts_where_it_is_the_last() -> None:
    times = {"ended": (2e3, 2e3), "went on": (3e3, 1e3), "lives": (9e3, None), "odd": (None, None)}
    buckets = [
        {"key": name, "heard": {"value": heard_at}, "closed": {"at": {"value": closed_at}}}
        for name, (heard_at, closed_at) in times.items()
    ]
    answer = msgspec.convert({"sources": {"buckets": buckets}}, SourcesAnswer)
    found = [(one.source_id, one.is_closed) for one in pulses_of(answer)]
    assert found == [("lives", False), ("went on", False), ("ended", True)]


def test_the_newest_heartbeat_says_the_interval_and_foreign_ones_nothing() -> None:
    def line(source: str, interval: object) -> bytes:
        return msgspec.json.encode(
            {"source": {"id": source}, "context": {"intervalSeconds": interval}}
        )

    lines = [
        line("a", 5),
        line("a", 60),
        line("b", "soon"),
        line("c", 1e9),
        b"[]",
        line("d", 600.5),
    ]
    assert intervals_of(lines) == {"a": 5.0, "d": 600.5}
