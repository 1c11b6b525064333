"""What is no event at all, stored past the agent: it hides no true event, and stays for good.

Whoever has the writer's password may leave out id, moment or action, or write lists in their place.
"""

import json
import re
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
from opensearchpy import OpenSearch

from indexer.client import ask
from indexer.document_id import document_id
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.test_webapi_foreign_events import PAGE, USER, WHOLE, WINDOW, asked
from tests.webapi_api import Api, store, write_events
from webapi.audit_log import PATH
from webapi.export_file import ExportTrailer
from webapi.query import MAX_LIMIT

AT: Final = "2026-03-15T09:00:00.000000Z"
TIMES: Final = ("2026-03-15T08:59:59.000000Z", AT, AT, AT, "2026-03-15T09:00:01.000000Z")
NEAR: Final = "before=100&after=100"
LEFT_OUT: Final = object()
IDS: Final[tuple[Any, ...]] = (
    LEFT_OUT, None, [], [None], ["b", "a"], ["!", "~"], 5, True, "", "!", "x/..", "\n<i>",
    "X" * 9000, "\U0010ffff" * 99,
)  # fmt: skip
MOMENTS: Final[tuple[Any, ...]] = (
    [AT, "2026-03-16T00:00:00Z"], ["1971-01-01", AT], "2026-03-15", 1_773_565_200_000, 0,
    "2026-03-15T09:00:00.123456789Z", "2262-04-11T23:47:16.854775807Z",
)  # fmt: skip
NO_MOMENTS: Final[tuple[Any, ...]] = (LEFT_OUT, None, [], [None])
ACTIONS: Final[tuple[Any, ...]] = (LEFT_OUT, None, [], ["a.b", "c.d"], 5, "", "Not An Action")
ORGANIZATIONS: Final[tuple[Any, ...]] = (
    ["org_0", "org_a"],
    ["org_a", "org_z"],
    ["!", "org_a", "~"],
)
SHAPES: Final[dict[str, tuple[str, tuple[Any, ...]]]] = {
    "id": ("id", IDS),
    "moment": ("timestamp", MOMENTS),
    "no moment": ("timestamp", NO_MOMENTS),
    "action": ("action", ACTIONS),
    "organisation": ("organizationId", ORGANIZATIONS),
}
CASES: Final = [pytest.param(*shapes, id=name) for name, shapes in SHAPES.items()]


class World:
    """Five true events, three of them of one instant, and what others store among them."""

    def __init__(
        self, api: Api, writer: OpenSearch, index: IndexSettings, lines: list[bytes]
    ) -> None:
        self.api = api
        self.lines = lines
        self._writer = writer
        self._index = index
        places = [(one["timestamp"], one["id"]) for one in map(json.loads, lines)]
        self.ids = [event_id for _, event_id in sorted(places)]

    def true_ids(self, answered: Sequence[dict[str, Any]]) -> list[str]:
        """Return the ids of the true events in an answer."""
        return [one["id"] for one in answered if one.get("id") in tuple(self.ids)]

    def true_rows(self, text: str) -> list[str]:
        """Return the ids of the true events on a page."""
        return [one for one in re.findall(r'id="e-([^"]+)"', text) if one in self.ids]

    def store(
        self, documents: Sequence[dict[str, Any]], name: str = "events-2026.03", under: str = ""
    ) -> None:
        """Store past the agent, as who has the writer's password can."""
        action: dict[str, str] = {"_index": f"{self._index.prefix}-{name}"}
        if under:
            action["_id"] = document_id(under)
        rows = [row for one in documents for row in ({"create": action}, one)]
        body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        reply = ask(self._writer, "POST", "/_bulk", body=body, params={"refresh": "true"})
        assert '"errors":false' in reply.text, reply.text


