"""What an index holds, read whole: every document with where it lies and its bytes."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct
from opensearchpy import OpenSearch

from indexer.client import ask
from tests.event_ids import event_id_of

PAGE = 5000


class Hit(Struct):
    """One document."""

    stored_id: str = msgspec.field(name="_id")
    index: str = msgspec.field(name="_index")
    source: Raw = msgspec.field(name="_source")
    sort: list[object]

    @property
    def id(self) -> str:
        """That of the event."""
        return event_id_of(self.stored_id)

    @property
    def line(self) -> bytes:
        """The bytes that the emitter wrote."""
        line, separator, _ = bytes(self.source).rpartition(b',"ingestedAt":"')
        assert separator, self.source
        return line + b"}"


class _Hits(Struct):
    hits: list[Hit]


class _Page(Struct):
    hits: _Hits


class _Id(Struct):
    stored_id: str = msgspec.field(name="_id")
    sort: list[object]


class _Ids(Struct):
    hits: list[_Id]


class _IdPage(Struct):
    hits: _Ids


P = TypeVar("P", _Page, _IdPage)


def read_stored(client: OpenSearch, prefix: str) -> Iterator[Hit]:
    """Every document under a prefix, in order of id; those of the log itself are left out."""
    for page in _pages(client, prefix, _Page, lines=True):
        yield from page.hits.hits


def read_ids(client: OpenSearch, prefix: str) -> Iterator[str]:
    """The ids of the same, at a fraction of the cost."""
    for page in _pages(client, prefix, _IdPage, lines=False):
        for hit in page.hits.hits:
            yield event_id_of(hit.stored_id)


def _pages(client: OpenSearch, prefix: str, shape: type[P], *, lines: bool) -> Iterator[P]:
    after: list[object] = []
    while True:
        body: dict[str, object] = {
            "size": PAGE,
            "_source": lines,
            "sort": [{"id": "asc"}, {"_index": "asc"}],
            "query": {"bool": {"must_not": {"term": {"organizationId": "_system"}}}},
        }
        if after:
            body["search_after"] = after
        path = f"/{prefix}-*/_search"
        reply = ask(client, "POST", path, body=msgspec.json.encode(body), safe=True)
        assert reply.status == 200, reply.text[:500]
        page = msgspec.json.decode(reply.text, type=shape)
        yield page
        if len(page.hits.hits) < PAGE:
            return
        after = page.hits.hits[-1].sort
