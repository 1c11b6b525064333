"""Asking OpenSearch: a `ScopedSearch` goes out, whole events come back as the bytes they are.

An answer that is not whole is an error (DESIGN.md section 6): failed shards, a timeout, a hit of
another organisation.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct, field
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout

from indexer.answer import UNREADABLE
from indexer.client import Reply, ask
from indexer.errors import NoAnswerError
from indexer.names import EXPAND_ALL, events_pattern, events_template, late_pattern, read_indices
from indexer.settings import IndexSettings
from webapi.errors import IndexGoneError, InternalError, UnavailableError
from webapi.listing import Listed
from webapi.query import ScopedSearch

T = TypeVar("T")

OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
TOO_MANY_REQUESTS: Final = 429
SERVER_ERROR: Final = 500
ERROR_CHARACTERS: Final = 2000
SEARCH_PARAMS: Final = {
    "allow_partial_search_results": "false",
    "allow_no_indices": "true",
    **EXPAND_ALL,
}
"""Before the first event there is no index, and that is no error. A closed partition is one: left
out of the pattern, its events would be missing from the answer without a word. So would those of a
hidden one, which is searched as any other."""
LIST_PARAMS: Final = {**EXPAND_ALL, "flat_settings": "true"}
LISTED: Final = "index.uuid,index.blocks.write,index.verified_before_close"
COUNT_PARAMS: Final = {
    "ignore_unavailable": "true",
    "expand_wildcards": "open,hidden",
    "filter_path": "indices.*.uuid,indices.*.primaries.docs.count",
}
KEEP_PINNED: Final = "5m"
"""How long a point in time stays without being asked: a client that takes what was asked for more
slowly than that loses it."""
PIN_PARAMS: Final = {
    "keep_alive": KEEP_PINNED,
    "allow_partial_pit_creation": "false",
    **EXPAND_ALL,
}
PINNED_PARAMS: Final = {"allow_partial_search_results": "false"}
STATS_PARAMS: Final = {
    **EXPAND_ALL,
    "level": "shards",
    "filter_path": "indices.*.uuid,indices.*.shards.*.routing.primary"
    ",indices.*.shards.*.seq_no.global_checkpoint",
}
MAX_PATH_BYTES: Final = 3000
"""OpenSearch takes 4,096 for the whole line; more names than that go by `_msearch`."""


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
        try:
            return msgspec.json.decode(self.aggregations, type=shape)
        except UNREADABLE as error:
            raise InternalError(f"search answered with something else: {error}") from None

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


class CountedIndex(Struct, frozen=True):
    """The statistics of one index."""

    uuid: str
    primaries: Primaries | None = None


class CountedReply(Struct, frozen=True):
    """The statistics of indices, by name."""

    indices: dict[str, CountedIndex] = {}


class Checkpoint(Struct, frozen=True):
    """Up to which number (`_seq_no`) an index has done all that it took, on every copy."""

    uuid: str
    number: int


class ShardStats(Struct, frozen=True):
    """What is used of the statistics of a copy of a shard."""

    class Routing(Struct, frozen=True):
        """Which copy it is."""

        primary: bool

    class Numbers(Struct, frozen=True):
        """How far it is."""

        global_checkpoint: int

    routing: Routing
    seq_no: Numbers


class StatsReply(Struct, frozen=True):
    """The statistics of some indices."""

    class OfIndex(Struct, frozen=True):
        """Those of one index, by shard."""

        uuid: str
        shards: dict[str, list[ShardStats]] = {}

    indices: dict[str, OfIndex] = {}


class PinnedReply(Struct, frozen=True):
    """A point in time."""

    pit_id: str


class PartsReply(Struct, frozen=True):
    """What `_msearch` answers."""

    responses: list[Raw]


class Part(Struct, frozen=True):
    """The status of the one answer in an answer of `_msearch`."""

    status: int


class Storage:
    """The events of all organisations, of which a search sees one.

    Args:
        client: connected as the reader.
        index: names of the partitions.
        timeout_seconds: how long one search may take.
        told: is told of each question how many seconds it took, and whether it was answered.
    """

    def __init__(
        self,
        client: OpenSearch,
        index: IndexSettings,
        timeout_seconds: float,
        told: Callable[[float, bool], None] = lambda _seconds, _answered: None,
    ) -> None:
        self._told = told
        self._client = client
        self._index = index
        self._timeout_seconds = timeout_seconds

    def search(
        self, search: ScopedSearch, indices: Sequence[str] = (), *, primary: bool = False
    ) -> Found:
        """Return the whole answer, of some indices (names and patterns) or of all.

        With `primary` only the copies are asked that take what is written.

        Raises:
            IndexGoneError: one of the names is none of an index.
            UnavailableError: no answer, a late one, or one in part.
            InternalError: a refusal, or an answer that cannot be what was asked for.
        """
        body = msgspec.json.encode(search.body(self._timeout_seconds))
        names = ",".join(indices) or read_indices(self._index)
        params = {**SEARCH_PARAMS, "preference": "_primary"} if primary else SEARCH_PARAMS
        if len(names) <= MAX_PATH_BYTES:
            reply = self._ask("POST", f"/{names}/_search", params=params, body=body)
        else:
            header = msgspec.json.encode({"index": names.split(","), **params})
            asked = b"%b\n%b\n" % (header, body)
            reply = only_part(self._ask("POST", "/_msearch", body=asked))
        return whole(reply, search.organization_id)

    def pin(self, indices: Sequence[str]) -> str | None:
        """Open a point in time of some indices (names and patterns); None where none is there.

        It stays for `KEEP_PINNED` after each search of it, and has to be given up by `unpin`.

        Raises:
            IndexGoneError, UnavailableError, InternalError: as `search`.
        """
        path = f"/{','.join(indices)}/_search/point_in_time"
        reply = self._ask("POST", path, params=PIN_PARAMS)
        if reply.status == BAD_REQUEST and "invalid id: [null]" in reply.text:
            # What OpenSearch makes of patterns without an index (tried on 3.4.0).
            return None
        refuse(reply)
        try:
            return msgspec.json.decode(reply.text, type=PinnedReply).pit_id
        except UNREADABLE as error:
            raise InternalError(f"a point in time is something else: {error}") from None

    def search_pinned(self, search: ScopedSearch, pinned: str) -> Found:
        """Return the whole answer, as of a point in time.

        Raises:
            UnavailableError, InternalError: as `search`; the first also when it is gone.
        """
        place = {"id": pinned, "keep_alive": KEEP_PINNED}
        body = msgspec.json.encode({**search.body(self._timeout_seconds), "pit": place})
        reply = self._ask("POST", "/_search", params=PINNED_PARAMS, body=body)
        return whole(reply, search.organization_id)

    def unpin(self, pinned: str) -> None:
        """Give a point in time up; one that is gone already is no error.

        Raises:
            UnavailableError: no answer, so that it goes by itself after `KEEP_PINNED`.
        """
        body = msgspec.json.encode({"pit_id": [pinned]})
        self._ask("DELETE", "/_search/point_in_time", body=body)

    def list_indices(self) -> Mapping[str, Listed]:
        """Return what there is of partitions and indices of late events, by name.

        Raises:
            UnavailableError: no answer.
            InternalError: a refusal, or an answer that cannot be what was asked for.
        """
        path = f"/{events_pattern(self._index)},{late_pattern(self._index)}/_settings/{LISTED}"
        reply = self._ask("GET", path, params=LIST_PARAMS)
        refuse_unavailable(reply)
        if reply.status != OK:
            raise InternalError(f"the list of indices: {reply.status}: {reply.text[:1000]}")
        try:
            rows = msgspec.json.decode(reply.text, type=dict[str, ListedReply])
        except UNREADABLE as error:
            raise InternalError(f"the list of indices is something else: {error}") from None
        return {name: row.settings for name, row in rows.items()}

    def count_documents(self, names: Sequence[str]) -> Mapping[str, int]:
        """Return how many documents indices have, by uuid, without those that do not say.

        Raises:
            UnavailableError: no answer.
            InternalError: a refusal, or an answer that cannot be what was asked for.
        """
        asked = ",".join(names)
        if len(asked) > MAX_PATH_BYTES:
            asked = f"{events_pattern(self._index)},{late_pattern(self._index)}"
        reply = self._ask("GET", f"/{asked}/_stats/docs", params=COUNT_PARAMS)
        refuse_unavailable(reply)
        if reply.status != OK:
            raise InternalError(f"the sizes of indices: {reply.status}: {reply.text[:1000]}")
        try:
            rows = msgspec.json.decode(reply.text, type=CountedReply).indices.values()
        except UNREADABLE as error:
            raise InternalError(f"the sizes of indices are something else: {error}") from None
        return {
            row.uuid: row.primaries.docs.count
            for row in rows
            if row.primaries is not None and row.primaries.docs is not None
        }

    def checkpoints(self, indices: Sequence[str]) -> Mapping[str, Checkpoint]:
        """Return how far the primaries of some indices (names and patterns) are, by name.

        Raises:
            IndexGoneError, UnavailableError, InternalError: as `search`; the last also for an index
                of several shards, each of which would count for itself.
        """
        names = ",".join(indices)
        if len(names) > MAX_PATH_BYTES:
            names = read_indices(self._index)
        reply = self._ask("GET", f"/{names}/_stats/docs", params=STATS_PARAMS)
        refuse(reply)
        try:
            found = msgspec.json.decode(reply.text, type=StatsReply).indices
        except UNREADABLE as error:
            raise InternalError(f"statistics are something else: {error}") from None
        checkpoints: dict[str, Checkpoint] = {}
        for name, of_index in found.items():
            copies = [one for shard in of_index.shards.values() for one in shard]
            primaries = [one for one in copies if one.routing.primary]
            if len(primaries) > 1:
                raise InternalError(f"{name} has {len(primaries)} shards, not one")
            for one in primaries:
                checkpoints[name] = Checkpoint(of_index.uuid, one.seq_no.global_checkpoint)
        return checkpoints

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
        raise _silent()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        begin = time.perf_counter()
        try:
            reply = ask(self._client, method, path, params=params, body=body, safe=True)
        except NoAnswerError as error:
            self._told(time.perf_counter() - begin, False)  # noqa: FBT003  # as it is named
            if isinstance(error.__cause__, ConnectionTimeout):
                raise _too_slow() from error
            raise _silent() from error
        self._told(time.perf_counter() - begin, True)  # noqa: FBT003  # as it is named
        return reply


def only_part(reply: Reply) -> Reply:
    """Take the one answer out of an answer of `_msearch`; a refusal of the whole stays as it is."""
    if reply.status != OK:
        return reply
    try:
        (text,) = msgspec.json.decode(reply.text, type=PartsReply).responses
        status = msgspec.json.decode(text, type=Part).status
    except UNREADABLE as error:
        raise InternalError(f"search answered with something else: {error}") from None
    return Reply(status, bytes(text).decode(), reply.headers)


def whole(reply: Reply, organization_id: str) -> Found:
    """Judge an answer: all of it, of this organisation alone, or an error."""
    refuse(reply)
    try:
        found = msgspec.json.decode(reply.text, type=Found)
    except UNREADABLE as error:
        raise InternalError(f"search answered with something else: {error}") from None
    if found.timed_out:
        raise _too_slow()
    if found.shards.failed:
        raise UnavailableError(
            "storage_incomplete",
            f"{found.shards.failed} of {found.shards.total} parts of the index did not answer",
        )
    if any(hit.sort[0] != organization_id for hit in found.hits.hits):
        raise InternalError("search returned an event of another organisation")
    return found


def refuse(reply: Reply) -> None:
    """Refuse every answer but a good one."""
    refuse_unavailable(reply)
    if reply.status == NOT_FOUND and "index_not_found_exception" in reply.text:
        raise IndexGoneError
    if reply.status == NOT_FOUND and "search_context_missing_exception" in reply.text:
        raise UnavailableError("storage_incomplete", "the point in time is gone; begin anew")
    if reply.status != OK:
        raise InternalError(f"search refused with {reply.status}: {reply.text[:1000]}")


def refuse_unavailable(reply: Reply) -> None:
    """Refuse what another moment may mend: overload, and failures of the cluster."""
    if reply.status == OK:
        return
    error = reply.text[:ERROR_CHARACTERS]
    if "index_closed_exception" in error:
        raise UnavailableError("storage_incomplete", "a part of the index is closed")
    if "cluster_block_exception" in error:
        raise UnavailableError("storage_incomplete", "a part of the index is blocked")
    if reply.status == TOO_MANY_REQUESTS or reply.status >= SERVER_ERROR:
        partial = "search_phase_execution" in error
        code = "storage_incomplete" if partial else "storage_unavailable"
        raise _silent(code)
    if reply.status in {401, 403}:
        raise InternalError(f"OpenSearch refuses the reader with {reply.status}: {error[:300]}")


def _silent(code: str = "storage_unavailable") -> UnavailableError:
    return UnavailableError(code, "the event store cannot be reached, or is overloaded")


def _too_slow() -> UnavailableError:
    return UnavailableError("storage_timeout", "the question took too long; ask for a shorter time")
