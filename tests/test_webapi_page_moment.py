"""Moments as people read them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from webapi.page.moment import clock, distance, exact, offset, read_moment, relative

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=9), "just now"),
        (timedelta(seconds=-9), "just now"),
        (timedelta(seconds=59), "59 seconds ago"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=5, seconds=59), "5 minutes ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=45), "1 month ago"),
        (timedelta(days=800), "2 years ago"),
        (timedelta(hours=-2), "in 2 hours"),
    ],
)
def test_how_long_ago(ago: timedelta, words: str) -> None:
    assert relative(NOW - ago, NOW) == words


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (timedelta(seconds=133), "+2m 13s"),
        (timedelta(milliseconds=-450), "−450ms"),  # noqa: RUF001  # as wide as the plus
        (timedelta(0), "+0ms"),
        (timedelta(hours=-3), "−3h"),  # noqa: RUF001  # as wide as the plus
    ],
)
def test_how_far_from_a_moment(later: timedelta, words: str) -> None:
    assert distance(NOW + later, NOW) == words


def test_a_clock_says_its_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert f"{clock(NOW, berlin)} {offset(NOW, berlin)}" == "2026-11-29 13:00:00 UTC+01:00"
    assert offset(NOW, UTC) == "UTC"


@pytest.mark.parametrize(
    ("utc", "zone", "told"),
    [
        ("2026-10-25T00:40:00", "Europe/Berlin", "2026-10-25 02:40:00 UTC+02:00"),
        ("2026-10-25T01:40:00", "Europe/Berlin", "2026-10-25 02:40:00 UTC+01:00"),
        ("2026-10-25T02:00:00", "Europe/Berlin", "2026-10-25 03:00:00"),
        ("2026-03-29T00:59:59", "Europe/Berlin", "2026-03-29 01:59:59"),
        ("2026-03-29T01:00:00", "Europe/Berlin", "2026-03-29 03:00:00"),
        ("2026-04-04T15:15:00", "Australia/Lord_Howe", "2026-04-05 01:45:00 UTC+10:30"),
        ("2026-10-25T01:40:00", "UTC", "2026-10-25 01:40:00"),
    ],
)
def test_a_time_that_a_clock_shows_twice_says_which(utc: str, zone: str, told: str) -> None:
    assert exact(datetime.fromisoformat(utc).replace(tzinfo=UTC), ZoneInfo(zone)) == told


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-29T12:00:00.000000Z", NOW),
        ("2026-11-29 12:00:00Z", NOW),
        ("2026-11-29 13:00:00 UTC+01:00", NOW),
        ("2026-11-29 12:00:00 UTC", NOW),
        ("2026-11-29T13:00:00+01:00", NOW),
        ("2026-11-29 13:00:00", None),
        ("2026-11-29", None),
        ("9999-12-31T23:59:59Z", None),
        ("actor:ana", None),
        ("", None),
    ],
)
def test_a_moment_that_was_copied_is_read(text: str, moment: datetime | None) -> None:
    assert read_moment(text) == moment
