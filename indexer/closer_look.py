"""Searches of all indices, for what one reading of them does not tell; so many, as each takes time.

Whoever may make an index decides by its settings whether it lets itself be searched, and one that
does not keeps all of them from it. That must not keep a verdict on the others away.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

from opensearchpy import OpenSearch

from indexer.answer import BLOCK_TYPES
from indexer.chain_runs import StoredEvent
from indexer.errors import RefusedError
from indexer.settings import IndexSettings
from indexer.store_reading import GapRecord, find_gap_records, find_source

LOOKS_LIMIT: Final = 1000

T = TypeVar("T")


class CloserLook:
    """Searches while that may be done and can be; finds nothing behind that.

    Args:
        client: of the role `reader`.
        settings: the prefix.
    """

    def __init__(self, client: OpenSearch, settings: IndexSettings) -> None:
        self.refusal: RefusedError | None = None
        """Why nothing can be searched any more."""
        self._client = client
        self._settings = settings
        self._left = LOOKS_LIMIT

    def events(self, source_id: str, first: int, last: int) -> list[StoredEvent]:
        """As `find_source`, with its errors but for `refuses_by_itself`."""
        return self._ask(lambda: find_source(self._client, self._settings, source_id, first, last))

    def gap_records(self, source_id: str) -> list[GapRecord]:
        """As `find_gap_records`, with its errors but for `refuses_by_itself`."""
        return self._ask(lambda: find_gap_records(self._client, self._settings, source_id))

    def _ask(self, find: Callable[[], list[T]]) -> list[T]:
        if self._left == 0:
            return []
        self._left -= 1
        try:
            return find()
        except RefusedError as error:
            if not refuses_by_itself(error):
                raise
            self._left, self.refusal = 0, error
            return []


def refuses_by_itself(error: Exception) -> bool:
    """Whether an index refuses by its own settings, and not the cluster or who lets nobody in."""
    if not isinstance(error, RefusedError):
        return False
    is_block = error.error_type in BLOCK_TYPES and error.status == HTTPStatus.FORBIDDEN
    return is_block or error.status == HTTPStatus.BAD_REQUEST
