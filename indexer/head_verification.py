"""Whether a store is what signed heads say: those of the journal, and those kept elsewhere.

The chains and the digests of a store are no secret's: whoever may rewrite all of it can compute
them anew. Heads bear a signature, so what is there beside them shows it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from joserfc.jwk import OKPKey
from msgspec import Struct

from audit_events.errors import CanonicalError
from audit_events.event import Event
from audit_events.instant import format_instant
from indexer.digest import Digest
from indexer.errors import JournalError
from indexer.head import Head
from indexer.head_comparison import (
    Life,
    find_end,
    tell_contents,
    tell_end,
    tell_record,
    tell_unsigned,
)
from indexer.head_row import JOURNAL, Row, examine, name_of_head, of_head, read_row
from indexer.journal import Journal
from indexer.records import DELETED, SEALED, RecordedHead, read_heads, read_seal
from indexer.settings import IndexSettings
from indexer.store_findings import Finding

JUST_NOW: Final = timedelta(minutes=1)
"""So long a head that was signed need not be found in the journal yet."""


class Evidence(Struct, frozen=True):
    """What heads are checked with.

    Args:
        keys: public ones; any of them may have signed.
        kept: heads that were carried elsewhere; None where the journal's alone are looked at.
    """

    keys: Sequence[OKPKey]
    kept: Row | None = None


class HeadVerification:
    """Compares one store with its heads.

    Args:
        evidence: keys, and what was kept.
        journal: as the reader has it.
        settings: the prefix.
        is_asked: whether what is to be said of an index of this name.
        now: the present.
    """

    def __init__(
        self,
        evidence: Evidence,
        journal: Journal,
        settings: IndexSettings,
        *,
        is_asked: Callable[[str], bool],
        now: datetime,
    ) -> None:
        self._evidence = evidence
        self._journal = journal
        self._settings = settings
        self._is_asked = is_asked
        self._now = now
        self._lives: Mapping[tuple[str, str], Life] = {}
        self._heads: dict[str, Head] = {}

    @property
    def kept(self) -> int:
        """How many of these are of what was kept."""
        return len(self._evidence.kept.heads) if self._evidence.kept else 0

    @property
    def count(self) -> int:
        """How many bear the signature of a known key."""
        return len(self._heads)

    def begin(self, *, has_journal: bool) -> Iterator[Finding]:
        """What the heads tell among themselves, and beside the journal, if there is one.

        Raises:
            JournalError, RefusedError, NoAnswerError: see `Journal.read`.
        """
        recorded = read_heads(self._journal) if has_journal else []
        self._lives = _read_lives(self._journal) if has_journal else {}
        lines = [(one.partition, f"{one.head}\n") for one in recorded]
        row = read_row(JOURNAL, lines, self._evidence.keys)
        kept = self._evidence.kept
        self._heads = {**row.heads, **(kept.heads if kept else {})}
        yield from examine(row, kept, settled=format_instant(self._now - JUST_NOW))
        for one in recorded:
            head = row.heads.get(one.head)
            if head is not None and self._is_asked(one.partition):
                yield from self._compare_record(one, head)
        for head in filter(lambda head: self._is_asked(head.partition), self._heads.values()):
            early = tell_end(head, self._lives, self._settings, self._now)
            yield from [early] if early else []
        signed = {(one.partition, one.index_uuid) for one in recorded}
        asked = {one: life for one, life in self._lives.items() if self._is_asked(one[0])}
        yield from tell_unsigned(asked, signed)

    def _compare_record(self, one: RecordedHead, head: Head) -> Iterator[Finding]:
        try:
            seal = read_seal(self._journal, one.partition, one.index_uuid)
        except (JournalError, CanonicalError) as error:
            problem = f"the journal does not vouch for {name_of_head(head)}: {error}"
            yield of_head("head", problem, error.hint, head)
            return
        wrong = tell_record(head, (one.partition, one.index_uuid), seal)
        yield from [wrong] if wrong else []

    def compare(self, name: str, uuid: str, digest: Digest) -> Iterator[Finding]:
        """What a sealed partition that was read holds, beside each head of it that counts.

        Args:
            name: of the index.
            uuid: of the index that is there.
            digest: of what it holds.
        """
        for head in self._heads.values():
            is_of_it = head.partition == name and (
                head.index_uuid == uuid or find_end(head, self._lives) is None
            )
            wrong = tell_contents(head, digest, uuid) if is_of_it else None
            yield from [wrong] if wrong else []


class _Step(Struct, frozen=True, rename="camel"):
    """What is read of the context of a record."""

    index_uuid: str
    part: int = 1
    accepted_shorter_retention: bool = False


def _read_lives(journal: Journal) -> dict[tuple[str, str], Life]:
    lives: dict[tuple[str, str], Life] = {}
    for event in journal.read((SEALED, DELETED)):
        step = _read_step(event)
        name = event.resource.id if event.resource else ""
        life = lives.setdefault((name, step.index_uuid), Life())
        if event.action == DELETED:
            life.deleted_at = event.timestamp
            life.is_early_accepted = step.accepted_shorter_retention
        elif step.part == 1 and not life.sealed_at:
            life.sealed_at = event.timestamp
    return lives


def _read_step(event: Event) -> _Step:
    try:
        return msgspec.convert(event.context, _Step)
    except msgspec.ValidationError as error:
        problem = f"the journal's record {event.id} of a partition cannot be read: {error}"
        raise JournalError(problem, hint="a newer version may have written it") from None
