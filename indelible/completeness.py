"""Whether files hold all events that an organisation had in its sealed partitions, unaltered.

A head vouches for the organisation's share of a partition: how many events, and the root of their
tree. Events that come to that root are these very events, whoever exported them and however; what
the exports say of themselves only decides whether it is an error that they do not.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from joserfc.jwk import OKPKey
from msgspec import Struct

from audit_events.instant import format_unix_ns
from indelible.event_place import instant_ns, is_of_journal, place_of, unix_ns
from indelible.export_coverage import is_due, why_uncovered
from indelible.exported import Claim
from indelible.organization_heads import CheckedHeads, Document, Finding, Kind, KnownHead
from indelible.quantity import counted
from indelible.sealed_events import Rest, Sealed, SealedEvents
from indexer.span import Span, span_in_name
from indexer.tree import leaf_hash

Status = Literal["proven", "mismatch", "absent", "uncovered", "unshared"]
_EXPORT_ANEW: Final = (
    "export that time anew without filters; if it stays so, the store is not what was sealed:"
    " keep both, and ask the operator, who runs `indelible verify`"
)
_ABSENT: Final = (
    "its retention had ended when that was exported, and audit_log.partition_deleted says so in"
    " your log; if not, ask the operator where it is"
)
_LATE: Final = (
    "what comes after the sealing is in no head until the index of late events goes; an event that"
    " nobody knows may have been added"
)


class Judgement(Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one head.

    Args:
        organization_id: whose share it is.
        partition: of which partition.
        number: of the head.
        sealed_at: when that was.
        status: `proven`: the events are those that were sealed, all of them; `mismatch`: they are
            not, though exports say that they hold them; `absent`: none is there, as when retention
            has ended; `uncovered`: no export says that it holds them; `unshared`: the document
            names no events of the organisation there.
        events: how many there were, None where the document does not say.
        found: how many of its time are there.
        beyond: of these, how many the head does not vouch for.
        reason: why it is not proven, and what is beyond.
    """

    organization_id: str
    partition: str
    number: int
    sealed_at: str
    status: Status
    events: int | None
    found: int
    beyond: int = 0
    reason: str = ""


class Account(Struct, kw_only=True, rename="camel"):
    """What became of all heads, and of the events that are in none; empty without one."""

    partitions: list[Judgement] = []
    proven: int = 0
    missing_heads: int = 0
    """Numbers between the lowest and the highest that no document has."""
    without_head: int = 0
    """Events of a time that no head is of."""
    without_head_first: str = ""
    without_head_last: str = ""
    journal_records: int = 0
    """Records that the log itself wrote for the organisation; they are in no partition."""
    other_organizations: int = 0
    """Events of organisations that no document is of."""


class _Pending(NamedTuple):
    known: KnownHead
    sealed: Sealed


