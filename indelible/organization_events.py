"""The stored events of one organisation, as an operator asks for them.

With the reader's credentials, in this process: so commands answer what the API would, and need
none that runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

from opensearchpy import OpenSearch

from audit_events.catalogue import Catalogue
from indelible.configuration import load
from indelible.errors import CommandError
from indelible.listing import open_console
from indelible.organizations import only_organization, what_there_is
from indelible.question import asking
from indexer.client import connect
from indexer.errors import IndexerError
from indexer.settings import IndexSettings
from webapi.reading import Reading
from webapi.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationEvents:
    """What a command asks, and of whom.

    Args:
        organization: whose events.
        catalogue: the actions that are known.
        storage: where they are.
        reading: what asks it.
    """

    organization: str
    catalogue: Catalogue
    storage: Storage
    reading: Reading
    client: OpenSearch
    index: IndexSettings

    def tell_what_there_is(self) -> None:
        """Print, below a question that found nothing, what there is.

        Raises:
            CommandError: OpenSearch does not answer, or not in whole.
        """
        told = what_there_is(self.reading, self.client, self.index, self.organization)
        open_console().print(told)


def open_events(
    organization: str | None, check: Callable[[Catalogue], object]
) -> OrganizationEvents:
    """Connect as the configuration says.

    Args:
        organization: whose events; None for the only one that there is.
        check: reads the question with the actions that are known. Where nobody can be found, what
            is wrong with it is told first.

    Raises:
        click.UsageError: what `check` refuses.
        CommandError: nobody is named, and there is none or several.
        SettingsError, NodeError, CatalogueError: the configuration, as `load`.
        RefusedError, NoAnswerError: the cluster, as `only_organization`.
        UnicodeEncodeError: the organisation is no text.
    """
    configuration = load()
    client, index = connect(configuration.connection, role="reader"), configuration.index
    storage = Storage(client, index, configuration.web.query_timeout_seconds)
    try:
        name = organization or only_organization(client, index)
    except (CommandError, IndexerError):
        with asking():
            check(configuration.catalogue)
        raise
    # What is no text is told before anything is asked.
    name.encode()
    return OrganizationEvents(
        organization=name,
        catalogue=configuration.catalogue,
        storage=storage,
        reading=Reading(storage, index),
        client=client,
        index=index,
    )
