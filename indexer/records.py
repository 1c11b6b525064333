"""What the journal says of partitions, and what is written there of each step.

    audit_log.partition_sealed     its digest, counts and roots, of each organisation too
    audit_log.partition_archived   a snapshot of it is good
    audit_log.partition_restored   it was brought back from one
    audit_log.partition_deleted    it went when its time had come
    audit_log.partition_missing    it is gone, and had not to go

A name may live more than once (brought back from a snapshot, opened again by a longer retention),
so each record names the uuid of the index that it speaks of. Whatever is written in several events
has the one that counts last: a crash in between leaves the step undone, and it is done again.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from audit_events.event import MAX_NAME_CHARACTERS, RESERVED_PREFIX, Event, Resource
from audit_events.instant import parse_instant
from indexer.beat import Beat
from indexer.digest import Digest
from indexer.errors import JournalError
from indexer.head import Shares
from indexer.journal import PARTITION, Journal, Key
from indexer.observe import Records, Sealed
from indexer.seal_parts import NEWER, SealPart, count_events, join, read_shares, split
from indexer.span import Span

SEALED: Final = "audit_log.partition_sealed"
ARCHIVED: Final = "audit_log.partition_archived"
RESTORED: Final = "audit_log.partition_restored"
DELETED: Final = "audit_log.partition_deleted"
MISSING: Final = "audit_log.partition_missing"
HEAD: Final = "head"
"""What one part of a sealing's record has. All others are left where they are: of 400 partitions
with 10,000 organisations each, just to pass over them took 15 s."""
ACTIONS: Final = (SEALED, ARCHIVED, RESTORED, DELETED, MISSING)


def is_told(organization_id: str) -> bool:
    """Whether an organisation can have records of its own.

    What a foreign writer stored may name one that cannot: its events are counted, and nobody could
    ask for them. It must not keep the lifecycle from recording what it did.
    """
    is_id = 0 < len(organization_id) <= MAX_NAME_CHARACTERS
    return is_id and not organization_id.startswith(RESERVED_PREFIX)


Context = Mapping[str, object]


class Seal(Struct, frozen=True):
    """What was recorded of one index when it was sealed."""

    uuid: str
    events: int
    first: str | None
    last: str | None
    sha256: str
    organizations: Mapping[str, int]
    shares: Shares | None = None
    """None where a version recorded it that knew no trees."""
    head: str = ""
    """As it was signed; empty where no key was set."""


class RecordedHead(Struct, frozen=True):
    """A head that the journal has, as it was signed, and of which index it is recorded."""

    partition: str
    index_uuid: str
    head: str


class Copy(Struct, frozen=True):
    """A snapshot of one index that was recorded as good."""

    name: str
    repository: str
    snapshot: str
    events: int


class Subject(Struct, frozen=True):
    """The index that a record speaks of."""

    name: str
    uuid: str
    span: Span

    def key(self, *more: object) -> Key:
        """What a record of it is told apart by."""
        return Key("/".join(map(str, (self.name, self.uuid, *more))), self.span.end)

    @property
    def resource(self) -> Resource:
        """It as the event has it."""
        return Resource(type=PARTITION, id=self.name)


class Chronicle(Struct, frozen=True):
    """What the journal says of every partition."""

    records: Records
    uuids: Mapping[str, str]
    """Which index each name was last, as far as it is recorded."""


def read_records(journal: Journal) -> Records:
    """What the journal says of every partition, as `indexer.observe` takes it.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `Journal.read`.
    """
    return read_chronicle(journal).records


def read_chronicle(journal: Journal) -> Chronicle:
    """What the journal says of every partition, and of which index.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `Journal.read`.
    """
    return fold(journal.read(ACTIONS))


class _Policy(Struct, frozen=True, rename="camel"):
    retention_days: int | None = None


class _Step(Struct, frozen=True, rename="camel"):
    """What is read of the context of any record."""

    index_uuid: str
    part: int = 1
    until: str | None = None
    policy: _Policy = _Policy()


class _Life(Struct):
    """What is known of one index of a name."""

    uuid: str
    sealed: Sealed | None = None
    archived: bool = False
    restored_until: datetime | None = None
    ended: bool = False


def fold(events: Iterable[Event]) -> Chronicle:
    """What records say, oldest first. Pure.

    Raises:
        JournalError: a record cannot be read.
    """
    lives: dict[str, dict[str, _Life]] = {}
    for event in events:
        if event.resource is None or event.resource.type != PARTITION:
            raise JournalError(f"the journal's record {event.id} names no partition", hint=NEWER)
        step = _read_step(event)
        of_name = lives.setdefault(event.resource.id, {})
        _note(of_name.setdefault(step.index_uuid, _Life(step.index_uuid)), event, step)
    latest = {name: list(of_name.values()) for name, of_name in lives.items()}
    back = {
        name: (all_[-1].uuid, until)
        for name, all_ in latest.items()
        if (until := all_[-1].restored_until) is not None and not all_[-1].ended
    }
    records = Records(
        sealed={
            name: sealed[-1]
            for name, all_ in latest.items()
            if (sealed := [life.sealed for life in all_ if life.sealed is not None])
        },
        archived={name for name, all_ in latest.items() if _is_archived(all_)},
        restored={name: until for name, (_, until) in back.items()},
        restored_as={name: uuid for name, (uuid, _) in back.items()},
        ended={name for name, all_ in latest.items() if any(life.ended for life in all_)},
        finished={name for name, all_ in latest.items() if all_[-1].ended},
    )
    return Chronicle(records, {name: all_[-1].uuid for name, all_ in latest.items()})


def _note(life: _Life, event: Event, step: _Step) -> None:
    if event.action == SEALED:
        if step.part == 1 and life.sealed is None:
            at, days = parse_instant(event.timestamp), step.policy.retention_days
            life.sealed = Sealed(life.uuid, at, days)
    elif event.action == ARCHIVED:
        life.archived = True
    elif event.action == RESTORED:
        life.restored_until = parse_instant(step.until or "")
    else:
        life.ended = True


def _is_archived(lives: list[_Life]) -> bool:
    """Whether a snapshot has what the name holds now: of itself, or what it was restored from."""
    if lives[-1].archived:
        return True
    return lives[-1].restored_until is not None and any(life.archived for life in lives)


def read_sealed_uuids(journal: Journal, name: str) -> set[str]:
    """Every index of this name that is recorded as sealed.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `Journal.read`.
    """
    return {_read_step(event).index_uuid for event in journal.read((SEALED,), resource_id=name)}


def read_seal(journal: Journal, name: str, uuid: str) -> Seal:
    """What was recorded when the index of this uuid was sealed, with all organisations.

    Raises:
        JournalError: it is not recorded whole.
        RefusedError, NoAnswerError: see `Journal.read`.
    """
    events = journal.read((SEALED,), resource_id=name, with_organizations=True)
    parts = join(name, uuid, [_convert(event, SealPart) for event in events])
    first = parts[0]
    return Seal(
        uuid,
        first.events,
        first.first,
        first.last,
        first.sha256,
        count_events(parts),
        read_shares(name, parts),
        first.head,
    )


def read_heads(journal: Journal) -> list[RecordedHead]:
    """Every head that is recorded, whoever signed it, in the order of the journal.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `Journal.read`.
    """
    heads: list[RecordedHead] = []
    for event in journal.read((SEALED,), having=HEAD):
        part = _convert(event, SealPart)
        if part.head:
            name = event.resource.id if event.resource else ""
            heads.append(RecordedHead(name, part.index_uuid, part.head))
    return heads


def record_seal(
    journal: Journal,
    subject: Subject,
    digest: Digest,
    *,
    more: Context,
    beat: Beat,
    sign: Callable[[], str] = lambda: "",
) -> bool:
    """Record what a partition holds; the part that says so of all comes last.

    Returns whether that part was not there yet.

    Args:
        journal: where.
        subject: the partition.
        digest: what it holds.
        more: what is recorded besides, in each part.
        beat: called before each part.
        sign: asked for the signed head right before the last part; empty without a key.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `Journal.record`.
    """
    first, *others = split(subject.uuid, digest)
    for context in reversed(others):
        beat()
        key = subject.key(context["part"], context["root"])
        journal.record(SEALED, key=key, context={**context, **more}, resource=subject.resource)
    beat()
    head = sign()
    signed = {HEAD: head} if head else {}
    context = {**first, **signed, **more}
    return journal.record(SEALED, key=subject.key(1), context=context, resource=subject.resource)


def record_archived(journal: Journal, subject: Subject, *, more: Context) -> None:
    """Record that a snapshot of it is good."""
    context = {"indexUuid": subject.uuid, **more}
    journal.record(ARCHIVED, key=subject.key(), context=context, resource=subject.resource)


def read_copies(journal: Journal) -> list[Copy]:
    """Every snapshot that was recorded as good, oldest first.

    Raises:
        JournalError, RefusedError, NoAnswerError: see `Journal.read`.
    """
    copies: list[Copy] = []
    for event in journal.read((ARCHIVED,)):
        one = _convert(event, _CopyContext)
        name = event.resource.id if event.resource else ""
        copies.append(Copy(name, one.repository, one.snapshot, one.events))
    return copies


def record_end(
    journal: Journal,
    action: str,
    subject: Subject,
    seal: Seal,
    *,
    more: Context,
    beat: Beat,
    inside: Context = MappingProxyType({}),
) -> None:
    """Record that a partition is gone: `DELETED` or `MISSING`.

    Each organisation is told its own count; then comes the record that counts, of the log itself.
    That alone has what is `inside`: holds are nobody's business but of who is held.
    """
    own = {"indexUuid": subject.uuid, "sha256": seal.sha256, **more}
    for organization_id, count in seal.organizations.items():
        if not is_told(organization_id):
            continue
        beat()
        journal.record(
            action,
            organization_id=organization_id,
            key=subject.key(),
            context={**own, "events": count},
            resource=subject.resource,
        )
    beat()
    totals = {
        "events": seal.events,
        "first": seal.first,
        "last": seal.last,
        "organizationCount": len(seal.organizations),
    }
    context = {**own, **inside, **totals}
    journal.record(action, key=subject.key(), context=context, resource=subject.resource)


class _CopyContext(_Step, frozen=True, rename="camel", kw_only=True):
    repository: str
    snapshot: str
    events: int


def _read_step(event: Event) -> _Step:
    step = _convert(event, _Step)
    if event.action == RESTORED:
        try:
            parse_instant(step.until or "")
        except ValueError as error:
            raise JournalError(
                f"the journal's record {event.id} of a restore cannot be read: {error}", hint=NEWER
            ) from None
    return step


_Shape = TypeVar("_Shape", bound=Struct)


def _convert(event: Event, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(event.context, shape)
    except msgspec.ValidationError as error:
        raise JournalError(
            f"the journal's record {event.id} of a partition cannot be read: {error}", hint=NEWER
        ) from None
