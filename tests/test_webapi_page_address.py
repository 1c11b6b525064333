"""What forms send becomes the URL that is the state, and nothing of a URL is lost on the way."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from audit_events.catalogue import CATALOGUE
from webapi.page.address import (
    Pair,
    having,
    link,
    quoted,
    read_state,
    settle,
    without,
    without_value,
)

NOW = datetime(2026, 11, 29, 12, 0, 30, 5, tzinfo=UTC)
BERLIN = ("in", "Europe/Berlin")


@pytest.mark.parametrize(
    ("sent", "settled"),
    [
        pytest.param([("action", "app.created")], [("action", "app.created")], id="nothing to do"),
        pytest.param([("q", ""), ("ip", " "), ("in", "UTC")], [], id="an empty form"),
        pytest.param(
            [("action", "app.created, app.deleted"), ("action", "app.created")],
            [("action", "app.created"), ("action", "app.deleted")],
            id="a list with commas, and a value twice",
        ),
        pytest.param(
            [("from", "2026-11-01T10:00"), ("to", ""), BERLIN],
            [("since", "2026-11-01T09:00:00.000000Z")],
            id="a local time",
        ),
        pytest.param(
            [("since", "2026-11-01T09:00:00.123456Z"), ("from", "2026-11-01T10:00:00"), BERLIN],
            [("since", "2026-11-01T09:00:00.123456Z")],
            id="a bound that was only shown again stays exact",
        ),
        pytest.param(
            [("since", "2026-11-01T09:00:37.5Z"), ("from", "2026-11-01T10:00"), BERLIN],
            [("since", "2026-11-01T09:00:00.000000Z")],
            id="seconds that became zero, which browsers leave out",
        ),
        pytest.param(
            [("since", "2026-11-01"), ("from", ""), ("to", ""), BERLIN], [], id="emptied bounds"
        ),
        pytest.param(
            [("range", "24h"), ("from", ""), ("to", ""), ("q", "x"), BERLIN],
            [("range", "24h"), ("q", "x")],
            id="a range stays when something else is asked",
        ),
        pytest.param(
            [("since", "2026-11-01"), ("from", "2026-11-01T00:00"), ("preset", "7d")],
            [("range", "7d")],
            id="a preset goes before what was typed",
        ),
        pytest.param(
            [("preset", "today"), BERLIN],
            [("since", "2026-11-28T23:00:00.000000Z")],
            id="today begins where the viewer is",
        ),
        pytest.param(
            [("preset", "yesterday")],
            [("since", "2026-11-28T00:00:00.000000Z"), ("until", "2026-11-29T00:00:00.000000Z")],
            id="yesterday is a whole day",
        ),
        pytest.param([("from", "soon")], [("since", "soon")], id="no time: for the API to refuse"),
        pytest.param(
            [("actor", "Ana@company.com")], [("actorEmail", "Ana@company.com")], id="an email"
        ),
        pytest.param(
            [("actor", 'a "b"'), ("q", "x OR y")],
            [("q", '(x OR y) actor:"a \\"b\\""')],
            id="a name, beside what is searched for",
        ),
        pytest.param(
            [("target", "7B0F6C1E-6a3f-4c55-9d0c-2f6c4a3d9e10"), ("resource", "app_1")],
            [
                ("targetUserId", "7B0F6C1E-6a3f-4c55-9d0c-2f6c4a3d9e10"),
                ("q", 'resource:"app_1"'),
            ],
            id="an id of a target, and a resource",
        ),
        pytest.param(
            [
                ("category", "App Lifecycle"),
                ("action", "app.created"),
                ("action", "member.invited"),
                ("in", "UTC"),
            ],
            [("q", '(action:member.invited OR category:"App Lifecycle")')],
            id="what is ticked in one dropdown are alternatives",
        ),
        pytest.param(
            [("category", "App Lifecycle"), ("action", "member.invited")],
            [("category", "App Lifecycle"), ("action", "member.invited")],
            id="what an address says is as the API has it",
        ),
    ],
)
def test_what_a_form_sends_is_settled(sent: list[Pair], settled: list[Pair]) -> None:
    assert settle(sent, NOW, CATALOGUE) == settled
    assert settle(settled, NOW, CATALOGUE) == settled


def test_a_range_is_counted_back_from_now_and_stands_still_where_one_pages() -> None:
    state = read_state([("range", "1h"), ("q", "x"), ("cursor", "c")], NOW)
    since = ("since", "2026-11-29T11:00:30.000000Z")
    assert state.api == [("q", "x"), since, ("cursor", "c")]
    assert state.fixed == [("q", "x"), since]


def test_what_is_newer_is_read_against_the_order() -> None:
    state = read_state([("newer", "c"), ("limit", "100"), ("order", "asc")], NOW)
    assert state.api == [("limit", "100"), ("order", "desc"), ("cursor", "c")]


def test_a_zone_is_that_of_the_viewer_and_is_not_asked_of_the_api() -> None:
    state = read_state([("zone", "Europe/Berlin"), ("q", "x")], NOW)
    assert state.zone == ZoneInfo("Europe/Berlin")
    assert state.api == [("q", "x")]


@pytest.mark.parametrize("zone", ["Nowhere", "../../etc/passwd", "/etc/passwd", "x" * 5000, "\0"])
def test_a_zone_that_is_none_is_told(zone: str) -> None:
    state = read_state([("zone", zone)], NOW)
    assert state.problems["zone"].code == "unknown_value"
    assert state.zone is UTC


def test_a_range_that_is_none_is_told() -> None:
    assert read_state([("range", "5y")], NOW).problems["range"].allowed[0] == "1h"


def test_another_question_begins_at_its_beginning() -> None:
    pairs = [("q", "x"), ("q", "y"), ("cursor", "c"), ("offset", "5"), ("newer", "n")]
    assert without(pairs, "q") == []
    assert without_value(pairs, "q", "x") == [("q", "y")]
    assert having(pairs, "q", "z") == [("q", "z")]
    assert link([("q", "a&b=c")]) == "?q=a%26b%3Dc"
    assert link([]) == "?"


def test_a_quoted_text_is_one_phrase() -> None:
    assert quoted('a "b" \\') == '"a \\"b\\" \\\\"'
