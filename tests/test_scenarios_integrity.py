"""What never became readable is told of: real files, a real agent, a real node, and the API."""

import errno
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import checkpoint, status
from agent.renewal import Settings
from agent.settings import AgentSettings
from agent.start import Outcome, run
from agent.trail import FILE_NAME
from audit_events import open_log
from audit_events.chain import verify_chain
from audit_events.envelope import decode_envelope
from indelible.search import command as search
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.conftest import CREDENTIALS_VARIABLE, URL_VARIABLE
from tests.waiting import wait_until
from tests.webapi_api import Api, problem, token
from tests.webapi_process import environment
from webapi.audit_log import PATH

pytestmark = pytest.mark.opensearch

Emit = Callable[[int], None]


class Scene:
    """One file, one source that writes it, and agents on it."""

    def __init__(self, directory: Path, cluster: Cluster, index: IndexSettings) -> None:
        self.cluster = cluster
        self.index = index
        self.path = directory / "app.log"
        self.settings = AgentSettings(
            paths=(str(self.path),),
            state_directory=str(directory / "state"),
            poll_interval_seconds=0.05,
            flush_interval_seconds=0.02,
            check_chain=True,
        )
        self._log = open_log(self.path, service="s")
        self.written: list[str] = []

    def emit(self, count: int) -> None:
        for _ in range(count):
            self.written.append(
                self._log.info("member.invited", organization_id="org_a", actor={"type": "system"})
            )

    @contextmanager
    def agent(self) -> Generator[None]:
        """A running agent, stopped as by SIGTERM."""
        stop = threading.Event()
        thread = threading.Thread(target=self.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()

    def run(self, stop: threading.Event, *, once: bool = False) -> Outcome:
        with self.cluster.client("writer") as client:
            settings = Settings(self.settings, self.index, client)
            return run(settings, stop=stop, once=once)

    def once(self) -> Outcome:
        return self.run(threading.Event(), once=True)

    def offset(self) -> int:
        places = checkpoint.load(Path(self.settings.state_directory)).files
        return max((place.offset for place in places if place.path == str(self.path)), default=0)

    def search(self, term: dict[str, str]) -> list[dict[str, Any]]:
        """Every stored event with that value, as it is in the index."""
        pattern = f"{self.index.prefix}-*"
        with self.cluster.client("lifecycle") as lifecycle:
            lifecycle.indices.refresh(index=pattern)
        with self.cluster.client("reader") as client:
            body = {"size": 10_000, "query": {"term": term}}
            hits = client.search(index=pattern, body=body)["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    def seqs(self) -> set[int]:
        """The `seq` of what is stored of the source."""
        return {event["source"]["seq"] for event in self.search({"organizationId": "org_a"})}

    def missing(self) -> set[int]:
        """The `seq` that the events of gaps speak of, each of them once."""
        numbers = [
            number
            for event in self.search({"action": "audit_log.gap_detected"})
            for ends in event["context"]["ranges"]
            for number in _range(ends)
        ]
        assert len(numbers) == len(set(numbers))
        return set(numbers)


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.fixture
def scene(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Scene:
    return Scene(tmp_path, opensearch, index)


def test_events_that_a_truncation_took_are_an_event_that_can_be_searched_but_not_by_a_tenant(
    scene: Scene,
) -> None:
    """Scenario 12: nobody could read them, and it is told of exactly them."""
    with scene.agent():
        scene.emit(5)
        wait_until(lambda: scene.offset() == scene.path.stat().st_size, "shipped")
    scene.emit(3)
    os.truncate(scene.path, 0)
    scene.emit(4)
    outcome = scene.once()
    assert (outcome.totals.gaps, outcome.totals.missing_events) == (1, 3)
    assert scene.seqs() == set(range(12)) - {5, 6, 7}

    (event,) = scene.search({"action": "audit_log.gap_detected"})
    source_id = decode_envelope(scene.path.read_bytes().splitlines()[0]).source.id
    assert event["organizationId"] == "_system"
    assert event["resource"] == {"type": "source", "id": source_id}
    assert event["actor"]["type"] == "system"
    told = event["context"]
    assert (told["firstSeq"], told["lastSeq"], told["events"]) == (5, 7, 3)
    assert (told["file"], told["host"]) == (str(scene.path), event["source"]["host"])
    trail = Path(scene.settings.state_directory) / "events" / FILE_NAME
    assert verify_chain(trail.read_bytes().splitlines()) == []

    assert scene.once().totals.created == 0, "it is told once, and shipped once"
    check_tenants_see_nothing(scene, event["id"], source_id)


def check_tenants_see_nothing(scene: Scene, event_id: str, source_id: str) -> None:
    with scene.cluster.client("reader") as client:
        api = Api(client, scene.index)
        assert api.page("limit=200")["total"] == 9
        for query in ("q=gap", f"resourceId={source_id}", "resourceType=source"):
            assert api.page(query)["total"] == 0, query
        of_source = api.page(f"q={source_id}")["events"]
        assert len(of_source) == 9, "a source is found by its id"
        assert {event["organizationId"] for event in of_source} == {"org_a"}
        problem(api.get(path=f"{PATH}/{event_id}"), 404, "event_not_found")
        problem(api.get(path=f"{PATH}/{event_id}", bearer=token("_system")), 401, "token_invalid")


def test_under_truncations_at_any_moment_each_event_is_stored_or_told_as_missing(
    scene: Scene,
) -> None:
    """The agent reads while the file is written and truncated: never silence, and no false gap."""
    with scene.agent():
        for _ in range(15):
            scene.emit(40)
            os.truncate(scene.path, 0)
            scene.emit(20)
            time.sleep(0.03)
    scene.emit(1)
    scene.once()
    stored, missing = scene.seqs(), scene.missing()
    assert stored | missing == set(range(len(scene.written)))
    assert stored & missing == set()
    ids = {event["id"] for event in scene.search({"organizationId": "org_a"})}
    assert ids <= set(scene.written)


def test_a_file_that_is_restored_closes_the_gap(scene: Scene) -> None:
    scene.emit(8)
    whole = scene.path.read_bytes().splitlines(keepends=True)
    scene.path.write_bytes(b"".join(whole[:2] + whole[6:]))
    scene.once()
    assert scene.missing() == {2, 3, 4, 5}
    scene.path.with_suffix(".restored").write_bytes(b"".join(whole))
    scene.settings = AgentSettings(
        paths=(f"{scene.path.parent}/app.*",), state_directory=scene.settings.state_directory
    )
    assert scene.once().totals.closed_events == 4
    (closed,) = scene.search({"action": "audit_log.gap_closed"})
    assert closed["context"]["ranges"] == ["2-5"]
    assert scene.seqs() == set(range(8))


def test_a_tampered_line_is_stored_and_its_break_can_be_searched(scene: Scene) -> None:
    scene.emit(4)
    lines = scene.path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"member.invited", b"member.removed")
    scene.path.write_bytes(b"".join(lines))
    assert scene.once().totals.chain_breaks == 1
    (event,) = scene.search({"action": "audit_log.chain_broken"})
    assert event["context"]["ranges"] == ["2"]
    assert event["context"]["offset"] == len(lines[0] + lines[1])
    assert scene.seqs() == set(range(4))


def test_a_disk_that_is_full_at_the_start_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenario 21: a supervisor that starts it again and again may give up; it waits by itself."""
    full = threading.Event()
    full.set()
    real = checkpoint.save

    def save(directory: Path, content: checkpoint.Checkpoint) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(directory, content)

    monkeypatch.setattr(checkpoint, "save", save)
    scene.emit(5)
    with scene.agent():
        report = Path(scene.settings.state_directory)
        wait_until(lambda: status.read(report) is not None, "it runs")
        wait_until(lambda: _problem(report) == "No space left on device", "it says so")
        assert scene.seqs() == set(), "nothing is read before a checkpoint can be saved"
        full.clear()
        wait_until(lambda: scene.offset() == scene.path.stat().st_size, "shipped")
        wait_until(lambda: not _problem(report), "it says so")
    assert scene.seqs() == set(range(5))


def _problem(state_directory: Path) -> str:
    report = status.read(state_directory)
    return report.checkpoint_problem if report else ""


def test_the_runbook_finds_the_gap_from_the_terminal(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (URL_VARIABLE, CREDENTIALS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    scene.emit(8)
    lines = scene.path.read_bytes().splitlines(keepends=True)
    scene.path.write_bytes(b"".join(lines[:2] + lines[5:]))
    scene.once()
    assert scene.missing() == {2, 3, 4}
    environ = environment(scene.cluster, scene.index, tmp_path) | {"COLUMNS": "200"}
    for action in ("audit_log.*", "audit_log.gap_detected"):
        arguments = ["--organization", "_system", "--action", action]
        result = CliRunner().invoke(search, arguments, env=environ)
        assert result.exit_code == 0, result.output
        assert "Audit log gap detected" in result.output
        assert decode_envelope(lines[0].rstrip()).source.id[:8] in result.output
    result = CliRunner().invoke(search, ["--organization", "_system", "--json"], env=environ)
    assert '"ranges":["2-4"]' in result.output
    result = CliRunner().invoke(search, ["--organization", "org_a", "--json"], env=environ)
    assert (result.exit_code, "gap_detected" in result.output) == (0, False)
