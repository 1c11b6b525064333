"""Reading everything that is stored, as it lies there, and what is looked for again.

In any other order it is read many times more slowly (docs/decisions.md): OpenSearch keeps an
unpacked block of events for the next one only while documents come without any left out. A point in
time of one index at a time keeps its pages together.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct, field
from opensearchpy import OpenSearch

from audit_events.envelope import UNREADABLE, decode_envelope
from audit_events.errors import LineError
from audit_events.event import SYSTEM_ORGANIZATION
from indexer.chain_runs import StoredEvent
from indexer.client import request, request_shape
from indexer.errors import NoAnswerError, RefusedError, StoreError
from indexer.names import EXPAND_ALL, read_indices
from indexer.settings import IndexSettings
from indexer.span import Span, span_of

PAGE_EVENTS: Final = 2000
"""At most 128 MB where every event is as long as one may be, 2 MB of usual ones."""
RECORDS: Final = 100
FOREIGN_CHARACTERS: Final = 200
"""Of what is no event, to find it by."""
_SETTINGS: Final = "index.uuid,index.verified_before_close"
_KEEP: Final = "5m"
_AS_STORED: Final = [{"_doc": "asc"}, {"_shard_doc": "asc"}]
"""The first is quick, the second tells several shards apart."""
_WHOLE: Final = {"allow_partial_search_results": "false"}
_NEVER: Final = Span(*[datetime.max.replace(tzinfo=UTC)] * 2)


class StoredIndex(Struct, frozen=True):
    """An index with events."""

    name: str
    uuid: str
    closed: bool
    span: Span | None
    """None of the journal, and of what has no date in its name."""


class GapRecord(Struct, frozen=True):
    """An agent told that events were missing."""

    timestamp: str
    first: int
    last: int


class _Range(Struct, rename="camel"):
    first_seq: int
    last_seq: int


class _Told(Struct):
    timestamp: str
    context: _Range


class _Settings(Struct):
    settings: dict[str, str] = {}


class _Hit(Struct, rename={"source": "_source", "index": "_index"}):
    index: str
    source: Raw
    sort: list[int]


class _Total(Struct, frozen=True):
    value: int


class _Hits(Struct):
    hits: list[_Hit]
    total: _Total = _Total(0)


class _Shards(Struct):
    total: int
    successful: int


class _Answer(Struct):
    timed_out: bool
    hits: _Hits
    shards: _Shards = field(name="_shards")


class _Pinned(Struct):
    pit_id: str


def list_stored(client: OpenSearch, settings: IndexSettings) -> list[StoredIndex]:
    """Every partition, index of late events and the journal, the oldest first.

    Raises:
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    path = f"/{read_indices(settings)}/_settings/{_SETTINGS}"
    params = {**EXPAND_ALL, "flat_settings": "true"}
    found = request_shape(client, "GET", path, dict[str, _Settings], params=params) or {}
    stored = [
        StoredIndex(
            name,
            one.settings.get("index.uuid", ""),
            one.settings.get("index.verified_before_close") == "true",
            span_of(name, settings),
        )
        for name, one in found.items()
    ]
    return sorted(stored, key=lambda one: (one.span or _NEVER, one.name))


