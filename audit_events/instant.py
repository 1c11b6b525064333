"""Instants: one spelling on the wire, RFC 3339 in UTC with microseconds and `Z`."""

import re
from datetime import UTC, date, datetime, time
from functools import lru_cache

CANONICAL_INSTANT = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z$"
)
"""What `format_instant` writes: always 27 characters, so that text order is time order."""

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)

# `date.fromisoformat` takes the days of ISO weeks too, which nobody means here.
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def format_instant(instant: datetime) -> str:
    """Write an aware datetime in canonical form.

    Raises:
        ValueError: it is naive.
        OverflowError: in UTC it is beyond the years 1 to 9999.
    """
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str) -> datetime:
    """Read RFC 3339 or a date (its first instant in UTC) as an aware UTC datetime.

    Digits beyond microseconds are dropped. Raises ValueError, whose text says what is accepted.
    """
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        match = _RFC3339.fullmatch(text)
        if match is not None:
            day, clock, fraction, zone = match.groups()
            fraction = (fraction or "0")[:6].ljust(6, "0")
            zone = "+00:00" if zone in "Zz" else zone
            return datetime.fromisoformat(f"{day}T{clock}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("expected RFC 3339 such as 2026-03-15T09:30:00Z, or a date such as 2026-03-15")


def format_unix_ns(unix_ns: int) -> str:
    """Write nanoseconds since the epoch in canonical form; digits below microseconds drop."""
    seconds, nanoseconds = divmod(unix_ns, 1_000_000_000)
    return f"{_format_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=16)
def _format_second(seconds: int) -> str:
    """Write all but the fraction; remembered, as most events share their second (1 µs saved)."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
