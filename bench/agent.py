"""What it costs to ship a line: read it, check it, send it, settle it, remember it.

Usage: python bench/agent.py [--quick]

All ship the same file to the same null sink, a process of its own that reads bulk requests and
answers 201 for each item, so that the cluster is no part of the figure. Rows:

  null sink alone     prepared bodies of 5,000 lines: the most that this machine could show
  plain Python loop   the baseline: json.loads and http.client; checks and remembers nothing
  agent               `agent.start.run(once=True)`, with checkpoints, as it is installed
  agent, chain        the same, verifying the hash of each line
  agent, idle         200 quiet files: share of one core, and resident memory

Each in a process of its own, in turn; figures are the medians of the rounds, ratios the medians of
pairs. CPU is that of the shipping process alone.
"""

import argparse
import http.client
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Final

import msgspec
import structlog
from typing_extensions import override

if not __package__:
    # Run as a script, the directory of this file comes first, and `agent` would be this file.
    sys.path.remove(str(Path(__file__).resolve().parent))

from agent.settings import AgentSettings
from agent.start import run
from audit_events import open_log
from indexer.client import connect
from indexer.settings import ConnectionSettings, IndexSettings

BATCH_EVENTS: Final = 5000
QUIET_FILES: Final = 200
RECEIVE_BYTES: Final = 1 << 18


class Cost(msgspec.Struct, frozen=True):
    """What a child process took; `lines` is 0 where nothing was shipped."""

    lines: int
    seconds: float
    cpu_seconds: float
    resident_megabytes: float

    @property
    def rate(self) -> float:
        """Lines a second."""
        return self.lines / self.seconds


