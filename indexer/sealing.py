"""How a partition is sealed: no more writes, few segments, a digest of what it holds.

Each of these may be done again at any time, and is, after a crash: what is done already changes
nothing. All of them hold on when `beat` raises, which it does when the lease is lost or the process
is to end.
"""

from http import HTTPStatus

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.beat import Beat, pauses
from indexer.client import request_shape
from indexer.digest import Digest, digest_partition
from indexer.errors import RefusedError


class _Blocked(Struct, frozen=True):
    acknowledged: bool
    shards_acknowledged: bool


class _Task(Struct, frozen=True):
    task: str


class _Shards(Struct, frozen=True):
    failed: int


class _Broadcast(Struct, frozen=True, rename={"shards": "_shards"}):
    """What came of something that is done on every copy."""

    shards: _Shards


class _TaskError(Struct, frozen=True):
    type: str
    reason: str | None = None


class _TaskState(Struct, frozen=True):
    completed: bool
    error: _TaskError | None = None
    response: _Broadcast | None = None


def block(client: OpenSearch, name: str) -> None:
    """Let it take no more writes; returns when those under way have ended on every copy.

    Raises:
        RefusedError: the cluster refused, or not every copy has taken it yet.
        NoAnswerError: it may be blocked.
    """
    path = f"/{name}/_block/write"
    answer = request_shape(client, "PUT", path, _Blocked)
    if answer is None or not (answer.acknowledged and answer.shards_acknowledged):
        raise RefusedError(
            f"PUT {path}", HTTPStatus.OK, "not_acknowledged", "not by every copy of it yet"
        )


def merge(client: OpenSearch, name: str, segments: int, beat: Beat) -> None:
    """Merge it into so many segments, however long that takes.

    Raises:
        RefusedError: the cluster refused, or a copy of it is not merged.
        NoAnswerError: see `indexer.client.request`; it may go on in the cluster.
    """
    path = f"/{name}/_forcemerge"
    params = {"max_num_segments": str(segments), "wait_for_completion": "false"}
    started = request_shape(client, "POST", path, _Task, params=params)
    ended = None if started is None else _await(client, started, beat)
    # Of what is begun in the background, a refusal stands in its outcome alone.
    if ended is not None and ended.error is not None:
        error = ended.error
        raise RefusedError(f"POST {path}", HTTPStatus.OK, error.type, error.reason or "")
    if ended is not None and ended.response is not None and ended.response.shards.failed:
        raise RefusedError(f"POST {path}", HTTPStatus.OK, "not_merged", "not every copy of it is")
    refresh(client, name)


def _await(client: OpenSearch, started: _Task, beat: Beat) -> _TaskState | None:
    """Its outcome; None where the cluster knows nothing of it any more."""
    for _ in pauses(beat):
        state = request_shape(client, "GET", f"/_tasks/{started.task}", _TaskState)
        if state is None or state.completed:
            return state
    return None


def refresh(client: OpenSearch, name: str) -> None:
    """Let searches see all that was written.

    Raises:
        RefusedError: the cluster refused, or a copy did not do it.
        NoAnswerError: see `indexer.client.request`.
    """
    path = f"/{name}/_refresh"
    answer = request_shape(client, "POST", path, _Broadcast, safe=True)
    if answer is None or answer.shards.failed:
        raise RefusedError(
            f"POST {path}", HTTPStatus.OK, "not_refreshed", "not every copy of it did"
        )


def digest(client: OpenSearch, reader: OpenSearch, name: str, beat: Beat) -> Digest:
    """Read all of it, and say what that is.

    Args:
        client: of the role `lifecycle`.
        reader: of the role `reader`.
        name: of an index that takes no more writes.
        beat: called after each page.

    Raises:
        DigestError: it could not be read as a whole.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    refresh(client, name)
    return digest_partition(reader, name, report=lambda _done, _of: beat())
