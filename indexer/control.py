"""The control document: the one thing in the cluster that the lifecycle changes.

It says who looks after the partitions (`indexer.lease`) and which one is being deleted just now, so
that `hold add` can see it. It lies outside of what is write-once, and is changed by optimistic
concurrency alone: a write names the `_seq_no` and `_primary_term` that it read, and one of two
writers is refused (409).
"""

from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.answer import EXISTS, read_error
from indexer.client import ask, read_reply, refusal, request_shape
from indexer.names import control_name
from indexer.settings import IndexSettings

DOCUMENT: Final = "lifecycle"


class Version(NamedTuple):
    """Which write of the document it is; another write always has another one."""

    seq_no: int
    primary_term: int


class LastRound(Struct, frozen=True, rename="camel"):
    """What the last round came to, whoever took it: for people."""

    ended_at: str
    """By the clock of who took it."""
    problems: int = 0
    """How many steps could not be taken; 1 where the round could not be ended."""
    what: str = ""
    """The first of them."""
    hint: str = ""


class Control(Struct, frozen=True, rename="camel"):
    """What the document says."""

    holder: str = ""
    """Who has the lease; empty when it was given back."""
    deleting: str | None = None
    """The index whose deletion is decided on, until it is known what became of it."""
    journal: str | None = None
    """The uuid of the journal: with another one, its holds are gone."""
    renewed_at: str = ""
    """By the clock of the holder: for people, nothing is decided by it."""
    last_round: LastRound | None = None


class ControlDocument:
    """Reads and writes the document.

    Args:
        client: of the role `lifecycle`.
        settings: the prefix, and how many copies there are.
    """

    def __init__(self, client: OpenSearch, settings: IndexSettings) -> None:
        self._client = client
        self._index = control_name(settings)
        self._replicas = settings.replicas

    def read(self) -> tuple[Control, Version] | None:
        """The document as it is now, refreshed or not; None where there is none.

        Raises:
            RefusedError, NoAnswerError: see `indexer.client.request`.
        """
        path, params = f"/{self._index}/_doc/{DOCUMENT}", {"preference": "_primary"}
        found = request_shape(self._client, "GET", path, _Found, params=params)
        if found is None or found.source is None:
            return None
        return found.source, Version(found.seq_no, found.primary_term)

    def write(self, control: Control, expected: Version | None) -> Version | None:
        """Write it in the place of what was read; None when somebody else was first.

        Args:
            control: what it is to say.
            expected: the version that was read, None where there was none.

        Raises:
            RefusedError, NoAnswerError: see `indexer.client.request`; after the second it may have
                been written.
        """
        if expected is None:
            self._create_index()
            path, params = f"/{self._index}/_create/{DOCUMENT}", {}
        else:
            path = f"/{self._index}/_doc/{DOCUMENT}"
            params = {
                "if_seq_no": str(expected.seq_no),
                "if_primary_term": str(expected.primary_term),
            }
        body = msgspec.json.encode(control)
        reply = ask(self._client, "PUT", path, params=params, body=body)
        if reply.status == HTTPStatus.CONFLICT:
            return None
        written = read_reply(self._client, "PUT", path, reply, _Written)
        return Version(written.seq_no, written.primary_term)

    def _create_index(self) -> None:
        settings = {"number_of_shards": 1, "number_of_replicas": self._replicas, "hidden": True}
        body = {"settings": {"index": settings}, "mappings": {"dynamic": False}}
        path = f"/{self._index}"
        reply = ask(self._client, "PUT", path, body=msgspec.json.encode(body))
        exists = read_error(reply.text).type == EXISTS
        if reply.status != HTTPStatus.OK and not exists:
            raise refusal(self._client, "PUT", path, reply)


class _Found(Struct, frozen=True, rename={"seq_no": "_seq_no", "source": "_source"}):
    source: Control | None = None
    seq_no: int = -1
    primary_term: int = msgspec.field(default=-1, name="_primary_term")


class _Written(Struct, frozen=True, rename={"seq_no": "_seq_no"}):
    seq_no: int
    primary_term: int = msgspec.field(name="_primary_term")
