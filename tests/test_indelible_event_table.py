"""Events as people read them: no doubt about times, nothing a terminal would obey."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import msgspec
import pytest
from rich.console import Console

from agent.findings import Finding, Kind, find, merge
from agent.trail import ACTIONS, describe
from audit_events.event import Actor
from indelible import event_table as table
from indelible.terminal import plain
from tests.test_audit_events_catalogue import WITH_ALIASES
from webapi.query import MAX_LIMIT, Query
from webapi.storage_answer import Total

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
LINE = (
    b'{"action":"member.role_changed","actor":{"email":"a@b.c","name":"Ana","type":"user"},'
    b'"context":{"previous":{"role":"member"},"new":{"role":"admin"}},'
    b'"hash":"' + b"A" * 43 + b'","id":"01a209c8-3fec-704d-9ea0-6979ad24323e",'
    b'"organizationId":"org_a","result":"denied","schemaVersion":1,"source":{"host":"h",'
    b'"id":"01a209c8-3feb-71b6-968b-507b5714df8d","seq":0,"service":"s"},'
    b'"timestamp":"2026-03-15T11:58:00.000000Z"}'
)


@pytest.fixture
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Live in another time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = str(request.param)
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def printed(lines: list[bytes], around: datetime | None = None, width: int = 160) -> str:
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=False)
    console.print(table.event_table(lines, now=NOON, around=around, width=width))
    return out.getvalue()


@pytest.mark.parametrize("zone", ["Europe/Berlin"], indirect=True)
@pytest.mark.usefixtures("zone")
def test_a_time_is_local_and_utc() -> None:
    assert table.when(NOON).plain == "2026-03-15 13:00:00\n           12:00:00Z"
    night = NOON.replace(hour=23, minute=30)
    assert table.when(night).plain == "2026-03-16 00:30:00\n2026-03-15 23:30:00Z"


@pytest.mark.parametrize("zone", ["UTC"], indirect=True)
@pytest.mark.usefixtures("zone")
def test_where_local_is_utc_it_is_said_once() -> None:
    assert table.when(NOON).plain == "2026-03-15 12:00:00Z"


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(seconds=45), "45s"),
        (timedelta(minutes=2, seconds=13), "2m 13s"),
        (timedelta(minutes=2), "2m"),
        (timedelta(hours=1, seconds=5), "1h"),
        (timedelta(hours=30, minutes=5), "1d 6h"),
        (timedelta(days=40), "40d"),
        (timedelta(seconds=-90), "in 1m 30s"),
    ],
)
def test_spans(duration: timedelta, text: str) -> None:
    assert table.span(duration) == text


def test_distances_from_a_moment_have_a_sign() -> None:
    moment = NOON - timedelta(minutes=1)
    assert table.distance(NOON, NOON, moment) == "+1m"
    assert table.distance(NOON - timedelta(minutes=2), NOON, moment) == "−1m"  # noqa: RUF001  # minus sign
    assert table.distance(moment, NOON, None) == "1m"


@pytest.mark.parametrize(
    ("context", "text"),
    [
        pytest.param(None, "", id="nothing"),
        pytest.param({"other": 1}, "", id="no change"),
        pytest.param(
            {"previous": {"role": "member"}, "new": {"role": "admin"}},
            "role: member → admin",
            id="field",
        ),
        pytest.param(
            {"previous": {"a": 1, "b": 2}, "new": {"a": 1, "c": [3]}},
            "b: 2 → ∅\nc: ∅ → [3]",
            id="only what differs",
        ),
        pytest.param({"previous": "x", "new": "y"}, "x → y", id="bare values"),
        pytest.param({"new": {"plan": "pro"}}, "plan: ∅ → pro", id="only new"),
        pytest.param({"previous": None, "new": True}, "∅ → true", id="null"),
        pytest.param(
            {"new": dict.fromkeys("abcdef", 1)},
            "a: ∅ → 1\nb: ∅ → 1\nc: ∅ → 1\nd: ∅ → 1\n… 2 more",
            id="many fields",
        ),
        pytest.param({"new": "x" * 99}, f"∅ → {'x' * 39}…", id="long value"),
        pytest.param({"reason": "left"}, "reason: left", id="reason"),
    ],
)
def test_changes(context: dict[str, object] | None, text: str) -> None:
    assert table.change(context) == text


def told(kind: Kind, *ranges: tuple[int, int], path: str = "/var/log/a.log") -> str:
    """What is shown of a finding as the agent itself tells it."""
    found = merge_all([find(kind, "source", one, path, 700) for one in ranges])
    context = describe(found, "web-1")["context"]
    return table.finding(ACTIONS[kind], msgspec.convert(context, dict[str, object]))


def merge_all(found: list[Finding]) -> Finding:
    first, *others = found
    for one in others:
        first = merge(first, one)
    return first


@pytest.mark.parametrize(
    ("shown", "lines"),
    [
        pytest.param(told("gap", (3, 7)), ["seq 3-7 missing", "/var/log/a.log:700", "on web-1"],
                     id="gap"),
        pytest.param(told("closed", (3, 3), (5, 6)),
                     ["seq 3, 5-6 arrived after all", "/var/log/a.log:700", "on web-1"],
                     id="closed"),
        pytest.param(told("break", (9, 9)), ["seq 9 altered", "/var/log/a.log:700", "on web-1"],
                     id="broken"),
        pytest.param(told("gap", *((n, n) for n in range(0, 80, 2)), path=""),
                     ["seq 0, 2, 4, 6, … 36 ranges more missing", "on web-1"], id="many ranges"),
        pytest.param(table.finding("audit_log.gap_detected",
                                   {"events": 12, "sources": 4, "host": "web-1"}),
                     ["12 events of 4 sources missing", "on web-1"], id="many sources"),
        pytest.param(table.finding("audit_log.gap_detected", {"ranges": [{"a": 1}], "file": 7}),
                     ['seq {"a":1} missing', "7:∅"], id="written by somebody else"),
        pytest.param(table.finding("audit_log.gap_detected",
                                   {"ranges": ["\x1b[2J"], "file": "\x1b[2J" + "x" * 300}),
                     ["seq \\u001b[2J missing", "\\u001b[2J" + "x" * 190 + "…:∅"], id="hostile"),
        pytest.param(table.finding("audit_log.event_missing",
                                   {"eventId": "\x1b[2J", "eventTimestamp": "t", "host": "web-1"}),
                     ["event \\u001b[2J of t stored no more", "as web-1 found"], id="gone"),
        pytest.param(table.finding("member.invited", {"ranges": ["3-7"]}), [""], id="other action"),
    ],
)  # fmt: skip
def test_what_the_agent_found_says_what_is_missing_and_where(shown: str, lines: list[str]) -> None:
    assert shown.split("\n") == lines


def test_a_finding_stands_in_its_row() -> None:
    context = b'"context":{"host":"web-1","file":"/var/log/a.log","offset":7,"ranges":["3-7"]}'
    line = LINE.replace(b"member.role_changed", b"audit_log.gap_detected")
    start, end = line.index(b'"context"'), line.index(b',"hash"')
    assert "seq 3-7 missing" in printed([line[:start] + context + line[end:]])


def test_whatever_a_terminal_would_obey_is_shown_instead() -> None:
    assert plain("a\x1b[2Jb\r\n\u202ec") == "a\\u001b[2Jb\\u000d\\u000a\\u202ec"
    line = LINE.replace(b"a@b.c", b"[red]x[/red]\\u001b[31m\\u202e")
    shown = printed([line])
    assert "[red]x[/red]\\u001b[31m\\u202e" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("actor", "text"),
    [
        (Actor(type="system"), "System"),
        (Actor(type="system", id="nightly-billing"), "System\nnightly-billing"),
        (Actor(type="system", id="j", name="Billing", on_behalf_of="a"), "System\nBilling\nfor a"),
        (Actor(type="user", id="u", email="a@b.c", name="Ana"), "a@b.c\nAna"),
        (Actor(type="api_key", id="key_1"), "key_1"),
        (Actor(type="service"), "service"),
        (Actor(type="user", id="u", on_behalf_of="boss"), "u\nfor boss"),
    ],
)
def test_who_did_it(actor: Actor, text: str) -> None:
    assert table.who(actor) == text


def test_a_name_that_somebody_chose_takes_no_screen() -> None:
    """An event holds names of 1,024 characters: other rows are to be seen beside them."""
    long = b"x" * 1024
    line = LINE.replace(b"Ana", long)
    assert long in line
    shown = printed([line])
    assert "…" in shown
    assert shown.count("x") == table.MAX_NAME_CHARACTERS - 1


def test_a_row_has_colour_title_and_a_result_that_stands_out() -> None:
    shown = printed([LINE], around=NOON)
    for word in ("member.role_changed", "Role changed", "denied", "−2m", "role: member → admin"):  # noqa: RUF001  # minus sign
        assert word in shown
    assert table.what("member.role_changed").spans or table.what("member.role_changed").style
    assert "uncatalogued" in table.what("zebra.danced").plain
    assert table.what("bill.accepted", WITH_ALIASES).plain == "bill.accepted\nInvoice approved"


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_no_terminal_is_so_narrow_that_something_is_cut_off(width: int) -> None:
    shown = printed([LINE], width=width)
    letters = "".join(shown.split())
    for word in ("a@b.c", "role:", "member", "→", "admin", "denied", "11:58:00Z"):
        assert word in letters, word
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("513644f7-6a3f-4c55-9d0c-2f6c4a3d9e10", "513644f7…"),
        ("01a209c8-3fec-704d-9ea0-6979ad24323e", "01a209c8…ad24323e"),
        ("app_42", "app_42"),
        ("513644f7-6a3f-4c55-9d0c-2f6c4a3d9e10x", "513644f7-6a3f-4c55-9d0c-2f6c4a3d9e10x"),
    ],
)
def test_an_id_is_shown_in_short(given: str, told: str) -> None:
    assert table.brief(given) == told


@pytest.mark.parametrize("width", [80, 110, 130, 160])
def test_emails_and_ids_stand_in_one_piece_where_there_is_room(width: int) -> None:
    line = LINE.replace(b"a@b.c", b"jonas.lindqvist@northwind.example")
    resource = b'"resource":{"id":"513644f7-6a3f-4c55-9d0c-2f6c4a3d9e10","type":"member"},"result"'
    line = line.replace(b'"result"', resource)
    line = line.replace(b'"admin"', b'"' + b"x y" * 50 + b'"')
    shown = printed([line], width=width)
    assert "jonas.lindqvist@northwind.example" in shown
    assert "member 513644f7…" in shown
    assert ("by jonas.lindqvist" in shown) == ("actor" not in shown) == (width < 130)
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(b"{}", "?", id="nothing"),
        pytest.param(b'{"id":7,"timestamp":"2026","action":"X"}', "2026", id="other spellings"),
    ],
)
def test_what_is_no_event_hides_no_other(line: bytes, shown: str) -> None:
    """Nobody ships it; with the writer's password it can be stored."""
    lines = printed([line, LINE])
    assert shown in lines
    assert "role: member → admin" in lines


def test_an_event_of_another_shape_is_shown_as_far_as_it_is_sure() -> None:
    line = LINE.replace(b'"type":"user"', b'"type":"robot"')
    shown = printed([line])
    assert "member.role_changed" in shown
    assert "01a209c8-3fec-704d-9ea0-6979ad24323e" in shown


@pytest.mark.parametrize(
    ("limit", "way"),
    [(50, "see more with --limit"), (MAX_LIMIT, "all of them: `indelible export`")],
)
def test_where_there_are_more_events_the_way_to_them_is_one_that_there_is(
    limit: int, way: str
) -> None:
    query = Query(organization_id="org_a", limit=limit)
    line = table.summary(query, limit, Total(10_000, "gte")).plain
    assert line == (
        f"{limit} of more than 10,000 events of org_a, newest first; {way},"
        " or narrow with --since, --until or --action"
    )
