"""What signed heads say, beside what the journal and the partitions say now. Pure."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from audit_events.instant import format_instant, parse_instant
from indexer.digest import Digest
from indexer.head import Head, root_of_shares
from indexer.head_row import name_of_head, of_head
from indexer.names import some_of
from indexer.records import Seal
from indexer.settings import IndexSettings
from indexer.span import span_of
from indexer.store_findings import Finding

COPY: Final = "`indelible archive verify {name}` says whether its copy is as it was sealed"


Contents = Digest | Seal
"""What a partition holds, or is recorded to hold."""


class Life(Struct):
    """What the journal says of one index of a name."""

    sealed_at: str = ""
    deleted_at: str = ""
    """A canonical instant, as is the other; "" where it is not recorded."""
    is_early_accepted: bool = False
    """Whether who deleted it said that it goes before the retention of its sealing."""


Lives = Mapping[tuple[str, str], Life]
"""By name and uuid."""


def differences(head: Head, found: Contents) -> list[str]:
    """What is not as the head says, each as it is and as it was signed."""
    shares = found.shares
    pairs = {
        "events": (found.events, head.events),
        "first": (found.first, head.first),
        "last": (found.last, head.last),
        "digest": (found.sha256, head.sha256),
        "organizations": (None if shares is None else len(shares), head.organizations),
        "root": (None if shares is None else root_of_shares(shares), head.root),
    }
    return [f"{name} {now}, not {then}" for name, (now, then) in pairs.items() if now != then]


def tell_contents(head: Head, found: Contents, live_uuid: str) -> Finding | None:
    """What the partition of a head holds is not what was signed."""
    wrong = differences(head, found)
    if not wrong:
        return None
    other = "" if live_uuid == head.index_uuid else ", is another index than then and"
    name = head.partition
    problem = f"{name}{other} is not what {name_of_head(head)} signed: {', '.join(wrong)}"
    hint = (
        "the admin certificate alone can do that, or whoever can edit the node's files."
        f" {COPY.format(name=name)}"
    )
    return of_head("head", problem, hint, head)


def tell_record(head: Head, recorded_as: tuple[str, str], found: Contents) -> Finding | None:
    """The record that the journal has with a head is not what was signed."""
    wrong = differences(head, found)
    if recorded_as != (head.partition, head.index_uuid):
        wrong.insert(0, f"it is of {'/'.join(recorded_as)}")
    if not wrong:
        return None
    problem = f"the journal's record with {name_of_head(head)} is not as signed: {', '.join(wrong)}"
    hint = "the journal was rewritten: the admin certificate can do that"
    return of_head("head", problem, hint, head)


def find_end(head: Head, lives: Lives) -> Life | None:
    """Which index of the head's partition was deleted since: it, or what was restored of it."""
    ends = (
        life
        for (name, _), life in lives.items()
        if name == head.partition and life.deleted_at and life.deleted_at >= head.sealed_at
    )
    return min(ends, key=lambda life: life.deleted_at, default=None)


def tell_end(head: Head, lives: Lives, settings: IndexSettings, now: datetime) -> Finding | None:
    """A partition went before the retention of its sealing had ended."""
    end, span = find_end(head, lives), span_of(head.partition, settings)
    if end is None or span is None:
        return None
    days = head.retention_days
    # Nothing that was deleted has been so since a moment to come.
    deleted_at = min(parse_instant(end.deleted_at), now)
    if deleted_at - span.end >= timedelta(days=days):
        return None
    accepted = end.is_early_accepted
    who = "; somebody accepted that" if accepted else ""
    problem = (
        f"{name_of_head(head)}: the journal has its deletion at {format_instant(deleted_at)}, and"
        f" its retention of {days} days had not ended{who}"
    )
    hint = f"find out who deleted it, and `indelible archive restore {head.partition}`"
    return of_head("early", problem, hint, head, is_warning=accepted)


def tell_unsigned(lives: Lives, signed: Collection[tuple[str, str]]) -> Iterator[Finding]:
    """What was sealed and is there still, and no head vouches for."""
    names = sorted(
        name
        for (name, uuid), life in lives.items()
        if life.sealed_at and not life.deleted_at and (name, uuid) not in signed
    )
    if names:
        of_it = (
            "partitions were sealed and no head of them is"
            if names[1:]
            else "partition was sealed and no head of it is"
        )
        problem = f"{len(names):,} {of_it} there: {some_of(names)}"
        hint = (
            "of what was sealed before there was a key there is none; if one of these is younger,"
            " the journal was rewritten, or the lifecycle ran without its key"
        )
        yield Finding("unsigned", problem, hint, is_warning=True)
