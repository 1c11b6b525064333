"""How fast all events of an organisation leave, and what the worker needs for it.

    python bench/export.py                   300,000 events, on a node of its own
    python bench/export.py --quick           20,000

One process `indelible web` with one worker, and a client that throws away what it reads. The
baseline is what one would write without us: a point in time and `search_after` with opensearch-py,
pages of 2,000, each event written out again as a line; in this process, without HTTP behind it.
Memory is the high-water mark of the worker, after all formats.
"""

import argparse
import http.client
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

if not __package__:
    # Run as a script, the directory of this file comes first.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import jwt
import psutil
from opensearchpy import OpenSearch

from audit_events.chained_logger import ChainedLogger
from audit_events.draft import draft_event
from audit_events.envelope import decode_envelope
from bench.corpus import choose_event
from bench.kept_file import KeptFile
from bench.measured_node import start_node
from bench.processes import Command, Measured, ProcessError
from indexer.client import ask, connect, request
from indexer.names import events_pattern, partition_name
from indexer.settings import ConnectionSettings, IndexSettings
from indexer.templates import install
from tests.cluster import Cluster
from tests.event_ids import create_action
from tests.node_home import free_ports, own_home
from webapi.audit_log import PATH

ORGANIZATION: Final = "org_bench"
OTHERS: Final = 0.1
"""Events of somebody else in between."""
BULK_EVENTS: Final = 5000
READ_BYTES: Final = 1 << 20
STEP_NS: Final = 10**9 * 60
PAGE: Final = 2000
KINDS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "ndjson": ("format=ndjson", {}),
    "ndjson_gzip": ("format=ndjson", {"Accept-Encoding": "gzip"}),
    "csv": ("format=csv", {}),
    "zip": ("format=zip", {}),
}


def load(writer: OpenSearch, index: IndexSettings, events: int) -> int:
    """Store events, a minute apart; return how many are those of the organisation."""
    chance = random.Random(1)  # noqa: S311  # the same events in each run
    output = KeptFile(Path("unused"))
    now = [time.time_ns() - events * STEP_NS]

    def clock() -> int:
        now[0] += STEP_NS
        return now[0]

    log = ChainedLogger(output, service="members", host="bench", clock_unix_ns=clock)
    ours = 0
    for start in range(0, events, BULK_EVENTS):
        for _ in range(min(BULK_EVENTS, events - start)):
            action, fields = choose_event(chance)
            if chance.random() >= OTHERS:
                fields["organization_id"] = ORGANIZATION
                ours += 1
            log.msg(draft_event(action, fields))
        _create(writer, index, output.lines)
        output.lines.clear()
    return ours


def _create(writer: OpenSearch, index: IndexSettings, lines: list[bytes]) -> None:
    body: list[bytes] = []
    for line in lines:
        envelope = decode_envelope(line.rstrip())
        name = partition_name(envelope.timestamp, index)
        body.append(b"%b\n%b\n" % (create_action(name, envelope.id), line.rstrip()))
    reply = ask(writer, "POST", "/_bulk", params={"filter_path": "errors"}, body=b"".join(body))
    if '"errors":false' not in reply.text:
        raise ProcessError(f"events were not stored: {reply.status} {reply.text[:500]}")


@contextmanager
def serving(
    connection: ConnectionSettings, index: IndexSettings, secret: str
) -> Generator[tuple[Measured, int]]:
    """Run the API with one worker."""
    (port,) = free_ports(1)
    assert connection.reader_password is not None  # noqa: S101  # of a node of our own
    variables = {
        "INDELIBLE_OPENSEARCH_URL": connection.url,
        "INDELIBLE_OPENSEARCH_CA_FILE": str(connection.ca_file),
        "INDELIBLE_OPENSEARCH_READER_USERNAME": str(connection.reader_username),
        "INDELIBLE_OPENSEARCH_READER_PASSWORD": connection.reader_password.reveal(),
        "INDELIBLE_INDEX_PREFIX": index.prefix,
        "INDELIBLE_WEB_JWT_SECRET": secret,
        "INDELIBLE_WEB_WORKERS": "1",
        "INDELIBLE_WEB_EXPORT_PER_MINUTE": "0",
        "INDELIBLE_WEB_PORT": str(port),
    }
    with tempfile.TemporaryDirectory() as home:
        variables["INDELIBLE_HOME"] = home
        command = Command([sys.executable, "-m", "indelible", "web"], variables)
        measured = Measured(command, Path(home) / "web.log")
        try:
            measured.await_quiet()
            yield measured, port
        finally:
            measured.kill()


