"""Names of indices and templates, and which partition an event belongs to.

A partition follows from the event's own `timestamp` alone. So an event that is sent again meets
itself (409), whenever that is.
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal

from audit_events.instant import CANONICAL_INSTANT, format_instant, parse_instant
from indexer.settings import IndexSettings

MONTH_CHARACTERS: Final = len("2026-11")
DAY_CHARACTERS: Final = len("2026-11-23")

NAMES_SHOWN: Final = 5

IndexKind = Literal["events", "late", "journal"]

EXPAND_ALL: Final = {"expand_wildcards": "all"}
"""Parameters of a request that names patterns: closed and hidden indices count. Any user who may
change settings can hide an index, and its events would be missing without a word."""

_is_canonical = re.compile(CANONICAL_INSTANT, re.ASCII).fullmatch


def partition_name(timestamp: str, settings: IndexSettings) -> str:
    """The index of an event: `audit-events-2026.11`, or with the day as `.23`.

    Args:
        timestamp: canonical (27 characters); anything else is a ValueError, never a new index.
        settings: prefix and size of a partition.
    """
    if not _is_canonical(timestamp):
        raise ValueError("not a canonical timestamp, so no partition follows from it")
    span = timestamp[: partition_characters(settings)]
    return f"{settings.prefix}-events-{span.replace('-', '.')}"


def late_name(timestamp: str, settings: IndexSettings) -> str:
    """The index of an event that came after its partition was sealed: `audit-late-2026.11`.

    A month of events whatever the size of a partition: late ones are few, and the name must follow
    from the event alone even if that setting is changed.

    Args:
        timestamp: canonical; anything else is a ValueError.
        settings: the prefix.
    """
    if not _is_canonical(timestamp):
        raise ValueError("not a canonical timestamp, so no index follows from it")
    return f"{settings.prefix}-late-{timestamp[:MONTH_CHARACTERS].replace('-', '.')}"


def partition_characters(settings: IndexSettings) -> int:
    """How many characters of a canonical timestamp decide on its partition."""
    return MONTH_CHARACTERS if settings.partition == "month" else DAY_CHARACTERS


def events_pattern(settings: IndexSettings) -> str:
    """All partitions: `audit-events-*`."""
    return f"{settings.prefix}-events-*"


def late_pattern(settings: IndexSettings) -> str:
    """All indices of events that came after their partition was sealed: `audit-late-*`."""
    return f"{settings.prefix}-late-*"


def journal_name(settings: IndexSettings) -> str:
    """The one index of what the log did to itself, kept for good: `audit-journal`."""
    return f"{settings.prefix}-journal"


def control_name(settings: IndexSettings) -> str:
    """The index of the lease: `indelible-audit-control`.

    Its document changes, so it lies outside of what `immutable_indices` covers (`audit-*`).
    """
    return f"indelible-{settings.prefix}-control"


def tokens_name(settings: IndexSettings) -> str:
    """The index of API tokens' digests: `indelible-audit-tokens`.

    A token is revoked by a change, so it lies outside of what `immutable_indices` covers.
    """
    return f"indelible-{settings.prefix}-tokens"


def read_indices(settings: IndexSettings) -> str:
    """What a query over everything names; wildcards, so it is no error that none exists yet.

    No prefix has a word that begins with `journal`, so the last one finds the journal alone.
    """
    return f"{events_pattern(settings)},{late_pattern(settings)},{journal_name(settings)}*"


def index_kind(name: str, settings: IndexSettings) -> IndexKind | None:
    """What an index is by its name, None for one that is not of this prefix.

    Says nothing of what follows the beginning: `indexer.span` reads that.
    """
    if name.startswith(f"{settings.prefix}-events-"):
        return "events"
    if name.startswith(f"{settings.prefix}-late-"):
        return "late"
    return "journal" if name == journal_name(settings) else None


def some_of(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are: for a line that people read."""
    shown, rest = ", ".join(names[:NAMES_SHOWN]), len(names) - NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def events_template(settings: IndexSettings) -> str:
    """The template of partitions, indices of late events and the journal: `audit-events`."""
    return f"{settings.prefix}-events"


def obsolete_templates(settings: IndexSettings) -> tuple[str, ...]:
    """Templates of older versions, which the present one has replaced."""
    return (f"{settings.prefix}-late",)


def admitted_window(now: str, settings: IndexSettings) -> tuple[str, str]:
    """The `[floor, ceiling)` of timestamps that are taken at `now`, all of them canonical.

    Older events would bring back a deleted partition, later ones open one that is not due.
    Canonical instants sort as text, so the check of a line is two comparisons of strings.
    """
    instant = parse_instant(now)
    floor = instant - timedelta(days=settings.retention_days)
    ceiling = instant + timedelta(hours=settings.future_hours)
    return format_instant(floor), format_instant(ceiling)
