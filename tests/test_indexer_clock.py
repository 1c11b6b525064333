"""A host whose clock is wrong decides on nothing."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from indexer.clock import TOLERANCE, check_clock
from indexer.errors import ClockError, RefusedError
from tests.cluster import Cluster
from tests.faults import UNREACHABLE, Fault, Faults, connect_through

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def answering(content: object) -> Faults:
    text = msgspec.json.encode(content).decode()

    def script(_method: str, _path: str, _body: bytes) -> Fault:
        return lambda _send, _sent: (200, {}, text)

    return Faults(script)


@pytest.mark.parametrize(
    ("ahead", "fine"),
    [
        pytest.param(timedelta(0), True, id="the same"),
        pytest.param(TOLERANCE, True, id="a little ahead"),
        pytest.param(-TOLERANCE, True, id="a little behind"),
        pytest.param(timedelta(hours=1), False, id="an hour ahead"),
        pytest.param(timedelta(days=-3650), False, id="years behind"),
        pytest.param(timedelta(days=3650), False, id="years ahead: all would be due"),
    ],
)
def test_a_clock_is_compared_with_the_clusters(ahead: timedelta, *, fine: bool) -> None:
    faults = answering([{"epoch": str(int(NOW.timestamp()))}])
    with connect_through(UNREACHABLE, faults) as client:
        if fine:
            check_clock(client, NOW + ahead)
            return
        with pytest.raises(ClockError, match=r"2026-11-24 12:00 \(UTC\)"):
            check_clock(client, NOW + ahead)


@pytest.mark.parametrize("content", [[{"epoch": "soon"}], [{}], {"epoch": "1"}])
def test_an_answer_that_is_no_time_is_refused(content: object) -> None:
    with connect_through(UNREACHABLE, answering(content)) as client, pytest.raises(RefusedError):
        check_clock(client, NOW)


def test_one_that_says_nothing_is_not_believed() -> None:
    with connect_through(UNREACHABLE, answering([])) as client, pytest.raises(ClockError):
        check_clock(client, NOW)


@pytest.mark.opensearch
def test_the_lifecycle_user_may_ask(opensearch: Cluster) -> None:
    with opensearch.client("lifecycle") as client:
        check_clock(client, datetime.now(UTC))
