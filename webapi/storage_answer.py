"""What OpenSearch answers to the reader: the shapes, and whether an answer is whole. Pure.

An answer that is not whole is an error: failed shards, a timeout, a hit of another organisation.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from indexer import answer
from indexer.answer import UNREADABLE, read_error
from indexer.client import Reply
from indexer.errors import RefusedError
from webapi.errors import (
    ForeignEventError,
    IndexGoneError,
    InternalError,
    NoCopyError,
    TooSlowError,
    UnavailableError,
)
from webapi.listing import Listed

T = TypeVar("T")

ERROR_CHARACTERS: Final = 2000
GONE: Final = ("index_not_found_exception", "no data nodes with criteria")
"""What OpenSearch says of an index that is not there, and of a copy that does not lie where it is
asked for (tried on 3.4.0)."""
_HALF: Final = re.compile(r"[\ud800-\udfff]")
"""Of a surrogate pair: no answer of ours could have it."""


class Total(Struct, frozen=True):
    """How many there are: exactly (`eq`), or at least (`gte`)."""

    value: int
    relation: str


class Hit(Struct, frozen=True):
    """One event as it is stored, and its place: organisation, nanoseconds, id if it has one."""

    source: Raw = field(name="_source")
    sort: tuple[str, int, str | None]


class Hits(Struct, frozen=True):
    """The page, and of how many."""

    hits: list[Hit]
    total: Total = Total(0, "eq")


class Shards(Struct, frozen=True):
    """How many shards were asked, and how many could not answer."""

    total: int
    failed: int


class Bucket(Struct, frozen=True):
    """How many events one bucket of an aggregation has; its key where it does not stand before."""

    doc_count: int
    key: str = ""


class Buckets(Struct, frozen=True):
    """The buckets of an aggregation, of named filters or of terms."""

    buckets: dict[str, Bucket] | list[Bucket] = {}


class Found(Struct, frozen=True):
    """A whole answer."""

    timed_out: bool
    shards: Shards = field(name="_shards")
    hits: Hits
    aggregations: Raw = Raw(b"{}")

    def aggregated(self, shape: type[T]) -> T:
        """Return the aggregations; each is optional in `shape`, as without an index none comes.

        Raises:
            InternalError: they are something else.
        """
        return decode(self.aggregations, shape, "the answer to a search")

    @property
    def present(self) -> dict[str, Bucket]:
        """The buckets that `present_search` asked for."""
        found = self._buckets("present")
        return found if isinstance(found, dict) else {}

    @property
    def by_index(self) -> dict[str, int]:
        """How many events each index has, as `count_search` asked; none where it has none."""
        found = self._buckets("indices")
        return {one.key: one.doc_count for one in found if isinstance(one, Bucket)}

    def _buckets(self, name: str) -> dict[str, Bucket] | list[Bucket]:
        return self.aggregated(dict[str, Buckets]).get(name, Buckets()).buckets


class ListedReply(Struct, frozen=True):
    """The settings of one index."""

    settings: Listed


class Documents(Struct, frozen=True):
    """How many documents there are."""

    count: int


class Primaries(Struct, frozen=True):
    """The first copies of an index."""

    docs: Documents | None = None


class Refreshes(Struct, frozen=True):
    """How often what was taken became what can be found."""

    external_total: int = 0


class Copies(Struct, frozen=True):
    """All copies of an index."""

    refresh: Refreshes | None = None


class CountedIndex(Struct, frozen=True):
    """The statistics of one index."""

    uuid: str
    primaries: Primaries | None = None
    total: Copies | None = None

    @property
    def content(self) -> str:
        """What changes when documents come, or can be found; empty where nobody can tell."""
        docs = None if self.primaries is None else self.primaries.docs
        refresh = None if self.total is None else self.total.refresh
        return "" if docs is None or refresh is None else f"{docs.count}.{refresh.external_total}"


class CountedReply(Struct, frozen=True):
    """The statistics of indices, by name."""

    indices: dict[str, CountedIndex] = {}


class Checkpoint(Struct, frozen=True):
    """Up to which number (`_seq_no`) an index has done all that it took, on every copy.

    Args:
        uuid: of the index.
        number: the number.
        copy: the node on which the primary lies; each copy counts its refreshes for itself.
        refreshes: how many its primary has ended.
        pending: whether its writer holds something in memory, which a refresh empties.
    """

    uuid: str
    number: int
    copy: str = ""
    refreshes: int = 0
    pending: bool = False


class ShardStats(Struct, frozen=True):
    """What is used of the statistics of a copy of a shard."""

    class Routing(Struct, frozen=True):
        """Which copy it is, and on which node."""

        primary: bool
        node: str | None = None

    class Numbers(Struct, frozen=True):
        """How far it is."""

        global_checkpoint: int

    class Segments(Struct, frozen=True):
        """What the writer holds in memory."""

        index_writer_memory_in_bytes: int = 1

    routing: Routing
    # A copy that starts says nothing of these yet; then something may wait for a refresh.
    seq_no: Numbers | None = None
    refresh: Refreshes = Refreshes()
    segments: Segments = Segments()


class StatsReply(Struct, frozen=True):
    """The statistics of some indices."""

    class OfIndex(Struct, frozen=True):
        """Those of one index, by shard."""

        uuid: str
        shards: dict[str, list[ShardStats]] = {}

    indices: dict[str, OfIndex] = {}


def checkpoint_of(name: str, of_index: StatsReply.OfIndex) -> Checkpoint | None:
    """Return how far the primary of an index is; None while there is none, or nobody knows which.

    While a primary changes, the copy that was it and the one that becomes it both say so: each node
    answers for itself, and learns of the change at a moment of its own.

    Raises:
        InternalError: it has several shards, each of which would count for itself.
    """
    if len(of_index.shards) > 1:
        raise InternalError(f"{name} has {len(of_index.shards)} shards, not one")
    copies = [one for shard in of_index.shards.values() for one in shard]
    primaries = [one for one in copies if one.routing.primary]
    if len(primaries) != 1:
        return None
    (primary,) = primaries
    if primary.seq_no is None:
        return None
    return Checkpoint(
        of_index.uuid,
        primary.seq_no.global_checkpoint,
        copy=primary.routing.node or "",
        refreshes=primary.refresh.external_total,
        pending=primary.segments.index_writer_memory_in_bytes > 0,
    )


class RefreshedReply(Struct, frozen=True):
    """What `_mget` answers about documents that are not there, by index."""

    class OfIndex(Struct, frozen=True):
        """What was answered of one of them; where that is no error, empty."""

        # Not `Raw | None`: of that msgspec reads `null` alone.
        error: Raw = Raw(b"")

    docs: list[OfIndex]


class PinnedReply(Struct, frozen=True):
    """A point in time."""

    pit_id: str


class MultiReply(Struct, frozen=True):
    """What `_msearch` answers: to each search, in their order."""

    responses: list[Raw]


class SearchStatus(Struct, frozen=True):
    """The status of one of these answers."""

    status: int


def decode(text: str | Raw, shape: type[T], what: str) -> T:
    """Return an answer of one shape.

    Raises:
        InternalError: it is something else.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except UNREADABLE as error:
        if isinstance(text, str):
            return _decode_odd(text, shape, what)
        raise InternalError(f"{what} is something else: {error}") from None


