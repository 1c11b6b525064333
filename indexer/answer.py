"""What an answer to a bulk request means for each of its items: pure, no effects.

Whatever is not clearly the fault of one event keeps the event: it is sent again. Only a refusal
that names the document (`REFUSED`) or a document that alone is too large ends in the dead letter.
Error types are those of OpenSearch 3.4 (`OpenSearchException` in snake case).
"""

import re
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from itertools import islice
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from indexer.nesting import make_room

T = TypeVar("T")


class Outcome(Enum):
    """What to do with an item, or with all items of a request."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    """The id is said to be there; whether it is, and with this content, is still to be seen."""
    RETRY = "retry"
    BLOCKED = "blocked"
    """The index takes nothing for now (disk, an operator, a limit): wait, and say so."""
    HALTED = "halted"
    """Only an operator can help (credentials, roles, settings): wait slowly, and say so."""
    TOO_LARGE = "too large"
    REFUSED = "refused"


_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|u([dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Any escape of JSON; the group is half a surrogate pair that stands alone."""
_STORED_TEXT: Final = '{"create":{"status":201}}'
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding raises for a text that is no answer: another shape, letters that are none (the
library decodes with `surrogatepass`), brackets nested without end."""
BULK_FILTER: Final = "errors,items.*.status,items.*.error.type,items.*.error.reason"
"""`filter_path` of a bulk request: about 30 bytes for an item, none is left out, order stays."""

JUDGED_STATUS: Final = {
    # No word of a write: so answers a cluster whose ingest pipeline dropped the event (`noop`).
    200: Outcome.DUPLICATE,
    201: Outcome.CREATED,
    401: Outcome.HALTED,
    403: Outcome.HALTED,
    404: Outcome.HALTED,
    408: Outcome.RETRY,
    409: Outcome.DUPLICATE,
    413: Outcome.TOO_LARGE,
    425: Outcome.RETRY,
    429: Outcome.RETRY,
}
CLIENT_ERROR: Final = 4
NO_INDEX: Final = "index_not_found_exception"
OPERATOR_CLASSES: Final = (3, CLIENT_ERROR)
TRANSIENT_STATUS: Final = frozenset({408, 425, 429})
BLOCK_TYPES: Final = frozenset({"cluster_block_exception", "index_create_block_exception"})
EXISTS: Final = "resource_already_exists_exception"
"""400 when two requests create the same index at once."""
NOT_HERE: Final = "shard_not_found_exception"
"""404 of a node that the others do without, as one whose disk is full: it has the primary no more,
and does not know who has. Another node does."""
INDEX_TYPES: Final = frozenset(
    {
        "index_closed_exception",
        "invalid_index_name_exception",
        "invalid_index_template_exception",
        "validation_exception",  # the cluster's limit of shards: no fault of the event
        "snapshot_in_progress_exception",
    }
)
"""400s that speak of the index or the cluster: an event must not be thrown out for them."""
BAD_ARGUMENT: Final = "illegal_argument_exception"
_names_no_pipeline = re.compile(r"pipeline with id \[.*\] does not exist", re.DOTALL).fullmatch
"""The whole reason of a `BAD_ARGUMENT` that is the fault of the index: its setting `final_pipeline`
or `default_pipeline` (tried on 3.4.0). Whole, as the same type is said of events (a term that is
too long), and then the reason may quote one."""


class ItemError(Struct, frozen=True):
    """Why an item was not stored."""

    type: str = ""
    reason: str = ""


Stored = bytes | ItemError | None
"""The event under an id; None where none is; or why nobody could look (the copy that was asked is
down, the index is closed or blocked)."""


class ItemResult(Struct, frozen=True):
    """The part of an item's answer that is asked for (`BULK_FILTER`)."""

    status: int
    error: ItemError | None = None


class _Item(Struct, frozen=True):
    create: ItemResult


class _Answer(Struct, frozen=True):
    items: list[_Item]
    errors: bool


class _Stored(Struct, frozen=True, rename={"id": "_id", "source": "_source"}):
    id: str
    source: Raw = Raw(b"")
    found: bool | None = None
    error: ItemError | None = None

    def content(self) -> Stored:
        if self.found:
            return bytes(self.source)
        error = self.error or ItemError("lookup_failed")
        return None if self.found is False or error.type == NO_INDEX else error


class _StoredAnswer(Struct, frozen=True):
    docs: list[_Stored]


