"""What it costs to ship a line: read it, check it, send it, settle it, remember it.

Usage: python bench/agent.py [--quick] [--events N] [--rounds N] [--only ROW] [--shippers DIR]

All ship the same realistic lines (`bench/corpus.py`) to the same null sink (`bench/null_sink.py`),
each as the process that an operator starts, one after the other:

  agent              `indelible agent` as it is, following one file
  agent, 200 files   the same lines, each writing process's in a file of its own
  agent, chain       verifying the hash of each line too
  agent, gzip        `INDELIBLE_OPENSEARCH_HTTP_COMPRESS`
  plain loop         the floor (`bench/plain_loop.py`), with and without gzip
  syslog-ng, rsyslog others, as a careful user configures them (`bench/shippers.py`, which says how
                     to install them); one that is not there is left out, and said so
  agent, idle        200 quiet files: share of one core, and resident memory; beside it, in the same
                     seconds, a loop that looks at them (`bench/quiet_loop.py`)

A process is started on an empty directory. When it is quiet, the files appear there by hard links;
when the sink has all lines and it is quiet again, its state saved, it gets SIGTERM. Events a second
are those between the end of the first request and the end of the last, by the sink. CPU is user and
system time of the process tree from the appearance of the files until it is quiet; what starting
and ending took, once and however many lines there are, stands apart. Memory is the peak. After its
exit the sink must have exactly what was in the files. Before the first round, on fewer lines, it
must have every single one by its hash, and (not with `--quick`) nothing more when the process is
started again. Figures are medians of the rounds, ratios medians of pairs.

On two cores the sink has one and who ships has the other: its own CPU is printed beside.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    # Run as a script, the directory of this file comes first, and `agent` would be this file.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import platformdirs

from bench.corpus import Corpus, write_corpus
from bench.null_sink import flood, null_sink
from bench.processes import Command, ProcessError
from bench.shippers import RSYSLOG, SHIPPERS, SYSLOG_NG, SYSLOG_NG_MEMORY, Shipper
from bench.shipping import Cost, Idle, Row, agent_command, check, idle, ship

BATCH_EVENTS: Final = 5000
QUICK_SECONDS: Final = 20
"""`--quick` begins no further round after this."""

AGENT: Final = "agent"
SPREAD: Final = "agent, 200 files"
CHAIN: Final = "agent, chain"
GZIP: Final = "agent, gzip"
LOOP: Final = "plain loop"
LOOP_GZIP: Final = "plain loop, gzip"


def _agent_row(name: str, settings: Mapping[str, str], *, spread: bool = False) -> Row:
    return Row(name, lambda work, port: agent_command(work, port, settings), spread)


def _loop_row(name: str, coding: str) -> Row:
    def command(work: Path, port: int) -> Command:
        code = "from bench.plain_loop import main; main()"
        return Command([sys.executable, "-c", code, str(work / "logs"), str(port), coding])

    return Row(name, command, remembers=False)


def _shipper_row(shipper: Shipper, unpacked: Path) -> Row | None:
    def command(work: Path, port: int) -> Command:
        found = shipper.command(work, port, unpacked)
        if found is None:
            raise ProcessError(f"{shipper.name} is gone")
        return found

    with tempfile.TemporaryDirectory() as name:
        is_there = shipper.command(Path(name), 0, unpacked) is not None
    return Row(shipper.name, command) if is_there else None


def rows(unpacked: Path, wanted: tuple[str, ...]) -> list[Row]:
    """Those that are there, of the rows whose name begins as wanted; what is missing is said."""
    ours = [
        _agent_row(AGENT, {}),
        _agent_row(SPREAD, {}, spread=True),
        _agent_row(CHAIN, {"INDELIBLE_AGENT_CHECK_CHAIN": "true"}),
        _agent_row(GZIP, {"INDELIBLE_OPENSEARCH_HTTP_COMPRESS": "true"}),
        _loop_row(LOOP, "plain"),
        _loop_row(LOOP_GZIP, "gzip"),
    ]
    found = [row for row in ours if row.name == AGENT or row.name.startswith(wanted)]
    for shipper in SHIPPERS:
        if not shipper.name.startswith(wanted):
            continue
        row = _shipper_row(shipper, unpacked)
        if row is None:
            print(f"{shipper.name}: not installed; {shipper.install}, or see bench/shippers.py")
        else:
            found.append(row)
    return found


def measure_sink(corpus: Corpus, *, compress: bool) -> float:
    """Events a second that a sink takes from prepared bodies."""
    with null_sink() as sink:
        flood(corpus.merged, sink.port, batch_events=BATCH_EVENTS, compress=compress)
        return sink.tally().rate


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured."""

    costs: Mapping[str, Sequence[Cost]]
    idle: Idle
    sink_rate: float
    sink_rate_gzip: float
    line_bytes: float

    def median(self, row: str, of: Callable[[Cost], float]) -> float:
        """The median of the rounds."""
        return statistics.median(of(cost) for cost in self.costs[row])

    def pairs(
        self,
        row: str,
        other: str,
        of: Callable[[Cost], float],
        compare: Callable[[float, float], float],
    ) -> float:
        """The median of what comparing the two in each round comes to."""
        both = zip(self.costs[row], self.costs[other], strict=True)
        return statistics.median(compare(of(one), of(two)) for one, two in both)