def _decode_odd(text: str, shape: type[T], what: str) -> T:
    """Read what somebody stored and nobody could read, in the form that a reader can."""
    try:
        return answer.decode(_HALF.sub("\N{REPLACEMENT CHARACTER}", text), shape)
    except UNREADABLE as error:
        raise InternalError(f"{what} is something else: {error}") from None


def read(reply: Reply, shape: type[T], what: str) -> T:
    """Return a good answer about indices that need not be there.

    Raises:
        UnavailableError: another moment may mend what is wrong.
        InternalError: a refusal, or something else.
    """
    refuse_unavailable(reply)
    if reply.status != HTTPStatus.OK:
        raise InternalError(f"{what}: {reply.status}: {reply.text[:1000]}") from _refusal(reply)
    return decode(reply.text, shape, what)


def split_multi(reply: Reply, asked: int) -> Sequence[Reply]:
    """Take so many answers out of one of `_msearch`; a refusal of the whole is that of each.

    Raises:
        InternalError: it is something else.
    """
    if reply.status != HTTPStatus.OK:
        return [reply] * asked
    texts = decode(reply.text, MultiReply, "the answer to a search").responses
    if len(texts) != asked:
        raise InternalError(f"{len(texts)} answers to {asked} searches")
    return [
        Reply(
            decode(text, SearchStatus, "the answer to a search").status,
            bytes(text).decode(),
            reply.headers,
        )
        for text in texts
    ]


