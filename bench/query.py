"""How long the API takes to answer, over many partitions and many events.

Usage: python bench/query.py [--quick] [--days N] [--events N] [--rounds N] [--served]
           [--codec NAME] [--plugin FILE]

Three stores on one node, an embedded one of its own that is started for this: one partition with
100,000 events (the baseline); 400 daily partitions with 2,500 each; 13 monthly ones that share
`--events` (2 million unless said; `--events 10000000` is the full size, and takes an hour to load
on two cores). What is due is sealed, as the lifecycle does. `--quick`: one partition with 5,000
events, 20 daily ones with 100 each, 6 monthly ones that share 6,000, and fewer questions. It shows
that all of it works; so small, a search costs little beside the request, and ratios say less.

Each question to these goes through the API's application: token, parameters, search, answer. The
same question goes to the three stores in turn, in a new order each time; 50 organisations in turn.
So nobody has the quiet moments of the machine to himself. `first` is a question that this process
never asked: what is counted in sealed partitions is not remembered yet. The table shows both; the
ratios are those of what was asked before, as a page is by whoever pages, filters or comes back.

A fourth store is one partition with 1,000,000 events (`--quick`: 2,500 of one organisation), which
a gunicorn with one worker serves: `list_vs_raw` and `page_1000_vs_1` (`bench/query_served.py`).
`--served` builds and asks this one alone, in some minutes.
"""

import argparse
import json
import random
import secrets
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

if not __package__:
    # Run as a script, the directory of this file comes first.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import jwt

from bench.distribution import Distribution, distribute
from bench.measured_node import add_options, codec_of, start_node
from bench.processes import ProcessError
from bench.query_served import measure_served
from bench.query_stores import ORGANIZATIONS, Shape, build
from indexer.client import connect
from indexer.settings import ConnectionSettings, IndexSettings, Secret
from tests.cluster import Cluster
from tests.node_home import own_home
from webapi import create_app
from webapi.audit_log import PATH
from webapi.limits import without_limits
from webapi.parts import EXTENSION
from webapi.reading import Reading
from webapi.settings import WebSettings
from webapi.storage import Storage

QUICK_ORGANIZATIONS: Final = 4
WARM_SECONDS: Final = 10.0
QUICK_WARM_SECONDS: Final = 2.0
HTTP_OK: Final = 200
BASELINE: Final = "one"
SERVED_RATIOS: Final = {"list_vs_raw": ("list", "raw"), "page_1000_vs_1": ("page_1000", "page_1")}
PREFIX: Final = "audit-bench"

ADDRESSES: Final = {
    "facets": "/facets",
    "facets_month": "/facets",
    "incident": "/incident",
    "incident_day": "/incident",
}
"""Of the questions that do not go to the list."""
HAS_EVENTS: Final = ("list", "action", "text")

Times = Mapping[tuple[str, str, str], Sequence[float]]
"""Milliseconds by question, store, and `first` or `again`."""


def questions(now: datetime, number: int) -> dict[str, dict[str, str]]:
    """The kinds of questions, for one organisation of several; `ADDRESSES` says where they go."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since, until = month + (now - month) / 2, month + (now - month) * 3 / 4
    text = ("role", "chidi", "grace", "plan")[number % 4]
    return {
        "list": {},
        "action": {"action": "member.role_changed"},
        "window": {"since": since.isoformat(), "until": until.isoformat()},
        "text": {"q": text},
        "facets": {},
        "facets_month": {"since": month.isoformat()},
        "incident": {"around": since.isoformat(), "window": "15m"},
        "incident_day": {"around": since.isoformat(), "window": "12h"},
    }


def paths(now: datetime, number: int) -> dict[str, str]:
    """Where the questions besides the list go, with what they ask."""
    return {
        kind: f"{PATH}{ADDRESSES.get(kind, '')}?{urlencode(asked)}"
        for kind, asked in questions(now, number).items()
        if kind != "list"
    }


class Asker:
    """The API's application on one store."""

    def __init__(self, connection: ConnectionSettings, index: IndexSettings) -> None:
        secret = secrets.token_urlsafe(48)
        settings = without_limits(WebSettings(jwt_secret=Secret(secret)))
        client = connect(connection, role="reader")
        app = create_app(settings, client=client, index=index)
        # The stores are loaded and refreshed: no seal has to settle.
        storage = Storage(client, index, settings.query_timeout_seconds)
        reading = Reading(storage, index, settled_refreshes=0)
        app.extensions[EXTENSION] = replace(app.extensions[EXTENSION], reading=reading)
        self._client = app.test_client()
        self._headers = [
            {"Authorization": f"Bearer {_token(secret, f'org_{number:04}')}"}
            for number in range(ORGANIZATIONS)
        ]

    def ask(self, number: int, kind: str, asked: Mapping[str, str]) -> float:
        """Ask for an organisation; return milliseconds."""
        path = PATH + ADDRESSES.get(kind, "")
        begun = time.perf_counter()
        answer = self._client.get(
            path, query_string=urlencode(asked), headers=self._headers[number]
        )
        taken = time.perf_counter() - begun
        empty = kind in HAS_EVENTS and not answer.get_json().get("events")
        if empty or answer.status_code != HTTP_OK:
            raise ProcessError(f"no answer to {asked}: {answer.status_code} {answer.text[:500]}")
        return 1000 * taken


def _token(secret: str, organization: str) -> str:
    payload = {
        "organizationId": organization,
        "role": "owner",
        "plan": "studio_pro",
        "sub": "u_bench",
        "exp": int(time.time()) + 86_400,
    }
    return jwt.encode(payload, secret, algorithm="HS256")


