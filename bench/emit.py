"""What an event costs the application that emits it, against structlog's own JSON line.

Usage: taskset -c 1 python bench/emit.py [--quick]

Baseline: structlog with JSONRenderer, orjson and BytesLogger writing the same dictionary to a file,
which neither checks, stamps, chains nor locks. Ours is in the kernel when the call returns. The two
run in turn, in many short rounds, so that both meet the same disturbances; a figure is the median
of its rounds, the ratio the median of pairs. "disk": events that wait for the disk at the same time
share a sync, against one sync each. A virtual disk whose host keeps its word for it syncs in
0.15 ms; "slow_disk" is the same with 2 ms more a sync, as an SSD without power-loss protection.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from audit_events import AuditProcessor, ChainedLogger, open_log
from audit_events.event_file import EventFile

FIELDS: Final[dict[str, Any]] = {
    "organization_id": "org_acme",
    "actor": {"type": "user", "id": "u_1", "email": "admin@company.com", "name": "Ana Admin"},
    "target_user": {"id": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10", "email": "team@company.com"},
    "resource": {"type": "member", "id": "m_42"},
    "ip_address": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "correlation_id": "req-7f9c2ba4e88f827d",
    "context": {"previous": {"role": "member"}, "new": {"role": "admin"}, "reason": "promoted"},
}
BOUND: Final = ("organization_id", "actor", "ip_address", "user_agent", "correlation_id")
"""What a request has in common."""
LARGE: Final[dict[str, Any]] = {
    f"permission_{number}": {"previous": ["read", "list"], "new": ["read", "write", "share"]}
    for number in range(48)
}
"""A context of 4 KiB."""
EVENTS: Final = 200
THREADS: Final = 8
DISK_THREADS: Final = 16
SLOWER_SECONDS: Final = 0.002

Emit = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison: microseconds an event of ours and of the baseline, and the ratio."""

    name: str
    ours: float
    baseline: float
    ratio: float


def _measure(emit: Emit) -> float:
    """Return microseconds an event, of CPU and waiting together."""
    start = time.perf_counter()
    for _ in range(EVENTS):
        emit()
    return (time.perf_counter() - start) / EVENTS * 1e6


def _measure_threads(emit: Emit, threads: int, events: int) -> float:
    """Return microseconds an event when so many threads emit at once."""
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(events):
            emit()
        barrier.wait()

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    barrier.wait()
    start = time.perf_counter()
    barrier.wait()
    return (time.perf_counter() - start) / (threads * events) * 1e6


