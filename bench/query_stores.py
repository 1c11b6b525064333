"""Stores of realistic events in partitions, loaded as quickly as a node takes them.

The events are those of `bench/corpus.py`: 50 organisations, ids and chains as applications write
them, evenly over the span of each partition. A partition that would be sealed by now is: write
block, and merged into one segment. None is refreshed before it is full: where a refresh cuts what
comes within a second is chance, and a list that reads across such a cut takes twice as long.
"""

import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

import msgspec
from opensearchpy import OpenSearch

from audit_events.chained_logger import ChainedLogger
from audit_events.draft import draft_event
from audit_events.instant import format_instant
from bench.corpus import choose_event
from bench.kept_file import KeptFile
from bench.processes import ProcessError
from indexer.client import ask, connect, request
from indexer.names import partition_name
from indexer.settings import Codec, ConnectionSettings, IndexSettings
from indexer.templates import install
from tests.event_ids import create_action
from webapi.query import unix_ns

BULK_EVENTS: Final = 5000
PARTITIONS_AT_ONCE: Final = 20
ORGANIZATIONS: Final = 50
"""As many as `choose_event` draws of."""
PATIENT_SECONDS: Final = 600.0
UNREFRESHED_SECONDS: Final = 3600
ONE_SEGMENT: Final = {"max_num_segments": "1"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A store: how many partitions, and how many events in each."""

    name: str
    partition: Literal["month", "day"]
    partitions: int
    events: int
    """Of one partition."""
    organizations: int = ORGANIZATIONS
    codec: Codec = "best_compression"

    def settings(self, prefix: str) -> IndexSettings:
        """How this store is laid into indices."""
        return IndexSettings(
            prefix=f"{prefix}-{self.name}",
            partition=self.partition,
            replicas=0,
            codec=self.codec,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """One partition to be loaded."""

    index: IndexSettings
    start: datetime
    end: datetime
    events: int
    sealed: bool
    organizations: int

    @property
    def name(self) -> str:
        """The partition."""
        return partition_name(format_instant(self.start), self.index)


class _Clock:
    """Evenly over a span."""

    def __init__(self, start_ns: int, step_ns: int) -> None:
        self._now_ns = start_ns
        self._step_ns = step_ns

    def __call__(self) -> int:
        self._now_ns += self._step_ns
        return self._now_ns


def loads(shape: Shape, index: IndexSettings, now: datetime) -> list[Load]:
    """The partitions of a store, newest first; the newest is that of now, filled up to now."""
    found: list[Load] = []
    end = now
    for _ in range(shape.partitions):
        last = end - timedelta(microseconds=1)
        start = last.replace(hour=0, minute=0, second=0, microsecond=0)
        if shape.partition == "month":
            start = start.replace(day=1)
        sealed = end + timedelta(days=index.seal_days) < now
        found.append(Load(index, start, end, shape.events, sealed, shape.organizations))
        end = start
    return found


def build(connection: ConnectionSettings, shapes: Sequence[Shape], prefix: str) -> None:
    """Load all stores."""
    patient = msgspec.structs.replace(connection, timeout_seconds=PATIENT_SECONDS)
    now = datetime.now(UTC)
    wanted: list[Sequence[Load]] = []
    with connect(patient, role="lifecycle") as lifecycle:
        for shape in shapes:
            index = shape.settings(prefix)
            loading = msgspec.structs.replace(index, refresh_interval_seconds=UNREFRESHED_SECONDS)
            install(lifecycle, loading)
            # Small partitions go several at a time: each request has its price.
            wanted += batched(loads(shape, index, now), max(1, BULK_EVENTS // shape.events))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(partial(fill, patient), range(len(wanted)), wanted):
            pass


def batched(wanted: Sequence[Load], most: int) -> list[Sequence[Load]]:
    """Cut into parts of so many at most."""
    most = min(most, PARTITIONS_AT_ONCE)
    return [wanted[at : at + most] for at in range(0, len(wanted), most)]


def fill(connection: ConnectionSettings, seed: int, wanted: Sequence[Load]) -> None:
    """Load some partitions, and seal those where it is time."""
    chance = random.Random(seed)  # noqa: S311  # the same events in each run
    output = KeptFile(Path("unused"))
    with connect(connection, role="writer") as writer:
        actions: list[bytes] = []
        for load in wanted:
            span_ns = unix_ns(load.end) - unix_ns(load.start)
            clock = _Clock(unix_ns(load.start), span_ns // (load.events + 1))
            log = ChainedLogger(output, service="members", host="bench", clock_unix_ns=clock)
            for _ in range(load.events):
                action, fields = choose_event(chance)
                if load.organizations < ORGANIZATIONS:
                    number = chance.randrange(load.organizations)
                    fields["organization_id"] = f"org_{number:04}"
                event_id = log.msg(draft_event(action, fields))
                actions.append(create_action(load.name, event_id))
                if len(actions) == BULK_EVENTS:
                    _create(writer, actions, output.lines)
        _create(writer, actions, output.lines)
    sealed = ",".join(load.name for load in wanted if load.sealed)
    with connect(connection, role="lifecycle") as lifecycle:
        if sealed:
            request(lifecycle, "PUT", f"/{sealed}/_block/write")
            request(lifecycle, "POST", f"/{sealed}/_forcemerge", params=ONE_SEGMENT)
        request(lifecycle, "POST", f"/{','.join(load.name for load in wanted)}/_refresh")


def _create(writer: OpenSearch, actions: list[bytes], lines: list[bytes]) -> None:
    if not actions:
        return
    body = b"".join(b"%b\n%b\n" % one for one in zip(actions, lines, strict=True))
    actions.clear()
    lines.clear()
    params = {"filter_path": "errors,items.*.error"}
    reply = ask(writer, "POST", "/_bulk", params=params, body=body)
    if reply.status != HTTPStatus.OK or '"errors":false' not in reply.text:
        raise ProcessError(f"events were not stored: {reply.status} {reply.text[:500]}")
