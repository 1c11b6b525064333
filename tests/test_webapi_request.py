"""A whole request: what is asked, or everything that is wrong with it at once."""

from collections.abc import Collection
from datetime import UTC, datetime

import pytest

from webapi.errors import ParametersError, ProblemError
from webapi.parameters import PARAMETERS
from webapi.query import Query
from webapi.request import read_pairs, read_query
from webapi.search_text import read_text

KEY = b"k" * 32
UUID_TEXT = "0190a1b2-7c3d-7000-8000-00000000000a"
Pairs = list[tuple[str, str]]


def none_present(_actions: Collection[str]) -> Collection[str]:
    return ()


def read(pairs: Pairs) -> Query:
    return read_query("org_a", pairs, present=none_present, cursor_key=KEY)


def test_nothing_asked_is_the_first_fifty_newest_first() -> None:
    assert read([]) == Query(organization_id="org_a", limit=50, offset=0, newest_first=True)


def test_everything_asked() -> None:
    query = read(
        [
            ("action", "member.invited, member.*"),
            ("action", "app.created"),
            ("category", "Member Management"),
            ("colour", "green,red"),
            ("targetUserId", UUID_TEXT.upper()),
            ("actorEmail", "a@b.c"),
            ("actorEmail", "d@e.f"),
            ("ip", "203.0.113.0/24"),
            ("result", "denied"),
            ("since", "2026-03-15"),
            ("until", "2026-03-16T00:00:00Z"),
            ("q", "role changed"),
            ("order", "asc"),
            ("limit", "200"),
            ("offset", "9800"),
        ]
    )
    assert query == Query(
        organization_id="org_a",
        actions=("member.invited", "member.*", "app.created"),
        categories=("Member Management",),
        colours=("green", "red"),
        results=("denied",),
        equal={
            "targetUserId": (UUID_TEXT,),
            "actorEmail": ("a@b.c", "d@e.f"),
            "ip": ("203.0.113.0/24",),
        },
        since=datetime(2026, 3, 15, tzinfo=UTC),
        until=datetime(2026, 3, 16, tzinfo=UTC),
        text=read_text("role changed"),
        newest_first=False,
        limit=200,
        offset=9800,
    )


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        pytest.param("limit=201", "limit out_of_range", id="more than a page"),
        pytest.param("targetUserId=x", "targetUserId invalid", id="no uuid"),
        pytest.param("action=member.rol", "action unknown_value", id="unknown action"),
        pytest.param("action=", "action empty", id="empty action"),
        pytest.param(
            "action=a.b&action=", "action empty, action unknown_value", id="empty and bad"
        ),
        pytest.param("action=,", "action empty", id="only a comma"),
        pytest.param("Action=app.created", "Action unknown_parameter", id="case matters"),
        pytest.param("organizationId=b", "organizationId unknown_parameter", id="organisation"),
        pytest.param("limit=5&limit=5", "limit repeated", id="twice the same"),
        pytest.param("since=2026-03-15&since=x", "since repeated", id="twice"),
        pytest.param("limit", "limit empty", id="no value"),
        pytest.param("q=+", "q empty", id="blank"),
        pytest.param("actorId=a%00b", "actorId invalid", id="null byte"),
        pytest.param("actorId=a%0D%0Ab", "actorId invalid", id="line end"),
        pytest.param("actorId=" + "x" * 1025, "actorId invalid", id="longer than any id"),
        pytest.param(
            "&".join(f"actorId={n}" for n in range(51)), "actorId out_of_range", id="many values"
        ),
        pytest.param("since=2026-03-16&until=2026-03-15", "since conflict", id="backwards"),
        pytest.param("since=2026-03-15&until=2026-03-15", "since conflict", id="nothing between"),
        pytest.param("window=5m", "window conflict", id="window around nothing"),
        pytest.param("around=2026-03-15&until=2027-01-01", "around conflict", id="two windows"),
        pytest.param("around=2026-03-15&window=0s", "window out_of_range", id="empty window"),
        pytest.param("offset=9951", "offset out_of_range", id="too deep with the default limit"),
        pytest.param("offset=9999999999", "offset out_of_range", id="far too deep"),
        pytest.param("cursor=x&offset=0", "cursor conflict", id="two places"),
        pytest.param("cursor=x", "cursor invalid", id="made-up cursor"),
        pytest.param(
            "limit=0&foo=1&targetUserId=x&since=never&colour=grey",
            "colour unknown_value, foo unknown_parameter, limit out_of_range, since invalid,"
            " targetUserId invalid",
            id="all at once",
        ),
    ],
)
def test_refusals(query_string: str, expected: str) -> None:
    with pytest.raises(ParametersError) as caught:
        read(read_pairs(query_string.encode()))
    found = sorted(f"{problem.parameter} {problem.code}" for problem in caught.value.problems)
    assert ", ".join(found) == expected