def _compare(name: str, rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> Row:
    pairs = [(ours(), theirs()) for _ in range(rounds + 1)][1:]
    return Row(
        name,
        statistics.median(one for one, _ in pairs),
        statistics.median(other for _, other in pairs),
        statistics.median(one / other for one, other in pairs),
    )


def _structlog_json(path: Path) -> Any:  # noqa: ANN401  # a logger of structlog's
    return structlog.wrap_logger(
        structlog.BytesLogger(path.open("ab")),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        context_class=dict,
        cache_logger_on_first_use=True,
    )


def _through_processors(path: Path) -> Any:  # noqa: ANN401  # a logger of structlog's
    """An application's own arrangement, with our processor at its end."""
    source = ChainedLogger(EventFile(path), service="bench", host="bench")
    return structlog.wrap_logger(source, processors=[AuditProcessor()], context_class=dict)


@contextmanager
def _bound() -> Generator[dict[str, Any]]:
    """Bind what a request has in common; yields what is left for the call."""
    with structlog.contextvars.bound_contextvars(**{name: FIELDS[name] for name in BOUND}):
        yield {name: value for name, value in FIELDS.items() if name not in BOUND}


def _compare_with_structlog(directory: Path, rounds: int) -> list[Row]:
    log: Any = open_log(directory / "audit.jsonl", service="bench")
    wrapped = _through_processors(directory / "processors.jsonl")
    baseline = _structlog_json(directory / "baseline.jsonl")

    def row(name: str, fields: dict[str, Any], ours: Any = log, rounds: int = rounds) -> Row:  # noqa: ANN401  # a logger
        return _compare(
            name,
            rounds,
            lambda: _measure(lambda: ours.info("member.role_changed", **fields)),
            lambda: _measure(lambda: baseline.info("member.role_changed", **fields)),
        )

    def threads(logger: Any) -> float:  # noqa: ANN401  # a logger
        emit = lambda: logger.info("member.role_changed", **FIELDS)  # noqa: E731
        return _measure_threads(emit, THREADS, EVENTS)

    rows = [row("plain", FIELDS)]
    with _bound() as rest:
        rows.append(row("bound", rest))
    rows.append(row("large_context", {**FIELDS, "context": LARGE}, rounds=rounds // 5))
    rows.append(row("through_processors", FIELDS, wrapped))
    rows.append(
        _compare(
            f"{THREADS}_threads", rounds // 20, lambda: threads(log), lambda: threads(baseline)
        )
    )
    return rows


@contextmanager
def _slower_disk() -> Generator[None]:
    """Let each sync of this process take so much longer."""
    fsync = os.fsync

    def slower(fd: Any) -> None:  # noqa: ANN401  # as os.fsync takes it
        fsync(fd)
        time.sleep(SLOWER_SECONDS)

    os.fsync = slower
    try:
        yield
    finally:
        os.fsync = fsync


def _compare_on_disk(name: str, directory: Path, rounds: int) -> Row:
    """Compare threads that share syncs with threads of which each syncs its own event."""
    path = directory / f"{name}.jsonl"
    grouped: Any = open_log(path.with_suffix(".grouped.jsonl"), service="bench", durability="disk")
    single: Any = open_log(path, service="bench")
    descriptor = os.open(path, os.O_WRONLY)
    lock = threading.Lock()

    def emit_single() -> None:
        with lock:
            single.info("member.role_changed", **FIELDS)
            os.fsync(descriptor)

    def emit_grouped() -> None:
        grouped.info("member.role_changed", **FIELDS)

    return _compare(
        f"{name}_{DISK_THREADS}_threads",
        rounds,
        lambda: _measure_threads(emit_grouped, DISK_THREADS, 40),
        lambda: _measure_threads(emit_single, DISK_THREADS, 10),
    )


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the same thing")
    parser.add_argument("--directory", type=Path, help="of the files; its disk is what is synced")
    arguments = parser.parse_args()
    rounds = 300 if arguments.quick else 2_000
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        rows = _compare_with_structlog(Path(directory), rounds)
        disks = [_compare_on_disk("disk", Path(directory), rounds // 50)]
        with _slower_disk():
            disks.append(_compare_on_disk("slow_disk", Path(directory), rounds // 100))
    print(f"{'µs an event':24}{'indelible':>12}{'structlog':>12}{'ratio':>8}")
    for row in rows:
        print(f"{row.name:24}{row.ours:12.2f}{row.baseline:12.2f}{row.ratio:8.2f}")
    print(f"{'µs an event':24}{'shared sync':>12}{'one each':>12}{'faster':>8}")
    for disk in disks:
        print(f"{disk.name:24}{disk.ours:12.2f}{disk.baseline:12.2f}{1 / disk.ratio:8.2f}")
    plain, *others = rows
    print(
        json.dumps(
            {
                "name": "emit",
                "figures": {
                    "us_per_event": round(plain.ours, 2),
                    "events_per_second": round(1e6 / plain.ours),
                    **{f"us_per_event_{row.name}": round(row.ours, 2) for row in others},
                    **{f"events_per_second_{disk.name}": round(1e6 / disk.ours) for disk in disks},
                },
                "baseline": {
                    "structlog_json_us_per_event": round(plain.baseline, 2),
                    **{
                        f"fsync_each_events_per_second_{disk.name}": round(1e6 / disk.baseline)
                        for disk in disks
                    },
                },
                "ratios": {
                    "vs_structlog_json": round(plain.ratio, 2),
                    **{f"vs_structlog_json_{row.name}": round(row.ratio, 2) for row in others},
                    **{f"{disk.name}_vs_fsync_each": round(1 / disk.ratio, 2) for disk in disks},
                },
            }
        )
    )


if __name__ == "__main__":
    main()
