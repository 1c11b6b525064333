"""How long an event takes from the log call to being found by a search.

Usage: python bench/freshness.py [--quick] [--rate N] [--seconds N]

An application logs at a steady rate (500 events a second); the agent, a process as it is installed
with its own defaults, follows the file; a real OpenSearch node stores, with a refresh interval of
one second; a reader asks `_search` for what it has not seen yet. All clocks are one machine's
monotonic clock. The node is the one that INDELIBLE_TEST_OPENSEARCH_URL names (with
INDELIBLE_TEST_OPENSEARCH_CREDENTIALS), else an embedded node of its own, started for this.

Sampling: every event is a sample, from the instant before its log call to the arrival of the first
answer that holds it. A question is asked every 20 ms (only ids, from the oldest event that is
missing on, so it finds nothing between two refreshes); the time between the beginnings of two
questions, printed, is by how much a sample may be too long. Never is one too short.

Baseline: the refresh interval itself, which no pipeline can beat in the worst case; half of it is
the mean that refreshing alone costs.

The last row is for the question whether an index that nobody searches falls behind: OpenSearch
stops refreshing a shard that had no search for `index.search.idle.after` (30 s), and makes the next
search wait for a refresh, but only where `index.refresh_interval` is left to its default. Our
templates set it, so a refresh happens whether anybody searches or not. The row is the first search
after 35 s of silence while the application went on: how old the newest event was that it found,
and how long the answer took.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final
from uuid import UUID

if not __package__:
    # Run as a script, the directory of this file comes first, and `agent` would be a file there.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from msgspec import Struct
from opensearchpy import OpenSearch

import node
from bench.distribution import Distribution, distribute
from bench.measured_node import start_node
from bench.processes import Command, Measured, ProcessError
from bench.writer import SteadyWriter
from indexer.client import request_shape
from indexer.errors import RefusedError
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.node_home import own_home

RATE: Final = 500.0
ASK_SECONDS: Final = 0.02
WARM_SECONDS: Final = 10
SILENCE_SECONDS: Final = 35
ARRIVAL_SECONDS: Final = 30
PAGE: Final = 10_000
WRITER: Final = "audit_writer"


class _Hit(Struct, frozen=True, rename={"id": "_id"}):
    id: str


class _Hits(Struct, frozen=True):
    hits: tuple[_Hit, ...] = ()


class _Found(Struct, frozen=True):
    hits: _Hits = _Hits()


@dataclass(slots=True)
class Samples:
    """What was logged and not found yet, and what was found."""

    missing: dict[str, float] = field(default_factory=dict[str, float])
    """Instants of log calls by id, oldest first; the writer's thread adds."""
    found: dict[float, float] = field(default_factory=dict[float, float])
    """Instants of arrival by instant of the log call."""
    gaps: list[float] = field(default_factory=list[float])
    """Seconds between the beginnings of two questions."""

    def note(self, _number: int, event_id: str, before: float) -> None:
        """An event was logged."""
        self.missing[event_id] = before

    def delays(self, start: float, end: float) -> Distribution:
        """From log call to arrival, of the events of a window."""
        return distribute(
            [at - before for before, at in self.found.items() if start <= before < end]
        )


@dataclass(frozen=True, slots=True)
class Search:
    """Asks for ids."""

    client: OpenSearch
    prefix: str

    def ids(self, since_milliseconds: int, *, newest: bool = False) -> tuple[str, ...]:
        """The ids of the events since an instant, or of the newest one alone."""
        bound = {"gte": since_milliseconds, "format": "epoch_millis"}
        body = {
            "size": 1 if newest else PAGE,
            "query": {"range": {"timestamp": bound}},
            "sort": [{"timestamp": "desc" if newest else "asc"}],
            "_source": False,
            "track_total_hits": False,
        }
        path = f"/{self.prefix}-events-*/_search"
        params = {"filter_path": "hits.hits._id"}
        try:
            answer = request_shape(self.client, "POST", path, _Found, params=params, body=body)
        except RefusedError as error:
            if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            answer = None  # the partition is being made
        return tuple(hit.id for hit in answer.hits.hits) if answer else ()


def milliseconds(event_id: str) -> int:
    """The instant in a UUIDv7, since 1970."""
    return UUID(event_id).int >> 80


def follow(search: Search, samples: Samples, until: float, *, logged_before: float = 0.0) -> None:
    """Ask until an instant; or until all that was logged before another instant is found."""
    begun = time.monotonic()
    while begun < until:
        oldest = next(iter(samples.missing.copy().items()), None)
        if oldest is not None:
            if oldest[1] >= logged_before > 0:
                return
            _ask(search, samples, milliseconds(oldest[0]))
        time.sleep(max(0.0, begun + ASK_SECONDS - time.monotonic()))
        now = time.monotonic()
        samples.gaps.append(now - begun)
        begun = now


def _ask(search: Search, samples: Samples, since_milliseconds: int) -> None:
    ids = search.ids(since_milliseconds)
    arrived = time.monotonic()
    for event_id in ids:
        before = samples.missing.pop(event_id, None)
        if before is not None:
            samples.found[before] = arrived


@dataclass(frozen=True, slots=True)
class Silence:
    """The first search after nobody searched."""

    age_seconds: float
    """Of the newest event that it found."""
    answer_seconds: float


