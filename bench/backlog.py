"""Whether a backlog starves what is written now: both through one agent, into the null sink.

Usage: python bench/backlog.py [--quick] [--bytes N] [--files N] [--sink-rate N]

The agent follows a file that an application writes at a steady rate; from each log call to the
arrival of its event in the sink is its freshness (one monotonic clock; the sink notes it when the
request has been read whole). First alone, which is the baseline. Then many files with a backlog
appear at once (hard links), and the same goes on until the sink has all of it. Printed: how fast
the backlog drains, the agent's peak memory before and after, and the freshness of the events that
were written meanwhile. `--sink-rate` lets the sink answer no faster than a cluster would.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    # Run as a script, the directory of this file comes first, and `agent` would be a file there.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.corpus import write_sources
from bench.distribution import Distribution, distribute
from bench.null_sink import NullSink, Options, null_sink
from bench.processes import Measured
from bench.shipping import agent_command, show
from bench.writer import SteadyWriter

LINE_BYTES: Final = 666
FILES: Final = 1000
QUICK_FILES: Final = 100
RATE: Final = 200.0
"""Fresh events a second."""
BYTES: Final = 1_500_000_000
QUICK_BYTES: Final = 150_000_000
LOOK_SECONDS: Final = 0.05
ARRIVAL_SECONDS: Final = 60
DRAIN_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured."""

    backlog_events: int
    backlog_bytes: int
    drain_seconds: float
    alone: Distribution
    meanwhile: Distribution
    megabytes_alone: float
    megabytes: float
    agent_cpu_seconds: float


def measure(
    directory: Path, events: int, files: int, alone_seconds: float, sink_rate: int
) -> Results:
    """Write a backlog, and let the agent drain it while an application writes."""
    backlog = write_sources(directory / "backlog", events, files=files)
    size = sum(file.stat().st_size for file in backlog)
    (directory / "logs").mkdir()
    written: dict[int, float] = {}

    def note(number: int, _event_id: str, before: float) -> None:
        written[number] = before

    with null_sink(Options(marks=True, events_per_second=sink_rate)) as sink:
        process = Measured(agent_command(directory, sink.port), directory / "output")
        try:
            process.await_quiet()
            with SteadyWriter(directory / "logs" / "fresh.log", RATE, note):
                time.sleep(alone_seconds)
                megabytes_alone, cpu = process.peak_megabytes(), process.cpu_seconds()
                start = time.monotonic()
                show(backlog, directory / "logs")
                end = _await_backlog(process, sink, events)
                megabytes, cpu = process.peak_megabytes(), process.cpu_seconds() - cpu
            arrived = _await_marks(process, sink, written)
            process.end()
        finally:
            process.kill()
    return Results(
        backlog_events=events,
        backlog_bytes=size,
        drain_seconds=end - start,
        alone=_delays(written, arrived, 0.0, start - 1),
        meanwhile=_delays(written, arrived, start, end),
        megabytes_alone=megabytes_alone,
        megabytes=megabytes,
        agent_cpu_seconds=cpu,
    )


def _await_backlog(process: Measured, sink: NullSink, events: int) -> float:
    """Wait until all of the backlog has come; returns when."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        tally = sink.tally()
        if tally.events - tally.marked >= events:
            return time.monotonic()
        process.check()
        time.sleep(LOOK_SECONDS)
    raise process.error("did not drain the backlog in time")


def _await_marks(
    process: Measured, sink: NullSink, written: Mapping[int, float]
) -> dict[int, float]:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        arrived = sink.marks()
        if arrived.keys() == written.keys():
            return arrived
        process.check()
        time.sleep(LOOK_SECONDS)
    raise process.error("did not ship every fresh event in time")


def _delays(
    written: Mapping[int, float], arrived: Mapping[int, float], start: float, end: float
) -> Distribution:
    """From the log call to the sink, in seconds, of what was written in a window."""
    return distribute([arrived[number] - at for number, at in written.items() if start <= at < end])


def report(results: Results) -> None:
    """Print a table, and the figures as JSON on the last line."""
    rate = results.backlog_events / results.drain_seconds
    print(
        f"backlog: {results.backlog_events:,} events, {results.backlog_bytes / 1e6:,.0f} MB,"
        f" drained in {results.drain_seconds:.1f} s: {rate:,.0f} events/s,"
        f" {results.backlog_bytes / 1e6 / results.drain_seconds:,.0f} MB/s"
    )
    columns = "".join(f"{name:>8}" for name in ("count", "p50", "p90", "p99", "max", "peak MB"))
    print(f"{'fresh events, seconds':24}{columns}")
    rows = {"alone": results.alone, "beside the backlog": results.meanwhile}
    memory = {"alone": results.megabytes_alone, "beside the backlog": results.megabytes}
    for name, row in rows.items():
        print(
            f"{name:24}{row.count:8}{row.p50:8.3f}{row.p90:8.3f}{row.p99:8.3f}{row.longest:8.3f}"
            f"{memory[name]:8.0f}"
        )
    figures = {
        "events_per_second": round(rate),
        "megabytes_per_second": round(results.backlog_bytes / 1e6 / results.drain_seconds),
        "cpu_us_per_event": round(results.agent_cpu_seconds / results.backlog_events * 1e6, 2),
        "backlog_bytes": results.backlog_bytes,
        "peak_rss_mb": round(results.megabytes),
        **_named(results.meanwhile),
    }
    baseline = {"peak_rss_mb": round(results.megabytes_alone), **_named(results.alone)}
    ratios = {name: round(figures[name] / baseline[name], 2) for name in baseline if baseline[name]}
    result = {"name": "backlog", "figures": figures, "baseline": baseline, "ratios": ratios}
    print(json.dumps(result))


def _named(found: Distribution) -> dict[str, float]:
    return {
        "fresh_p50_seconds": round(found.p50, 3),
        "fresh_p99_seconds": round(found.p99, 3),
        "fresh_max_seconds": round(found.longest, 3),
    }


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer bytes, the same thing")
    parser.add_argument("--bytes", type=float, help=f"of the backlog; default {BYTES:,}")
    parser.add_argument("--files", type=int, help=f"default {FILES:,}")
    parser.add_argument("--sink-rate", type=int, default=0, help="events a second; 0: no limit")
    arguments = parser.parse_args()
    size = arguments.bytes or (QUICK_BYTES if arguments.quick else BYTES)
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as name:
        report(
            measure(
                Path(name),
                int(size / LINE_BYTES),
                arguments.files or (QUICK_FILES if arguments.quick else FILES),
                alone_seconds=5 if arguments.quick else 20,
                sink_rate=arguments.sink_rate,
            )
        )


if __name__ == "__main__":
    main()