def whole(reply: Reply, organization_id: str) -> Found:
    """Judge an answer: all of it, of this organisation alone, or an error."""
    refuse(reply)
    found = decode(reply.text, Found, "the answer to a search")
    if found.timed_out:
        raise TooSlowError
    if found.shards.failed:
        raise UnavailableError(
            "storage_incomplete",
            f"{found.shards.failed} of {found.shards.total} parts of the index did not answer",
        )
    if any(hit.sort[0] != organization_id for hit in found.hits.hits):
        raise ForeignEventError("search returned an event of another organisation")
    return found


def refuse(reply: Reply) -> None:
    """Refuse every answer but a good one."""
    refuse_unavailable(reply)
    is_refused = reply.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}
    if is_refused and any(gone in reply.text for gone in GONE):
        raise IndexGoneError
    if reply.status == HTTPStatus.NOT_FOUND and "search_context_missing_exception" in reply.text:
        raise UnavailableError("storage_incomplete", "the point in time is gone; begin anew")
    if reply.status != HTTPStatus.OK:
        cause = f"search refused with {reply.status}: {reply.text[:1000]}"
        raise InternalError(cause) from _refusal(reply)


def refuse_unavailable(reply: Reply) -> None:
    """Refuse what another moment may mend: overload, and failures of the cluster.

    Raises:
        NoCopyError: a shard has no copy to be asked; one that was asked and failed would be listed.
        UnavailableError: all else.
        InternalError: the reader is refused.
    """
    if reply.status == HTTPStatus.OK:
        return
    error = reply.text[:ERROR_CHARACTERS]
    if "index_closed_exception" in error:
        raise UnavailableError("storage_incomplete", "a part of the index is closed")
    # A 503 is the block of a node without a cluster manager, for all indices.
    is_leaderless = reply.status == HTTPStatus.SERVICE_UNAVAILABLE
    if "cluster_block_exception" in error and not is_leaderless:
        raise UnavailableError("storage_incomplete", "a part of the index is blocked")
    if (
        reply.status == HTTPStatus.TOO_MANY_REQUESTS
        or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        partial = "search_phase_execution" in error
        if partial and '"failed_shards":[]' in error:
            raise NoCopyError
        code = "storage_incomplete" if partial else "storage_unavailable"
        raise silent(code)
    if reply.status in {401, 403}:
        cause = f"OpenSearch refuses the reader with {reply.status}: {error[:300]}"
        raise InternalError(cause) from _refusal(reply)


def _refusal(reply: Reply) -> RefusedError:
    """The same for an operator, who is told what to do."""
    error = read_error(reply.text)
    return RefusedError("the search", reply.status, error.type, error.reason, asker="the reader")


def silent(code: str = "storage_unavailable") -> UnavailableError:
    """Return the refusal where the store says nothing, or is overloaded."""
    return UnavailableError(code, "the event store cannot be reached, or is overloaded")