def measure(
    connection: ConnectionSettings, shapes: Sequence[Shape], rounds: int, *, quick: bool
) -> Times:
    """Ask every question of every store, in turn."""
    askers = {shape.name: Asker(connection, shape.settings(PREFIX)) for shape in shapes}
    _warm(askers, QUICK_WARM_SECONDS if quick else WARM_SECONDS)
    now = datetime.now(UTC)
    chance = random.Random(1)  # noqa: S311  # the same order in each run
    times: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        for number in range(QUICK_ORGANIZATIONS if quick else ORGANIZATIONS):
            for kind, asked in questions(now, number).items():
                for name in chance.sample(list(askers), len(askers)):
                    when = "again" if turn else "first"
                    times[kind, name, when].append(askers[name].ask(number, kind, asked))
    return times


def _warm(askers: Mapping[str, Asker], seconds: float) -> None:
    # Questions of their own: the node compiles what it runs often.
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        for asker in askers.values():
            asker.ask(number % ORGANIZATIONS, "text", {"q": "mem*"})
        number += 1


def report(shapes: Sequence[Shape], times: Times, served: Mapping[str, Sequence[float]]) -> None:
    """Print a table, and the figures as JSON on the last line."""
    figures: dict[str, float] = {}
    baseline: dict[str, float] = {}
    ratios: dict[str, float] = {}
    head = ("p50", "p99", "vs one", "first p50", "first p99")
    print(f"{'milliseconds':48}" + "".join(f"{name:>11}" for name in head))
    for kind in questions(datetime.now(UTC), 0) if shapes else ():
        base = distribute(times[kind, BASELINE, "again"])
        for shape in shapes:
            again = distribute(times[kind, shape.name, "again"])
            first = distribute(times[kind, shape.name, "first"])
            ratio = again.p50 / base.p50
            events = shape.events * shape.partitions
            title = f"{kind}: {shape.partitions} partitions, {events:,} events"
            row = (again.p50, again.p99, ratio, first.p50, first.p99)
            print(f"{title:48}" + "".join(f"{figure:11.2f}" for figure in row))
            kept = baseline if shape.name == BASELINE else figures
            kept |= _named(f"{shape.name}_{kind}", again, first)
            if shape.name != BASELINE:
                ratios[f"{shape.name}_{kind}_p50"] = round(ratio, 2)
                ratios[f"{shape.name}_{kind}_p99"] = round(again.p99 / base.p99, 2)
    figures |= report_served(served, ratios)
    result = {"name": "query", "figures": figures, "baseline": baseline, "ratios": ratios}
    print(json.dumps(result))


def report_served(
    served: Mapping[str, Sequence[float]], ratios: dict[str, float]
) -> dict[str, float]:
    """Print what one worker adds, note the ratios, and return the figures."""
    found = {name: distribute(times) for name, times in served.items()}
    for name, one in found.items():
        print(f"{f'served: {name}':48}{one.p50:11.2f}{one.p99:11.2f}")
    for ratio, (name, base) in SERVED_RATIOS.items():
        ratios[ratio] = round(found[name].p50 / found[base].p50, 2)
        print(f"{ratio:48}{ratios[ratio]:11.2f}")
    return {f"served_{name}_p50_ms": round(one.p50, 2) for name, one in found.items()}


def _named(name: str, again: Distribution, first: Distribution) -> dict[str, float]:
    return {
        f"{name}_p50_ms": round(again.p50, 2),
        f"{name}_p99_ms": round(again.p99, 2),
        f"{name}_first_p50_ms": round(first.p50, 2),
    }


def shapes_of(arguments: argparse.Namespace) -> list[Shape]:
    """The stores that are asked for, besides the one that is served."""
    if arguments.served:
        return []
    quick, codec = arguments.quick, codec_of(arguments)
    months = 6 if quick else 13
    events = arguments.events or (6000 if quick else 2_000_000)
    days = arguments.days or (20 if quick else 400)
    return [
        Shape(BASELINE, "month", 1, 5000 if quick else 100_000, codec=codec),
        Shape("days", "day", days, 100 if quick else 2500, codec=codec),
        Shape("months", "month", months, events // months, codec=codec),
    ]


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the same thing on less")
    parser.add_argument("--days", type=int, help="daily partitions; default 400")
    parser.add_argument("--events", type=int, help="events of all months; default 2,000,000")
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 1")
    parser.add_argument("--served", action="store_true", help="only the store that is served")
    add_options(parser)
    arguments = parser.parse_args()
    shapes, quick = shapes_of(arguments), arguments.quick
    size = (2500, 1) if quick else (1_000_000, ORGANIZATIONS)
    deep = Shape("deep", "month", 1, *size, codec=codec_of(arguments))
    with suppress(KeyboardInterrupt), own_home() as home:
        running = start_node(home, arguments.plugin, quick=quick)
        cluster = Cluster("own", running.url, running.credentials)
        connection = cluster.connection()
        build(connection, [*shapes, deep], PREFIX)
        rounds = arguments.rounds or (1 if quick else 5)
        times: Times = {}
        if shapes:
            times = measure(connection, shapes, rounds, quick=quick)
        served = measure_served(
            cluster,
            deep,
            PREFIX,
            home,
            questions=partial(paths, datetime.now(UTC)),
            rounds=60 if quick else 500,
            limit=2 if quick else 18,
        )
        report(shapes, times, served)


if __name__ == "__main__":
    main()