def _rate(cost: Cost) -> float:
    return cost.rate


def _cpu_us(cost: Cost) -> float:
    return cost.cpu_us


def _peak(cost: Cost) -> float:
    return cost.usage.peak_megabytes


def _once(cost: Cost) -> float:
    return cost.usage.once_cpu_seconds


def _ratio(one: float, two: float) -> float:
    return one / two


def _difference(one: float, two: float) -> float:
    return one - two


def _sink_us(cost: Cost) -> float:
    return cost.sink_cpu_seconds / cost.events * 1e6


def print_table(results: Results) -> None:
    """Print a line for each row."""
    columns = ("events/s", "µs CPU an event", "peak MB", "s CPU once", "µs CPU of the sink")
    print(f"{'':32}" + "".join(f"{column:>20}" for column in columns))
    for row in results.costs:
        print(
            f"{row:32}{results.median(row, _rate):20,.0f}{results.median(row, _cpu_us):20.2f}"
            f"{results.median(row, _peak):20.0f}{results.median(row, _once):20.2f}"
            f"{results.median(row, _sink_us):20.2f}"
        )
    print(f"{'null sink alone':32}{results.sink_rate:20,.0f}")
    print(f"{'null sink alone, gzip':32}{results.sink_rate_gzip:20,.0f}")
    share, resident = results.idle.core_percent, results.idle.resident_megabytes
    print(f"{'agent, idle on 200 files':32}{share:19.2f}%{'of a core':>20}{resident:20.0f}")
    print(
        f"{'a loop that looks at them':32}{results.idle.loop_core_percent:19.2f}%{'of a core':>20}"
    )


_KEYS: Final = {
    AGENT: "",
    SPREAD: "_200_files",
    CHAIN: "_chain_checked",
    GZIP: "_gzip",
    LOOP: "plain_loop",
    LOOP_GZIP: "plain_loop_gzip",
    SYSLOG_NG.name: "syslog_ng",
    SYSLOG_NG_MEMORY.name: "syslog_ng_memory",
    RSYSLOG.name: "rsyslog",
}


def _figures(results: Results) -> dict[str, float]:
    figures: dict[str, float] = {}
    for row in _agents(results):
        figures[f"events_per_second{_KEYS[row]}"] = round(results.median(row, _rate))
        figures[f"cpu_us_per_event{_KEYS[row]}"] = round(results.median(row, _cpu_us), 2)
        figures[f"peak_rss_mb{_KEYS[row]}"] = round(results.median(row, _peak))
        if row != AGENT:
            more = results.pairs(row, AGENT, _cpu_us, _difference)
            figures[f"cpu_us_more{_KEYS[row]}"] = round(more, 2)
    figures["cpu_seconds_once"] = round(results.median(AGENT, _once), 2)
    figures["idle_core_percent"] = round(results.idle.core_percent, 2)
    figures["idle_rss_mb"] = round(results.idle.resident_megabytes)
    figures["line_bytes"] = round(results.line_bytes)
    return figures


