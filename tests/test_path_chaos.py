"""The whole path under fire: what four processes logged is in the index, once and unaltered.

100,000 events from four processes into two files that are rotated on the way, while the agent is
killed hard three times and the node once.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import Raw, Struct
from opensearchpy import OpenSearch, OpenSearchException

import node
from audit_events.chain import verify_chain
from audit_events.envelope import decode_envelope
from indexer.client import ask, connect
from indexer.settings import ConnectionSettings, IndexSettings, Secret
from indexer.templates import install
from tests.node_home import node_config, own_home

EVENTS: Final = 100_000
PROCESSES: Final = 4
INDEX: Final = IndexSettings(replicas=0)

_EMITTER = """
import sys, time
from audit_events import open_log
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = open_log(path, service=name)
for number in range(count):
    log.info(
        "member.role_changed",
        organization_id=f"org_{number % 7}",
        actor={"type": "user", "id": f"u_{number % 50}", "email": f"user{number % 50}@company.com"},
        target_user={"email": "team@company.com", "name": "J\\u00f6rg \\U0001f600"},
        ip_address="203.0.113.7",
        context={"previous": {"role": "member"}, "new": {"role": "admin"}, "number": number},
        correlation_id=f"{name}-{number}",
    )
    if number % 250 == 249:
        time.sleep(0.2)
