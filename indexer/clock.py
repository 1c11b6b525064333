"""Whether this host's clock is that of the cluster: it alone decides what is due to be deleted."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct
from opensearchpy import OpenSearch

from indexer.client import request_shape
from indexer.errors import ClockError

TOLERANCE: Final = timedelta(minutes=5)
"""For clocks that drift, and for an answer that took long."""


class _Row(Struct, frozen=True):
    epoch: Annotated[str, Meta(pattern="^[0-9]{1,10}$")]
    """Seconds since 1970, by the clock of the node that answers."""


def check_clock(client: OpenSearch, now: datetime) -> None:
    """Compare a clock with that of the cluster's node that answers.

    Args:
        client: of the role `lifecycle`.
        now: by the clock that is in question.

    Raises:
        ClockError: they are further apart than `TOLERANCE`.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    params = {"h": "epoch", "format": "json"}
    rows = request_shape(client, "GET", "/_cat/health", list[_Row], params=params)
    if not rows:
        raise ClockError("the cluster does not say what time it is")
    there = datetime.fromtimestamp(int(rows[0].epoch), UTC)
    if abs(now - there) > TOLERANCE:
        raise ClockError(
            f"by this host's clock it is {now:%Y-%m-%d %H:%M}, by the cluster's"
            f" {there:%Y-%m-%d %H:%M} (UTC): nobody can tell what is due, so nothing is done"
        )
