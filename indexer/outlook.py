"""What becomes of every partition: what is seen of each, with its plan. It changes nothing."""

from datetime import datetime

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.hold import Hold
from indexer.journal import Journal
from indexer.mode import Mode, find_mode, resolve
from indexer.plan import Observed, Plan
from indexer.policy import read_all
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.view import look


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
    policies = read_all(settings, lifecycle)
    mode = find_mode(lifecycle_client, settings, lifecycle)
    view = look(
        lifecycle_client,
        reader_client,
        settings,
        resolve(lifecycle, mode),
        policies=policies,
        journal=Journal(lifecycle_client, settings),
        now=now,
    )
    pairs = zip(view.observed.values(), view.plans.values(), strict=True)
    return Outlook(mode, view.holds.active, tuple(pairs))
