"""Which indices a page needs, from their names alone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.instant import parse_instant
from indexer.settings import IndexSettings
from indexer.span import span_of
from webapi.query import unix_ns
from webapi.timeline import (
    EVER,
    Index,
    Want,
    choose,
    expected,
    holds_all_of,
    place,
    reach,
    within,
)

MONTHS = IndexSettings()
DAYS = IndexSettings(partition="day")
NAMES = (
    "audit-journal",
    "audit-late-2026.02",
    "audit-late-2026.03",
    "audit-events-2026.02",
    *(f"audit-events-2026.03.{day:02}" for day in range(1, 8)),
    "audit-events-2026.03",
    "audit-events-2026.04.01",
)


def index(name: str) -> Index:
    return Index(name, name, span_of(name, MONTHS))


def want(**more: Any) -> Want:
    some: dict[str, Any] = {"events": 10, "start": -EVER, "newest_first": True, "guess": 10}
    return Want(**{**some, **more})


def names(chosen: tuple[Index, ...]) -> list[str]:
    return [one.name for one in chosen]


@pytest.mark.parametrize(
    ("since", "until", "partitions"),
    [
        pytest.param(None, None, 13, id="no window"),
        pytest.param("2026-03-02T00:00:00Z", "2026-03-02T00:00:01Z", 4, id="day, month, late"),
        pytest.param("2026-04-01T00:00:00Z", None, 2, id="the end of a span is not in it"),
        pytest.param(None, "2026-02-01T00:00:00Z", 1, id="before all: only what has no span"),
    ],
)
def test_what_cannot_match_is_not_asked(
    since: str | None, until: str | None, partitions: int
) -> None:
    bounds = [None if bound is None else parse_instant(bound) for bound in (since, until)]
    assert len(within(map(index, NAMES), *bounds)) == partitions


@pytest.mark.parametrize(
    ("since", "until", "whole"),
    [
        pytest.param(None, None, True, id="no window"),
        pytest.param("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", True, id="just its span"),
        pytest.param("2026-03-01T00:00:00.000001Z", None, False, id="it begins within"),
        pytest.param(None, "2026-03-31T23:59:59.999999Z", False, id="it ends within"),
        pytest.param("2026-03-01T00:00:00Z", None, True, id="an open end"),
        pytest.param(None, "2026-04-01T00:00:00Z", True, id="an open beginning"),
    ],
)
def test_what_lies_in_a_window_as_a_whole(
    since: str | None,
    until: str | None,
    whole: bool,  # noqa: FBT001  # an expectation
) -> None:
    bounds = [None if bound is None else parse_instant(bound) for bound in (since, until)]
    assert holds_all_of(index("audit-events-2026.03"), *bounds) is whole
    assert holds_all_of(index("audit-journal"), *bounds) is (bounds == [None, None])


def test_a_first_page_asks_the_newest_and_what_has_no_span() -> None:
    choice = choose([index(name) for name in NAMES], {}, (), want())
    assert names(choice.asked) == ["audit-journal", "audit-events-2026.04.01"]
    assert choice.limit == reach(index("audit-events-2026.03"), newest_first=True)[0]


def test_equal_reaches_are_asked_together() -> None:
    """Else nothing would lie before the limit."""
    two = [index("audit-late-2026.02"), index("audit-events-2026.02")]
    assert choose(two, {}, (), want()).limit == EVER


def test_where_nothing_is_nobody_looks() -> None:
    counts = dict.fromkeys(NAMES, 0) | {"audit-events-2026.02": 3}
    choice = choose([index(name) for name in NAMES], counts, (), want(guess=1))
    assert names(choice.asked) == ["audit-events-2026.02"]
    assert choice.limit == EVER


def test_what_is_counted_by_the_search_limits_nothing() -> None:
    choice = choose(
        [index(name) for name in NAMES], {}, ("audit-late-2026.02",), want(newest_first=False)
    )
    assert names(choice.asked)[-1] != "audit-late-2026.03"
    assert "audit-late-2026.02" in names(choice.asked)


def test_partitions_of_now_are_asked_before_they_are_listed() -> None:
    now = datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert [one.name for one in expected((), now, MONTHS)] == [
        "audit-events-*2026.03",
        "audit-events-*2026.04",
        "audit-journal*",
    ]
    listed = ("audit-events-2026.03.30", "audit-events-2026.03.31")
    assert [one.name for one in expected(listed, now, DAYS)] == [
        "audit-events-*2026.04.01",
        "audit-journal*",
    ]
    assert expected((), now, DAYS)[0].span == span_of("audit-events-2026.03.30", DAYS)


moments = st.datetimes(datetime(2026, 2, 1), datetime(2026, 4, 1, 23)).map(  # noqa: DTZ001  # made aware below
    lambda moment: unix_ns(moment.replace(tzinfo=UTC))
)


@pytest.mark.slow
@given(st.data(), st.booleans(), st.integers(1, 20))
def test_nothing_before_the_limit_is_in_what_is_not_asked(
    data: st.DataObject,
    newest_first: bool,  # noqa: FBT001  # by hypothesis
    events: int,
) -> None:
    """The property that a page's completeness rests on, for any layout of spans."""
    indices = [index(name) for name in data.draw(st.sets(st.sampled_from(NAMES)))]
    always = data.draw(st.sets(st.sampled_from(NAMES)))
    counts = data.draw(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9)))
    start = place(data.draw(moments), newest_first=newest_first)
    wanted = want(newest_first=newest_first, events=events, start=start, guess=1)
    choice = choose(indices, counts, always, wanted)
    moment = place(data.draw(moments), newest_first=newest_first)
    for one in indices:
        near, far = reach(one, newest_first=newest_first)
        holds = near <= moment < far and counts.get(one.name) != 0
        if one not in choice.asked and holds and moment >= start:
            assert moment >= choice.limit
    assert choice.asked or choice.limit == EVER