def export(port: int, bearer: str, query: str, headers: Mapping[str, str]) -> tuple[float, int]:
    """Read an export to its end; return seconds and bytes."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = {"Authorization": f"Bearer {bearer}", **headers}
        connection.request("GET", f"{PATH}/export?{query}", headers=sent)
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise ProcessError(f"no export: {answer.status} {answer.read(500)!r}")
        size = 0
        while piece := answer.read1(READ_BYTES):
            size += len(piece)
    finally:
        connection.close()
    return time.perf_counter() - begun, size


def plain(reader: OpenSearch, index: IndexSettings) -> float:
    """Do the same with the library and a loop; return seconds."""
    begun = time.perf_counter()
    client: Any = reader
    pinned = client.create_pit(index=events_pattern(index), params={"keep_alive": "5m"})["pit_id"]
    body: dict[str, Any] = {
        "size": PAGE,
        "query": {"term": {"organizationId": ORGANIZATION}},
        "sort": [{"timestamp": "desc"}, {"id": "desc"}],
        "pit": {"id": pinned, "keep_alive": "5m"},
        "track_total_hits": False,
    }
    with Path(os.devnull).open("w", encoding="utf-8") as output:
        while hits := client.search(body=body)["hits"]["hits"]:
            output.writelines(json.dumps(hit["_source"]) + "\n" for hit in hits)
            body["search_after"] = hits[-1]["sort"]
    client.delete_pit(body={"pit_id": [pinned]})
    return time.perf_counter() - begun


def measure(connection: ConnectionSettings, index: IndexSettings, events: int, rounds: int) -> None:
    """Load, export in each format in turn, and tell."""
    with connect(connection, role="writer") as writer:
        ours = load(writer, index, events)
    with connect(connection, role="lifecycle") as lifecycle:
        request(lifecycle, "POST", f"/{events_pattern(index)}/_refresh")
    secret = secrets.token_urlsafe(48)
    claims = {
        "organizationId": ORGANIZATION, "role": "owner", "plan": "enterprise", "sub": "bench",
        "exp": int(time.time()) + 86_400,
    }  # fmt: skip
    bearer = jwt.encode(claims, secret, algorithm="HS256")
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}
    with (
        serving(connection, index, secret) as (measured, port),
        connect(connection, role="reader") as reader,
    ):
        export(port, bearer, "format=ndjson", {})
        for _ in range(rounds):
            for name, (query, headers) in KINDS.items():
                before = measured.cpu_seconds()
                taken, _ = export(port, bearer, query, headers)
                used = measured.cpu_seconds() - before
                seconds[name] = min(taken, seconds.get(name, taken))
                cpu[name] = min(used, cpu.get(name, used))
            taken = plain(reader, index)
            seconds["plain"] = min(taken, seconds.get("plain", taken))
        peak = worker_megabytes(measured.pid)
    report(ours, seconds, cpu, peak)


def report(ours: int, seconds: Mapping[str, float], cpu: Mapping[str, float], peak: float) -> None:
    """Print a table, and the figures as JSON on the last line."""
    for name, taken in seconds.items():
        used = f"{cpu[name] / ours * 1e6:8.1f} µs of CPU each" if name in cpu else ""
        print(f"{name:14}{ours:>10,} events {taken:8.2f} s {ours / taken:>9,.0f} events/s{used}")
    print(f"worker {peak:.0f} MB")
    figures = {f"{name}_events_per_s": round(ours / taken) for name, taken in seconds.items()}
    worker = {f"{name}_worker_us": round(used / ours * 1e6, 1) for name, used in cpu.items()}
    baseline = {"plain_events_per_s": figures.pop("plain_events_per_s")}
    ratio = figures["ndjson_events_per_s"] / baseline["plain_events_per_s"]
    result = {
        "name": "export",
        "figures": {**figures, **worker, "worker_peak_mb": round(peak, 1), "events": ours},
        "baseline": baseline,
        "ratios": {"ndjson_vs_plain": round(ratio, 2)},
    }
    print(json.dumps(result))


def worker_megabytes(pid: int) -> float:
    """The high-water mark of the one worker."""
    (worker,) = psutil.Process(pid).children()
    status = Path(f"/proc/{worker.pid}/status").read_text("ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the same thing on less")
    parser.add_argument("--events", type=int, help="default 300,000, with --quick 20,000")
    parser.add_argument("--rounds", type=int, help="default 3, with --quick 1")
    arguments = parser.parse_args()
    events = arguments.events or (20_000 if arguments.quick else 300_000)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    with suppress(KeyboardInterrupt), own_home() as home:
        running = start_node(home)
        connection = Cluster("own", running.url, running.credentials).connection()
        index = IndexSettings(prefix="audit-bench", replicas=0)
        with connect(connection, role="lifecycle") as lifecycle:
            install(lifecycle, index)
        measure(connection, index, events, rounds)


if __name__ == "__main__":
    main()
