"""Exports on the real node: all that match, in order, whole or recognisably not."""

import csv
import gzip
import hashlib
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from werkzeug.test import TestResponse

from indexer.client import request
from indexer.names import partition_name
from indexer.sealing import block
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import SETTINGS, Api, problem, store, token, write_events
from tests.written import read_events
from webapi.audit_log import PATH
from webapi.errors import UnavailableError
from webapi.export_file import PIECE_EVENTS, file_name
from webapi.parts import EXTENSION
from webapi.sweep import FIRST_PAGE_EVENTS, Sweep

pytestmark = pytest.mark.opensearch

LOOK_SECONDS = 0.01
"""After so long an audit log looks anew whether its file is still there."""
EXPORT = f"{PATH}/export"
EVENTS: list[dict[str, object]] = [
    {"action": "app.created", "at": f"2026-0{month}-15T09:00:0{second}Z"}
    for month in (1, 2, 3)
    for second in range(4)
]


@pytest.fixture
def lines(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> list[bytes]:
    """Stored events of three partitions, oldest first; and one of somebody else."""
    theirs = [{"action": "app.deleted", "organization_id": "org_b"}]
    written = write_events(tmp_path / "e.log", [*EVENTS, *theirs], "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, written)
    return written[:-1]


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    return tmp_path / "viewed.log"


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings, trail: Path) -> Api:
    settings = msgspec.structs.replace(SETTINGS, audit_path=str(trail))
    return Api(opensearch.client("reader"), index, settings)


def exported(api: Api, query: str, bearer: str = "", **headers: str) -> bytes:
    response = api.get(query, path=EXPORT, bearer=bearer, headers=headers)
    assert response.status_code == 200, response.text
    return response.get_data()


def test_ndjson_is_what_is_stored_and_a_last_line(api: Api, lines: list[bytes]) -> None:
    data = exported(api, "")
    *events, last = data.splitlines(keepends=True)
    assert [event.rstrip() for event in events] == lines[::-1]
    told = json.loads(last)["export"]
    assert told["sha256"] == hashlib.sha256(b"".join(events)).hexdigest()
    assert (told["events"], told["filters"]) == (12, {})
    assert told["first"] == json.loads(events[0])["id"]
    assert told["last"] == json.loads(events[-1])["id"]
    assert told["organizationId"] == "org_a"
    assert told["asOf"] > "2026-03-15"


def test_filters_and_order_are_those_of_the_list(api: Api, lines: list[bytes]) -> None:
    asked = "since=2026-02-01&until=2026-03-01&order=asc&action=app.*"
    *events, last = exported(api, asked).splitlines()
    assert events == lines[4:8]
    assert json.loads(last)["export"]["filters"] == {
        "since": ["2026-02-01"], "until": ["2026-03-01"], "order": ["asc"], "action": ["app.*"],
    }  # fmt: skip
    body = problem(api.get("formt=csv&limit=5", path=EXPORT), 400, "parameters_invalid")
    assert {one["parameter"] for one in body["errors"]} == {"formt", "limit"}
    assert "format" in body["errors"][0]["nearest"]


def test_a_zip_has_the_events_and_a_manifest(api: Api, lines: list[bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(exported(api, "format=zip"))) as archive:
        assert archive.testzip() is None
        events = archive.read("events.ndjson")
        manifest = json.loads(archive.read("manifest.json"))
    assert events.splitlines() == lines[::-1]
    assert manifest["sha256"] == hashlib.sha256(events).hexdigest()
    assert (manifest["events"], manifest["format"]) == (12, "zip")


def test_a_csv_is_read_back(api: Api, lines: list[bytes]) -> None:
    data = exported(api, "format=csv&bom=true")
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["id"] for row in rows] == [json.loads(line)["id"] for line in lines[::-1]]
    assert {row["actor.name"] for row in rows} == {"Ana María"}


def test_it_is_packed_on_the_way_or_as_a_file(api: Api, lines: list[bytes]) -> None:
    plain = exported(api, "order=asc")
    response = api.get("order=asc", path=EXPORT, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.mimetype == "application/x-ndjson"
    assert gzip.decompress(response.get_data()).splitlines()[:-1] == plain.splitlines()[:-1]
    response = api.get("order=asc&gzip=true", path=EXPORT, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers
    assert response.headers["Content-Disposition"].endswith('.ndjson.gz"')
    assert gzip.decompress(response.get_data()).splitlines()[:-1] == lines
    assert (
        "Content-Encoding"
        not in api.get(path=EXPORT, headers={"Accept-Encoding": "gzip;q=0, identity"}).headers
    )


def test_an_export_of_nothing_says_so(api: Api) -> None:
    """There is not even an index yet."""
    (last,) = exported(api, "").splitlines()
    told = json.loads(last)["export"]
    assert (told["events"], told["first"], told["last"]) == (0, None, None)
    assert told["sha256"] == hashlib.sha256(b"").hexdigest()
    assert exported(api, "format=csv").count(b"\r\n") == 1


def test_it_goes_on_behind_an_event(api: Api, lines: list[bytes]) -> None:
    *events, _ = exported(api, f"after={json.loads(lines[5])['id']}").splitlines()
    assert events == lines[4::-1]
    body = problem(
        api.get("after=01a209c8-3fec-704d-9ea0-6979ad24323e", path=EXPORT),
        400,
        "parameters_invalid",
    )
    assert body["errors"][0]["parameter"] == "after"
    theirs = exported(api, "", bearer=token("org_b")).splitlines()[0]
    problem(api.get(f"after={json.loads(theirs)['id']}", path=EXPORT), 400, "parameters_invalid")


def test_what_does_not_go_together_is_refused(api: Api) -> None:
    for query, parameter in (
        ("bom=true", "bom"),
        ("format=zip&gzip=true", "gzip"),
        ("format=xml", "format"),
        ("gzip=yes", "gzip"),
        ("after=x", "after"),
    ):
        body = problem(api.get(query, path=EXPORT), 400, "parameters_invalid")
        assert [one["parameter"] for one in body["errors"]] == [parameter], query


def test_names_of_files_hold_nothing_of_a_header(api: Api) -> None:
    bearer = token('org"; x=\u00fc/../../etc')
    response = api.get("format=csv", path=EXPORT, bearer=bearer)
    name = response.headers["Content-Disposition"]
    assert name.startswith('attachment; filename="audit-log-org-x-')
    assert name.endswith('Z.csv"')
    assert '"; x=' not in name


def test_files_of_one_second_have_names_of_their_own() -> None:
    """`curl -OJ` refuses a name that is there."""
    first = file_name("org_a", "2026-03-15T09:00:00.000001Z", "ndjson", gzip=True)
    assert first == "audit-log-org_a-20260315T090000.000001Z.ndjson.gz"
    assert file_name("org_a", "2026-03-15T09:00:00.000002Z", "ndjson", gzip=True) != first


@pytest.mark.usefixtures("lines")
def test_head_runs_no_export(api: Api, trail: Path) -> None:
    response = api.client.head(EXPORT, headers={"Authorization": f"Bearer {token()}"})
    assert (response.status_code, response.get_data()) == (200, b"")
    assert response.headers["Content-Disposition"]
    assert "Content-Length" not in response.headers
    assert trail.read_bytes() == b""


@pytest.mark.usefixtures("lines")
def test_each_export_is_recorded_before_it_begins_and_before_it_ends(api: Api, trail: Path) -> None:
    data = exported(api, "action=app.created&format=zip")
    started, complete = read_events(trail)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert started.action == complete.action == "audit_log.exported"
    first, last = started.context or {}, complete.context or {}
    assert (first["state"], first["events"]) == ("started", 0)
    assert (last["state"], last["events"], last["format"]) == ("complete", 12, "zip")
    assert last["export"] == first["export"]
    assert last["sha256"] == manifest["sha256"]
    assert last["filters"] == {"action": ["app.created"], "format": ["zip"]}


@pytest.mark.usefixtures("lines")
def test_what_cannot_be_recorded_is_not_exported(api: Api, trail: Path) -> None:
    trail.unlink()
    trail.mkdir()
    problem(api.get(path=EXPORT), 503, "audit_unavailable")
    trail.rmdir()
    assert exported(api, "")
    assert_none_runs(api)


@pytest.mark.usefixtures("lines")
def test_what_cannot_be_recorded_at_its_end_is_not_whole(api: Api, trail: Path) -> None:
    with api.app.test_request_context(EXPORT, headers={"Authorization": f"Bearer {token()}"}):
        response = api.app.full_dispatch_request()
        trail.unlink()
        trail.mkdir()
        time.sleep(LOOK_SECONDS)
        sent: list[bytes] = []
        with pytest.raises(UnavailableError):
            sent.extend(as_bytes(response.response))
        response.close()
    assert b'"export"' not in b"".join(sent)
    assert_none_runs(api)


def test_a_client_that_goes_away_ends_it(
    api: Api, opensearch: Cluster, index: IndexSettings, trail: Path, tmp_path: Path
) -> None:
    many = [{"action": "app.created"}] * (FIRST_PAGE_EVENTS + PIECE_EVENTS)
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "m.log", many, "2026-03-15"))
    response = api.client.get(
        EXPORT, headers={"Authorization": f"Bearer {token()}"}, buffered=False
    )
    next(as_bytes(response.response))
    response.close()
    started, aborted = read_events(trail)
    assert (started.context or {})["state"] == "started"
    assert (aborted.context or {})["state"] == "aborted"
    assert 0 < int(str((aborted.context or {})["events"])) < len(many)
    assert_none_runs(api)


@pytest.mark.usefixtures("lines")
def test_no_more_run_than_may(api: Api) -> None:
    running = [begun(api, organization) for organization in ("org_a", "org_b")]
    response = api.get(path=EXPORT, bearer=token("org_c"))
    problem(response, 503, "export_busy")
    assert int(response.headers["Retry-After"]) > 0
    for one in running:
        one.close()
    assert exported(api, "")
    assert_none_runs(api)


def test_what_arrives_meanwhile_is_not_in_it(
    api: Api,
    opensearch: Cluster,
    index: IndexSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Late ones too, whose place is still to come."""
    old = [{"action": "app.created"}] * (2 * FIRST_PAGE_EVENTS)
    hits = Sweep.hits
    with opensearch.client("writer") as writer:
        before = write_events(tmp_path / "old.log", old, "2026-03-15")
        store(writer, index, before)

        def late(sweep: Sweep) -> Iterator[Any]:
            found = hits(sweep)
            yield next(found)
            for name, moment in (("late", "2026-03-14"), ("new", "2026-03-16")):
                store(writer, index, write_events(tmp_path / name, old[:3], moment))
            yield from found

        monkeypatch.setattr(Sweep, "hits", late)
        *events, _ = exported(api, "").splitlines()
        monkeypatch.undo()
    assert events == before[::-1]
    assert len(exported(api, "").splitlines()) == len(before) + 7


def test_a_point_in_time_that_is_gone_breaks_it(
    api: Api, opensearch: Cluster, index: IndexSettings, tmp_path: Path, trail: Path
) -> None:
    many = [{"action": "app.created"}] * (3 * FIRST_PAGE_EVENTS)
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "m.log", many, "2026-03-15"))
    storage = api.app.extensions[EXTENSION].storage
    asked: list[str] = []
    search = storage.search_pinned

    def gone(one: Any, pinned: str) -> Any:
        if asked:
            storage.unpin(pinned)
        asked.append(pinned)
        return search(one, pinned)

    storage.search_pinned = gone
    headers = {"Authorization": f"Bearer {token()}"}
    sent: list[bytes] = []
    response = api.client.get(EXPORT, headers=headers, buffered=False)
    with pytest.raises(UnavailableError, match="point in time"):
        sent.extend(as_bytes(response.response))
    response.close()
    assert sent
    assert b'"export"' not in b"".join(sent)
    assert [(event.context or {})["state"] for event in read_events(trail)] == [
        "started",
        "aborted",
    ]


def test_a_sealed_partition_that_is_replaced_meanwhile_breaks_it(
    api: Api, opensearch: Cluster, index: IndexSettings, lines: list[bytes]
) -> None:
    """Under the same name, so that no search fails; only who holds the certificate can do so."""
    sealed = partition_name("2026-01-15T09:00:00.000000Z", index)
    with opensearch.client("lifecycle") as lifecycle:
        block(lifecycle, sealed)
    storage = api.app.extensions[EXTENSION].storage
    # Which asks by itself; the searches behind it are those of the export.
    api.app.extensions[EXTENSION].completeness_reading.look()
    search = storage.search

    def replaced(one: Any, indices: list[str]) -> Any:
        with opensearch.admin() as admin, opensearch.client("writer") as writer:
            request(admin, "DELETE", f"/{sealed}")
            store(writer, index, lines[:1])
        return search(one, indices)

    storage.search = replaced
    with pytest.raises(UnavailableError, match="deleted meanwhile"):
        exported(api, "")


@pytest.mark.usefixtures("lines")
def test_one_organisation_that_reads_slowly_leaves_places_to_others(api: Api) -> None:
    running = begun(api, "org_a")
    problem(api.get(path=EXPORT), 503, "export_busy")
    assert exported(api, "", bearer=token("org_b"))
    running.close()
    assert exported(api, "")
    assert_none_runs(api)


def begun(api: Api, organization: str) -> TestResponse:
    """Return an export of which nothing is taken."""
    headers = {"Authorization": f"Bearer {token(organization)}"}
    return api.client.get(EXPORT, headers=headers, buffered=False)


def as_bytes(pieces: Any) -> Iterator[bytes]:
    return iter(pieces)


def assert_none_runs(api: Api) -> None:
    """All places are free again."""
    exports = api.app.extensions[EXTENSION].exports
    assert [exports.begin(name) for name in "abc"] == [True, True, False]
    exports.end("a")
    exports.end("b")
