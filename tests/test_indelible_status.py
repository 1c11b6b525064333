"""`indelible status`: what is down is said and makes the exit code 1; what is up is counted."""

import json
import os
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

import node
from audit_events.instant import format_instant
from indelible.configuration import Configuration, load
from indelible.part import Part
from indelible.status import (
    AGAIN_SECONDS,
    LOOK_SECONDS,
    command,
    judge_dead_letters,
    look,
    look_again,
    look_at_agent,
    look_at_indices,
    look_at_node,
    show,
    web_url,
)
from indexer.client import request
from indexer.dead_letter import DeadLetter, Refusal
from indexer.dead_marks import letter_key
from indexer.dead_records import read_records
from indexer.names import partition_name
from indexer.replay import acknowledge
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.timing import measure

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def test_open_dead_letters_are_counted(tmp_path: Path) -> None:
    assert judge_dead_letters(tmp_path) == Part(
        name="dead letters",
        ok=True,
        summary="0 open",
        figures={"count": 0, "settled": 0, "bytes": 0},
    )
    refusals = [
        Refusal(path="/a", offset=offset, reason="why", time=format_instant(NOW), line=b"{}")
        for offset in range(3)
    ]
    letter = DeadLetter(tmp_path)
    letter.append(refusals)
    part = judge_dead_letters(tmp_path)
    assert part.ok
    assert part.needs_look
    assert part.summary == f"3 open in {letter.path} (see `indelible dead-letter list`)"
    (first, *_) = read_records(letter.path.read_bytes().splitlines())
    acknowledge(tmp_path, letter_key(letter.path), [first], "")
    part = judge_dead_letters(tmp_path)
    assert part.summary.startswith(f"2 open, 1 replayed or acknowledged in {letter.path} (")
    assert part.figures == {
        "count": 2,
        "settled": 1,
        "bytes": letter.path.stat().st_size,
    }


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("127.0.0.1", "http://127.0.0.1:8250", id="the loopback"),
        pytest.param("0.0.0.0", "http://127.0.0.1:8250", id="every address"),  # noqa: S104
        pytest.param("::", "http://[::1]:8250", id="every IPv6 address"),
        pytest.param("::1", "http://[::1]:8250", id="IPv6"),
    ],
)
def test_where_the_web_is_asked(host: str, expected: str) -> None:
    assert web_url(host, 8250) == expected


def test_nothing_running_is_said_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("INDELIBLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INDELIBLE_HOME", str(tmp_path))
    # Nobody listens on these: the kernel gives out neither.
    monkeypatch.setenv("INDELIBLE_NODE_HTTP_PORT", "1")
    monkeypatch.setenv("INDELIBLE_WEB_PORT", "2")
    result = CliRunner().invoke(command, ["--json"])
    assert result.exit_code == 1
    status = json.loads(result.output)
    assert not status["ok"]
    parts = {part["name"]: part for part in status["parts"]}
    assert [name for name, part in parts.items() if part["ok"]] == ["dead letters"]
    assert "no answer from https://127.0.0.1:1" in parts["indices"]["summary"]
    assert "absent" in parts["node"]["summary"]
    assert list(tmp_path.iterdir()) == []
    text = CliRunner().invoke(command, [])
    assert text.exit_code == 1
    assert text.output.count("down") == 4
    assert text.output.count("?") == 2, "lifecycle and findings"