@dataclass(frozen=True, slots=True)
class Results:
    """What was measured."""

    delays: Distribution
    gaps: Distribution
    silence: Silence | None = None


def measure(cluster: Cluster, rate: float, seconds: float, *, silence: bool) -> Results:
    """Log, ship, search, for so many seconds."""
    samples = Samples()
    with (
        tempfile.TemporaryDirectory() as name,
        cluster.own_prefix() as index,
        cluster.client("reader") as client,
    ):
        work = Path(name)
        (work / "logs").mkdir()
        process = Measured(_agent(work, cluster, index), work / "output")
        try:
            process.await_quiet()
            with SteadyWriter(work / "logs" / "audit.log", rate, samples.note):
                results = _sample(Search(client, index.prefix), samples, process, seconds)
                if silence:
                    after = _be_silent(Search(client, index.prefix))
                    results = dataclasses.replace(results, silence=after)
            process.end()
        finally:
            process.kill()
    return results


def _sample(search: Search, samples: Samples, process: Measured, seconds: float) -> Results:
    start = time.monotonic() + WARM_SECONDS
    follow(search, samples, start)
    samples.gaps.clear()
    end = start + seconds
    follow(search, samples, end)
    gaps = distribute(samples.gaps)
    follow(search, samples, end + ARRIVAL_SECONDS, logged_before=end)
    process.check()
    lost = sum(before < end for before in samples.missing.values())
    if lost:
        raise process.error(f"{lost} events were never found")
    return Results(samples.delays(start, end), gaps)


def _be_silent(search: Search) -> Silence:
    time.sleep(SILENCE_SECONDS)
    before = time.time()
    newest = search.ids(0, newest=True)
    now = time.time()
    if not newest:
        raise ProcessError("the first search after silence found nothing")
    return Silence(before - milliseconds(newest[0]) / 1000, now - before)


def _agent(work: Path, cluster: Cluster, index: IndexSettings) -> Command:
    return Command(
        [sys.executable, "-m", "indelible", "agent"],
        {
            "INDELIBLE_HOME": str(work / "home"),
            "INDELIBLE_AGENT_PATHS": str(work / "logs" / "*.log"),
            "INDELIBLE_OPENSEARCH_URL": cluster.url,
            "INDELIBLE_OPENSEARCH_CA_FILE": str(cluster.ca_file),
            "INDELIBLE_OPENSEARCH_WRITER_USERNAME": WRITER,
            "INDELIBLE_OPENSEARCH_WRITER_PASSWORD": cluster.credentials.users[WRITER],
            "INDELIBLE_INDEX_PREFIX": index.prefix,
        },
    )


@contextmanager
def _cluster(environ: Mapping[str, str]) -> Generator[Cluster]:
    url = environ.get("INDELIBLE_TEST_OPENSEARCH_URL")
    if url:
        credentials = Path(environ["INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"])
        yield Cluster(url, url, node.read_credentials(credentials))
        return
    with own_home() as home:
        running = start_node(home)
        yield Cluster("the embedded node", running.url, running.credentials)


def report(results: Results) -> None:
    """Print a table, and the figures as JSON on the last line."""
    print(
        f"{'seconds':36}" + "".join(f"{name:>9}" for name in ("count", "p50", "p90", "p99", "max"))
    )
    rows = {"log call to visible in search": results.delays, "between questions": results.gaps}
    for name, row in rows.items():
        print(f"{name:36}{row.count:9}{row.p50:9.3f}{row.p90:9.3f}{row.p99:9.3f}{row.longest:9.3f}")
    figures = {
        "p50_seconds": round(results.delays.p50, 3),
        "p90_seconds": round(results.delays.p90, 3),
        "p99_seconds": round(results.delays.p99, 3),
        "max_seconds": round(results.delays.longest, 3),
        "resolution_p50_seconds": round(results.gaps.p50, 3),
        "resolution_p99_seconds": round(results.gaps.p99, 3),
    }
    silence = results.silence
    if silence is not None:
        print(
            f"first search after {SILENCE_SECONDS} s of silence: newest event"
            f" {silence.age_seconds:.3f} s old, answer in {silence.answer_seconds:.3f} s"
        )
        figures["after_silence_age_seconds"] = round(silence.age_seconds, 3)
        figures["after_silence_answer_seconds"] = round(silence.answer_seconds, 3)
    refresh = IndexSettings().refresh_interval_seconds
    ratios = {
        "p50_vs_refresh_interval": round(results.delays.p50 / refresh, 2),
        "p99_vs_refresh_interval": round(results.delays.p99 / refresh, 2),
    }
    baseline = {"refresh_interval_seconds": refresh}
    result = {"name": "freshness", "figures": figures, "baseline": baseline, "ratios": ratios}
    print(json.dumps(result))


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="for a shorter time, the same thing")
    parser.add_argument("--rate", type=float, default=RATE, help="events a second; default 500")
    parser.add_argument("--seconds", type=float, help="default 60")
    arguments = parser.parse_args()
    quick = arguments.quick
    with suppress(KeyboardInterrupt), _cluster(os.environ) as cluster:
        seconds = arguments.seconds or (10 if quick else 60)
        report(measure(cluster, arguments.rate, seconds, silence=not quick))


if __name__ == "__main__":
    main()
