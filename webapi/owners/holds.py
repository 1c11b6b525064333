"""The legal holds of one organisation, as the journal has them.

Read with the reader's own role, from the journal alone: applications write into partitions, so what
stands there as a hold is only somebody's word. Nothing is placed or released here: that takes the
lifecycle's user, whose password the web does not have (docs/threat-model.md); the page shows the
command instead.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from audit_events.event import Event
from indexer.answer import UNREADABLE
from indexer.hold import OPEN_END, PLACED, RELEASED, Hold, Holds, sort_holds, touches
from indexer.names import journal_name
from indexer.settings import IndexSettings
from indexer.span import span_of
from webapi.errors import IndexGoneError, InternalError, UnavailableError
from webapi.query import ScopedSearch, any_action, event_order
from webapi.storage import Storage

MOST: Final = 2000
"""Records that are read; an organisation with more is told that this is not the place."""


@dataclass(frozen=True, slots=True)
class ShownHold:
    """A hold, and what it keeps of what there is.

    Args:
        hold: as it was recorded; its end is None where it has none.
        has_end: whether it ends by itself.
        keeps: names of partitions.
        release_command: what an operator runs to end it.
    """

    hold: Hold
    has_end: bool
    keeps: tuple[str, ...]
    release_command: str


def read_holds(storage: Storage, index: IndexSettings, organization_id: str) -> Holds:
    """Return the organisation's holds.

    Raises:
        UnavailableError: the journal cannot be read whole.
        InternalError, JournalError: what is there is no record of a hold.
    """
    search = ScopedSearch(
        organization_id=organization_id,
        filters=[any_action((PLACED, RELEASED))],
        rest={
            "size": MOST,
            "sort": event_order(newest_first=False),
            "track_total_hits": MOST + 1,
        },
    )
    try:
        # No prefix has a word that begins with `journal`: a pattern, since none may exist yet.
        found = storage.search(search, [journal_name(index) + "*"])
    except IndexGoneError:
        return Holds((), ())
    if found.hits.total.value > MOST:
        raise UnavailableError("storage_incomplete", "there are too many holds to be shown here")
    try:
        events = [msgspec.json.decode(hit.source, type=Event) for hit in found.hits.hits]
    except UNREADABLE as error:
        raise InternalError(f"the journal holds something else: {error}") from None
    return sort_holds(events, organization_id)


def show_holds(
    holds: Iterable[Hold], names: Iterable[str], index: IndexSettings
) -> list[ShownHold]:
    """Return holds with what each of them keeps, newest first. Pure.

    Args:
        holds: oldest first.
        names: of the partitions that there are.
        index: what their names mean.
    """
    spans = [(name, span) for name in sorted(names) if (span := span_of(name, index)) is not None]
    return [
        ShownHold(
            hold=hold,
            has_end=hold.until != OPEN_END,
            keeps=tuple(name for name, span in spans if touches(hold, span)),
            release_command=f"indelible hold release {shlex.quote(hold.id)} --reason 'REASON'",
        )
        for hold in reversed(list(holds))
    ]


def place_command(organization_id: str) -> str:
    """Return what an operator runs to place a hold for an organisation; safe to paste. Pure."""
    return (
        f"indelible hold add --organization {shlex.quote(organization_id)}"
        " --from 2026-01-01 --reason 'REASON'"
    )
