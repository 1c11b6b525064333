"""Moments as people read them: how long ago, and exactly, in the zone that was chosen. Pure."""

import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from audit_events.instant import parse_instant
from webapi.errors import ParameterError

ZONE_CHARACTERS: Final = 64
JUST_NOW_SECONDS: Final = 10
_UTC: Final = re.compile(r" UTC([+-]\d\d:\d\d)?$", re.ASCII)
"""As `offset` says it."""
_UNITS: Final = (
    ("year", 365 * 86_400),
    ("month", 30 * 86_400),
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def relative(instant: datetime, now: datetime) -> str:
    """Return how long ago, in the largest unit: `5 minutes ago`, `in 2 hours`, `just now`."""
    seconds = int((now - instant).total_seconds())
    if abs(seconds) < JUST_NOW_SECONDS:
        return "just now"
    count, unit = next(
        (abs(seconds) // size, name) for name, size in _UNITS if abs(seconds) >= size
    )
    text = f"{count} {unit}{'s' * (count != 1)}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def distance(instant: datetime, around: datetime) -> str:
    """Return how far from a moment an event is, by its two largest units: `+2m 13s`."""
    between = instant - around
    sign = "−" if between < timedelta(0) else "+"  # noqa: RUF001  # as wide as the plus
    return sign + duration(abs(between))


def duration(between: timedelta) -> str:
    """Return a duration by its two largest units: `2m 13s`, `3h 5m`, `450ms`."""
    seconds = int(between.total_seconds())
    if seconds == 0:
        return f"{between.microseconds // 1000}ms"
    found: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or found:
            found.append(f"{count}{unit}")
    return " ".join(part for part in found[:2] if not part.startswith("0"))


def clock(instant: datetime, zone: tzinfo) -> str:
    """Return day and time of day in a zone: `2026-11-29 12:31:02`."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def exact(instant: datetime, zone: tzinfo) -> str:
    """Return day and time of day, and the offset too where the zone shows that time twice.

    When summer time ends, two events an hour apart have the same time of day.
    """
    local = instant.astimezone(zone)
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f"{clock(instant, zone)} {offset(instant, zone)}" if twice else clock(instant, zone)


def offset(instant: datetime, zone: tzinfo) -> str:
    """Return the zone's distance from UTC at that moment: `UTC+01:00`, or `UTC` alone."""
    between = instant.astimezone(zone).utcoffset() or timedelta(0)
    return str(timezone(between))


def read_moment(text: str) -> datetime | None:
    """Read a moment as it is copied from the page, the terminal or an event; None for other text.

    One that does not say its distance from UTC is none: whoever copied it may mean another zone.
    """
    if ":" not in text:
        return None
    try:
        found = parse_instant(_UTC.sub(lambda offset: offset[1] or "Z", text))
    except ValueError:
        return None
    # At both ends of the calendar some zone has no such day.
    return found if MINYEAR < found.year < MAXYEAR else None


def read_zone(text: str) -> tzinfo:
    """Read the name of a zone, such as `Europe/Berlin`, or `UTC`.

    Raises:
        ParameterError: there is no such zone.
    """
    if text == "UTC":
        return UTC
    try:
        # The name becomes a path; what is longer than any zone's is none.
        return ZoneInfo(text[:ZONE_CHARACTERS])
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise ParameterError(
            "unknown_value", "is no time zone; write one such as Europe/Berlin, or UTC"
        ) from None
