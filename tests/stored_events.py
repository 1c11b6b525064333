"""What an index holds, read whole: every document with where it lies and its bytes."""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct
from opensearchpy import OpenSearch

from indexer.client import ask

PAGE = 5000


class Hit(Struct):
    """One document."""

    id: str = msgspec.field(name="_id")
    index: str = msgspec.field(name="_index")
    source: Raw = msgspec.field(name="_source")
    sort: list[object]

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


def read_stored(client: OpenSearch, prefix: str) -> Iterator[Hit]:
    """Every document under a prefix, in order of id; those of the log itself are left out."""
    after: list[object] = []
    while True:
        body: dict[str, object] = {
            "size": PAGE,
            "sort": [{"id": "asc"}, {"_index": "asc"}],
            "query": {"bool": {"must_not": {"term": {"organizationId": "_system"}}}},
        }
        if after:
            body["search_after"] = after
        reply = ask(client, "POST", f"/{prefix}-*/_search", body=msgspec.json.encode(body))
        assert reply.status == 200, reply.text[:500]
        page = msgspec.json.decode(reply.text, type=_Page).hits.hits
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].sort
