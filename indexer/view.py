"""One look at every partition: what is seen of each, what the journal says, and what is to be done.

It changes nothing. The executor goes by it (`indexer.lifecycle`), and who asks what becomes of the
partitions is shown the same (`indexer.outlook`).
"""

from dataclasses import dataclass
from datetime import datetime

from opensearchpy import OpenSearch

from indexer.errors import StepError
from indexer.hold import Holds, read_all_holds
from indexer.journal import Journal
from indexer.observe import observe
from indexer.plan import Observed, Plan, plan
from indexer.policy import Policy
from indexer.records import Chronicle, Subject, read_chronicle
from indexer.settings import IndexSettings, LifecycleSettings


@dataclass(frozen=True, slots=True)
class View:
    """What was seen at one look; partitions by name, in the order of names."""

    observed: dict[str, Observed]
    plans: dict[str, Plan]
    chronicle: Chronicle
    holds: Holds

    def subject(self, name: str) -> Subject:
        """The index that a record of this partition speaks of: where one took its place, the first.

        Raises:
            StepError: nobody can tell which that is.
        """
        seen = self.observed[name]
        recorded = self.chronicle.uuids.get(name)
        uuid = recorded if seen.replaced else seen.uuid or recorded
        if uuid is None or seen.span is None:
            raise StepError(f"nobody can tell which index {name} is", hint="try again")
        return Subject(name, uuid, seen.span)


def look(
    lifecycle_client: OpenSearch,
    reader_client: OpenSearch | None,
    settings: IndexSettings,
    lifecycle: LifecycleSettings,
    *,
    policies: tuple[Policy, Policy],
    journal: Journal,
    now: datetime,
    accept_shorter_retention: bool = False,
) -> View:
    """Look at every partition, and plan what becomes of it.

    Args:
        lifecycle_client: of the role `lifecycle`.
        reader_client: of the role `reader`, to ask for timestamps; None leaves them out.
        settings: how events are laid into indices.
        lifecycle: what is done with them; its `mode` resolved.
        policies: of partitions and of late events (`policy.read_all`).
        journal: what is recorded.
        now: by this clock.
        accept_shorter_retention: see `plan`.

    Raises:
        JournalError: not all holds and records could be read.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    of_events, of_late = policies
    chronicle, holds = read_chronicle(journal), read_all_holds(journal)
    seen = observe(lifecycle_client, reader_client, settings, chronicle.records)
    plans = {
        one.name: plan(
            one,
            of_late if one.kind == "late" else of_events,
            settings,
            lifecycle,
            holds=holds.active,
            now=now,
            accept_shorter_retention=accept_shorter_retention,
        )
        for one in seen
    }
    return View({one.name: one for one in seen}, plans, chronicle, holds)
