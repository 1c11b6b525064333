"""Where API tokens are kept: an index of the cluster of its own, beside the log.

It has digests and never a token. Each call is about one organisation but for `find`, which has only
the token to go by. What is found by its id is what was written last, refreshed or not.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.answer import EXISTS, UNREADABLE, read_error
from indexer.client import Reply, ask
from indexer.errors import NoAnswerError
from indexer.names import tokens_name
from indexer.settings import IndexSettings
from webapi.errors import UnavailableError

T = TypeVar("T")

LISTED: Final = 200
_MISSING: Final = "index_not_found_exception"
_MAPPING: Final = {
    "dynamic": False,
    "properties": {"organizationId": {"type": "keyword"}, "endsAt": {"type": "date"}},
}


class StoredToken(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One token as it is kept, instants in RFC 3339; `endsAt` is when it ends or ended."""

    organization_id: str
    name: str
    scopes: tuple[str, ...]
    plan: str
    digest: str
    created_at: str
    created_by: str
    created_by_email: str | None = None
    expires_at: str
    ends_at: str
    revoked_at: str | None = None
    last_used_at: str | None = None


class _Found(Struct, frozen=True):
    source: StoredToken | None = msgspec.field(default=None, name="_source")


class _Hit(Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    source: StoredToken = msgspec.field(name="_source")


class _Hits(Struct, frozen=True):
    hits: list[_Hit]


class _Answer(Struct, frozen=True):
    hits: _Hits


class TokenStore:
    """The tokens of all organisations.

    Every method raises `UnavailableError` where the cluster does not answer, or refuses.

    Args:
        client: of the role `tokens`.
        settings: the prefix, and how many copies there are.
    """

    def __init__(self, client: OpenSearch, settings: IndexSettings) -> None:
        self._client = client
        self._index = tokens_name(settings)
        self._replicas = settings.replicas

    def find(self, token_id: str) -> StoredToken | None:
        """Return a token by its id, whoever's it is."""
        path = f"/{self._index}/_doc/{token_id}"
        reply = self._ask("GET", path, params={"preference": "_primary"})
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        return _decode(reply, _Found).source

    def add(self, token_id: str, token: StoredToken) -> None:
        """Keep a new token; listed at once."""
        path, body = f"/{self._index}/_create/{token_id}", msgspec.json.encode(token)
        params = {"refresh": "true", "require_alias": "false"}
        self._have_index()
        reply = self._ask("PUT", path, params=params, body=body)
        if reply.status != HTTPStatus.CREATED:
            raise _refused(reply)

    def of(self, organization_id: str) -> list[tuple[str, StoredToken]]:
        """Return ids and tokens of an organisation: those that end last first, at most `LISTED`."""
        query = {
            "query": {"bool": {"filter": [{"term": {"organizationId": organization_id}}]}},
            "sort": [{"endsAt": "desc"}],
            "size": LISTED,
        }
        body = msgspec.json.encode(query)
        params = {"allow_partial_search_results": "false"}
        reply = self._ask("POST", f"/{self._index}/_search", params=params, body=body)
        if reply.status == HTTPStatus.NOT_FOUND and _MISSING in reply.text:
            return []
        hits = _decode(reply, _Answer).hits.hits
        return [(hit.id, hit.source) for hit in hits]

    def change(self, token_id: str, fields: Mapping[str, str], *, refresh: bool) -> None:
        """Change some fields of a token and leave the others as they are by then."""
        params = {"refresh": "true" if refresh else "false", "retry_on_conflict": "3"}
        body = msgspec.json.encode({"doc": fields})
        reply = self._ask("POST", f"/{self._index}/_update/{token_id}", params=params, body=body)
        if reply.status != HTTPStatus.OK:
            raise _refused(reply)

    def _have_index(self) -> None:
        """Make the index with its mapping: one that a write made would know no organisations."""
        settings = {"number_of_shards": 1, "number_of_replicas": self._replicas, "hidden": True}
        body = msgspec.json.encode({"settings": {"index": settings}, "mappings": _MAPPING})
        reply = self._ask("PUT", f"/{self._index}", body=body)
        if reply.status != HTTPStatus.OK and read_error(reply.text).type != EXISTS:
            raise _refused(reply)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        try:
            return ask(self._client, method, path, params=params, body=body)
        except NoAnswerError as error:
            raise _unavailable() from error


def _decode(reply: Reply, shape: type[T]) -> T:
    if reply.status != HTTPStatus.OK:
        raise _refused(reply)
    try:
        return msgspec.json.decode(reply.text, type=shape)
    except UNREADABLE as error:
        raise _unavailable() from error


def _refused(reply: Reply) -> UnavailableError:
    error = _unavailable()
    error.__cause__ = RuntimeError(f"{reply.status}: {reply.text[:300]}")
    return error


def _unavailable() -> UnavailableError:
    return UnavailableError("tokens_unavailable", "their store does not answer as it should")
