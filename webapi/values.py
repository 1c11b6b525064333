"""Reading one value of a parameter: from text to what it means, or a `ParameterError`.

Pure. A reason never repeats more of a value than its beginning.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Final, TypeVar
from uuid import UUID

from audit_events.catalogue import Catalogue
from audit_events.event import is_action
from audit_events.instant import parse_instant
from webapi.errors import ParameterError
from webapi.route import ACTIONS

S = TypeVar("S", bound=str)

RESULTS: Final = ("success", "failure", "denied")
FLAGS: Final = ("true", "false")
NEWEST_FIRST: Final = "desc"
OLDEST_FIRST: Final = "asc"
ORDERS: Final = (NEWEST_FIRST, OLDEST_FIRST)
MAX_NAME_CHARACTERS: Final = 1024
MAX_NEAREST: Final = 3
DURATION_PATTERN: Final = r"^[0-9]{1,7}[smhd]$"
DEFAULT_WINDOW: Final = "15m"
MAX_WINDOW_DAYS: Final = 31

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_DURATION: Final = re.compile(DURATION_PATTERN, re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# A `+` that was not written as %2B arrives as a blank; RFC 3339 has a zone where one then stands.
_LOST_PLUS: Final = re.compile(r"([Tt ]\d\d:\d\d:\d\d(?:\.\d+)?) (\d\d:\d\d)", re.ASCII)


def is_catalogued(name: str, catalogue: Catalogue) -> bool:
    """Tell whether an action, or the noun of `noun.*`, stands in the catalogue, old ids too."""
    if name.endswith(".*"):
        return bool(catalogue.under(name[:-2]))
    return catalogue.find(name) is not None


def action_of(catalogue: Catalogue) -> Callable[[str], str]:
    """Return the reader of `noun.verb` or `noun.*`.

    Whether one that is not in the catalogue exists is not asked there.
    """

    def read(text: str) -> str:
        name = text.strip()
        if is_catalogued(name, catalogue) or is_action(
            name.removesuffix("*") + "x" if name[-2:] == ".*" else name
        ):
            return name
        raise unknown_action(text, catalogue)

    return read


def unknown_action(text: str, catalogue: Catalogue) -> ParameterError:
    """Return the refusal of an action that nobody knows, with the nearest ones.

    Who writes a noun alone means all of its actions.
    """
    noun = text.strip().lower()
    whole = [f"{noun}.*"] if catalogue.under(noun) else []
    return ParameterError(
        "unknown_value",
        f"{shown(text)} is no known action and not among your events; see {ACTIONS}",
        nearest=(*whole, *catalogue.nearest(text[:MAX_NAME_CHARACTERS]))[:MAX_NEAREST],
    )


def read_uuid(text: str) -> str:
    """Read a UUID in its usual spelling (RFC 9562, section 4), in any case."""
    if _UUID.fullmatch(text) is None:
        raise ParameterError("invalid", f"expected a UUID, not {shown(text)}")
    return str(UUID(text))


def read_name(text: str) -> str:
    """Read an id, an address or a type: anything short."""
    if len(text) > MAX_NAME_CHARACTERS:
        raise ParameterError("invalid", f"expected at most {MAX_NAME_CHARACTERS} characters")
    return text


def read_instant(text: str) -> datetime:
    """Read RFC 3339 or a date; a blank where only a `+` can stand is that `+`."""
    plus = _LOST_PLUS.sub(r"\1+\2", text)
    try:
        return parse_instant(plus)
    except ValueError as error:
        raise ParameterError("invalid", f"{error}, not {shown(text)}") from None


def read_duration(text: str, most_days: int = MAX_WINDOW_DAYS) -> timedelta:
    """Read a duration such as `90s`, `15m`, `2h` or `1d`, above zero and bounded."""
    if _DURATION.fullmatch(text) is None:
        raise ParameterError("invalid", f"expected such as 90s, 15m, 2h or 1d, not {shown(text)}")
    duration = timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    if not timedelta(0) < duration <= timedelta(days=most_days):
        raise ParameterError("out_of_range", f"expected 1s to {most_days}d")
    return duration


def read_network(text: str) -> str:
    """Read an address or a CIDR block; host bits are cleared."""
    try:
        # A zone (`%eth0`) names an interface of one machine: no event can be found by it.
        network = ip_network(text.replace("%", " "), strict=False)
    except ValueError:
        raise ParameterError(
            "invalid",
            f"expected an IP address or a block such as 203.0.113.0/24, not {shown(text)}",
        ) from None
    return str(network) if "/" in text else str(network.network_address)


def integer_between(least: int, most: int | None) -> Callable[[str], int]:
    """Return the reader of a decimal number within bounds, both included."""
    wanted = f"{least} or more" if most is None else f"{least} to {most}"

    def read(text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) is None:
            raise ParameterError("invalid", f"expected a whole number, {wanted}, not {shown(text)}")
        number = int(text)
        if number < least or (most is not None and number > most):
            raise ParameterError("out_of_range", f"expected {wanted}, not {shown(text)}")
        return number

    return read


def read_flag(text: str) -> bool:
    """Read `true` or `false`."""
    return choice_of(FLAGS)(text) == FLAGS[0]


def choice_of(allowed: tuple[S, ...]) -> Callable[[str], S]:
    """Return the reader of one of a few words."""

    def read(text: str) -> S:
        for one in allowed:
            if one == text:
                return one
        raise ParameterError(
            "unknown_value",
            f"{shown(text)} is not one of the values there are",
            allowed=allowed,
            nearest=tuple(get_close_matches(text, allowed, n=1)),
        )

    return read


def shown(text: str) -> str:
    """Return a value, or its beginning, as a reason repeats it."""
    return repr(text if len(text) <= 60 else text[:60] + "…")  # noqa: PLR2004  # a line's worth
