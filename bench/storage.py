"""What an event costs to keep: bytes on disk after sealing, and CPU and time to index it.

Usage: python bench/storage.py [--quick] [--events N] [--rounds N] [--codec NAME] [--plugin FILE]

A month of realistic events of 50 organisations (`bench/tenants.py`) goes into three indices of one
embedded node, started for this: with our template; with OpenSearch's default dynamic mapping, as
the usual shippers have it who bring no template (each text as `text` and `keyword`, unsorted,
default codec, ids made by the node); and as raw JSON, stored and not indexed at all. They take
turns, a share of the events each time, so that a busy machine hits all alike; a round before the
first that counts warms the node up.

* bytes: all files of the index after a force merge to one segment and a write block, for each byte
  of the documents as sent. Exact, whatever else the machine does. Terms that come back weigh less
  the more events there are: a month has 770,000 where 10 million lie in 13 partitions.
* cpu: user and system time of the node's process for a thousand events, merges included, the last
  force merge not. Repeatable within some percent.
* events/s: two connections with 1,000 events a request, the median of the rounds. The baseline for
  the machine's mood; two runs on a busy machine differ.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, cast

if not __package__:
    # Run as a script, the directory of this file comes first, and `agent` would be a file there.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import psutil
from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.envelope import decode_envelope
from bench.measured_node import add_options, codec_of, start_node
from bench.tenants import ORGANISATIONS, month_of_events
from indexer.client import ask, connect, request, request_shape
from indexer.document_id import document_id
from indexer.settings import Codec, ConnectionSettings, IndexSettings
from indexer.templates import render
from tests.node_home import own_home

EVENTS: Final = 600_000
QUICK_EVENTS: Final = 45_000
ROUNDS: Final = 12
QUICK_ROUNDS: Final = 5
BULK_EVENTS: Final = 1_000
CONNECTIONS: Final = 2
LOOK_SECONDS: Final = 0.1
FORCE_MERGE_SECONDS: Final = 600
OURS: Final = "indelible"
DEFAULT: Final = "default mapping"
RAW: Final = "raw JSON"
PLAIN: Final[dict[str, object]] = {"number_of_shards": 1, "number_of_replicas": 0}


class _File(Struct, frozen=True):
    size_in_bytes: int


class _Segments(Struct, frozen=True):
    count: int
    file_sizes: dict[str, _File] = {}


class _Primaries(Struct, frozen=True):
    segments: _Segments


class _All(Struct, frozen=True):
    primaries: _Primaries


class _Stats(Struct, frozen=True, rename={"all": "_all"}):
    all: _All


class _Merges(Struct, frozen=True):
    current: int


class _Merging(Struct, frozen=True):
    merges: _Merges


class _MergingAll(Struct, frozen=True):
    primaries: _Merging


class _MergeStats(Struct, frozen=True, rename={"all": "_all"}):
    all: _MergingAll


@dataclass(slots=True)
class Variant:
    """One way to store the events, and what it took so far."""

    name: str
    index: str
    body: dict[str, object]
    own_ids: bool = False
    """As the agent does it; else the node makes them, as for the shippers."""
    rates: list[float] = field(default_factory=list[float])
    cpu_seconds: float = 0.0
    bytes: int = 0
    files: dict[str, int] = field(default_factory=dict[str, int])


def variants(codec: Codec) -> tuple[Variant, ...]:
    """Ours with a codec, and what it is compared with."""
    template = render(IndexSettings(replicas=0, codec=codec))
    ours = cast("dict[str, object]", template["template"])
    return (
        Variant(OURS, "bench-ours", ours, own_ids=True),
        Variant(DEFAULT, "bench-default", {"settings": PLAIN}),
        Variant(RAW, "bench-raw", {"settings": PLAIN, "mappings": {"dynamic": False}}),
    )


class Bench:
    """Fills the variants on one node."""

    def __init__(self, client: OpenSearch, pid: int) -> None:
        self._client = client
        self._process = psutil.Process(pid)
        self._pool = ThreadPoolExecutor(CONNECTIONS)

    def create(self, variant: Variant) -> None:
        """Make the index anew."""
        ask(self._client, "DELETE", f"/{variant.index}")
        request(self._client, "PUT", f"/{variant.index}", body=variant.body)

    def fill(self, variant: Variant, lines: Sequence[bytes]) -> None:
        """Send lines, wait for the merges that they caused, and add up."""
        bodies = list(_bodies(lines, own_ids=variant.own_ids))
        cpu, start = self._cpu_seconds(), time.perf_counter()
        list(self._pool.map(partial(self._send, variant.index), bodies))
        variant.rates.append(len(lines) / (time.perf_counter() - start))
        self._await_merges(variant.index)
        variant.cpu_seconds += self._cpu_seconds() - cpu

    def seal(self, variant: Variant) -> None:
        """Merge to one segment, block writes, and measure the files."""
        path = f"/{variant.index}"
        request(self._client, "POST", f"{path}/_flush")
        request(self._client, "POST", f"{path}/_forcemerge?max_num_segments=1&flush=true")
        request(self._client, "PUT", f"{path}/_settings", body={"index.blocks.write": True})
        sizes = f"{path}/_stats/segments?include_segment_file_sizes=true"
        while True:
            request(self._client, "POST", f"{path}/_refresh")
            stats = request_shape(self._client, "GET", sizes, _Stats)
            if stats is not None and stats.all.primaries.segments.count == 1:
                break
            time.sleep(LOOK_SECONDS)
        found = stats.all.primaries.segments.file_sizes
        variant.files = {name: one.size_in_bytes for name, one in found.items()}
        variant.bytes = sum(variant.files.values())

    def _send(self, index: str, body: bytes) -> None:
        reply = ask(
            self._client, "POST", f"/{index}/_bulk", params={"filter_path": "errors"}, body=body
        )
        if reply.text != '{"errors":false}':
            raise SystemExit(f"{index} refused events: {reply.status} {reply.text[:500]}")

    def _await_merges(self, index: str) -> None:
        while True:
            stats = request_shape(self._client, "GET", f"/{index}/_stats/merge", _MergeStats)
            if stats is None or not stats.all.primaries.merges.current:
                return
            time.sleep(LOOK_SECONDS)

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system


def _bodies(lines: Sequence[bytes], *, own_ids: bool) -> Iterable[bytes]:
    for at in range(0, len(lines), BULK_EVENTS):
        batch = lines[at : at + BULK_EVENTS]
        # Shipped when its newest event happened.
        tail = b',"ingestedAt":"%b"}\n' % decode_envelope(batch[-1][:-1]).timestamp.encode()
        heads = (
            b'{"create":{"_id":"%b"}}\n' % document_id(decode_envelope(line[:-1]).id).encode()
            if own_ids
            else b'{"create":{}}\n'
            for line in batch
        )
        yield b"".join(head + line[:-2] + tail for head, line in zip(heads, batch, strict=True))


@contextmanager
def warm_bench(plugin: Path | None) -> Generator[Bench]:
    """Start a node as it is installed, and stop it in the end."""
    with own_home() as home:
        running = start_node(home, plugin)
        users = running.credentials
        settings = ConnectionSettings(
            url=running.url,
            ca_file=users.ca_file,
            client_cert_file=users.admin_cert_file,
            client_key_file=users.admin_key_file,
            timeout_seconds=FORCE_MERGE_SECONDS,
        )
        with connect(settings, role="lifecycle") as admin:
            yield Bench(admin, running.pid)


def measure(
    events: int, rounds: int, codec: Codec, plugin: Path | None
) -> tuple[tuple[Variant, ...], float]:
    """Fill and seal all variants; return them with the mean bytes of a document."""
    lines = month_of_events(events)
    share = -(-events // rounds)
    turns = [lines[at : at + share] for at in range(0, events, share)]
    with warm_bench(plugin) as bench:
        found = variants(codec)
        for variant in variants(codec):
            bench.create(variant)
            bench.fill(variant, turns[0])
        for variant in found:
            bench.create(variant)
        for number, turn in enumerate(turns):
            shift = number % len(found)
            for variant in (*found[shift:], *found[:shift]):
                bench.fill(variant, turn)
        for variant in found:
            bench.seal(variant)
    document = len(',"ingestedAt":"2026-10-01T00:00:00.000000Z"') - 1
    return found, sum(map(len, lines)) / events + document


def main() -> None:
    """Measure, print the table and the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few events, within 50 s")
    parser.add_argument("--events", type=int)
    parser.add_argument("--rounds", type=int)
    add_options(parser)
    args = parser.parse_args()
    events = args.events or (QUICK_EVENTS if args.quick else EVENTS)
    rounds = args.rounds or (QUICK_ROUNDS if args.quick else ROUNDS)
    found, document = measure(events, rounds, codec_of(args), args.plugin)
    print(f"{events:,} events of {ORGANISATIONS} organisations, {document:.0f} bytes each")
    print(f"{'':16} {'bytes/byte':>10} {'bytes/event':>11} {'CPU ms/1000':>11} {'events/s':>9}")
    rows: dict[str, dict[str, float]] = {}
    for one in found:
        rows[one.name] = {
            "bytes_per_json_byte": round(one.bytes / events / document, 4),
            "bytes_per_event": round(one.bytes / events, 1),
            "cpu_ms_per_1000": round(one.cpu_seconds / events * 1e6, 1),
            "events_per_second": round(statistics.median(one.rates)),
        }
        ratio, size, cpu, rate = rows[one.name].values()
        print(f"{one.name:16} {ratio:10.3f} {size:11.0f} {cpu:11.1f} {rate:9,.0f}")
        parts = sorted(one.files.items(), key=lambda item: -item[1])
        print(" " * 17 + ", ".join(f"{name} {size / events:.0f}" for name, size in parts[:7]))
    ours, default = rows[OURS], rows[DEFAULT]
    paired = [a / b for a, b in zip(found[0].rates, found[1].rates, strict=True)]
    ratios = {
        "bytes_vs_default": ours["bytes_per_event"] / default["bytes_per_event"],
        "indexing_vs_default": statistics.median(paired),
        "cpu_vs_default": ours["cpu_ms_per_1000"] / default["cpu_ms_per_1000"],
    }
    answer = {
        "name": "storage",
        "figures": {**ours, "events": events, "json_bytes_per_event": round(document, 1)},
        "baseline": {"default": default, "raw": rows[RAW]},
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
