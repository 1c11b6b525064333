"""What an event costs the application that emits it, against structlog's own JSON line.

Usage: python bench/emit.py [--quick]

Baseline: structlog with JSONRenderer, orjson and BytesLogger writing the same dictionary to a file,
which neither checks, stamps, chains nor locks. Ours is in the kernel when the call returns. The two
run in turn, many short rounds; a figure is the median of its rounds, the ratio the median of pairs.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import structlog

from audit_events import open_log

FIELDS: dict[str, Any] = {
    "organization_id": "org_acme",
    "actor": {"type": "user", "id": "u_1", "email": "admin@company.com", "name": "Ana Admin"},
    "target_user": {"id": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10", "email": "team@company.com"},
    "resource": {"type": "member", "id": "m_42"},
    "ip_address": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "correlation_id": "req-7f9c2ba4e88f827d",
    "context": {"previous": {"role": "member"}, "new": {"role": "admin"}, "reason": "promoted"},
}


def _measure(emit: Callable[[], object], events: int) -> float:
    """Return microseconds an event, of CPU and waiting together."""
    start = time.perf_counter()
    for _ in range(events):
        emit()
    return (time.perf_counter() - start) / events * 1e6


def _structlog_json(path: Path) -> Callable[[], object]:
    logger = structlog.wrap_logger(
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
    return lambda: logger.info("member.role_changed", **FIELDS)


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the same thing")
    rounds = 20 if parser.parse_args().quick else 100
    events = 2_000
    with tempfile.TemporaryDirectory() as directory:
        log = open_log(Path(directory) / "audit.jsonl", service="bench")
        baseline = _structlog_json(Path(directory) / "baseline.jsonl")
        pairs = [
            (
                _measure(lambda: log.info("member.role_changed", **FIELDS), events),
                _measure(baseline, events),
            )
            for _ in range(rounds + 1)
        ][1:]
    ours = statistics.median(one for one, _ in pairs)
    theirs = statistics.median(other for _, other in pairs)
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"{'':32}{'µs an event':>12}")
    print(f"{'indelible, chained, in kernel':32}{ours:12.2f}")
    print(f"{'structlog JSONRenderer + orjson':32}{theirs:12.2f}")
    print(f"{'ratio, median of pairs':32}{ratio:12.2f}")
    print(
        json.dumps(
            {
                "name": "emit",
                "figures": {"us_per_event": round(ours, 2), "events_per_second": round(1e6 / ours)},
                "baseline": {"structlog_json_us_per_event": round(theirs, 2)},
                "ratios": {"vs_structlog_json": round(ratio, 2)},
            }
        )
    )


if __name__ == "__main__":
    main()
