"""A month of events of 50 organisations, as they come: what an index has to hold.

Written by `audit_events` itself, so every line is one that an agent would ship. What decides about
sizes is as in a real log, and not as is easy to make:

* The largest organisation has a fifth of all events, the smallest one in 225 (Zipf's law); so it is
  with the events of its members, and with the actions.
* A person has two addresses and two browsers, and mostly works in working hours. One event in four
  is of an API key, a service or the system, with its own client or none.
* Ids are random UUIDs, correlation ids are random and cover one to three events; nothing of them
  compresses. Context has previous and new values, lists, free text and numbers, by action
  (`bench/tenant_events.py`).
* Four processes at a time write, each restarted daily: chains, hashes and sequences are real.
"""

import os
import random
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Final

from audit_events.chained_logger import ChainedLogger
from audit_events.draft import draft_event
from bench.kept_file import KeptFile
from bench.tenant_events import (
    Organisation,
    choose_client,
    choose_event,
    found_organisation,
    pick,
    zipf,
)

ORGANISATIONS: Final = 50
MEMBERS: Final = 2_000
"""Of the largest organisation."""
PROCESSES: Final = 4
MONTH: Final = datetime(2026, 10, 1, tzinfo=UTC)
DAYS: Final = 31
DAY_NS: Final = 86_400 * 10**9
HOUR_NS: Final = 3_600 * 10**9
WORKING_HOURS: Final = (8, 18)
WORKING: Final = 0.8
"""Share of a day's events that fall into them."""
BURST: Final = 3
"""Most events of one request."""


class _Clock:
    """Shows the instant that it was set to."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def month_of_events(events: int) -> list[bytes]:
    """Return lines in the order of their timestamps, each with its newline."""
    shares = [events // DAYS + (day < events % DAYS) for day in range(DAYS)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(chain.from_iterable(pool.map(_day, range(DAYS), shares)))


@cache
def found_organisations() -> list[Organisation]:
    """Return all of them, the largest first."""
    return [found_organisation(n, 5 + MEMBERS // (n + 1)) for n in range(ORGANISATIONS)]


def _day(day: int, events: int) -> list[bytes]:
    chance = random.Random(day)  # noqa: S311  # the same values in each run
    organisations, weights = found_organisations(), zipf(ORGANISATIONS)
    clock, output = _Clock(), KeptFile(Path(os.devnull))
    loggers = [
        ChainedLogger(
            output, service=service, host=f"{service}-{n}.eu-1.internal", clock_unix_ns=clock
        )
        for n in range(PROCESSES // 2)
        for service in ("members", "billing")
    ]
    instants = iter(sorted(_instant(chance, day) for _ in range(events)))
    while len(output.lines) < events:
        organisation, logger = pick(chance, organisations, weights), chance.choice(loggers)
        client = choose_client(chance, organisation)
        for clock.now_ns in islice(instants, chance.randint(1, BURST)):
            action, fields = choose_event(chance, organisation)
            logger.msg(draft_event(action, {**client, **fields}))
    return output.lines


def _instant(chance: random.Random, day: int) -> int:
    start = int(MONTH.timestamp()) * 10**9 + day * DAY_NS
    if chance.random() < WORKING:
        return start + int(chance.uniform(*WORKING_HOURS) * HOUR_NS)
    return start + chance.randrange(DAY_NS)