def test_a_misspelt_parameter_is_answered_with_the_nearest() -> None:
    with pytest.raises(ParametersError) as caught:
        read([("targetuserid", "x"), ("untill", "x"), ("zzz", "x")])
    nearest = [problem.nearest for problem in caught.value.problems]
    assert nearest[0] is not None
    assert nearest[0][0] == "targetUserId"
    assert nearest[1] == ("until",)
    assert nearest[2] is None


def test_a_parameter_that_is_near_to_none_is_answered_with_all_there_are() -> None:
    with pytest.raises(ParametersError) as caught:
        read([("from", "x"), ("untill", "x")])
    (missing, misspelt) = (problem.allowed for problem in caught.value.problems)
    assert missing is not None
    assert {"since", "until", "limit", "cursor"} <= set(missing)
    assert misspelt is None


def test_an_offset_that_is_too_deep_points_to_the_cursor() -> None:
    with pytest.raises(ParametersError, match="`cursor`"):
        read([("offset", "10000")])


def test_uncatalogued_actions_are_taken_when_the_organisation_has_them() -> None:
    asked: list[Collection[str]] = []

    def present(actions: Collection[str]) -> Collection[str]:
        asked.append(actions)
        return {"zebra.danced", "zebra.*"}

    pairs = [("action", "zebra.danced,zebra.*,member.invited"), ("action", "zebra.sang")]
    with pytest.raises(ParametersError, match=r"zebra\.sang") as caught:
        read_query("org_a", pairs, present=present, cursor_key=KEY)
    assert len(caught.value.problems) == 1
    assert [list(actions) for actions in asked] == [["zebra.danced", "zebra.*", "zebra.sang"]]


def test_around_is_the_window_before_and_after() -> None:
    query = read([("around", "2026-03-15T12:00:00Z"), ("window", "10m")])
    assert query.since == datetime(2026, 3, 15, 11, 50, tzinfo=UTC)
    assert query.until == datetime(2026, 3, 15, 12, 10, tzinfo=UTC)


def test_around_reaches_a_quarter_of_an_hour_unless_told() -> None:
    query = read([("around", "2026-03-15T12:00:00Z")])
    assert query.since == datetime(2026, 3, 15, 11, 45, tzinfo=UTC)


@pytest.mark.parametrize("moment", ["0001-01-01", "9999-12-31T23:59:59.999999Z"])
def test_around_the_ends_of_time_is_no_crash(moment: str) -> None:
    query = read([("around", moment), ("window", "31d")])
    assert query.since is not None
    assert query.until is not None
    assert query.since < query.until


@pytest.mark.parametrize(
    ("query_string", "pairs"),
    [
        (b"", []),
        (b"limit", [("limit", "")]),
        (b"a=%2B1&b=+1", [("a", "+1"), ("b", " 1")]),
        ("q=josé".encode(), [("q", "josé")]),
        (b"q=jos%C3%A9", [("q", "josé")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
    ],
)
def test_query_strings(query_string: bytes, pairs: Pairs) -> None:
    assert read_pairs(query_string) == pairs


@pytest.mark.parametrize("query_string", [b"q=%FF", b"q=\xff", b"%ED%A0%80=1", b"a&" * 501])
def test_query_strings_that_cannot_be_read_are_refused(query_string: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        read_pairs(query_string)
    assert caught.value.code == "request_malformed"


def test_every_parameter_of_the_table_is_read() -> None:
    """A parameter that nobody reads would be accepted and ignored."""
    good = {
        "action": "member.invited", "category": "App Lifecycle", "colour": "red",
        "targetUserId": UUID_TEXT, "ip": "1.2.3.4", "result": "failure", "since": "2026-01-01",
        "until": "2026-02-01", "around": "2026-01-01", "window": "1h", "q": "word", "order": "asc",
        "highlight": "true", "limit": "7", "offset": "7", "fields": "id",
    }  # fmt: skip
    for name in PARAMETERS:
        if name in {"window", "cursor"}:
            continue
        assert read([(name, good.get(name, "x"))]) != read([]), name
