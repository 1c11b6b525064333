"""What the page says of how complete the time that it shows is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from audit_events.instant import parse_instant
from webapi.answered import Verdict
from webapi.completeness import Completeness, KnownLoss
from webapi.losses import Kind
from webapi.page.listing import Listing
from webapi.query import Query

SHOWN_LOSSES: Final = 5
JUST: Final = timedelta(microseconds=1)

Tone = Literal["green", "none", "red"]
TONES: Final[dict[Verdict, Tone]] = {
    "complete": "green", "lagging": "none", "gaps": "red", "unknown": "none",
}  # fmt: skip
SIGNS: Final[dict[Verdict, str]] = {"complete": "✓", "lagging": "…", "gaps": "!", "unknown": "?"}
_WORDS: Final[dict[Kind, tuple[str, str, str]]] = {
    "gap": (
        "Events never arrived",
        "1 event of a process never arrived",
        "{:,} events of a process never arrived",
    ),
    "altered": (
        "Events are not what was written",
        "1 event of a process is not what it wrote",
        "{:,} events of a process are not what it wrote",
    ),
    "event_missing": (
        "A stored event is gone, or all that was stored beside it",
        "A stored event is gone",
        "{:,} stored events are gone",
    ),
    "partition_missing": (
        "A partition is gone before its time",
        "A partition is gone with 1 event",
        "A partition is gone with {:,} events",
    ),
}
"""Where nobody can say how many events it is, of one, and of more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossLine:
    """One loss.

    Args:
        words: what it is.
        after: it lies behind this instant; None where nobody can say.
        before: and before this one.
        found: when that was recorded.
    """

    words: str
    after: datetime | None
    before: datetime
    found: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What the badge and what opens below it say.

    Args:
        verdict: as the API answers it.
        sign: beside the words, for those who do not see the tone.
        tone: its colour.
        until: up to when all has arrived; None where nobody knows, or where the time that is shown
            ends before.
        processes: how many live.
        late: how many of them should have been heard since.
        behind: how many agents say that they have not shipped all that they should have.
        silent: how many fell silent within a day.
        losses: the newest findings.
        more: how many more there are.
    """

    verdict: Verdict
    sign: str
    tone: Tone
    until: datetime | None
    processes: int
    late: int
    behind: int
    silent: int
    losses: Sequence[LossLine]
    more: int


def whole_view(found: Completeness) -> Whole:
    """Return what is said of a window."""
    until = None if found.complete_until is None else parse_instant(found.complete_until)
    if found.until is not None and until is not None and parse_instant(found.until) <= until:
        until = None
    return Whole(
        verdict=found.verdict,
        sign=SIGNS[found.verdict],
        tone=TONES[found.verdict],
        until=until,
        processes=found.processes,
        late=found.late_processes,
        behind=found.late_agents,
        silent=found.silent_processes,
        losses=[_line(one) for one in found.losses[:SHOWN_LOSSES]],
        more=max(0, found.losses_total - SHOWN_LOSSES),
    )


def _line(loss: KnownLoss) -> LossLine:
    return LossLine(
        words=loss_words(loss.kind, loss.events),
        after=None if loss.after is None else parse_instant(loss.after),
        before=parse_instant(loss.before),
        found=parse_instant(loss.found_at),
    )


def loss_words(kind: Kind, events: int) -> str:
    """Return a loss in words."""
    return _WORDS[kind][min(events, 2)].format(events)


def shown_window(
    found: Listing, query: Query, *, newest_first: bool
) -> tuple[datetime | None, datetime | None]:
    """Return the time that a page of the list speaks of, `[since, until)`.

    Args:
        found: the page.
        query: what was asked; in whichever order.
        newest_first: the order of the page.
    """
    instants = [row.instant for row in found.rows]
    later, earlier = (found.newer, found.older) if newest_first else (found.older, found.newer)
    # At its ends a page vouches for all that lies behind its last row, where nothing is.
    since = query.since if earlier is None or not instants else min(instants)
    until = query.until if later is None or not instants else max(instants) + JUST
    return since, until
