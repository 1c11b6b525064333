"""Paging by offset and by cursor against a plain Python model, over random events and filters.

INDELIBLE_TEST_PAGED_EVENTS says through how many events a cursor goes while others arrive.
"""

import csv
import io
import itertools
import json
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_events.catalogue import CATALOGUE
from audit_events.event import Event, decode_event
from audit_events.instant import format_instant, parse_instant
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.waiting import wait_until
from tests.webapi_api import Api, store, token, write_events
from webapi.audit_log import PATH
from webapi.query import MAX_LIMIT

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

PAGED_EVENTS: Final = int(os.environ.get("INDELIBLE_TEST_PAGED_EVENTS", "4000"))
STORED_AT_ONCE: Final = 5000
ACTIONS: Final = ("member.invited", "member.offboarded", "app.created", "zebra.danced")
PEOPLE: Final = ("Ana@company.com", "bob@company.com")
TARGET: Final = "0190a1b2-7c3d-7000-8000-00000000000a"
NEW: Final = "2026-03-12T00:00:00Z"
MOMENTS: Final = ("2026-02-28T23:59:59.999999Z", "2026-03-01T00:00:00Z", "2026-03-01T00:00:01Z")
"""Few, so that ids must break ties; on both sides of a partition's edge."""

events: Final = st.lists(
    st.fixed_dictionaries(
        {
            "action": st.sampled_from(ACTIONS),
            "at": st.sampled_from(MOMENTS),
            "actor": st.sampled_from(PEOPLE).map(
                lambda email: {"type": "user", "id": email[0], "email": email}
            ),
        },
        optional={
            "result": st.sampled_from(["success", "failure", "denied"]),
            "ip_address": st.sampled_from(["203.0.113.9", "203.0.114.9", "2001:db8::1"]),
            "resource": st.sampled_from(
                [{"type": "app", "id": "app_1"}, {"type": "app", "id": "2"}]
            ),
            "target_user": st.just({"id": TARGET}),
            "correlation_id": st.sampled_from(["req_1", "req_2"]),
        },
    ),
    max_size=25,
)

Filters = dict[str, list[str]]


def some(*choices: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=2, unique=True)


filters: Final = st.fixed_dictionaries(
    {},
    optional={
        "action": some("member.invited", "app.created", "member.*", "app.deleted"),
        "category": some("Member Management", "App Lifecycle", "Billing & Subscriptions"),
        "colour": some("green", "red", "blue"),
        "actorEmail": some("ana@company.com", "BOB@company.com", "eve@company.com"),
        "actorId": some("A", "b"),
        "targetUserId": st.just([TARGET]),
        "resourceId": some("app_1", "2", "3"),
        "ip": some("203.0.113.0/24", "2001:db8::1"),
        "result": some("success", "failure", "denied"),
        "correlationId": some("req_1", "req_2"),
        "since": st.sampled_from(MOMENTS).map(lambda moment: [moment]),
        "until": st.just(["2026-03-01T00:00:01Z"]),
    },
).filter(lambda asked: asked.get("since") != ["2026-03-01T00:00:01Z"] or "until" not in asked)


def colour_of(event: Event) -> str | None:
    entry = CATALOGUE.find(event.action)
    return entry.colour if entry else None


def category_of(event: Event) -> str | None:
    entry = CATALOGUE.find(event.action)
    return entry.category if entry else None


def within(event: Event, network: str) -> bool:
    return event.ip_address is not None and ip_address(event.ip_address) in ip_network(network)


MODEL: Final[Mapping[str, Callable[[Event, str], bool]]] = {
    "action": lambda event, value: (
        event.action == value or (value.endswith(".*") and event.action.startswith(value[:-1]))
    ),
    "category": lambda event, value: category_of(event) == value,
    "colour": lambda event, value: colour_of(event) == value,
    "actorEmail": lambda event, value: (event.actor.email or "").lower() == value.lower(),
    "actorId": lambda event, value: event.actor.id == value,
    "targetUserId": lambda event, value: (
        event.target_user is not None and event.target_user.id == value
    ),
    "resourceId": lambda event, value: event.resource is not None and event.resource.id == value,
    "ip": within,
    "result": lambda event, value: (event.result or "success") == value,
    "correlationId": lambda event, value: event.correlation_id == value,
    "since": lambda event, value: event.timestamp >= format_instant(parse_instant(value)),
    "until": lambda event, value: event.timestamp < format_instant(parse_instant(value)),
}


def expected(lines: list[bytes], asked: Filters, *, newest_first: bool) -> list[str]:
    """Filter and sort in plain Python."""
    found = [
        event
        for event in map(decode_event, lines)
        if all(any(MODEL[name](event, one) for one in values) for name, values in asked.items())
    ]
    found.sort(key=lambda event: (event.timestamp, event.id), reverse=newest_first)
    return [event.id for event in found]


def by_offset(api: Api, pairs: list[tuple[str, str]], limit: int, bearer: str) -> list[str]:
    ids: list[str] = []
    while True:
        page = api.page([*pairs, ("limit", str(limit)), ("offset", str(len(ids)))], bearer=bearer)
        ids += ids_of(page)
        if len(ids) >= page["total"]:
            assert page["nextCursor"] is None
            assert page["totalRelation"] == "eq"
            return ids
        assert len(page["events"]) == limit


