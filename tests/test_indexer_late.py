"""What is late and what is only blocked: a table of cases, no effects."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.instant import format_instant, parse_instant
from indexer.answer import ItemError
from indexer.late import REMEMBERED_SECONDS, Seals, Step, due_before, is_sealed
from indexer.settings import IndexSettings

MONTHLY = IndexSettings(seal_days=7)
DAILY = IndexSettings(seal_days=2, partition="day")
NOW = "2026-11-23T12:00:00.000000Z"
DUE = due_before(NOW, MONTHLY)
WRITE = "FORBIDDEN/8/index write (api)"
READ_ONLY = "FORBIDDEN/5/index read-only (api)"
FLOOD = (
    "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has"
    " read-only-allow-delete block"
)


def blocked(*blocks: str) -> ItemError:
    """The refusal of a partition with these blocks, as OpenSearch 3.4.0 spells it."""
    reason = f"index [audit-events-2026.10] blocked by: [{', '.join(blocks)}];"
    return ItemError("cluster_block_exception", reason)


@pytest.mark.parametrize(
    ("now", "settings", "due"),
    [
        pytest.param("2026-11-23T12:00:00.000000Z", MONTHLY, "2026-11-01", id="in a month"),
        pytest.param("2026-11-07T23:59:59.999999Z", MONTHLY, "2026-10-01", id="a moment before"),
        pytest.param("2026-11-08T00:00:00.000000Z", MONTHLY, "2026-11-01", id="to the moment"),
        pytest.param("2026-01-03T00:00:00.000000Z", MONTHLY, "2025-12-01", id="over the year"),
        pytest.param("2026-11-23T12:00:00.000000Z", DAILY, "2026-11-21", id="days"),
        pytest.param("2026-11-23T00:00:00.000000Z", DAILY, "2026-11-21", id="days, to the moment"),
        pytest.param("2026-11-22T23:59:59.999999Z", DAILY, "2026-11-20", id="a moment too early"),
    ],
)
def test_a_partition_is_due_so_long_after_its_end(
    now: str, settings: IndexSettings, due: str
) -> None:
    assert due_before(now, settings) == f"{due}T00:00:00.000000Z"


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001  # hypothesis adds none
    st.timedeltas(timedelta(days=-40), timedelta(days=40)),
    st.integers(1, 60),
)
def test_due_is_what_ended_so_many_days_ago(
    moment: datetime, distance: timedelta, seal_days: int
) -> None:
    now = parse_instant(f"{moment.isoformat(timespec='microseconds')}Z")
    event = now - timedelta(days=seal_days) + distance
    first = event.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (first + timedelta(days=32)).replace(day=1)
    due = due_before(format_instant(now), IndexSettings(seal_days=seal_days))
    assert (format_instant(event) < due) == (end + timedelta(days=seal_days) <= now)


@pytest.mark.parametrize(
    ("error", "timestamp", "sealed"),
    [
        pytest.param(blocked(WRITE), "2026-10-31T23:59:59.999999Z", True, id="sealed"),
        pytest.param(blocked(READ_ONLY), "2026-10-01T00:00:00.000000Z", True, id="read-only"),
        pytest.param(blocked(FLOOD, WRITE), "2026-10-31T23:00:00.000000Z", True, id="and no disk"),
        pytest.param(blocked(WRITE), "2026-11-01T00:00:00.000000Z", False, id="an operator, now"),
        pytest.param(blocked(FLOOD), "2026-10-31T23:00:00.000000Z", False, id="a full disk"),
        pytest.param(blocked(FLOOD), NOW, False, id="a full disk, now"),
        pytest.param(
            blocked("FORBIDDEN/9/index metadata (api)"),
            "2026-10-01T00:00:00.000000Z",
            False,
            id="a block of something else",
        ),
        pytest.param(
            blocked("FORBIDDEN/18/new in a later version"),
            "2026-10-01T00:00:00.000000Z",
            False,
            id="a number that ends alike",
        ),
        pytest.param(
            ItemError("index_closed_exception", "closed"),
            "2026-10-01T00:00:00.000000Z",
            False,
            id="closed",
        ),
        pytest.param(
            ItemError("index_create_block_exception", f"blocked by: [{WRITE}];"),
            "2026-10-01T00:00:00.000000Z",
            False,
            id="a block of another kind",
        ),
        pytest.param(
            ItemError("cluster_block_exception", "spelled in another way"),
            "2026-10-01T00:00:00.000000Z",
            False,
            id="a reason that nobody can read",
        ),
        pytest.param(
            ItemError("cluster_block_exception"), "2026-10-01T00:00:00.000000Z", False, id="no word"
        ),
    ],
)
def test_only_a_seal_that_is_due_makes_an_event_late(
    error: ItemError,
    timestamp: str,
    sealed: bool,  # noqa: FBT001  # an expectation
) -> None:
    assert is_sealed(error, timestamp, DUE) is sealed


def test_a_seal_is_believed_for_a_while() -> None:
    now = 0.0
    seals = Seals(MONTHLY, clock=lambda: now)
    old, older = "2026-10-05T00:00:00.000000Z", "2026-09-05T00:00:00.000000Z"
    assert seals.first_step(NOW, DUE) is Step.PARTITION
    assert seals.first_step(DUE, DUE) is Step.PARTITION
    assert seals.first_step(old, DUE) is Step.LOOK_LATE
    seals.remember("2026-10-30T00:00:00.000000Z")
    assert seals.first_step(old, DUE) is Step.LOOK_SEALED
    assert seals.first_step(older, DUE) is Step.LOOK_LATE
    now = REMEMBERED_SECONDS
    assert seals.first_step(old, DUE) is Step.LOOK_LATE
