"""Whether all that is stored is what was written: each source's chain, and each sealed partition.

Every index is read once, open, sealed and late ones and the journal. What is sealed is compared
with the digest that the journal recorded. It asks as the reader alone, and records nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Raw
from opensearchpy import OpenSearch

from audit_events.instant import format_instant, parse_instant
from indexer.chain_runs import Break, ChainRuns, Flaw, Missing, StoredEvent
from indexer.closer_look import CloserLook, refuses_by_itself
from indexer.digest import Digest, digest_partition
from indexer.errors import DigestError, JournalError, RefusedError, StoreError
from indexer.head_verification import Evidence, HeadVerification
from indexer.journal import Journal
from indexer.names import journal_name
from indexer.observe import Records
from indexer.records import MISSING, read_records, read_seal
from indexer.settings import IndexSettings
from indexer.span import MONTH_DAYS, Span, span_of
from indexer.spool import Spool
from indexer.store_findings import (
    Finding,
    Summary,
    describe_difference,
    name_of,
    of_event,
    tell_altered,
    tell_beginning,
    tell_foreign,
    tell_unread,
    tell_unsearched,
    tell_went,
)
from indexer.store_reading import (
    PAGE_EVENTS,
    StoredIndex,
    count_stored,
    list_stored,
    read_event,
    read_stored,
)

Report = Callable[[str, int, int], None]
"""Told after each page what is read, how many events were, and of how many."""
QUIET: Final = timedelta(days=MONTH_DAYS)
"""A source that was silent for so long behind what was deleted hardly began in it."""


class StoreVerification:
    """Reads a store, once.

    Args:
        client: of the role `reader`.
        settings: the prefix.
        since: events from then on; sealed partitions that have any are compared whole.
        until: events before then.
        names: of the indices to be read; None for all.
        evidence: what signed heads are checked with; None where they are not.
        report: told after each page.
    """

    def __init__(
        self,
        client: OpenSearch,
        settings: IndexSettings,
        *,
        since: datetime | None = None,
        until: datetime,
        names: Sequence[str] | None = None,
        evidence: Evidence | None = None,
        report: Report = lambda _name, _done, _total: None,
    ) -> None:
        self.summary = Summary()
        self._client = client
        self._settings = settings
        self._names = names
        self._is_whole = since is None and names is None
        self._since = "" if since is None else format_instant(since)
        self._until = format_instant(until)
        self._report = report
        self._runs = ChainRuns()
        self._closer = CloserLook(client, settings)
        self._kinds: Counter[str] = Counter()
        self._journal = Journal(client, settings, refreshes=False)
        self._records = Records()
        self._missing: Mapping[str, str] = {}
        self._deleted: Sequence[Span] = ()
        self._went: list[StoredIndex] = []
        self._heads: HeadVerification | None = None
        if evidence is not None:
            self._heads = HeadVerification(
                evidence, self._journal, settings, is_asked=self._is_asked, now=datetime.now(UTC)
            )

    def run(self) -> Iterator[Finding]:
        """Everything that does not hold; the work is done while it is asked for.

        Raises:
            StoreError, DigestError, JournalError: not all could be read, so nothing can be said.
            RefusedError, NoAnswerError: see `indexer.client.request`.
            OSError: there is no room for the files that events are sorted in.
        """
        for finding in self._find():
            self._kinds[finding.kind] += 1
            if finding.is_warning:
                self.summary.warnings += 1
            else:
                self.summary.errors += 1
            yield finding
        self.summary.sources = self._runs.sources
        self.summary.forgotten_sources = self._runs.forgotten
        self.summary.kinds = dict(self._kinds.most_common())

    def _find(self) -> Iterator[Finding]:
        stored = list_stored(self._client, self._settings)
        there = {one.name for one in stored}
        self._read_journal(there)
        yield from self._find_gone(there)
        if self._heads is not None:
            yield from self._heads.begin(has_journal=journal_name(self._settings) in there)
            self.summary.heads, self.summary.kept_heads = self._heads.count, self._heads.kept
        chosen = [one for one in stored if self._is_asked(one.name)]
        unknown = set(self._names or ()) - {one.name for one in chosen}
        if unknown:
            raise StoreError(f"there is no index {', '.join(sorted(unknown))}")
        yield from self._read_all(chosen)
        yield from self._find_went()
        yield from self._end()
        if self._closer.refusal is not None:
            yield tell_unsearched(self._closer.refusal)

    def _read_all(self, chosen: Sequence[StoredIndex]) -> Iterator[Finding]:
        sizes = [self._count(one) for one in chosen]
        done = 0
        for one, size in zip(chosen, sizes, strict=True):
            try:
                yield from self._read(one, size, done, sum(sizes))
            except (StoreError, DigestError):
                if self._is_there(one):
                    raise
                self._went.append(one)
            except RefusedError as error:
                if not refuses_by_itself(error):
                    raise
                yield tell_unread(one.name, error)
            done += size

    def _count(self, one: StoredIndex) -> int:
        try:
            return 0 if one.closed else count_stored(self._client, one.name)
        except (StoreError, RefusedError) as error:
            if not refuses_by_itself(error) and self._is_there(one):
                raise
            return 0

    def _is_there(self, one: StoredIndex) -> bool:
        stored = list_stored(self._client, self._settings)
        return (one.name, one.uuid) in {(found.name, found.uuid) for found in stored}

    def _find_went(self) -> Iterator[Finding]:
        """What was there at the beginning, and is not any more."""
        if not self._went:
            return
        there = {one.name for one in list_stored(self._client, self._settings)}
        # Deleted first, then recorded: by now that was done, unless it is just being so.
        self._read_journal(there)
        finished = self._records.finished
        for one in self._went:
            yield tell_went(one.name, had_to=one.name in finished and one.name not in self._missing)

    def _is_asked(self, name: str) -> bool:
        if self._names is not None:
            return name in self._names
        span = span_of(name, self._settings)
        return span is None or (
            format_instant(span.start) < self._until and format_instant(span.end) > self._since
        )

    def _read_journal(self, there: set[str]) -> None:
        if journal_name(self._settings) not in there:
            return
        self._records = read_records(self._journal)
        self._missing = {
            event.resource.id: event.timestamp
            for event in self._journal.read((MISSING,))
            if event.resource is not None
        }
        deleted = set(self._records.ended) - set(self._missing) - there
        spans = (span_of(name, self._settings) for name in deleted)
        self._deleted = [span for span in spans if span is not None]

    def _find_gone(self, there: set[str]) -> Iterator[Finding]:
        """Partitions that were sealed and are not there, and had not to go."""
        records = self._records
        lost = set(records.sealed) - there - set(records.finished)
        told = set(self._missing) - there
        for name in sorted(filter(self._is_asked, lost | told)):
            at = self._missing.get(name)
            since = f", which the lifecycle recorded at {at}" if at else ""
            problem = f"{name} was sealed, is not there, and had not to go{since}"
            yield Finding("gone", problem, f"`indelible archive restore {name}`", index=name)

    def _read(self, one: StoredIndex, size: int, done: int, total: int) -> Iterator[Finding]:
        if one.closed:
            problem = f"{one.name} is closed: none of its events can be read"
            yield Finding("closed", problem, f"open it (`POST /{one.name}/_open`)", index=one.name)
            return

        def report(now: int, _: int) -> None:
            self._report(one.name, done + now, total)

        with Spool(size) as spool:
            sorting = _Sorting(one.name, spool, self._since, self._until)
            sealed_uuid = self._sealed_uuid(one)
            if sealed_uuid is None:
                for page in read_stored(self._client, one.name):
                    sorting.take(page)
                    report(sorting.read, size)
            else:
                digest = digest_partition(self._client, one.name, report=report, look=sorting.take)
                self.summary.sealed += 1
                yield from self._compare(one, sealed_uuid, digest)
            self.summary.indices += 1
            self.summary.events += sorting.taken
            if sorting.foreign:
                yield tell_foreign(one.name, sorting.foreign, sorting.example)
            for part in spool.parts():
                for flaw in self._runs.take(part):
                    yield from self._tell(flaw)

    def _sealed_uuid(self, one: StoredIndex) -> str | None:
        """Which sealing an index is to be compared with; None of one that is not sealed."""
        sealed = self._records.sealed.get(one.name)
        if sealed is None:
            return None
        is_back = self._records.restored_as.get(one.name) == one.uuid
        is_next = one.name in self._records.ended and one.name not in self._missing
        # After it was deleted in time, what is there under its name again is another one.
        return sealed.uuid if sealed.uuid == one.uuid or is_back or not is_next else None

    def _compare(self, one: StoredIndex, uuid: str, digest: Digest) -> Iterator[Finding]:
        name = one.name
        if self._heads is not None:
            yield from self._heads.compare(name, one.uuid, digest)
        try:
            seal = read_seal(self._journal, name, uuid)
        except JournalError as error:
            problem = f"the journal does not vouch for {name}: {error}"
            yield Finding("digest", problem, error.hint, index=name)
            return
        if seal.sha256 != digest.sha256:
            problem = f"{name} is not what was sealed: {describe_difference(seal, digest)}"
            hint = (
                "the admin certificate alone can do that, or whoever can edit the node's files."
                f" `indelible archive verify {name}` says whether its copy is as it was sealed"
            )
            yield Finding("digest", problem, hint, index=name)

    def _tell(self, flaw: Flaw) -> Iterator[Finding]:
        if isinstance(flaw, Missing):
            # Not at the end, for want of room to remember it.
            width = flaw.last - flaw.first + 1
            seqs = {event.seq for some in self._look(flaw) for event in some}
            if len(seqs) < width:
                yield self._tell_missing(flaw)
        elif flaw.kind == "altered":
            yield tell_altered(flaw.event)
        else:
            yield self._tell_twice(flaw)

    def _end(self) -> Iterator[Finding]:
        """What is missing still, once it was looked for again."""
        yield from self._fill()
        for gap in self._runs.missing():
            yield self._tell_missing(gap)
        heads = list(self._runs.beginnings())
        self.summary.late_beginnings = len(heads)
        deleted = max((span.end for span in self._deleted), default=None)
        for one in heads if self._is_whole else ():
            if deleted is None or parse_instant(one.timestamp) >= deleted + QUIET:
                yield tell_beginning(one)

    def _fill(self) -> Iterator[Finding]:
        """Look for what seems missing: it may have arrived, or lie outside of the time."""
        heads = self._runs.beginnings() if self._is_whole else ()
        begun = [Missing(one.source_id, 0, one.seq - 1, "", one) for one in heads]
        for gap in [*self._runs.missing(), *begun]:
            for some in self._look(gap):
                for flaw in self._runs.take(some):
                    if isinstance(flaw, Break) and flaw.kind == "altered":
                        yield tell_altered(flaw.event)

    def _look(self, gap: Missing) -> Iterator[list[StoredEvent]]:
        first = gap.first
        while first <= gap.last:
            found = self._closer.events(gap.source_id, first, gap.last)
            yield found
            if len(found) < PAGE_EVENTS:
                return
            first = found[-1].seq + 1

    def _tell_twice(self, flaw: Break) -> Finding:
        event = flaw.event
        found = self._closer.events(event.source_id, event.seq, event.seq)
        places = ", ".join(f"{one.index}/{one.id}" for one in found[:5])
        where = f": {places}" if places else ""
        problem = f"{name_of(event)} stands there more than once{where}"
        hint = "whoever has the writer's password can do that; compare them: one was slipped in"
        return of_event("twice", problem, hint, event)

    def _tell_missing(self, gap: Missing) -> Finding:
        after = gap.after
        seqs = f"{gap.first}" if gap.first == gap.last else f"{gap.first} to {gap.last}"
        problem = (
            f"`seq` {seqs} of source {gap.source_id} is missing, between {gap.since} and"
            f" {after.timestamp}"
        )
        start, end = sorted((gap.since, after.timestamp))
        if any(_meets(span, start, end) for span in self._deleted):
            problem += "; a partition of that time was deleted, as its retention had ended"
            return of_event("deleted", problem, "nothing", after, gap=gap, is_warning=True)
        told = self._find_told(gap)
        if told:
            problem += f"; the agent missed it, too, and told so at {told}"
            hint = "docs/operations.md, A gap was detected"
        else:
            hint = (
                "no agent told of it. Look into the dead letter of its host (`indelible dead-letter"
                " list`); what is not there was removed from what is stored"
            )
        return of_event("missing", problem, hint, after, gap=gap)

    def _find_told(self, gap: Missing) -> str:
        records = self._closer.gap_records(gap.source_id)
        told = (one for one in records if one.first <= gap.last and one.last >= gap.first)
        return next((one.timestamp for one in told), "")


class _Sorting:
    """What comes of the documents of one index."""

    def __init__(self, name: str, spool: Spool, since: str, until: str) -> None:
        self._name = name
        self._spool = spool
        self._since = since
        self._until = until
        self.read = self.taken = self.foreign = 0
        self.example = ""
        """The first that is no event."""

    def take(self, lines: Sequence[Raw]) -> None:
        """Put the events of the time that was asked for where they are found together."""
        self.read += len(lines)
        for line in lines:
            event = read_event(self._name, bytes(line))
            if isinstance(event, str):
                self.example = self.example or event
                self.foreign += 1
            elif self._since <= event.timestamp < self._until:
                self._spool.add(event)
                self.taken += 1


def _meets(span: Span, start: str, end: str) -> bool:
    return format_instant(span.start) <= end and start < format_instant(span.end)
