"""What a Prometheus server scrapes: every metric stands here once, with its meaning.

All of it is made from the status that the loop showed last, so a scrape costs the loop nothing.
Cardinality is bounded: `FILES_SHOWN` files have series of their own, those whose oldest line waits
longest; the others are one series, their bytes summed, their age that of the oldest among them.
"""

import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from agent.board import Board
from agent.status import FileStatus, Status
from audit_events.instant import parse_instant
from indexer.dead_marks import Count, Tally
from indexer.figures import ANSWERS, DEAD_REASONS

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every scraper takes."""
PREFIX: Final = "indelible_agent_"
FILES_SHOWN: Final = 20
OTHERS: Final = "(other files)"
"""No path: those begin with a slash."""
OUTCOMES: Final = ("halted", "blocked", "retry")


class View(Struct, frozen=True):
    """One moment: what the loop showed last, and how long ago that is."""

    status: Status
    dead: Count
    turned: float
    """When (monotonic) the loop turned last."""
    now: float
    """Unix seconds."""

    def age_seconds(self, instant: str) -> float:
        """How long ago a canonical instant is; 0 where there is none, or it lies ahead."""
        return max(0.0, self.now - unix_seconds(instant)) if instant else 0.0


Samples = Iterable[tuple[tuple[str, ...], float]]


class Definition(Struct, frozen=True):
    """One metric: `name` without the prefix and without `_total`, which counters get."""

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    samples: Callable[[View], Samples]
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """As it is scraped."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


def unix_seconds(instant: str) -> float:
    """A canonical instant as Unix seconds, 0 where there is none."""
    return parse_instant(instant).timestamp() if instant else 0.0


def _one(value: Callable[[View], float]) -> Callable[[View], Samples]:
    return lambda view: [((), float(value(view)))]


def _by(
    names: tuple[str, ...], found: Callable[[Status], Mapping[str, int]]
) -> Callable[[View], Samples]:
    def samples(view: View) -> Samples:
        counts = found(view.status)
        return [((name,), float(counts.get(name, 0))) for name in dict.fromkeys((*names, *counts))]

    return samples


def _count(name: str, meaning: str) -> Definition:
    return Definition(
        name, "counter", meaning, _one(lambda view: getattr(view.status.totals, name))
    )


def _waiting(view: View) -> Samples:
    waiting = view.status.waiting
    for outcome in OUTCOMES:
        is_it = waiting is not None and waiting.outcome == outcome
        yield (outcome,), view.age_seconds(waiting.since) if waiting and is_it else 0.0


def _lagging(status: Status) -> list[FileStatus]:
    return [file for file in status.files if file.lag_bytes or file.oldest_unshipped]


def _file_lag_bytes(view: View) -> Samples:
    shown = _lagging(view.status)[:FILES_SHOWN]
    for file in shown:
        yield (file.path,), float(file.lag_bytes)
    rest = view.status.lag_bytes - sum(file.lag_bytes for file in shown)
    yield (OTHERS,), float(max(0, rest))


def _file_lag_seconds(view: View) -> Samples:
    lagging = _lagging(view.status)
    for file in lagging[:FILES_SHOWN]:
        yield (file.path,), view.age_seconds(file.oldest_unshipped)
    # They are listed by age.
    rest = lagging[FILES_SHOWN : FILES_SHOWN + 1]
    yield (OTHERS,), view.age_seconds(rest[0].oldest_unshipped) if rest else 0.0


def _sources(view: View) -> Samples:
    sources = view.status.sources
    counts = {"alive": sources.alive, "closed": sources.closed, "silent": sources.silent_count}
    return [((state,), float(count)) for state, count in counts.items()]


def _silence(view: View) -> Samples:
    silent = view.status.sources.silent
    return [((), max((view.age_seconds(one.since) for one in silent), default=0.0))]


def _build(_view: View) -> Samples:
    try:
        ours = version("indelible")
    except PackageNotFoundError:
        ours = "unknown"
    return [((ours, platform.python_version()), 1.0)]


