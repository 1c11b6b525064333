"""How all that match is read: which indices beside each other, and in which windows."""

from datetime import UTC, datetime

import pytest

from indexer.span import Span
from webapi.query import Query
from webapi.sweep import lanes_of, windows_of
from webapi.timeline import Index


def month(number: int, name: str = "e") -> Index:
    start = datetime(2026, number, 1, tzinfo=UTC)
    return Index(
        f"{name}-{number}", f"{name}{number}", Span(start, start.replace(month=number + 1))
    )


JOURNAL = Index("journal", "j")


@pytest.mark.parametrize("newest_first", [True, False])
def test_partitions_are_one_lane_and_late_events_another(*, newest_first: bool) -> None:
    indices = [month(1), month(2), month(3), month(2, "late"), JOURNAL]
    lanes = lanes_of(indices, newest_first=newest_first)
    names = [[one.name for one in lane] for lane in lanes]
    partitions = ["e-3", "e-2", "e-1"] if newest_first else ["e-1", "e-2", "e-3"]
    assert sorted(names) == sorted([["journal"], partitions, ["late-2"]])


def moment(day: int, number: int) -> datetime:
    return datetime(2026, number, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "windows"),
    [
        pytest.param(
            None,
            None,
            [(None, moment(1, 2)), (moment(1, 2), moment(1, 3)), (moment(1, 3), None)],
            id="everything, also what lies outside of all partitions",
        ),
        pytest.param(
            moment(15, 2),
            moment(15, 3),
            [(moment(15, 2), moment(1, 3)), (moment(1, 3), moment(15, 3))],
            id="a window over the edge of a partition",
        ),
        pytest.param(
            moment(1, 2), moment(1, 3), [(moment(1, 2), moment(1, 3))], id="just one partition"
        ),
    ],
)
def test_windows_hold_all_of_a_question_once(
    since: datetime | None,
    until: datetime | None,
    windows: list[tuple[datetime | None, datetime | None]],
) -> None:
    expected = Index("e-*4", span=month(4).span)
    indices = [month(2), month(3), month(3, "late"), JOURNAL, expected]
    query = Query(organization_id="org_a", since=since, until=until)
    found = [(one.since, one.until) for one in windows_of(query, indices)]
    assert found == windows[::-1]
    oldest_first = Query(organization_id="org_a", since=since, until=until, newest_first=False)
    assert [(one.since, one.until) for one in windows_of(oldest_first, indices)] == windows