def by_cursor(
    api: Api,
    pairs: list[tuple[str, str]],
    limit: int,
    bearer: str,
    *,
    between: Callable[[], object] = lambda: None,
) -> list[str]:
    ids: list[str] = []
    cursor: str | None = None
    while True:
        place = [] if cursor is None else [("cursor", cursor)]
        page = api.page([*pairs, ("limit", str(limit)), *place], bearer=bearer)
        ids += ids_of(page)
        cursor = page["nextCursor"]
        if cursor is None:
            return ids
        assert len(page["events"]) == limit
        between()


def by_export(api: Api, pairs: list[tuple[str, str]], kind: str, bearer: str) -> list[str]:
    response = api.get([*pairs, ("format", kind)], path=f"{PATH}/export", bearer=bearer)
    assert response.status_code == 200, response.text
    if kind == "csv":
        return [row["id"] for row in csv.DictReader(io.StringIO(response.text, newline=""))]
    *lines, last = response.get_data().splitlines()
    ids = [decode_event(line).id for line in lines]
    told = json.loads(last)["export"]
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert (told["events"], told["first"], told["last"]) == (len(ids), *ends)
    return ids


def ids_of(page: dict[str, Any]) -> list[str]:
    return [event["id"] for event in page["events"]]


def test_pages_are_those_of_a_plain_model(opensearch: Cluster, index: IndexSettings) -> None:
    """Each example is an organisation of its own, among the events of all the others."""
    writer = opensearch.client("writer")
    api = Api(opensearch.client("reader"), index)

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(events, filters, st.integers(1, 9), st.booleans())
    def check(
        written: list[dict[str, Any]],
        asked: Filters,
        limit: int,
        newest_first: bool,  # noqa: FBT001  # by hypothesis
    ) -> None:
        organization = f"org_{secrets.token_hex(6)}"
        with tempfile.TemporaryDirectory() as directory:
            mine = [{**event, "organization_id": organization} for event in written]
            lines = write_events(Path(directory) / "events.log", mine, MOMENTS[0])
        if lines:
            store(writer, index, lines)
        pairs = [(name, value) for name, values in asked.items() for value in values]
        pairs += [] if newest_first else [("order", "asc")]
        bearer = token(organization)
        wanted = expected(lines, asked, newest_first=newest_first)
        assert by_offset(api, pairs, limit, bearer) == wanted
        assert by_cursor(api, pairs, limit, bearer) == wanted
        assert by_export(api, pairs, "ndjson", bearer) == wanted
        assert by_export(api, pairs, "csv", bearer) == wanted

    with writer:
        check()


def test_a_cursor_stays_in_its_place_while_events_arrive(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """Paging by offset would show the last event of the first page again."""
    api = Api(opensearch.client("reader"), index)
    old = [{"action": "app.created"}] * 6
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "old.log", old, "2026-03-15T09:00:00Z"))
        first = api.page("limit=3")
        newer = write_events(tmp_path / "new.log", old[:2], "2026-03-15T10:00:00Z")
        store(writer, index, newer)
    second = api.page([("limit", "3"), ("cursor", first["nextCursor"])])
    assert len(set(ids_of(first) + ids_of(second))) == 6
    assert second["nextCursor"] is None


@contextmanager
def arriving(opensearch: Cluster, index: IndexSettings, home: Path) -> Generator[list[str]]:
    """Have events arrive: new ones, and late ones amid those of the hour; yields their ids."""
    ends = threading.Event()
    arrived: list[str] = []

    def arrive() -> None:
        with opensearch.client("writer") as writer:
            for turn in itertools.count():
                if ends.wait(0.1):
                    return
                path = home / f"{turn}.log"
                moments = [NEW, f"2026-03-10T00:{turn % 60:02}:00.500000Z"]
                events = [{"action": "app.created", "at": one} for one in moments * 25]
                lines = write_events(path, events, NEW)
                store(writer, index, lines)
                arrived.extend(decode_event(line).id for line in lines)

    thread = threading.Thread(target=arrive)
    thread.start()
    try:
        yield arrived
    finally:
        ends.set()
        thread.join()


def test_each_event_comes_once_while_others_arrive(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """New ones before the page, and late ones whose place is still to come."""
    api = Api(opensearch.client("reader"), index)
    begun: list[dict[str, Any]] = [{"action": "app.created"}] * PAGED_EVENTS
    old = write_events(tmp_path / "old", begun, "2026-03-10T00:00:00Z")
    with opensearch.client("writer") as writer:
        for start in range(0, len(old), STORED_AT_ONCE):
            store(writer, index, old[start : start + STORED_AT_ONCE])
    with arriving(opensearch, index, tmp_path) as arrived:
        pages = itertools.count(1)

        def await_more() -> None:
            known = len(arrived)
            if next(pages) % 20 == 0:
                wait_until(lambda: len(arrived) > known, "others arrive")

        wait_until(lambda: arrived, "the first arrive")
        before = len(arrived)
        limit = min(PAGED_EVENTS // 80, MAX_LIMIT)
        ids = by_cursor(api, [], limit, "", between=await_more)
        meanwhile = len(arrived) - before
    assert len(ids) == len(set(ids))
    assert {decode_event(line).id for line in old} <= set(ids)
    assert meanwhile >= 100, "they arrived all the while"