METRICS: Final[tuple[Definition, ...]] = (
    Definition(
        "events",
        "counter",
        "Events that are stored: created now, or stored before (sent again)",
        _by(
            ("created", "duplicate"),
            lambda status: {
                "created": status.totals.created,
                "duplicate": status.totals.duplicates,
            },
        ),
        ("result",),
    ),
    Definition(
        "dead_letters",
        "counter",
        "Lines that went to the dead letter, by the class of the reason",
        _by(DEAD_REASONS, lambda status: status.totals.dead_letters_by_reason),
        ("reason",),
    ),
    Definition(
        "dead_letter_open",
        "gauge",
        "Records in the dead letter that are neither replayed nor acknowledged",
        _one(lambda view: view.dead.open),
    ),
    Definition(
        "dead_letter_bytes", "gauge", "Size of the dead letter", _one(lambda view: view.dead.bytes)
    ),
    _count("lines", "Lines read"),
    _count("bytes", "Bytes of lines read"),
    _count("empty_lines", "Empty lines, which are skipped"),
    _count("malformed_lines", "Lines read that are no events"),
    _count("over_long_lines", "Lines read that are longer than `max_line_bytes`"),
    _count("batches", "Batches settled"),
    _count("retries", "Requests that sent a line again, of settled batches"),
    Definition(
        "requests",
        "counter",
        "Requests to the cluster by how they ended; `none` is no legible answer",
        _by(ANSWERS, lambda status: status.totals.requests),
        ("answer",),
    ),
    _count("gaps", "Ranges of `seq` that are missing for good"),
    _count("missing_events", "Events in those ranges"),
    _count("closed_events", "Events that arrived after they had been told missing"),
    _count("chain_breaks", "Events whose hash does not follow from the one before"),
    _count("silent_sources", "Sources that fell silent without saying that they end"),
    _count("stored_missing", "Stored events that were looked for and are not stored any more"),
    _count("truncations", "Files that were truncated under the agent"),
    _count("watch_overflows", "Times that the kernel dropped file events; the poll makes up"),
    _count("reloads", "Times that other settings took over (SIGHUP)"),
    Definition(
        "sources",
        "gauge",
        "Processes with a heartbeat: alive, closed or silent, the latter two for a day",
        _sources,
        ("state",),
    ),
    Definition(
        "source_silent_seconds",
        "gauge",
        "For how long the source that is silent longest has said nothing; 0 when none is",
        _silence,
    ),
    Definition("files", "gauge", "Files followed", _one(lambda view: view.status.file_count)),
    Definition(
        "unreadable_files",
        "gauge",
        "Files that match and cannot be read",
        _one(lambda view: len(view.status.unreadable)),
    ),
    Definition(
        "unwatched_directories",
        "gauge",
        "Directories that are polled because they cannot be watched",
        _one(lambda view: len(view.status.unwatched)),
    ),
    Definition(
        "lag_bytes",
        "gauge",
        "Bytes that are written and not settled, over all files",
        _one(lambda view: view.status.lag_bytes),
    ),
    Definition(
        "oldest_unshipped_seconds",
        "gauge",
        "Age of the oldest line that is not settled, by its own timestamp; 0 when nothing waits",
        _one(lambda view: view.age_seconds(view.status.oldest_unshipped)),
    ),
    Definition(
        "file_lag_bytes",
        "gauge",
        f"The same bytes for the {FILES_SHOWN} files that wait longest, the others summed"
        f" (`{OTHERS}`)",
        _file_lag_bytes,
        ("path",),
    ),
    Definition(
        "file_lag_seconds",
        "gauge",
        "Age of the oldest unshipped line of those files; for the others that of the oldest",
        _file_lag_seconds,
        ("path",),
    ),
    Definition(
        "batches_in_flight",
        "gauge",
        "Batches that are sent and not settled",
        _one(lambda view: view.status.in_flight),
    ),
    Definition(
        "last_request_success",
        "gauge",
        "1 if the last request to the cluster was answered as it should be, else 0",
        _one(lambda view: view.status.last_answer in ("ok", "")),
    ),
    Definition(
        "last_success_timestamp_seconds",
        "gauge",
        "When (Unix) a request was answered as it should be; 0 before the first",
        _one(lambda view: unix_seconds(view.status.last_success_at)),
    ),
    Definition(
        "waiting_seconds",
        "gauge",
        "For how long batches have waited: `halted` for an operator (credentials, roles, indices),"
        " `blocked` for room in the cluster, `retry` for a good answer; 0 when they do not",
        _waiting,
        ("outcome",),
    ),
    Definition(
        "checkpoint_age_seconds",
        "gauge",
        "Since the checkpoint was saved; a quiet agent has nothing to save",
        _one(lambda view: view.age_seconds(view.status.checkpoint_saved_at)),
    ),
    Definition(
        "checkpoint_failing",
        "gauge",
        "1 while the checkpoint cannot be saved; nothing is read meanwhile",
        _one(lambda view: bool(view.status.checkpoint_problem)),
    ),
    Definition(
        "trail_failing",
        "gauge",
        "1 while gaps and broken chains cannot be recorded as events; they are kept until then",
        _one(lambda view: bool(view.status.trail_problem)),
    ),
    Definition(
        "dead_letter_failing",
        "gauge",
        "1 while the dead letter cannot be written; what waits for it is kept, and not settled",
        _one(lambda view: bool(view.status.dead_letter_problem)),
    ),
    Definition(
        "configuration_refused",
        "gauge",
        "1 while the configuration that was read last is wrong and the one before goes on",
        _one(lambda view: bool(view.status.config_problems)),
    ),
    Definition(
        "loop_age_seconds",
        "gauge",
        "Since the loop turned last",
        _one(lambda view: max(0.0, time.monotonic() - view.turned)),
    ),
    Definition(
        "start_timestamp_seconds",
        "gauge",
        "When (Unix) the agent started",
        _one(lambda view: unix_seconds(view.status.started_at)),
    ),
    Definition("build_info", "gauge", "1; the versions are labels", _build, ("version", "python")),
)


class _Agent(Collector):
    def __init__(self, board: Board, directory: Path) -> None:
        self._board = board
        self._tally = Tally(directory)
        self._counting = threading.Lock()
        self._dead = Count()

    @override
    def collect(self) -> Iterator[Metric]:
        status = self._board.status
        if status is None:
            return
        view = View(status, self._count_dead(), self._board.turned, time.time())
        for definition in METRICS:
            kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
            family = kind(PREFIX + definition.name, definition.meaning, labels=definition.labels)
            for labels, value in definition.samples(view):
                family.add_metric(labels, value)
            yield family

    def _count_dead(self) -> Count:
        # Here and not in the loop: the first count reads all of it.
        with self._counting:
            with suppress(OSError):
                self._dead = self._tally.count()
            return self._dead


class Exposition:
    """Renders the metrics of one agent and of its process (`process_…`)."""

    def __init__(self, board: Board, directory: Path) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Agent(board, directory))
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """The text, of `MEDIA_TYPE`."""
        return generate_latest(self._registry)