@pytest.fixture
def world(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[World]:
    lines = write_events(tmp_path / "audit.log", [{**WHOLE, "at": at} for at in TIMES], AT)
    with opensearch.client("writer") as writer, opensearch.client("reader") as reader:
        store(writer, index, lines)
        yield World(Api(reader, index), writer, index, lines)


def shaped(line: bytes, path: str, shapes: Sequence[Any]) -> list[dict[str, Any]]:
    """Return another event of the same moment with each of these in one place, twice."""
    found: list[dict[str, Any]] = []
    for number, shape in enumerate(shapes):
        event = {**json.loads(line), "id": f"019cf0b9-4680-7000-{number:x}000-000000000000"}
        rest = {name: value for name, value in event.items() if name != path}
        found += [rest if shape is LEFT_OUT else {**rest, path: shape}] * 2
    return found


@pytest.mark.opensearch
@pytest.mark.parametrize(("path", "shapes"), CASES)
def test_every_question_is_answered_with_all_true_events(
    world: World, path: str, shapes: Sequence[Any]
) -> None:
    documents = shaped(world.lines[1], path, shapes)
    world.store(documents)
    for address in asked():
        where, _, query = address.partition("?")
        response = world.api.get(query, path=f"{PATH}{where}")
        assert response.status_code == 200, (address, response.text)
        assert b"internal_error" not in response.data, address
    for event_id in world.ids:
        assert world.api.get(path=f"{PATH}/{event_id}").get_json(force=True)["id"] == event_id
        near = world.api.get(NEAR, path=f"{PATH}/{event_id}/surroundings").get_json()
        assert world.true_ids([one["event"] for one in near["events"]]) == world.ids
        assert world.api.visit(f"{PAGE}/{event_id}").status_code == 200
    lives = [f"/history?targetUserId={USER}", "/history?resourceType=app&resourceId=app_1"]
    for page in ("?limit=200", f"/incident?{WINDOW}&limit=200", *lives):
        shown = world.api.visit(PAGE + page)
        assert shown.status_code == 200, page
        assert sorted(world.true_rows(shown.text)) == sorted(world.ids), page
    assert world.api.visit("/settings/access-control/log-state").status_code == 200


@pytest.mark.opensearch
@pytest.mark.parametrize(("path", "shapes"), CASES)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_end_and_hold_each_true_event_once_and_in_order(
    world: World, order: str, path: str, shapes: Sequence[Any]
) -> None:
    documents = shaped(world.lines[1], path, shapes)
    world.store(documents)
    wanted = world.ids if order == "asc" else world.ids[::-1]
    all_of_it = len(documents) + len(TIMES)
    for limit in (1, 3):
        for window in ("", "&since=2026-03-01&until=2026-04-01"):
            query = f"order={order}&limit={limit}{window}"
            assert by_cursor(world, query, all_of_it) == wanted, query
            offsets = range(0, all_of_it, limit)
            pages = [world.api.page(f"{query}&offset={offset}")["events"] for offset in offsets]
            assert [one for page in pages for one in world.true_ids(page)] == wanted, query
    exported = world.api.get(f"order={order}", path=f"{PATH}/export").data.splitlines()
    assert world.true_ids([json.loads(one) for one in exported]) == wanted
    assert json.loads(exported[-1]).keys() == set(ExportTrailer.__struct_fields__)
    assert from_page_to_page(world, f"?limit=50&order={order}", all_of_it) == wanted


def by_cursor(world: World, query: str, most: int) -> list[str]:
    found: list[str] = []
    cursor = ""
    for _ in range(most + 1):
        page = world.api.page(query + cursor)
        found += world.true_ids(page["events"])
        if page["nextCursor"] is None:
            return found
        cursor = f"&cursor={page['nextCursor']}"
    raise AssertionError("it does not end")


def from_page_to_page(world: World, first: str, most: int) -> list[str]:
    text = world.api.visit(PAGE + first.replace("limit=50", "limit=1")).text
    found = world.true_rows(text)
    for _ in range(most):
        onward = re.search(r'rel="next" href="([^"]+)"', text)
        if onward is None:
            return found
        text = world.api.visit(PAGE + unescape(onward[1])).text
        found += world.true_rows(text)
    raise AssertionError("it does not end")


@pytest.mark.opensearch
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("odd_id", [LEFT_OUT, "!", "x/..", "X" * 9000])
def test_pages_lead_back_past_what_is_no_event(world: World, order: str, odd_id: object) -> None:
    documents = shaped(world.lines[1], "id", [odd_id])[:1]
    world.store(documents)
    lists = (f"?order={order}&limit=1", f"/incident?{WINDOW}&limit=1")
    for first in lists:
        text, shown = world.api.visit(PAGE + first).text, set[str]()
        place = PAGE + first.partition("?")[0]
        for way in ("next", "prev"):
            shown = set(world.true_rows(text))
            for _ in range(len(TIMES) + 2):
                onward = re.search(rf'rel="{way}" href="([^"]+)"', text)
                if onward is None:
                    break
                response = world.api.visit(place + unescape(onward[1]))
                if response.status_code == 303:
                    response = world.api.visit(response.headers["Location"])
                text = response.text
                shown.update(world.true_rows(text))
            else:
                raise AssertionError("it does not end")
        assert shown == set(world.ids), first


@pytest.mark.opensearch
def test_the_stream_holds_each_true_event_once(world: World) -> None:
    for path, shapes in SHAPES.values():
        world.store(shaped(world.lines[1], path, shapes))
    found: list[str] = []
    query = "start=beginning&limit=1"
    for _ in range(1000):
        page = world.api.get(query, path=f"{PATH}/stream").get_json()
        found += world.true_ids(page["events"])
        query = f"limit=1&wait=1s&after={page['cursor']}"
        if not page["more"]:
            break
    assert sorted(found) == world.ids


@pytest.mark.opensearch
def test_what_has_no_moment_ends_no_page(world: World) -> None:
    """OpenSearch 3.4.0 never answers a search of which it ends a page, newest first."""
    event = {"organizationId": "org_a", "action": "app.created"}
    world.store([event] * (MAX_LIMIT + 1), "events-2031.01")
    assert world.true_ids(world.api.page("limit=200")["events"]) == world.ids[::-1]
    assert world.api.visit(f"{PAGE}?limit=200").status_code == 200


@pytest.mark.opensearch
def test_what_has_the_last_moment_of_all_ends_no_export(world: World) -> None:
    last = {"organizationId": "org_a", "timestamp": "2262-04-11T23:47:16.854775807Z"}
    world.store([last] * 501, "events-2031.01")
    lines = world.api.get(path=f"{PATH}/export").data.splitlines()
    assert world.true_ids([json.loads(one) for one in lines]) == world.ids[::-1]


@pytest.mark.opensearch
def test_what_is_stored_under_the_name_of_an_event_does_not_hide_it(world: World) -> None:
    event_id = world.ids[0]
    odd = {"organizationId": "org_a", "timestamp": "2026-03-31T00:00:00.000000Z"}
    world.store([odd], "late-2026.03", under=event_id)
    assert world.api.get(path=f"{PATH}/{event_id}").get_json(force=True)["id"] == event_id


@pytest.mark.opensearch
def test_no_neighbour_of_an_event_is_one_that_no_address_can_name(world: World) -> None:
    second = json.loads(world.lines[1])
    forged = {**second, "id": 'x"\r\nX: y', "timestamp": "2026-03-31T00:00:00.000000Z"}
    world.store([forged])
    first, third = (json.loads(world.lines[at])["id"] for at in (0, 2))
    for event_id, relation in ((first, "next"), (third, "prev")):
        links = world.api.get(path=f"{PATH}/{event_id}").headers.getlist("Link")
        assert f'<{second["id"]}>; rel="{relation}"' in links


@pytest.mark.opensearch
def test_what_is_no_event_is_shown_as_such_and_as_text(world: World) -> None:
    odd = {"organizationId": "org_a", "timestamp": AT, "action": "<script>", "id": None}
    world.store([odd])
    assert odd in world.api.page()["events"]
    text = world.api.visit(PAGE).text
    (row,) = [one for one in text.split("<li>") if "Not an event" in one]
    assert "&lt;script&gt;" in row
    assert "<script>" not in row
    assert "href" not in row


@pytest.mark.opensearch
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_is_stored_in_a_partition_of_another_time_holds_up_no_export(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, order: str
) -> None:
    """Sealed partitions are read one behind the other, beside the indices of late events."""
    times = [f"2026-{month:02}-{day}T00:00:00.000000Z" for month in (1, 2, 3) for day in (10, 20)]
    written = write_events(tmp_path / "audit.log", [{**WHOLE, "at": one} for one in times], AT)
    late = [line for line in written if b"-20T" in line]
    with opensearch.client("writer") as writer, opensearch.client("reader") as reader:
        store(writer, index, [line for line in written if line not in late])
        world = World(Api(reader, index), writer, index, written)
        for number, line in enumerate(late, 1):
            world.store([json.loads(line)], f"late-2026.{number:02}", under=json.loads(line)["id"])
        elsewhere = ("1999-01-01T00:00:00.000000Z", "2031-01-01T00:00:00.000000Z", LEFT_OUT)
        for month in ("01", "02", "03"):
            world.store(shaped(late[0], "timestamp", elsewhere), f"events-2026.{month}")
        with opensearch.admin() as admin:
            for name in admin.indices.get(index=f"{index.prefix}-*"):
                assert ask(admin, "PUT", f"/{name}/_block/write").status == 200
        lines = world.api.get(f"order={order}", path=f"{PATH}/export").data.splitlines()
        wanted = world.ids if order == "asc" else world.ids[::-1]
        assert world.true_ids([json.loads(one) for one in lines]) == wanted