class Completeness:
    """Takes the lines of all files, and says at the end of which partitions they are all.

    Args:
        documents: heads of the organisations.
        keys: public keys whose signatures count.
    """

    def __init__(self, documents: Sequence[Document], keys: Sequence[OKPKey]) -> None:
        checked = CheckedHeads(documents, keys)
        self.account = Account(missing_heads=checked.missing)
        self._findings = checked.findings
        self._claims: dict[str, list[Claim]] = {one: [] for one in checked.organizations}
        self._heads = [(one, span_in_name(one.head.partition)) for one in checked.heads]
        self._times = _times(self._heads)
        self._events = SealedEvents()

    def claim(self, claim: Claim) -> None:
        """Take what an export says of itself."""
        if claim.organization_id in self._claims:
            self._claims[claim.organization_id].append(claim)

    def take(self, line: bytes) -> None:
        """Take a line without its newline; one that is no event counts as none.

        Raises:
            CommandError: there is no room for a temporary file.
        """
        place = place_of(line)
        if place is None:
            return
        account = self.account
        if place.organization_id not in self._claims:
            account.other_organizations += 1
        elif is_of_journal(line):
            account.journal_records += 1
        elif bisect_right(self._times[place.organization_id], place.ns) % 2:
            self._events.add(place, leaf_hash(line))
        else:
            moment = format_unix_ns(place.ns)
            account.without_head += 1
            account.without_head_first = min(account.without_head_first or moment, moment)
            account.without_head_last = max(account.without_head_last, moment)

    def judge(self) -> Iterator[Finding]:
        """What is wrong; `account` is whole when it ends.

        Raises:
            CommandError: there is no room for a temporary file.
        """
        yield from self._findings
        for known, judgement in self._judgements():
            self.account.partitions.append(judgement)
            self.account.proven += judgement.status == "proven"
            yield from _finding(known, judgement)
        self.account.partitions.sort(key=_order)
        self._events.close()

    def _judgements(self) -> Iterator[tuple[KnownHead, Judgement]]:
        pending = self._pending()
        empty = {one for _, one in pending if not self._events.count(*one[:2]).events}
        proven, pending = self._prove(pending)
        for known, sealed in pending:
            yield known, self._unproven(known, sealed, is_empty=sealed in empty)
        for known, sealed in proven:
            rest = self._events.count(*sealed[:2], instant_ns(known.head.sealed_at))
            found = sealed.events + rest.events
            reason = _beyond(rest) if rest.events else ""
            yield known, _judgement(known, "proven", found, beyond=rest.events, reason=reason)
        for known, span in self._heads:
            if span is None:
                reason = "its name says of no time that it is of it"
                yield known, _judgement(known, "uncovered", 0, reason=reason)
            elif known.share is None:
                yield known, self._unshared(known, span)

    def _pending(self) -> list[_Pending]:
        return [
            _Pending(one, Sealed(one.organization_id, span, one.share.events, one.share.root))
            for one, span in self._heads
            if one.share is not None and span is not None
        ]

    def _prove(self, pending: list[_Pending]) -> tuple[list[_Pending], list[_Pending]]:
        """Take out what each head vouches for, and return the heads of which that was all there.

        Where the size of partitions was changed, one of a month and some of its days have the same
        time, as has an index of late events. What the one leaves may be what the other vouches for.
        """
        proven: list[_Pending] = []
        while True:
            # Of a partition that was restored and sealed again there are two heads.
            sealed = dict.fromkeys(one.sealed for one in pending)
            fitting = {one for one in sorted(sealed, key=_size) if self._events.take_out(one)}
            proven += [one for one in pending if one.sealed in fitting]
            pending = [one for one in pending if one.sealed not in fitting]
            if not fitting:
                return proven, pending

    def _unproven(self, known: KnownHead, sealed: Sealed, *, is_empty: bool) -> Judgement:
        found = self._events.count(*sealed[:2]).events
        claims = self._claims[known.organization_id]
        why = why_uncovered(claims, sealed.span, known.head.sealed_at)
        if why is not None:
            return _judgement(known, "uncovered", found, reason=why)
        retention = timedelta(days=known.head.retention_days)
        if not is_empty or is_due(claims, sealed.span, retention):
            reason = _mismatch(sealed.events, found)
            return _judgement(known, "mismatch", found, reason=reason)
        reason = f"none of its {counted(sealed.events, 'event')} is there"
        return _judgement(known, "absent", found, reason=reason)

    def _unshared(self, known: KnownHead, span: Span) -> Judgement:
        rest = self._events.count(known.organization_id, span)
        reason = "the document says that the organisation has no events there, which nothing proves"
        if rest.events:
            reason += f"; {_beyond(rest)}"
        return _judgement(known, "unshared", rest.events, beyond=rest.events, reason=reason)


def _size(sealed: Sealed) -> tuple[timedelta, datetime, int]:
    """The shortest first, and of one time that of most events: it may hold those of the other."""
    return sealed.span.end - sealed.span.start, sealed.span.start, -sealed.events


def _order(judgement: Judgement) -> tuple[str, int, str]:
    return judgement.organization_id, judgement.number, judgement.partition


def _times(heads: Sequence[tuple[KnownHead, Span | None]]) -> dict[str, list[int]]:
    """Of each organisation the time that its heads are of: where it begins, ends, begins again."""
    spans: dict[str, set[Span]] = defaultdict(set)
    for known, span in heads:
        if span is not None:
            spans[known.organization_id].add(span)
    times: dict[str, list[int]] = defaultdict(list)
    for organization_id, some in spans.items():
        edges = times[organization_id]
        for start, end in sorted((unix_ns(one.start), unix_ns(one.end)) for one in some):
            if edges and start <= edges[-1]:
                edges[-1] = max(edges[-1], end)
            else:
                edges += [start, end]
    return times


def _judgement(
    known: KnownHead, status: Status, found: int, *, beyond: int = 0, reason: str = ""
) -> Judgement:
    return Judgement(
        organization_id=known.organization_id,
        partition=known.head.partition,
        number=known.head.number,
        sealed_at=known.head.sealed_at,
        status=status,
        events=None if known.share is None else known.share.events,
        found=found,
        beyond=beyond,
        reason=reason,
    )


def _mismatch(events: int, found: int) -> str:
    if found < events:
        return f"the exports lack {events - found:,} of its {counted(events, 'event')}"
    if found == events:
        return f"as many events are there as were sealed, {events:,}, but not the same ones"
    return f"of the {found:,} events that are there, the {events:,} oldest are not what was sealed"


def _beyond(rest: Rest) -> str:
    """Say what of the time of a partition is in no head."""
    text = (
        f"{counted(rest.events, 'event')} of its time in no head, ingested {rest.first_ingested} to"
        f" {rest.last_ingested}"
    )
    return f"{text}; of these {rest.before:,} before it was sealed" if rest.before else text


def _finding(known: KnownHead, judgement: Judgement) -> Iterator[Finding]:
    text = f"{judgement.partition} of {judgement.organization_id}: {judgement.reason}"
    if judgement.status == "mismatch":
        is_short = judgement.found < (judgement.events or 0)
        kind: Kind = "missing" if is_short else "altered"
        yield Finding(known.file, known.path, kind, text, _EXPORT_ANEW)
    elif judgement.status == "absent":
        yield Finding(known.file, known.path, "absent", text, _ABSENT, is_warning=True)
    elif judgement.beyond:
        yield Finding(known.file, known.path, "beyond", text, _LATE, is_warning=True)
