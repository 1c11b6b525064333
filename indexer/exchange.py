"""One request of the bulk writer: paced, sent, and its answer judged as a whole."""

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.answer import BULK_FILTER, ItemError, Outcome, judge_request, read_error
from indexer.backoff import Backoff, retry_after_seconds
from indexer.batch import Body
from indexer.client import Reply, ask
from indexer.errors import NoAnswerError
from indexer.figures import Figures
from indexer.pace import Pace, Turn
from indexer.request import CONGESTED_FLOOR_BYTES, UNANSWERED_FLOOR_BYTES, RequestLimit

BULK: Final = "/_bulk"
MGET: Final = "/_mget"
PRIMARY_SECONDS: Final = 10
"""How long OpenSearch waits for a partition that has no primary, which is longer than it takes to
promote a replica. Less than `timeout_seconds` of the client: the answer is then a 503 for the items
of that partition alone, not a silence for all, which would be taken for too large a request."""
PARAMS: Final = {
    BULK: {"filter_path": BULK_FILTER, "timeout": f"{PRIMARY_SECONDS}s"},
    # The primary has all that was ever acknowledged; a replica may not have it yet. Without a
    # `filter_path`, which would write the events anew.
    MGET: {"preference": "_primary"},
}
NOT_AN_ANSWER: Final = ItemError("not_an_answer", "the answer is cut, or is not OpenSearch's")

T = TypeVar("T")


class Failure(Struct, frozen=True):
    """Nothing is known of any item of a request."""

    outcome: Outcome
    error: ItemError


class Exchange:
    """Asks the cluster for all writers; thread-safe.

    Args:
        client: of the role `writer`.
        backoff: the pace of attempts that go wrong.
        at_once: requests at a time, at most.
        stop: ends a wait.
        figures: where requests are counted by how they ended.
    """

    def __init__(
        self,
        client: OpenSearch,
        backoff: Backoff,
        at_once: int,
        stop: threading.Event,
        figures: Figures,
    ) -> None:
        self._client = client
        self._figures = figures
        self.pace = Pace(backoff, at_once, stop)
        self.limit = RequestLimit()

    def ask(self, path: str, body: Body, read: Callable[[str], T | None]) -> T | Failure:
        """Send one request when its turn comes.

        Args:
            path: `BULK` or `MGET`.
            body: what is sent.
            read: reads a 200 answer; None when it is none to this request.

        Raises:
            Interrupted: `stop` was set before its turn.
        """
        size = sum(map(len, body))
        with self.pace.turn() as turn:
            try:
                reply = ask(
                    self._client, "POST", path, params=PARAMS[path], body=body, safe=path == MGET
                )
            except NoAnswerError as error:
                if error.sent:
                    self.limit.fail(size, UNANSWERED_FLOOR_BYTES)
                self._figures.note_request("none")
                turn.fail(Outcome.RETRY, None)
                what = "certificate_not_believed" if error.disbelief else "no_answer"
                return Failure(Outcome.RETRY, ItemError(what, str(error)))
            if reply.status != HTTPStatus.OK:
                return self._judge(reply, size, turn)
            answer = read(reply.text)
            if answer is None:
                self._figures.note_request("none")
                turn.fail(Outcome.RETRY, None)
                return Failure(Outcome.RETRY, NOT_AN_ANSWER)
            self._figures.note_request("ok")
            turn.succeed()
            self.limit.succeed(size)
            return answer

    def note_congestion(self, sent_bytes: int) -> None:
        """Every item of a request was refused for now, as a shard does whose queue is full."""
        self.limit.fail(sent_bytes, CONGESTED_FLOOR_BYTES)
        self.pace.note_congestion()

    def _judge(self, reply: Reply, sent_bytes: int, turn: Turn) -> Failure:
        why = read_error(reply.text)
        outcome = judge_request(reply.status, why.type)
        self._figures.note_request(outcome.name.lower())
        if outcome is Outcome.TOO_LARGE:
            turn.succeed()
        else:
            turn.fail(outcome, retry_after_seconds(reply.headers.get("retry-after")))
        if outcome is Outcome.RETRY:
            self.limit.fail(sent_bytes, CONGESTED_FLOOR_BYTES)
        return Failure(outcome, ItemError(why.type or f"status_{reply.status}", why.reason))
