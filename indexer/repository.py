"""The archive as the executor of the lifecycle uses it: a copy of each partition before it goes."""

from opensearchpy import OpenSearch

from indexer.archive import find, prepare_repository, take
from indexer.beat import Beat
from indexer.records import Context, Seal
from indexer.settings import IndexSettings, LifecycleSettings


class Repository:
    """Takes snapshots in the repository that the settings name, which is tried at the first use.

    Args:
        client: of the role `lifecycle`.
        settings: what is kept with a snapshot.
        lifecycle: which repository.
    """

    def __init__(
        self, client: OpenSearch, settings: IndexSettings, lifecycle: LifecycleSettings
    ) -> None:
        self._client = client
        self._settings = settings
        self._lifecycle = lifecycle
        self._repository: str | None = None

    def take(self, name: str, seal: Seal, beat: Beat) -> Context:
        """Copy a sealed partition unless that is done; returns what is recorded of the copy.

        Raises:
            ArchiveError: see `indexer.archive.take`.
            RefusedError, NoAnswerError: see `indexer.client.request`.
        """
        policy = {
            "retentionDays": self._settings.retention_days,
            "sealDays": self._settings.seal_days,
        }
        taken = take(self._client, self._prepared(), name, seal, policy=policy, beat=beat)
        return {
            "repository": taken.repository,
            "snapshot": taken.snapshot,
            "sha256": taken.content.sha256,
            "events": taken.content.events,
        }

    def has(self, name: str, seal: Seal) -> bool:
        """Whether a good copy of what was sealed is there.

        Raises:
            ArchiveError: the repository is not.
            RefusedError, NoAnswerError: see `indexer.client.request`.
        """
        return find(self._client, self._prepared(), name, seal) is not None

    def _prepared(self) -> str:
        if self._repository is None:
            self._repository = prepare_repository(self._client, self._lifecycle)
        return self._repository
