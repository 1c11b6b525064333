"""Checking that a snapshot is what was sealed: by reading it, and by the journal's record.

It is restored under a name outside of what anybody searches, read, and removed again. That it was
checked, and what was found, is an event of the journal: `audit_log.integrity_verified`.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.event import Resource
from audit_events.identifier import new_uuid7
from indexer.archive import Archived
from indexer.client import request_shape
from indexer.digest import Report
from indexer.errors import ArchiveError, DigestError, RefusedError
from indexer.journal import Journal, Key, person
from indexer.live_index import find_index
from indexer.records import read_copies
from indexer.restoration import (
    Clients,
    await_readable,
    bring,
    compare,
    compare_seal,
    find_means,
    no_report,
    remove,
)
from indexer.settings import IndexSettings

NOT_OF_THE_SNAPSHOT: Final = frozenset({401, 403, 429})
VERIFIED: Final = "audit_log.integrity_verified"
MAX_PROBLEMS: Final = 20
MAX_PROBLEM_CHARACTERS: Final = 300
"""So many of each problem, and so many of them, are recorded: they fit into one event."""


class Verification(Struct, frozen=True, rename="camel"):
    """What came of checking one snapshot; without problems it is as it was taken."""

    name: str
    snapshot: str
    events: int
    problems: tuple[str, ...]


class _ShardStats(Struct, frozen=True):
    done: int
    failed: int
    total: int


class _Status(Struct, frozen=True):
    state: str
    shards_stats: _ShardStats


class _Statuses(Struct, frozen=True):
    snapshots: list[_Status]


def verify_pattern(settings: IndexSettings) -> str:
    """Names that a verification restores to: outside of what is searched, and not immutable."""
    return f"indelible-{settings.prefix}-verify-*"


def clean_up(client: OpenSearch, settings: IndexSettings) -> list[str]:
    """Remove what a verification left that was killed; returns the names."""
    pattern = verify_pattern(settings)
    left = request_shape(client, "GET", f"/{pattern}", dict[str, object]) or {}
    for name in left:
        remove(client, name)
    return list(left)


def find_missing(
    journal: Journal, repository: str, snapshots: Sequence[Archived]
) -> list[Verification]:
    """What was recorded as copied into this repository, and is there as a good snapshot no more.

    Args:
        journal: what was recorded.
        repository: its name.
        snapshots: all that are there.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `Journal.read`.
    """
    there = {one.snapshot for one in snapshots if one.good}
    problem = f"it was recorded as copied, and {repository} has no good snapshot of that name"
    return [
        Verification(copy.name, copy.snapshot, copy.events, (problem,))
        for copy in read_copies(journal)
        if copy.repository == repository and copy.snapshot not in there
    ]


def verify(
    clients: Clients,
    archived: Archived,
    journal: Journal,
    settings: IndexSettings,
    *,
    quick: bool = False,
    report: Report = no_report,
) -> Verification:
    """Check a snapshot against the journal's record of the sealing and its own metadata.

    Args:
        clients: who does what.
        archived: the snapshot.
        journal: what was recorded.
        settings: the prefix.
        quick: believe what the repository says of it, and read nothing.
        report: told how many events were read.

    Raises:
        ArchiveError: nothing can be restored in this cluster now.
        RefusedError, NoAnswerError: see `indexer.client.request`; nothing is said of the snapshot.
    """
    problems = [] if archived.good else [f"it is {archived.state}"]
    problems += compare_seal(journal, archived)
    if archived.good and quick:
        problems += _read_status(clients.lifecycle, archived)
    elif archived.good:
        problems += _read_back(clients, archived, settings, report)
    return Verification(
        archived.content.index, archived.snapshot, archived.content.events, tuple(problems)
    )


def record_verified(
    journal: Journal,
    repository: str,
    found: Sequence[Verification],
    *,
    by: str | None,
    everything: bool,
    quick: bool,
) -> None:
    """Record that snapshots were checked, and what was found.

    Args:
        journal: where.
        repository: its name.
        found: of each snapshot; what is missing too.
        by: who had it checked; None where nobody has a name.
        everything: whether all were checked that there are, and those that should be.
        quick: whether no event was read.

    Raises:
        JournalError, AliasError, RefusedError, NoAnswerError: it may not be recorded.
    """
    damaged = [one for one in found if one.problems]
    problems = [
        {"partition": one.name, "snapshot": one.snapshot, "problem": problem}
        for one in damaged
        for problem in (text[:MAX_PROBLEM_CHARACTERS] for text in one.problems)
    ]
    now = datetime.now(UTC)
    journal.record(
        VERIFIED,
        key=Key(new_uuid7(time.time_ns()), now),
        context={
            "everything": everything,
            "quick": quick,
            "snapshots": len(found),
            "events": sum(one.events for one in found),
            "damaged": len(damaged),
            "problems": problems[:MAX_PROBLEMS],
        },
        actor=person(by),
        resource=Resource(type="snapshot_repository", id=repository),
        at=now,
        result="failure" if damaged else "success",
    )


def _read_status(client: OpenSearch, archived: Archived) -> Sequence[str]:
    path = f"/_snapshot/{archived.repository}/{archived.snapshot}/_status"
    try:
        found = request_shape(client, "GET", path, _Statuses)
    except RefusedError as error:
        return [f"the repository cannot read it: {error}"]
    status = found.snapshots[0] if found and found.snapshots else None
    if status is None:
        return ["it is not in the repository"]
    stats = status.shards_stats
    if status.state != "SUCCESS" or stats.failed or stats.done != stats.total:
        return [f"the repository calls it {status.state}: {stats.done} of {stats.total} parts"]
    return []


def _read_back(
    clients: Clients, archived: Archived, settings: IndexSettings, report: Report
) -> Sequence[str]:
    # A name of its own: two at once would take each other's index for the snapshot.
    target = verify_pattern(settings).replace("*", new_uuid7(time.time_ns()))
    means = find_means(clients.lifecycle)
    is_begun = False
    try:
        bring(clients.lifecycle, archived, target, settings, means)
        is_begun = True
        await_readable(clients, target, lambda: report(0, archived.content.events))
        compare(clients, archived, target, report)
    except (ArchiveError, DigestError, RefusedError) as error:
        if is_begun and find_index(clients.lifecycle, target) is None:
            # That says nothing of the snapshot, and what is recorded of it stays for ever.
            raise ArchiveError(
                f"somebody removed {target} while it was read, as another verification does",
                hint="let one verification end, and verify again",
            ) from error
        if not isinstance(error, RefusedError):
            return [str(error)]
        if error.status in NOT_OF_THE_SNAPSHOT:
            raise
        # A shard whose files are damaged fails, and so does the search of it.
        return [f"it cannot be read: {error}"]
    finally:
        remove(clients.lifecycle, target)
    return []
