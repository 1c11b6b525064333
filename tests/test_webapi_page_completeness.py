"""What the page says of how complete what it shows is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webapi.completeness import Completeness, KnownLoss
from webapi.losses import Kind
from webapi.page.completeness_view import JUST, loss_words, shown_window, whole_view
from webapi.page.listing import Listing
from webapi.page.row import Row
from webapi.query import Query
from webapi.storage_answer import Total

FIRST = datetime(2026, 11, 20, 9, tzinfo=UTC)
LAST = datetime(2026, 11, 20, 11, tzinfo=UTC)
SINCE, UNTIL = FIRST - timedelta(days=1), LAST + timedelta(days=1)
ASKED = Query(organization_id="org_a", since=SINCE, until=UNTIL)


def row(instant: datetime) -> Row:
    return Row(
        id="x", timestamp="", instant=instant, action="a.b", entry=None, event=None, raw="", size=0
    )


def page(*, newest_first: bool, newer: str | None, older: str | None) -> Listing:
    rows = [row(LAST), row(FIRST)] if newest_first else [row(FIRST), row(LAST)]
    return Listing(rows=rows, total=Total(2, "eq"), newer=newer, older=older)


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(
    ("later", "earlier", "expected"),
    [
        pytest.param(None, None, (SINCE, UNTIL), id="all on one page"),
        pytest.param(None, "c", (FIRST, UNTIL), id="the newest page"),
        pytest.param("c", "c", (FIRST, LAST + JUST), id="one in the middle"),
        pytest.param("c", None, (SINCE, LAST + JUST), id="the oldest page"),
    ],
)
def test_a_page_vouches_for_the_time_of_its_rows_and_for_what_lies_behind_its_ends(
    later: str | None,
    earlier: str | None,
    expected: tuple[datetime, datetime],
    *,
    newest_first: bool,
) -> None:
    newer, older = (later, earlier) if newest_first else (earlier, later)
    found = page(newest_first=newest_first, newer=newer, older=older)
    assert shown_window(found, ASKED, newest_first=newest_first) == expected


def test_a_page_without_rows_vouches_for_what_was_asked() -> None:
    nothing = Listing(rows=[], total=Total(0, "eq"), newer=None, older=None)
    assert shown_window(nothing, ASKED, newest_first=True) == (SINCE, UNTIL)
    unbounded = replace(ASKED, since=None, until=None)
    assert shown_window(nothing, unbounded, newest_first=True) == (None, None)


@pytest.mark.parametrize(
    ("kind", "events", "words"),
    [
        ("gap", 1, "1 event of a process never arrived"),
        ("gap", 1234, "1,234 events of a process never arrived"),
        ("gap", 0, "Events never arrived"),
        ("altered", 2, "2 events of a process are not what it wrote"),
        ("event_missing", 0, "A stored event is gone, or all that was stored beside it"),
        ("partition_missing", 0, "A partition is gone before its time"),
    ],
)
def test_a_loss_in_words(kind: Kind, events: int, words: str) -> None:
    assert loss_words(kind, events) == words


def completeness(**more: Any) -> Completeness:
    usual: dict[str, Any] = {
        "verdict": "complete", "since": None, "until": None, "as_of": "2026-11-20T12:00:00.000000Z",
        "complete_until": "2026-11-20T11:59:00.000000Z", "processes": 2, "late_processes": 0,
        "late_agents": 0,
        "silent_processes": 0, "losses": [], "losses_total": 0, "losses_relation": "eq",
    }  # fmt: skip
    return Completeness(**{**usual, **more})


def test_up_to_when_is_said_where_the_time_that_is_shown_is_not_past_by_then() -> None:
    shown = whole_view(completeness()).until
    assert shown == datetime(2026, 11, 20, 11, 59, tzinfo=UTC)
    assert whole_view(completeness(until="2026-11-20T11:59:00.000000Z")).until is None
    assert whole_view(completeness(until="2026-11-20T11:59:00.000001Z")).until == shown
    assert whole_view(completeness(complete_until=None, verdict="unknown")).until is None


def test_a_few_losses_are_told_and_the_others_counted() -> None:
    loss = KnownLoss(
        kind="gap", events=1, after=None, before="2026-11-20T11:00:00.000000Z",
        found_at="2026-11-20T11:00:01.000000Z",
    )  # fmt: skip
    found = whole_view(completeness(verdict="gaps", losses=[loss] * 100, losses_total=250))
    assert (len(found.losses), found.more, found.sign, found.tone) == (5, 245, "!", "red")
