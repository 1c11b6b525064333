"""What does not hold of a store, as it is told. Pure."""

from typing import Literal

from msgspec import Struct

from indexer.chain_runs import Missing, StoredEvent
from indexer.digest import Digest
from indexer.errors import RefusedError
from indexer.records import Seal

Kind = Literal[
    "altered",
    "missing",
    "twice",
    "foreign",
    "digest",
    "gone",
    "closed",
    "unread",
    "deleted",
    "beginning",
    "signature",
    "cut",
    "rewritten",
    "fork",
    "hole",
    "unkept",
    "head",
    "early",
    "unsigned",
]


class Finding(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What does not hold, where, and what to do next."""

    kind: Kind
    problem: str
    next: str
    is_warning: bool = False
    source_id: str = ""
    first_seq: int | None = None
    last_seq: int | None = None
    index: str = ""
    """Of the event that is named by `timestamp` and `event_id`: the one itself, or the next."""
    timestamp: str = ""
    event_id: str = ""
    head_number: int | None = None


class Summary(Struct, rename="camel"):
    """What was read, and what it came to."""

    indices: int = 0
    events: int = 0
    """Within the time that was asked for."""
    sources: int = 0
    late_beginnings: int = 0
    """Sources whose first event is not `seq` 0."""
    forgotten_sources: int = 0
    """Too many to remember; one that speaks again after that begins anew."""
    sealed: int = 0
    """Indices that were compared with the journal's record of their sealing."""
    heads: int = 0
    """Different ones whose signature holds, of the journal and of what was kept elsewhere."""
    kept_heads: int = 0
    """How many of these were kept elsewhere."""
    errors: int = 0
    warnings: int = 0
    kinds: dict[str, int] = {}
    """Errors and warnings by kind."""


def describe_difference(seal: Seal, digest: Digest) -> str:
    """What a partition holds, beside what was sealed."""
    if seal.events == digest.events:
        return f"{digest.events:,} events as then, with the digest {digest.sha256[:16]}…"
    others = [
        f"{one}: {now:,}, not {then:,}"
        for one in sorted({*seal.organizations, *digest.organizations})
        if (now := digest.organizations.get(one, 0)) != (then := seal.organizations.get(one, 0))
    ]
    whose = f" ({'; '.join(others[:3])})" if others else ""
    return f"it has {digest.events:,} events, and {seal.events:,} were sealed{whose}"


def tell_altered(event: StoredEvent) -> Finding:
    """An event does not follow."""
    problem = (
        f"{name_of(event)} does not follow: this event, or the one before it, is not what was"
        " hashed"
    )
    hint = (
        "compare both with the lines on the host, or in a copy (`indelible archive list`); the"
        " agent tells of a line that was altered there (`audit_log.chain_broken`)"
    )
    return of_event("altered", problem, hint, event)


def tell_beginning(event: StoredEvent) -> Finding:
    """A source begins with this, and should not."""
    problem = f"source {event.source_id} begins with `seq` {event.seq}, at {event.timestamp}"
    hint = (
        "nothing was deleted that could have had the ones before: they were written before an agent"
        " was there, lie in the dead letter, or were removed"
    )
    return of_event("beginning", problem, hint, event, is_warning=True)


def tell_foreign(name: str, count: int, example: str) -> Finding:
    """An index has what is no event."""
    problem = f"{name} holds {count:,} of what is no event, such as: {example}"
    hint = "whoever has the writer's password can do that; it stays until its partition goes"
    return Finding("foreign", problem, hint, index=name)


def tell_went(name: str, *, had_to: bool) -> Finding:
    """An index was there, and was deleted before it was read to its end."""
    problem = f"{name} was deleted while it was read"
    if had_to:
        problem += ", as its retention had ended: nothing of it was checked"
        return Finding("deleted", problem, "nothing", is_warning=True, index=name)
    problem += ", and the journal does not say that it had to go"
    hint = (
        "verify again in a minute, as that is recorded last; if it is not,"
        f" `indelible archive restore {name}`"
    )
    return Finding("gone", problem, hint, index=name)


def tell_unread(name: str, error: RefusedError) -> Finding:
    """An index does not let itself be read."""
    problem = f"{name} cannot be read: {error}"
    hint = (
        f"compare its settings (`GET /{name}/_settings`) with those of the others: whoever has the"
        " writer's password can make an index with any"
    )
    return Finding("unread", problem, hint, index=name)


def tell_unsearched(error: RefusedError) -> Finding:
    """Some index keeps all of them from being searched."""
    problem = f"what is missing, or stands there twice, was not looked for everywhere: {error}"
    hint = "mend the index that refuses, and verify again: what came meanwhile may be told missing"
    return Finding("unread", problem, hint)


def of_event(
    kind: Kind,
    problem: str,
    hint: str,
    event: StoredEvent,
    *,
    gap: Missing | None = None,
    is_warning: bool = False,
) -> Finding:
    """A finding with its place: that of the event, or of the gap before it."""
    return Finding(
        kind,
        problem,
        hint,
        is_warning,
        event.source_id,
        event.seq if gap is None else gap.first,
        event.seq if gap is None else gap.last,
        event.index,
        event.timestamp,
        event.id,
    )


def name_of(event: StoredEvent) -> str:
    """An event by its place in its chain."""
    return f"`seq` {event.seq} of source {event.source_id}"