"""


class _Hit(Struct):
    id: str = msgspec.field(name="_id")
    index: str = msgspec.field(name="_index")
    source: Raw = msgspec.field(name="_source")
    sort: list[object]


class _Hits(Struct):
    hits: list[_Hit]


class _Page(Struct):
    hits: _Hits


@dataclass
class Rig:
    """A node and an agent that can be killed and started again."""

    config: node.NodeConfig
    directory: Path
    running: node.Running
    agent: subprocess.Popen[bytes] | None = None

    def connection(self) -> ConnectionSettings:
        """Settings of every role."""
        users = self.running.credentials.users
        return ConnectionSettings(
            url=self.running.url,
            ca_file=self.running.ca_file,
            reader_username="audit_reader",
            reader_password=Secret(users["audit_reader"]),
            lifecycle_username="audit_lifecycle",
            lifecycle_password=Secret(users["audit_lifecycle"]),
        )

    def start_agent(self) -> None:
        """Start the agent as an operator would: a process, settings in its environment."""
        environment = {
            **os.environ,
            "INDELIBLE_OPENSEARCH_URL": self.running.url,
            "INDELIBLE_OPENSEARCH_CA_FILE": str(self.running.ca_file),
            "INDELIBLE_OPENSEARCH_WRITER_USERNAME": "audit_writer",
            "INDELIBLE_OPENSEARCH_WRITER_PASSWORD": self.running.credentials.users["audit_writer"],
            "INDELIBLE_AGENT_PATHS": str(self.directory / "events" / "*.jsonl*"),
            "INDELIBLE_AGENT_STATE_DIRECTORY": str(self.directory / "state"),
            "INDELIBLE_AGENT_BATCH_EVENTS": "1000",
        }
        with (self.directory / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                [sys.executable, "-m", "indelible", "agent"], env=environment, stderr=log
            )

    def said(self) -> str:
        """Return what the agent said of itself last."""
        status = self.directory / "state" / "status.json"
        log = (self.directory / "agent.log").read_text()[-3000:]
        return f"{log}\n{status.read_text() if status.exists() else 'no status'}"

    def kill_agent(self) -> None:
        """Kill the agent in the middle of whatever it does."""
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait()

    def kill_node(self) -> None:
        """Kill the node in the middle of whatever it does, and start it again with its data."""
        os.kill(self.running.pid, signal.SIGKILL)
        self.running = node.start(self.config)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with own_home() as home:
        config = node_config(home)
        rig = Rig(config, tmp_path, node.start(config))
        try:
            yield rig
        finally:
            if rig.agent is not None:
                rig.agent.kill()
                rig.agent.wait()


def _count(client: OpenSearch) -> int:
    try:
        count: int = client.count(index="audit-events-*")["count"]
    except OpenSearchException:
        return -1
    return count


def _await_count(rig: Rig, client: OpenSearch, count: int, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while (found := _count(client)) < count:
        assert rig.agent is not None
        assert rig.agent.poll() is None, f"the agent ended:\n{rig.said()}"
        assert time.monotonic() < deadline, f"{found} of {count} events:\n{rig.said()}"
        time.sleep(0.2)


def _emit(events: Path) -> list[subprocess.Popen[bytes]]:
    share = str(EVENTS // PROCESSES)
    return [
        subprocess.Popen(
            [sys.executable, "-c", _EMITTER, str(events / f"{n % 2}.jsonl"), f"emitter-{n}", share]
        )
        for n in range(PROCESSES)
    ]


def _rotate(events: Path) -> None:
    """Rename as logrotate does; what was there before moves up by one."""
    for path in sorted(events.glob("*.jsonl*"), reverse=True):
        base, _, number = path.name.partition(".jsonl")
        path.rename(events / f"{base}.jsonl.{int(number.strip('.') or 0) + 1:03d}")


def _stored(client: OpenSearch) -> Iterator[_Hit]:
    """Read every event of the index, in order of id."""
    after: list[object] = []
    while True:
        body: dict[str, object] = {"size": 5000, "sort": [{"id": "asc"}]}
        if after:
            body["search_after"] = after
        reply = ask(client, "POST", "/audit-events-*/_search", body=msgspec.json.encode(body))
        assert reply.status == 200, reply.text[:500]
        page = msgspec.json.decode(reply.text, type=_Page).hits.hits
        if not page:
            return
        yield from page
        after = page[-1].sort


def _without_ingested(source: bytes) -> bytes:
    body, separator, _ = source.rpartition(b',"ingestedAt":"')
    assert separator, source
    return body + b"}"


@pytest.mark.opensearch
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_logged_is_stored_once_and_unaltered_whatever_is_killed(rig: Rig) -> None:
    events = rig.directory / "events"
    events.mkdir()
    client = connect(rig.connection(), role="reader")
    install(connect(rig.connection(), role="lifecycle"), INDEX)
    rig.start_agent()
    emitters = _emit(events)
    kills = [
        (EVENTS // 20, rig.kill_agent),
        (EVENTS // 5, rig.kill_agent),
        (EVENTS // 3, rig.kill_node),
        (EVENTS // 2, rig.kill_agent),
    ]
    for threshold, kill in kills:
        _await_count(rig, client, threshold, 180)
        _rotate(events)
        kill()
        if rig.agent is not None and rig.agent.poll() is not None:
            rig.start_agent()
    assert [emitter.wait(timeout=180) for emitter in emitters] == [0] * PROCESSES
    _await_count(rig, client, EVENTS, 120)

    assert rig.agent is not None
    rig.agent.send_signal(signal.SIGTERM)
    assert rig.agent.wait(timeout=60) == 0
    _check(client, events)
    assert not (rig.directory / "state" / "dead-letter.jsonl").exists()


def _check(client: OpenSearch, events: Path) -> None:
    lines: dict[str, bytes] = {}
    for path in events.iterdir():
        for line in path.read_bytes().splitlines():
            lines[decode_envelope(line).id] = line
    assert len(lines) == EVENTS
    chains: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
    seen: Counter[str] = Counter()
    for hit in _stored(client):
        source = bytes(hit.source)
        assert _without_ingested(source) == lines[hit.id]
        envelope = decode_envelope(source)
        seen[envelope.id] += 1
        chains[envelope.source.id].append((envelope.source.seq, source))
    assert len(seen) == EVENTS
    assert set(seen.values()) == {1}
    assert len(chains) == PROCESSES
    for chain in chains.values():
        assert verify_chain(line for _, line in sorted(chain)) == []