def _baseline(results: Results) -> dict[str, float]:
    baseline: dict[str, float] = {
        "null_sink_events_per_second": round(results.sink_rate),
        "null_sink_events_per_second_gzip": round(results.sink_rate_gzip),
    }
    baseline["quiet_loop_core_percent"] = round(results.idle.loop_core_percent, 2)
    for row in _others(results):
        baseline[f"{_KEYS[row]}_events_per_second"] = round(results.median(row, _rate))
        baseline[f"{_KEYS[row]}_cpu_us_per_event"] = round(results.median(row, _cpu_us), 2)
        baseline[f"{_KEYS[row]}_peak_rss_mb"] = round(results.median(row, _peak))
    return baseline


def _ratios(results: Results) -> dict[str, float]:
    ratios: dict[str, float] = {}
    ratios["idle_vs_quiet_loop"] = round(
        results.idle.core_percent / results.idle.loop_core_percent, 2
    )
    for other in _others(results):
        row = GZIP if other == LOOP_GZIP and GZIP in results.costs else AGENT
        rate = results.pairs(row, other, _rate, _ratio)
        ratios[f"events_per_second_vs_{_KEYS[other]}"] = round(rate, 2)
        cpu = results.pairs(row, other, _cpu_us, _ratio)
        ratios[f"cpu_vs_{_KEYS[other]}"] = round(cpu, 3)
    durable = [name for name in (SYSLOG_NG.name, RSYSLOG.name) if name in results.costs]
    if durable:
        fastest = max(durable, key=lambda name: results.median(name, _rate))
        rate = results.pairs(AGENT, fastest, _rate, _ratio)
        ratios["events_per_second_vs_fastest_durable"] = round(rate, 2)
    return ratios


def _agents(results: Results) -> list[str]:
    return [row for row in results.costs if row.startswith(AGENT)]


def _others(results: Results) -> list[str]:
    return [row for row in results.costs if not row.startswith(AGENT)]


def report(results: Results) -> None:
    """Print a table, and the figures as JSON on the last line."""
    print_table(results)
    result = {
        "name": "agent",
        "figures": _figures(results),
        "baseline": _baseline(results),
        "ratios": _ratios(results),
    }
    print(json.dumps(result))


def measure(found: Sequence[Row], events: int, rounds: int, *, quick: bool) -> Results:
    """Measure every row, `rounds` times in turn."""
    begun = time.monotonic()
    costs: defaultdict[str, list[Cost]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        check(found, directory / "check", again=not quick)
        corpus = write_corpus(directory / "corpus", events)
        sink_rate = measure_sink(corpus, compress=False)
        sink_rate_gzip = measure_sink(corpus, compress=True)
        with null_sink() as sink:
            for number in range(rounds):
                if number and quick and time.monotonic() - begun > QUICK_SECONDS:
                    break
                for row in found:
                    costs[row.name].append(ship(row, corpus, sink))
            at_rest = idle(sink, seconds=3 if quick else 15)
        return Results(costs, at_rest, sink_rate, sink_rate_gzip, corpus.size_bytes / events)


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer lines, the same thing")
    parser.add_argument("--events", type=int, help="lines to ship; default 500,000")
    parser.add_argument("--rounds", type=int, help="how often; default 5")
    parser.add_argument(
        "--only", action="append", default=[], help="rows that begin so, and `agent`; repeatable"
    )
    parser.add_argument(
        "--shippers",
        type=Path,
        default=platformdirs.user_cache_path("indelible") / "shippers",
        help="unpacked packages of other shippers (default: %(default)s)",
    )
    arguments = parser.parse_args()
    quick = arguments.quick
    wanted = tuple(arguments.only) or ("",)
    with suppress(KeyboardInterrupt):
        found = rows(arguments.shippers, wanted)
        events = arguments.events or (50_000 if quick else 500_000)
        report(measure(found, events, arguments.rounds or (2 if quick else 5), quick=quick))


if __name__ == "__main__":
    main()
