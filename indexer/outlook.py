"""What becomes of every partition: what is seen of each, with its plan. It changes nothing."""

from datetime import datetime

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.hold import Hold, read_holds
from indexer.journal import Journal
from indexer.mode import Mode, find_mode, resolve
from indexer.observe import observe
from indexer.plan import Observed, Plan, plan
from indexer.policy import read_all
from indexer.records import read_records
from indexer.settings import IndexSettings, LifecycleSettings


class Outlook(Struct, frozen=True):
    """Every partition, in the order of names, and what was asked besides."""

    mode: Mode
    holds: tuple[Hold, ...]
    partitions: tuple[tuple[Observed, Plan], ...]


def look_ahead(
    lifecycle_client: OpenSearch,
    reader_client: OpenSearch | None,
    settings: IndexSettings,
    lifecycle: LifecycleSettings,
    now: datetime,
) -> Outlook:
    """What is to be done with each partition, when, and why.

    Args:
        lifecycle_client: of the role `lifecycle`.
        reader_client: of the role `reader`, to ask for timestamps; None leaves them out.
        settings: how events are laid into indices.
        lifecycle: what is done with them.
        now: by this clock.

    Raises:
        PolicyError: a policy has what cannot be carried out.
        JournalError: not all holds and records could be read.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    of_events, of_late = read_all(settings, lifecycle)
    mode = find_mode(lifecycle_client, settings, lifecycle)
    resolved = resolve(lifecycle, mode)
    journal = Journal(lifecycle_client, settings)
    holds = read_holds(journal)
    observed = observe(lifecycle_client, reader_client, settings, read_records(journal))
    return Outlook(
        mode,
        tuple(holds),
        tuple(
            (
                one,
                plan(
                    one,
                    of_late if one.kind == "late" else of_events,
                    settings,
                    resolved,
                    holds=holds,
                    now=now,
                ),
            )
            for one in observed
        ),
    )
