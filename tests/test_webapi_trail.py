"""Reading is itself an event: who read, from where, what for; or the read is refused."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from audit_events.event import decode_event
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import SETTINGS, Api, problem, store, token, write_events
from tests.written import read_events
from webapi.audit_log import PATH
from webapi.auth import Reader
from webapi.errors import UnavailableError
from webapi.trail import Read, fields, recorder

READER = Reader(organization_id="org_a", role="owner", plan="enterprise", subject="u_1")


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "viewed.log"


def api_of(opensearch: Cluster, index: IndexSettings, trail: Path, proxies: int = 0) -> Api:
    settings = msgspec.structs.replace(SETTINGS, audit_path=str(trail), trusted_proxies=proxies)
    return Api(opensearch.client("reader"), index, settings)


@pytest.mark.opensearch
def test_every_read_leaves_who_and_what_for(
    opensearch: Cluster, index: IndexSettings, trail: Path, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e.log", [{"action": "app.created"}] * 2, "2026-03-15")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    api = api_of(opensearch, index, trail)
    api.get("action=app.*&action=member.invited&limit=1", headers={"User-Agent": "curl/8"})
    api.get(path=f"{PATH}/{decode_event(lines[0]).id}", bearer=token(name="Ana"))
    listed, single = read_events(trail)
    assert (listed.action, listed.organization_id) == ("audit_log.viewed", "org_a")
    assert (listed.actor.id, listed.actor.email) == ("u_reader", "reader@company.com")
    assert (listed.ip_address, listed.user_agent) == ("127.0.0.1", "curl/8")
    assert listed.context == {
        "route": PATH,
        "filters": {"action": ["app.*", "member.invited"], "limit": ["1"]},
        "events": 1,
    }
    assert single.resource is not None
    assert (single.context or {})["route"] == f"{PATH}/<event_id>"
    assert (single.resource.id, single.actor.name) == (decode_event(lines[0]).id, "Ana")


@pytest.mark.opensearch
def test_what_shows_no_event_leaves_no_trace(
    opensearch: Cluster, index: IndexSettings, trail: Path
) -> None:
    api = api_of(opensearch, index, trail)
    api.get(bearer=None)
    api.get(bearer=token(role="member"))
    api.get("limit=0")
    api.get(path=f"{PATH}/01a209c8-3fec-704d-9ea0-6979ad24323e")
    api.get(path=f"{PATH}/actions")
    api.get(path="/readyz")
    assert read_events(trail) == []


@pytest.mark.opensearch
def test_a_read_that_cannot_be_recorded_is_refused(
    opensearch: Cluster, index: IndexSettings, trail: Path, tmp_path: Path
) -> None:
    lines = write_events(tmp_path / "e.log", [{"action": "app.created"}], "2026-03-15")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    api = api_of(opensearch, index, trail)
    trail.unlink()
    trail.mkdir()
    response = api.get()
    problem(response, 503, "audit_unavailable")
    assert response.headers["Retry-After"]
    assert "app.created" not in response.text
    assert str(tmp_path) not in response.text
    trail.rmdir()
    assert api.get().status_code == 200, "it goes on when the file can be written again"


@pytest.mark.opensearch
def test_whether_reads_are_recorded_is_told(
    opensearch: Cluster, index: IndexSettings, trail: Path
) -> None:
    told = api_of(opensearch, index, trail).get(path="/readyz", bearer=None).get_json()
    assert told["readsRecorded"] is True
    assert told["template"] == "present", "the reader's role may look at index templates"
    silent = Api(opensearch.client("reader"), index).get(path="/readyz").get_json()
    assert silent["readsRecorded"] is False


FORWARDED: list[tuple[str, int, str, str | None]] = [
    ("nobody is believed", 0, "198.51.100.7", "127.0.0.1"),
    ("our proxy says who came", 1, "198.51.100.7", "198.51.100.7"),
    ("the client lied before it", 1, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
    ("two proxies", 2, "6.6.6.6, 198.51.100.7, 10.0.0.1", "198.51.100.7"),
    ("fewer entries than proxies", 2, "198.51.100.7", "127.0.0.1"),
    ("a proxy that does not know", 1, "unknown", "127.0.0.1"),
    ("a proxy that passes on anything", 1, "<script>", "127.0.0.1"),
]


@pytest.mark.opensearch
def test_whose_address_is_recorded(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    found: list[tuple[str, int, str, str | None]] = []
    for name, proxies, forwarded, _ in FORWARDED:
        trail = tmp_path / f"{name}.log"
        api = api_of(opensearch, index, trail, proxies)
        assert api.get(headers={"X-Forwarded-For": forwarded}).status_code == 200
        (event,) = read_events(trail)
        found.append((name, proxies, forwarded, event.ip_address))
    assert found == FORWARDED


def test_what_was_asked_is_recorded_within_bounds() -> None:
    read = Read(reader=READER, request=None, asked=[("q", "x" * 9999)], events=3)
    context = fields(read)["context"]
    assert isinstance(context, dict)
    assert context == {"filters": {"q": ["x" * 200]}, "events": 3}
    assert fields(read)["actor"] == {"type": "user", "id": "u_1"}


def test_the_same_question_is_recorded_once_in_a_while_and_counted() -> None:
    now, told = [0.0], list[dict[str, object]]()
    record = recorder(lambda _action, fields: told.append(dict(fields)), 60, lambda: now[0])
    assert record is not None
    read = Read(reader=READER, request=None, asked=[("q", "x"), ("limit", "5")], events=3)
    for _ in range(5):
        record(read)
    assert len(told) == 1, "the first is recorded at once"
    record(replace(read, asked=[("q", "x"), ("limit", "5"), ("offset", "5")]))
    record(replace(read, reader=replace(READER, subject="u_2")))
    record(replace(read, event_id="01a209c8-3fec-704d-9ea0-6979ad24323e"))
    record(replace(read, route=f"{PATH}/history"))
    assert len(told) == 5, "another page, reader, event or address is another read"
    now[0] = 60
    record(read)
    assert told[-1]["context"] == {
        "filters": {"q": ["x"], "limit": ["5"]}, "events": 3, "repeats": 4,
    }  # fmt: skip


def test_a_read_that_was_not_recorded_is_not_taken_for_one_that_was() -> None:
    def fail(_action: str, _fields: Mapping[str, object]) -> None:
        raise UnavailableError("audit_unavailable", "x")

    record = recorder(fail, 60, lambda: 0.0)
    assert record is not None
    for _ in range(2):
        with pytest.raises(UnavailableError):
            record(Read(reader=READER, request=None))
