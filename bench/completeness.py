"""What it costs to know whether anything is missing: one look at a day of heartbeats.

Usage: python bench/completeness.py [--quick] [--processes N] [--rounds N]

400 processes that said every minute of a day that they live (576,000 events of `_system`), 200
gaps, and one organisation with a day of events of its own, on a real node started for this. A look
(`webapi.completeness_reading`) reads the heartbeats of the day and the findings; a worker of the
API keeps it for ten seconds, whoever asks. Each round measures one look, then the baseline: a page
of the list of that organisation.
"""

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

if not __package__:
    # Run as a script, the directory of this file comes first, and `agent` would be a file there.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import msgspec

from audit_events.event import SOURCE_HEARTBEAT, SYSTEM_ORGANIZATION
from audit_events.instant import format_instant
from bench.distribution import Distribution, distribute
from bench.measured_node import start_node
from indexer.client import ask
from indexer.names import partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.node_home import own_home
from webapi.completeness_reading import CompletenessReading
from webapi.losses import GAP
from webapi.query import Query
from webapi.reading import Reading
from webapi.storage import Storage

MINUTES: Final = 1440
GAPS: Final = 200
BATCH_EVENTS: Final = 10_000
ORGANIZATION: Final = "org_a"


def make_events(processes: int, minutes: int, now: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield each event with its timestamp, the oldest first."""
    sources = [str(uuid.UUID(int=number)) for number in range(processes)]
    for minute in range(minutes, 0, -1):
        at = format_instant(now - timedelta(minutes=minute))
        seq = (minutes - minute) * 10
        for number, source in enumerate(sources):
            told: dict[str, object] = {"source": {"id": source, "seq": seq}}
            yield at, _event(at, SYSTEM_ORGANIZATION, SOURCE_HEARTBEAT, told)
            if number == minute % processes:
                yield at, _event(at, ORGANIZATION, "member.invited", told)
    for number in range(GAPS):
        at = format_instant(now - timedelta(seconds=number))
        about = {"type": "source", "id": sources[number % processes]}
        told = {"resource": about, "context": {"events": 2, "ranges": ["101-102"]}}
        yield at, _event(at, SYSTEM_ORGANIZATION, GAP, told)


def _event(at: str, organization: str, action: str, more: dict[str, object]) -> bytes:
    own = {"id": str(uuid.uuid4()), "timestamp": at, "organizationId": organization}
    return msgspec.json.encode({**own, "action": action, **more})


def build(cluster: Cluster, index: IndexSettings, events: Iterator[tuple[str, bytes]]) -> int:
    """Store the events; returns how many."""
    count = 0
    with cluster.client("writer") as writer:
        while batch := list(islice(events, BATCH_EVENTS)):
            body = b"".join(
                b'{"create":{"_index":"%b"}}\n%b\n' % (partition_name(at, index).encode(), line)
                for at, line in batch
            )
            reply = ask(writer, "POST", "/_bulk", body=body, params={"refresh": "true"})
            if '"errors":false' not in reply.text:
                raise SystemExit(f"not stored: {reply.text[:500]}")
            count += len(batch)
    return count


def time_ms(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def measure(
    reading: Reading, index: IndexSettings, rounds: int
) -> tuple[Distribution, Distribution]:
    """Return how long looks and lists take, in milliseconds."""
    completeness = CompletenessReading(reading, index, kept_seconds=0)
    query = Query(organization_id=ORGANIZATION)
    looks: list[float] = []
    lists: list[float] = []
    # The first round fills what a worker keeps.
    for _ in range(rounds + 1):
        looks.append(time_ms(completeness.look))
        lists.append(time_ms(lambda: reading.page(query)))
    return distribute(looks[1:]), distribute(lists[1:])


def report(events: int, look: Distribution, listed: Distribution) -> None:
    """Print a table, and the figures as JSON on the last line."""
    print(f"{f'{events:,} events':24}{'p50':>10}{'p90':>10}{'max':>10}")
    for name, found in (("look, ms", look), ("list (baseline), ms", listed)):
        print(f"{name:24}{found.p50:10.1f}{found.p90:10.1f}{found.longest:10.1f}")
    result = {
        "name": "completeness",
        "figures": {"look_ms": round(look.p50, 1), "look_p90_ms": round(look.p90, 1)},
        "baseline": {"list_ms": round(listed.p50, 1)},
        "ratios": {"look_vs_list": round(look.p50 / listed.p50, 2)},
    }
    print(json.dumps(result))


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the same thing on less")
    parser.add_argument("--processes", type=int, help="default 400, with --quick 40")
    parser.add_argument("--rounds", type=int, help="default 100, with --quick 20")
    arguments = parser.parse_args()
    quick = arguments.quick
    processes = arguments.processes or (40 if quick else 400)
    with suppress(KeyboardInterrupt), own_home() as home:
        running = start_node(home, quick=quick)
        cluster = Cluster("own", running.url, running.credentials)
        with cluster.own_prefix() as index:
            events = build(cluster, index, make_events(processes, MINUTES, datetime.now(UTC)))
            with cluster.client("reader") as client:
                reading = Reading(Storage(client, index, 30), index)
                report(events, *measure(reading, index, arguments.rounds or (20 if quick else 100)))


if __name__ == "__main__":
    main()
