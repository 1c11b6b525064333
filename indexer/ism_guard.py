"""What is held is taken out of ISM, which knows no holds, and given back after the release."""

from typing import Final

import structlog
from opensearchpy import OpenSearch

from indexer.beat import Beat
from indexer.errors import IndexerError
from indexer.hold import touches
from indexer.ism import give_back, take_out
from indexer.round import Notes
from indexer.settings import IndexSettings
from indexer.view import View

GUARD: Final = "take out of ISM"
"""What the step is called that no plan has."""

_log = structlog.get_logger("indexer")


def guard(
    client: OpenSearch, settings: IndexSettings, view: View, notes: Notes, beat: Beat
) -> None:
    """Take what a hold touches out of ISM, and give back what none touches any more.

    Args:
        client: of the role `lifecycle`.
        settings: the prefix.
        view: what was seen.
        notes: where it is noted what could not be done.
        beat: called before each partition; what it raises ends it.
    """
    for name, seen in view.observed.items():
        if not seen.exists or seen.span is None:
            continue
        beat()
        try:
            if view.plans[name].held_by:
                if take_out(client, name):
                    _log.info("taken_out_of_ism", partition=name)
            elif any(touches(hold, seen.span) for hold in view.holds.released):
                give_back(client, name, settings)
        except IndexerError as error:
            notes.fail(error, name, GUARD)