class _Told(Struct, frozen=True):
    type: str = ""
    reason: str | None = None
    """An exception without words has `null`: that there is no cluster manager, of 3.4.0."""


class _ErrorBody(Struct, frozen=True):
    error: _Told | str = ""


ALL_STORED: Final[list[ItemResult]] = []
"""Known by its identity: the answer that nearly every request gets needs no reading."""

_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_error = msgspec.json.Decoder(_ErrorBody).decode


def decode(text: str, shape: type[T]) -> T:
    """Read an answer of one shape, which may hold whatever somebody stored.

    Half a surrogate pair is no letter, and the cluster stores it all the same. As bytes it is taken
    as it stands, and as an escape it is spelled out; and there is room for all the levels that it
    reads: one forged event must not hide the others.

    Raises:
        UNREADABLE: it is something else.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except UNREADABLE:
        make_room()
        spelled = _ESCAPE.sub(lambda one: rf"\ufffd{one[1]}" if one[1] else one[0], text)
        return msgspec.json.decode(spelled.encode("utf-8", "surrogatepass"), type=shape)


def judge(status: int, error_type: str = "", reason: str = "") -> Outcome:
    """The outcome of one item by its status, and the type and reason of its error."""
    if _is_blocked(status, error_type) or error_type in INDEX_TYPES:
        return Outcome.BLOCKED
    if error_type == BAD_ARGUMENT and _names_no_pipeline(reason):
        return Outcome.BLOCKED
    if error_type in {EXISTS, NOT_HERE}:
        return Outcome.RETRY
    # Only 4xx is OpenSearch's word on the document; the rest is trouble on the way to it.
    otherwise = Outcome.REFUSED if status // 100 == CLIENT_ERROR else Outcome.RETRY
    return JUDGED_STATUS.get(status, otherwise)


def judge_request(status: int, error_type: str = "") -> Outcome:
    """The outcome of a whole request that was not answered with 200.

    Never CREATED or REFUSED: nothing was said of any item. A 400 for all of it (an old cluster, a
    proxy, a plain connection to a TLS port) is for an operator to look at; thrown out would be the
    whole backlog.
    """
    if _is_blocked(status, error_type):
        return Outcome.BLOCKED
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Outcome.TOO_LARGE
    if status // 100 in OPERATOR_CLASSES and status not in TRANSIENT_STATUS:
        return Outcome.HALTED
    return Outcome.RETRY


def _is_blocked(status: int, error_type: str) -> bool:
    """Whether somebody has to make room, or to lift a block.

    A 503 is the block of a node without a cluster manager, or without its state yet: it passes.
    """
    return error_type in BLOCK_TYPES and status != HTTPStatus.SERVICE_UNAVAILABLE


def read_items(text: str, expected: int) -> list[ItemResult] | None:
    """The items of a 200 answer in the order of the request, `ALL_STORED` if each is stored now.

    None when it is not a whole answer to a request of `expected` items (cut, another format,
    another number of items): then nothing is known of any of them.
    """
    if text == _all_stored_text(expected):
        return ALL_STORED
    try:
        answer = _decode_answer(text)
    except UNREADABLE:
        return None
    if len(answer.items) != expected:
        return None
    return [item.create for item in answer.items]


@lru_cache(maxsize=4)
def _all_stored_text(count: int) -> str:
    """What OpenSearch answers, by `BULK_FILTER`, when all of so many items are stored now."""
    return f'{{"errors":false,"items":[{",".join([_STORED_TEXT] * count)}]}}'


def read_stored(text: str, ids: Sequence[Sequence[str]]) -> list[Stored] | None:
    """What an answer to `_mget` says of each event.

    None in all when it is not a whole answer to these ids, of which an event may have several.
    """
    try:
        docs = decode(text, _StoredAnswer).docs
    except UNREADABLE:
        return None
    if [doc.id for doc in docs] != [one for of_event in ids for one in of_event]:
        return None
    contents = (doc.content() for doc in docs)
    return [_first_stored(list(islice(contents, len(of_event)))) for of_event in ids]


def _first_stored(contents: Sequence[Stored]) -> Stored:
    told = [one for one in contents if one is not None]
    return next((one for one in told if isinstance(one, bytes)), told[0] if told else None)


def read_error(text: str) -> ItemError:
    """The type and reason of an error body; what is not OpenSearch's own has no type."""
    try:
        error = _decode_error(text).error
    except UNREADABLE:
        return ItemError()
    if isinstance(error, str):
        return ItemError(reason=error)
    return ItemError(error.type, error.reason or "")
