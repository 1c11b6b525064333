"""Of which time some exports say that they hold all events of an organisation. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from audit_events.instant import parse_instant
from indelible.exported import Claim
from indexer.span import Span

_WITHOUT_EFFECT: Final = frozenset({"since", "until", "order", "format", "gzip", "bom"})
"""Parameters of an export that leave out no event of the time that it is of."""
_ALWAYS: Final = Span(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def why_uncovered(claims: Iterable[Claim], span: Span, sealed_at: str) -> str | None:
    """Say why exports need not hold all of a partition; None where they claim to.

    Args:
        claims: of the exports of one organisation.
        span: of the partition.
        sealed_at: what was exported before need not have been all.
    """
    claims = list(claims)
    if not claims:
        return "none of the files is an export of this organisation that is whole"
    if not _covers(claims, span):
        return "the exports are of a part of its time at most (since, until)"
    unfiltered = [one for one in claims if not _filters(one)]
    if not _covers(unfiltered, span):
        names = sorted({name for one in claims for name in _filters(one)})
        return f"they were exported with filters: {', '.join(names)}"
    # Both are canonical instants.
    if not _covers([one for one in unfiltered if one.as_of >= sealed_at], span):
        return "they were exported before it was sealed"
    return None


def is_due(claims: Iterable[Claim], span: Span, retention: timedelta) -> bool:
    """Whether exports have to hold a partition: they name a beginning, or it was to be there then.

    One that names no `since` is of what there still is, and partitions go when their retention has
    ended.
    """
    due = (one for one in claims if "since" in one.filters or _was_kept(one, span, retention))
    return _covers(due, span)


def _was_kept(claim: Claim, span: Span, retention: timedelta) -> bool:
    """Whether the retention of a partition had not ended when the export was made."""
    try:
        return parse_instant(claim.as_of) - span.end < retention
    except ValueError:
        return False


def _filters(claim: Claim) -> Sequence[str]:
    """Which of its parameters leave out events."""
    return [name for name in claim.filters if name not in _WITHOUT_EFFECT]


def _covers(claims: Iterable[Claim], span: Span) -> bool:
    """Whether the times of these exports together contain the span."""
    reached = span.start
    for part in sorted(_span(one.filters) for one in claims):
        if part.start > reached:
            break
        reached = max(reached, part.end)
    return reached >= span.end


def _span(filters: Mapping[str, Sequence[str]]) -> Span:
    """Its time; none where nobody can tell."""
    try:
        since = [parse_instant(text) for text in filters.get("since", [])]
        until = [parse_instant(text) for text in filters.get("until", [])]
    except ValueError:
        return Span(_ALWAYS.end, _ALWAYS.end)
    return Span(max([_ALWAYS.start, *since]), min([_ALWAYS.end, *until]))
