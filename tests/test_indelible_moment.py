"""A moment as an option: what is said as so long ago, and what is left to the question."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from audit_events.instant import parse_instant
from indelible.moment import Moment


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("2h", timedelta(hours=2)),
        ("90d", timedelta(days=90)),
        ("3660d", timedelta(days=3660)),
    ],
)
def test_how_long_ago_is_an_instant(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    read = parse_instant(Moment().convert(text, None, None))
    assert before <= read + ago <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["2026-03-15", "2026-03-15T09:00:00Z", "yesterday", "2 h", ""])
def test_all_else_is_left_to_the_question(text: str) -> None:
    assert Moment().convert(text, None, None) == text


@pytest.mark.parametrize("text", ["0s", "3661d", "9999999d"])
def test_what_is_no_time_ago_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected 1s to 3660d ago"):
        Moment().convert(text, None, None)