class _Sink(StreamRequestHandler):
    """Answers bulk requests by their number of lines, and looks at nothing else in them."""

    request: socket

    @override
    def handle(self) -> None:
        while True:
            length = 0
            line = self.rfile.readline()
            if not line:
                return
            while line.strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                line = self.rfile.readline()
            self._answer(self._count(length) // 2)

    def _count(self, length: int) -> int:
        newlines = 0
        while length:
            data = self.rfile.read(min(length, RECEIVE_BYTES))
            if not data:
                return newlines
            length -= len(data)
            newlines += data.count(b"\n")
        return newlines

    def _answer(self, items: int) -> None:
        results = ",".join(['{"create":{"status":201}}'] * items)
        body = f'{{"errors":false,"items":[{results}]}}'.encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        self.request.sendall(head.encode() + b"\r\n\r\n" + body)


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def _serve() -> None:
    with _Server(("127.0.0.1", 0), _Sink) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def _post(connection: http.client.HTTPConnection, body: bytes, items: int) -> None:
    connection.request("POST", "/_bulk", body, {"content-type": "application/x-ndjson"})
    answer = json.loads(connection.getresponse().read())
    if len(answer["items"]) != items:
        raise RuntimeError("the null sink did not take all of it")


def _flood(directory: Path, port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    lines = next(directory.glob("*.log")).read_bytes().splitlines()
    bodies = [
        b"".join(b'{"create":{}}\n' + line + b"\n" for line in lines[at : at + BATCH_EVENTS])
        for at in range(0, len(lines), BATCH_EVENTS)
    ]
    _clock.start()
    for body in bodies:
        _post(connection, body, body.count(b"\n") // 2)
    return len(lines)


def _loop(directory: Path, port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    _clock.start()
    parts: list[bytes] = []
    lines = 0
    with next(directory.glob("*.log")).open("rb") as file:
        for line in file:
            event = json.loads(line)
            month = event["timestamp"][:7].replace("-", ".")
            action = {"create": {"_index": f"audit-events-{month}", "_id": event["id"]}}
            parts += [json.dumps(action).encode(), b"\n", line]
            lines += 1
            if lines % BATCH_EVENTS == 0:
                _post(connection, b"".join(parts), len(parts) // 3)
                parts.clear()
    if parts:
        _post(connection, b"".join(parts), len(parts) // 3)
    return lines


def _agent(directory: Path, port: int, *, check_chain: bool = False) -> int:
    with tempfile.TemporaryDirectory() as state:
        settings = AgentSettings(
            paths=(f"{directory}/*.log",), state_directory=state, check_chain=check_chain
        )
        connection = ConnectionSettings(url=f"http://127.0.0.1:{port}")
        with connect(connection, role="writer") as client:
            _clock.start()
            outcome = run(settings, IndexSettings(), client, stop=threading.Event(), once=True)
    return outcome.totals.created


def _idle(directory: Path, port: int, seconds: float) -> int:
    for number in range(QUIET_FILES):
        (directory / f"{number}.quiet").write_bytes(b"\n")
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as state:
        settings = AgentSettings(paths=(f"{directory}/*.quiet",), state_directory=state)
        with connect(ConnectionSettings(url=f"http://127.0.0.1:{port}"), role="writer") as client:
            arguments = (settings, IndexSettings(), client)
            thread = threading.Thread(target=run, args=arguments, kwargs={"stop": stop})
            thread.start()
            time.sleep(2)
            _clock.start()
            time.sleep(seconds)
            _clock.end()
            stop.set()
            thread.join()
    return 0


class _Clock:
    """From `start`, which leaves out imports and preparations, to `end`."""

    def __init__(self) -> None:
        self._first = self._last = (0.0, 0.0)

    def start(self) -> None:
        self._first, self._last = (time.perf_counter(), time.process_time()), (0.0, 0.0)

    def end(self) -> None:
        if not self._last[0]:
            self._last = (time.perf_counter(), time.process_time())

    def cost(self, lines: int) -> Cost:
        self.end()
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds, cpu_seconds = (b - a for a, b in zip(self._first, self._last, strict=True))
        return Cost(lines, seconds, cpu_seconds, resident)


_clock: Final = _Clock()
_ROWS: Final[dict[str, Callable[[Path, int], int]]] = {
    "null sink alone": _flood,
    "plain Python loop": _loop,
    "agent": _agent,
    "agent, chain": lambda directory, port: _agent(directory, port, check_chain=True),
    "agent, idle": lambda directory, port: _idle(directory, port, seconds=5),
}


def _measure(row: str, directory: Path, port: int) -> Cost:
    child = subprocess.run(
        [sys.executable, __file__, "--child", row, str(directory), str(port)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    return msgspec.json.decode(child.stdout.splitlines()[-1], type=Cost)


@contextmanager
def _null_sink() -> Generator[int]:
    child = subprocess.Popen(
        [sys.executable, __file__, "--child", "sink"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield int(child.stdout.readline() if child.stdout else 0)
    finally:
        child.kill()
        child.communicate()


def _write_events(path: Path, count: int) -> int:
    log = open_log(path, service="bench")
    for number in range(count):
        log.info(
            "member.role_changed",
            organization_id=f"org_{number % 50}",
            actor={"type": "user", "id": f"u_{number % 900}", "email": "admin@company.com"},
            target_user={"id": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10", "email": "j@company.com"},
            ip_address="203.0.113.7",
            context={"previous": {"role": "member"}, "new": {"role": "admin"}},
        )
    return path.stat().st_size


def _report(costs: dict[str, list[Cost]], idle: Cost, line_bytes: float) -> None:
    rates = {row: statistics.median(one.rate for one in found) for row, found in costs.items()}
    micros = {
        row: statistics.median(one.cpu_seconds / one.lines * 1e6 for one in found)
        for row, found in costs.items()
    }
    cpu_pairs = zip(costs["agent"], costs["plain Python loop"], strict=True)
    resident = {row: max(one.resident_megabytes for one in found) for row, found in costs.items()}

    def against(row: str, other: str) -> float:
        pairs = zip(costs[row], costs[other], strict=True)
        return round(statistics.median(one.rate / two.rate for one, two in pairs), 2)

    print(f"{'':20}{'lines/s':>12}{'µs CPU a line':>16}{'MB resident':>14}")
    for row, rate in rates.items():
        print(f"{row:20}{rate:12,.0f}{micros[row]:16.2f}{resident[row]:14.0f}")
    share = idle.cpu_seconds / idle.seconds * 100
    print(f"{'agent, idle':20}{share:11.2f}%{'of a core':>16}{idle.resident_megabytes:14.0f}")
    loop = "plain Python loop"
    figures = {
        "lines_per_second": round(rates["agent"]),
        "lines_per_second_chain_checked": round(rates["agent, chain"]),
        "cpu_us_per_line": round(micros["agent"], 2),
        "resident_megabytes": round(resident["agent"]),
        "idle_core_percent": round(share, 2),
        "idle_resident_megabytes": round(idle.resident_megabytes),
        "line_bytes": round(line_bytes),
    }
    baseline = {
        "plain_loop_lines_per_second": round(rates[loop]),
        "plain_loop_cpu_us_per_line": round(micros[loop], 2),
        "null_sink_lines_per_second": round(rates["null sink alone"]),
    }
    ratios = {
        "vs_plain_loop": against("agent", loop),
        "chain_checked_vs_plain_loop": against("agent, chain", loop),
        "vs_null_sink": against("agent", "null sink alone"),
        "cpu_vs_plain_loop": round(
            statistics.median(one.cpu_seconds / two.cpu_seconds for one, two in cpu_pairs), 2
        ),
    }
    result = {"name": "agent", "figures": figures, "baseline": baseline, "ratios": ratios}
    print(json.dumps(result))


def _run_child(arguments: list[str]) -> None:
    if arguments == ["sink"]:
        _serve()
        return
    row, directory, port = arguments
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    lines = _ROWS[row](Path(directory), int(port))
    print(msgspec.json.encode(_clock.cost(lines)).decode())


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the same thing")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _run_child(arguments.child)
        return
    rounds, events = (2, 50_000) if arguments.quick else (9, 300_000)
    with tempfile.TemporaryDirectory() as name, _null_sink() as port:
        directory = Path(name)
        line_bytes = _write_events(directory / "audit.log", events) / events
        costs: dict[str, list[Cost]] = {row: [] for row in _ROWS if row != "agent, idle"}
        for _ in range(rounds):
            for row, found in costs.items():
                cost = _measure(row, directory, port)
                if cost.lines != events:
                    raise RuntimeError(f"{row}: {cost.lines} lines of {events}")
                found.append(cost)
        idle = _measure("agent, idle", directory, port)
    _report(costs, idle, line_bytes)


if __name__ == "__main__":
    main()
