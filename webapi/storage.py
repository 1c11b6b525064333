"""Asking OpenSearch: a `ScopedSearch` goes out, whole events come back as the bytes they are.

An answer that is not whole is an error (DESIGN.md section 6): failed shards, a timeout, a hit of
another organisation.
"""

from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct, field
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout

from indexer.answer import UNREADABLE
from indexer.client import Reply, ask
from indexer.errors import NoAnswerError
from indexer.names import events_template, read_indices
from indexer.settings import IndexSettings
from webapi.errors import InternalError, UnavailableError
from webapi.query import ScopedSearch

T = TypeVar("T")

OK: Final = 200
NOT_FOUND: Final = 404
TOO_MANY_REQUESTS: Final = 429
SERVER_ERROR: Final = 500
ERROR_CHARACTERS: Final = 2000
SEARCH_PARAMS: Final = {
    "allow_partial_search_results": "false",
    "allow_no_indices": "true",
    "expand_wildcards": "open,closed",
}
"""Before the first event there is no index, and that is no error. A closed partition is one: left
out of the pattern, its events would be missing from the answer without a word."""


class Total(Struct, frozen=True):
    """How many there are: exactly (`eq`), or at least (`gte`)."""

    value: int
    relation: str


class Hit(Struct, frozen=True):
    """One event as it is stored, and its place: organisation, nanoseconds, id."""

    source: Raw = field(name="_source")
    sort: tuple[str, int, str]


class Hits(Struct, frozen=True):
    """The page, and of how many."""

    hits: list[Hit]
    total: Total = Total(0, "eq")


class Shards(Struct, frozen=True):
    """How many shards were asked, and how many could not answer."""

    total: int
    failed: int


class Bucket(Struct, frozen=True):
    """How many events one bucket of an aggregation has."""

    doc_count: int


class Buckets(Struct, frozen=True):
    """The buckets of an aggregation of named filters."""

    buckets: dict[str, Bucket] = {}


class Found(Struct, frozen=True):
    """A whole answer."""

    timed_out: bool
    shards: Shards = field(name="_shards")
    hits: Hits
    aggregations: dict[str, Buckets] = {}

    @property
    def present(self) -> dict[str, Bucket]:
        """The buckets that `present_search` asked for."""
        return self.aggregations["present"].buckets if self.aggregations else {}


class Storage:
    """The events of all organisations, of which a search sees one.

    Args:
        client: connected as the reader.
        index: names of the partitions.
        timeout_seconds: how long one search may take.
    """

    def __init__(self, client: OpenSearch, index: IndexSettings, timeout_seconds: float) -> None:
        self._client = client
        self._index = index
        self._timeout_seconds = timeout_seconds

    def search(self, search: ScopedSearch) -> Found:
        """Return the whole answer.

        Raises:
            UnavailableError: no answer, a late one, or one in part.
            InternalError: a refusal, or an answer that cannot be what was asked for.
        """
        reply = self._ask(
            "POST",
            f"/{read_indices(self._index)}/_search",
            params=SEARCH_PARAMS,
            body=msgspec.json.encode(search.body(self._timeout_seconds)),
        )
        return whole(reply, search.organization_id)

    def template_state(self) -> str:
        """Return `present`, `missing` or `unknown` (the reader may not look), and so ask for life.

        Raises:
            UnavailableError: OpenSearch does not answer.
        """
        reply = self._ask("GET", f"/_index_template/{events_template(self._index)}")
        if reply.status == OK:
            return "present"
        if reply.status in {401, 403}:
            return "unknown"
        refuse_unavailable(reply)
        if reply.status == NOT_FOUND:
            return "missing"
        # A proxy's page, a redirect: whatever answers there, it is not the store.
        raise UnavailableError("storage_unavailable", "ask again in a moment")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        try:
            return ask(self._client, method, path, params=params, body=body, safe=True)
        except NoAnswerError as error:
            if isinstance(error.__cause__, ConnectionTimeout):
                raise UnavailableError(
                    "storage_timeout", "ask again later, or for a shorter time"
                ) from error
            raise UnavailableError("storage_unavailable", "ask again in a moment") from error


def whole(reply: Reply, organization_id: str) -> Found:
    """Judge an answer: all of it, of this organisation alone, or an error."""
    refuse_unavailable(reply)
    if reply.status != OK:
        raise InternalError(f"search refused with {reply.status}: {reply.text[:1000]}")
    try:
        found = msgspec.json.decode(reply.text, type=Found)
    except UNREADABLE as error:
        raise InternalError(f"search answered with something else: {error}") from None
    if found.timed_out:
        raise UnavailableError("storage_timeout", "ask again later, or for a shorter time")
    if found.shards.failed:
        raise UnavailableError(
            "storage_incomplete",
            f"{found.shards.failed} of {found.shards.total} parts of the index did not answer",
        )
    if any(hit.sort[0] != organization_id for hit in found.hits.hits):
        raise InternalError("search returned an event of another organisation")
    return found


def refuse_unavailable(reply: Reply) -> None:
    """Refuse what another moment may mend: overload, and failures of the cluster."""
    if reply.status == OK:
        return
    error = reply.text[:ERROR_CHARACTERS]
    if "index_closed_exception" in error:
        raise UnavailableError("storage_incomplete", "a part of the index is closed")
    if reply.status == TOO_MANY_REQUESTS or reply.status >= SERVER_ERROR:
        partial = "search_phase_execution" in error
        code = "storage_incomplete" if partial else "storage_unavailable"
        raise UnavailableError(code, "ask again in a moment")
    if reply.status in {401, 403}:
        raise InternalError(f"OpenSearch refuses the reader with {reply.status}: {error[:300]}")