def read_stored(client: OpenSearch, name: str) -> Iterator[list[Raw]]:
    """The stored bytes of every document of an index, a page at a time, as they lie there.

    Raises:
        StoreError: no such index, or an answer that is not whole.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    with _pinned(client, name) as pit:
        body: dict[str, object] = {
            "size": PAGE_EVENTS,
            "track_total_hits": False,
            "sort": _AS_STORED,
            "pit": {"id": pit, "keep_alive": _KEEP},
        }
        while True:
            # Without the index, which the point in time names.
            hits = _search(client, name, body, path="/_search", params=_WHOLE).hits.hits
            yield [hit.source for hit in hits]
            if len(hits) < PAGE_EVENTS:
                return
            body["search_after"] = hits[-1].sort


def count_stored(client: OpenSearch, name: str) -> int:
    """How many documents an index has.

    Raises:
        StoreError, RefusedError, NoAnswerError: see `read_stored`.
    """
    return _search(client, name, {"size": 0, "track_total_hits": True}).hits.total.value


def read_event(index: str, line: bytes) -> StoredEvent | str:
    """A document as an event, or what is wrong with one that is none. Pure."""
    try:
        one = decode_envelope(line)
    except LineError as error:
        return f"{error}: {line[:FOREIGN_CHARACTERS].decode(errors='replace')}"
    source = one.source
    return StoredEvent(index, source.id, source.seq, one.id, one.timestamp, one.hash, line)


def find_source(
    client: OpenSearch, settings: IndexSettings, source_id: str, first: int, last: int
) -> list[StoredEvent]:
    """The first events of a source from `first` to `last`, wherever and whenever they are.

    Args:
        client: of the role `reader`.
        settings: the prefix.
        source_id: of the source.
        first: the first `seq`.
        last: the last `seq`, included.

    Raises:
        StoreError, RefusedError, NoAnswerError: see `read_stored`.
    """
    terms = [
        {"term": {"source.id": source_id}},
        {"range": {"source.seq": {"gte": first, "lte": last}}},
    ]
    body = {
        "size": PAGE_EVENTS,
        "track_total_hits": False,
        "query": _all_of(terms),
        "sort": [{"source.seq": "asc"}],
    }
    hits = _search(client, read_indices(settings), body).hits.hits
    found = (read_event(hit.index, bytes(hit.source)) for hit in hits)
    return [one for one in found if isinstance(one, StoredEvent)]


def find_gap_records(
    client: OpenSearch, settings: IndexSettings, source_id: str
) -> list[GapRecord]:
    """What agents told of events of a source that they missed, the newest first.

    Raises:
        StoreError, RefusedError, NoAnswerError: see `read_stored`.
    """
    terms = [
        {"term": {"organizationId": SYSTEM_ORGANIZATION}},
        {"term": {"action": "audit_log.gap_detected"}},
        {"term": {"resource.id": source_id}},
    ]
    body = {"size": RECORDS, "query": _all_of(terms), "sort": [{"timestamp": "desc"}]}
    hits = _search(client, read_indices(settings), body).hits.hits
    records: list[GapRecord] = []
    for hit in hits:
        with suppress(*UNREADABLE):
            told = msgspec.json.decode(hit.source, type=_Told)
            context = told.context
            records.append(GapRecord(told.timestamp, context.first_seq, context.last_seq))
    return records


def _all_of(terms: Sequence[object]) -> object:
    return {"bool": {"filter": terms}}


@contextmanager
def _pinned(client: OpenSearch, name: str) -> Generator[str]:
    path = f"/{name}/_search/point_in_time"
    params = {"keep_alive": _KEEP, "allow_partial_pit_creation": "false"}
    pinned = request_shape(client, "POST", path, _Pinned, params=params, safe=True)
    if pinned is None:
        raise StoreError(f"{name} is not there any more")
    try:
        yield pinned.pit_id
    finally:
        # It goes by itself.
        with suppress(RefusedError, NoAnswerError):
            request(client, "DELETE", "/_search/point_in_time", body={"pit_id": [pinned.pit_id]})


def _search(
    client: OpenSearch,
    name: str,
    body: object,
    *,
    path: str | None = None,
    params: dict[str, str] | None = None,
) -> _Answer:
    path = path or f"/{name}/_search"
    params = params or {**_WHOLE, "expand_wildcards": "open,hidden", "request_cache": "false"}
    found = request_shape(client, "POST", path, _Answer, params=params, body=body, safe=True)
    if found is None or (not found.shards.total and "*" not in name):
        raise StoreError(f"{name}, or the point in time of it, is not there any more")
    if found.timed_out or found.shards.successful != found.shards.total:
        raise StoreError(f"parts of {name} did not answer")
    return found
