"""Realistic lines in quantity, by `audit_events` itself: every chain holds, every id is its own.

200 processes of an application write them, four at a time, as a server with four workers that is
restarted now and then does. They are laid twice: merged line by line into one file, and each
process into a file of its own. Actors, addresses, agents, resources and contexts vary; a line has
640 to 670 bytes on average.
"""

import os
import random
import shutil
import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from audit_events.chained_logger import ChainedLogger
from audit_events.draft import draft_event
from bench.kept_file import KeptFile

WORKERS: Final = 4
"""Processes that write at a time."""
MERGED: Final = "merged"
STEP_NS: Final = 1_000_000

AGENTS: Final = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 "
    "Safari/537.36"
    for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X")
    for version in range(118, 132)
)
BROWSERS: Final = 0.4
"""Share of the events that came through a browser, not through an API key or a job."""
ROLES: Final = ("viewer", "member", "editor", "admin", "owner")
PLANS: Final = ("starter", "studio", "studio_pro", "enterprise")
NAMES: Final = (
    "Ana",
    "Björn",
    "Chidi",
    "Dorothea",
    "Eva",
    "Farid",
    "Grace",
    "Haruki",
    "Inés",
    "Jo",
)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Files with the same events in two arrangements."""

    merged: Path
    spread: tuple[Path, ...]
    events: int
    size_bytes: int


def write_corpus(directory: Path, events: int, *, files: int = 200) -> Corpus:
    """Write `events` lines to `files` files, and all of them to one."""
    spread = write_sources(directory, events, files=files, merge=True)
    merged = directory / f"{MERGED}.log"
    with merged.open("wb") as target:
        for part in sorted(directory.glob(f"{MERGED}-*")):
            with part.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
            part.unlink()
    return Corpus(merged, spread, events, merged.stat().st_size)


def write_sources(
    directory: Path, events: int, *, files: int, merge: bool = False
) -> tuple[Path, ...]:
    """Write `events` lines to `files` files, and with `merge` those of each group to one more."""
    directory.mkdir(exist_ok=True)
    shares = [events // files + (number < events % files) for number in range(files)]
    groups = [shares[at : at + WORKERS] for at in range(0, files, WORKERS)]
    write = partial(_write_group, directory, time.time_ns() - STEP_NS * events, merge)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(write, range(len(groups)), groups):
            pass
    return tuple(sorted(directory.glob("source-*.log")))


def _write_group(
    directory: Path,
    start_ns: int,
    merge: bool,  # noqa: FBT001  # bound by `partial`, position by position
    number: int,
    shares: list[int],
) -> None:
    chance = random.Random(number)  # noqa: S311  # the same lengths in each run
    clock = _Clock(start_ns + STEP_NS * number * sum(shares))
    names = [f"source-{number * WORKERS + one:05}.log" for one in range(len(shares))]
    outputs = [KeptFile(directory / name) for name in names]
    host = f"web-{number % 7}.internal"
    loggers = [
        ChainedLogger(output, service="members", host=host, clock_unix_ns=clock)
        for output in outputs
    ]
    turns = [one for one, share in enumerate(shares) for _ in range(share)]
    chance.shuffle(turns)
    merged: list[bytes] = []
    for turn in turns:
        loggers[turn].msg(draft_event(*choose_event(chance)))
        merged.append(outputs[turn].lines[-1])
    for output in outputs:
        output.path.write_bytes(b"".join(output.lines))
    if merge:
        (directory / f"{MERGED}-{number:05}").write_bytes(b"".join(merged))


class _Clock:
    """A millisecond an event."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def __call__(self) -> int:
        self._now_ns += STEP_NS
        return self._now_ns


def choose_event(chance: random.Random) -> tuple[str, dict[str, object]]:
    """One event as an application would log it: its action, and the fields of the call."""
    actor = chance.randrange(900)
    action, context = _choose_context(chance)
    fields: dict[str, object] = {
        "organization_id": f"org_{chance.randrange(50):04}",
        "actor": {
            "type": "user",
            "id": f"usr_{actor:08}",
            "email": f"{NAMES[actor % 10].lower()}.{actor}@company.com",
            "name": f"{NAMES[actor % 10]} Number {actor}",
        },
        "ip_address": f"203.0.{chance.randrange(256)}.{chance.randrange(1, 255)}",
        "context": context,
    }
    if action.startswith("member."):
        target = chance.randrange(5000)
        fields["target_user"] = {
            "id": str(uuid.UUID(int=target * 0x9E3779B97F4A7C15)),
            "email": f"member-{target}@company.com",
        }
    if chance.random() < BROWSERS:
        fields["user_agent"] = chance.choice(AGENTS)
        fields["correlation_id"] = f"req-{chance.getrandbits(64):016x}"
    return action, fields


def _choose_context(chance: random.Random) -> tuple[str, dict[str, object]]:
    kind = chance.randrange(4)
    if kind == 0:
        previous, new = chance.sample(ROLES, 2)
        return "member.role_changed", {"previous": {"role": previous}, "new": {"role": new}}
    if kind == 1:
        seats = chance.randrange(500)
        return "billing.plan_changed", {
            "previous": {"plan": chance.choice(PLANS), "seats": seats},
            "new": {"plan": chance.choice(PLANS), "seats": seats + 5},
        }
    if kind == 2:  # noqa: PLR2004  # one of four
        return "api_key.created", {
            "scopes": chance.sample(("read", "write", "deploy", "admin"), 2),
            "expiresInDays": chance.randrange(1, 365),
            "reason": f'ticket {chance.randrange(10_000)}: "rotation" after the review',
        }
    return "member.invited", {"new": {"role": chance.choice(ROLES)}, "reason": "joined the team"}