@pytest.mark.slow
def test_a_cluster_that_takes_questions_and_never_answers_is_given_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known here is told all the same, and no question waits for another."""
    for name in [name for name in os.environ if name.startswith("INDELIBLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("indelible.status.LOOK_SECONDS", 4.0)
    monkeypatch.setenv("INDELIBLE_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", url)
        result, seconds = measure(lambda: CliRunner().invoke(command, ["--json"]), 7)
    assert seconds < 8, "indices and lifecycle, one behind the other"
    assert result.exit_code == 1
    parts = {part["name"]: part for part in json.loads(result.output)["parts"]}
    summary = parts["indices"]["summary"]
    assert summary.startswith(f"no answer from {url}: timed out after 4 s; ")
    assert f"no answer from {url}" in parts["lifecycle"]["summary"]
    assert parts["agent"]["summary"] == "has not run here yet"
    assert parts["dead letters"]["summary"] == "0 open"


URL = {"INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:1"}
KEY = {"INDELIBLE_WEB_JWT_SECRET": "s" * 43}
AGENT = ["agent", "dead letters"]
STORAGE = ["indices", "lifecycle", "findings"]


def user(role: str) -> dict[str, str]:
    name = f"INDELIBLE_OPENSEARCH_{role}"
    return {f"{name}USERNAME": "u", f"{name}PASSWORD": "p"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, ["node", *STORAGE, *AGENT, "web"], id="the embedded node"),
        pytest.param({**URL, **user("WRITER_")}, AGENT, id="an agent's host"),
        pytest.param({**URL, **user("WRITER_"), **user("READER_")}, AGENT, id="no lifecycle"),
        pytest.param(
            {**URL, **user("LIFECYCLE_"), **user("READER_")}, STORAGE, id="a lifecycle's host"
        ),
        pytest.param(
            {**URL, **user("LIFECYCLE_"), **user("READER_"), **user("WRITER_")},
            [*STORAGE, *AGENT],
            id="an agent beside the lifecycle",
        ),
        pytest.param(
            {**URL, **user("READER_"), **user("TOKENS_"), **KEY}, ["web"], id="a web's host"
        ),
        pytest.param({**URL, **user("READER_")}, AGENT, id="nothing else to say"),
        pytest.param({**URL, **user("")}, [*STORAGE, *AGENT], id="one user for all"),
        pytest.param(URL, [*STORAGE, *AGENT], id="a cluster without users"),
        pytest.param(
            {**URL, **user("WRITER_"), **KEY}, [*AGENT, "web"], id="a web beside the agent"
        ),
    ],
)
def test_what_this_host_has_no_settings_for_is_left_out(
    tmp_path: Path, environ: dict[str, str], expected: list[str]
) -> None:
    ports = {"INDELIBLE_NODE_HTTP_PORT": "1", "INDELIBLE_WEB_PORT": "2"}
    configuration = load({"INDELIBLE_HOME": str(tmp_path), **ports, **environ})
    said: list[str] = []
    assert [part.name for part in look(configuration, now=NOW, say=said.append)] == expected
    assert said == expected, "what is waited for is named meanwhile"


def test_an_agent_that_this_user_may_not_look_at_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Root may look everywhere, but no user looks below a file.
    (tmp_path / "agent").touch()
    part = look_at_agent(tmp_path / "agent", NOW)
    assert not part.ok
    assert "unknown: " in part.summary
    assert "cannot be read: Not a directory" in part.summary
    show([part])
    assert capsys.readouterr().out.startswith("?")
    assert look_at_agent(tmp_path / "none", NOW).summary == "has not run here yet"


def test_an_agent_that_has_run_here_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    environ = {"INDELIBLE_HOME": str(tmp_path), "INDELIBLE_WEB_PORT": "2", **URL, **KEY}
    configuration = load({**environ, **user("READER_")})
    found = [part.name for part in look(configuration, now=NOW, say=lambda _: None)]
    assert found == [*AGENT, "web"]


@pytest.mark.opensearch
def test_events_are_counted_with_their_span(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    configuration = configuration_of(opensearch, index, tmp_path)
    empty = look_at_indices(configuration)
    assert empty.ok
    assert (empty.figures["events"], empty.figures["oldest"]) == (0, None)
    times = ["2026-10-03T10:00:00.000000Z", "2026-11-03T10:00:00.123456Z"]
    write(opensearch, index, times)
    full = look_at_indices(configuration)
    assert full.ok
    assert full.summary.startswith("2 events in 2 indices (")
    assert [full.figures["oldest"], full.figures["newest"]] == times


@pytest.mark.opensearch
def test_missing_copies_are_told_and_a_red_partition_is_down(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    configuration = configuration_of(opensearch, index, tmp_path)

    def make(month: str, copies: int, **settings: object) -> Part:
        path = f"/{index.prefix}-events-2026.{month}"
        params = {"wait_for_active_shards": str(copies)}
        with opensearch.client("lifecycle") as client:
            request(client, "PUT", path, params=params, body={"settings": settings})
        return look_at_indices(configuration)

    yellow = make("01", 1, number_of_replicas=5)
    assert yellow.ok
    assert (yellow.figures["yellow"], yellow.figures["red"]) == (1, 0)
    assert f"; yellow: {index.prefix}-events-2026.01: 6 copies are wanted, on " in yellow.summary
    red = make("02", 0, **{"routing.allocation.require._name": "nobody"})
    assert not red.ok
    assert (red.figures["yellow"], red.figures["red"]) == (1, 1)
    assert f"; red: {index.prefix}-events-2026.02: no copy is there" in red.summary


@pytest.mark.opensearch
def test_a_disk_at_its_flood_stage_is_told(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    """All can be read, and all is green: only what writes would know."""
    write(opensearch, index, ["2026-10-03T10:00:00.000000Z"])
    with opensearch.admin() as admin:
        block = {"index.blocks.read_only_allow_delete": True}
        admin.indices.put_settings(index=f"{index.prefix}-events-*", body=block)
    part = look_at_indices(configuration_of(opensearch, index, tmp_path))
    assert not part.ok
    assert part.figures["flooded"] == 1
    assert f"flood stage: no writes to {index.prefix}-events-2026.10, new events" in part.summary


def write(opensearch: Cluster, index: IndexSettings, times: list[str]) -> None:
    client = opensearch.client("writer")
    for number, timestamp in enumerate(times):
        event_id = f"00000000-0000-7000-8000-00000000000{number}"
        event = {"id": event_id, "timestamp": timestamp, "organizationId": "o", "action": "a.b"}
        path = f"/{partition_name(timestamp, index)}/_create/{event_id}"
        request(client, "PUT", path, params={"refresh": "true"}, body=event)


def configuration_of(opensearch: Cluster, index: IndexSettings, home: Path) -> Configuration:
    environ = {"INDELIBLE_HOME": str(home), "INDELIBLE_OPENSEARCH_URL": opensearch.url}
    return replace(load(environ), connection=opensearch.connection(), index=index)


@pytest.mark.parametrize(
    ("megabytes", "says"),
    [(0, "(process 7)"), (3, "(process 7), 3.1 MB of data on disk")],
    ids=["nothing that could be measured", "said what it is"],
)
def test_the_bytes_of_a_node_are_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int, says: str
) -> None:
    configuration = load({"INDELIBLE_HOME": str(tmp_path)})
    found = msgspec.structs.replace(
        node.status(configuration.node),
        state="running",
        health="green",
        pid=7,
        data_megabytes=megabytes,
    )
    monkeypatch.setattr(node, "status", lambda _config, **_more: found)
    part = look_at_node(configuration)
    assert part.ok
    assert part.summary.endswith(says)


def test_what_looks_like_mark_up_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show([Part(name="agent", ok=False, summary="refused: [agent] paths: [/x] bad")])
    assert "refused: [agent] paths: [/x] bad" in capsys.readouterr().out


def test_what_is_to_be_looked_at_is_not_called_ok(capsys: pytest.CaptureFixture[str]) -> None:
    show([Part(name="agent", ok=ok, needs_look=True, summary="x") for ok in (True, False)])
    assert capsys.readouterr().out.split() == ["look", "agent", "x", "down", "agent", "x"]


def test_on_a_narrow_terminal_no_address_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indelible.status.open_console", lambda: Console(width=30))
    show([Part(name="node", ok=True, summary="running: https://127.0.0.1:9571")])
    rows = [line[10:].strip() for line in capsys.readouterr().out.splitlines()]
    assert "".join(rows) == "running:https://127.0.0.1:9571"


def test_the_name_of_a_file_is_nothing_that_a_terminal_obeys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([Part(name="agent", ok=True, summary="not unpacked: /a\x1b[2J.gz: incomplete archive")])
    assert "/a\\u001b[2J.gz" in capsys.readouterr().out


def test_a_node_whose_process_is_there_and_does_not_answer_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = load({"INDELIBLE_HOME": str(tmp_path)})
    found = msgspec.structs.replace(node.status(configuration.node), state="starting", pid=7)
    waited: list[float] = []

    def hanging(_config: object, *, patience_seconds: float) -> node.Status:
        waited.append(patience_seconds)
        return found

    monkeypatch.setattr(node, "status", hanging)
    part = look_at_node(configuration)
    assert not part.ok
    assert part.summary.startswith("starting, does not answer: https://")
    assert waited == [LOOK_SECONDS]


UP, DOWN = (Part(name="indices", ok=ok, summary="") for ok in (True, False))


@pytest.mark.parametrize(
    ("found", "seconds", "told", "sleeps"),
    [
        pytest.param([UP], 0.0, UP, 0, id="up"),
        pytest.param([DOWN, UP], 0.0, UP, 1, id="a partition that is being made"),
        pytest.param([DOWN, DOWN], 0.0, DOWN, 1, id="down"),
        pytest.param([DOWN], 5.0, DOWN, 0, id="no answer in all that time"),
    ],
)
def test_what_refuses_at_once_is_asked_once_more(
    monkeypatch: pytest.MonkeyPatch, found: list[Part], seconds: float, told: Part, sleeps: int
) -> None:
    clock, slept = iter([0.0, seconds]), list[float]()
    stand_in = SimpleNamespace(monotonic=clock.__next__, sleep=slept.append)
    monkeypatch.setattr("indelible.status.time", stand_in)
    looks = iter(found)
    assert look_again(looks.__next__) is told
    assert slept == [AGAIN_SECONDS] * sleeps
    assert list(looks) == []
