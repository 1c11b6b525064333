"""A moment as an option: an instant or a date as the API takes it, or how long ago it was."""

import re
from datetime import UTC, datetime
from typing import Final

import click
from typing_extensions import override

from audit_events.instant import format_instant
from webapi.errors import ParameterError
from webapi.values import DURATION_PATTERN, read_duration

MAX_AGO_DAYS: Final = 3660
_is_duration: Final = re.compile(DURATION_PATTERN, re.ASCII).fullmatch


class Moment(click.ParamType[str]):
    """Turns `2h` into the instant two hours ago, and leaves all else to who reads the question."""

    name = "moment"

    @override
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the text of the option."""
        if not _is_duration(value):
            return value
        try:
            return format_instant(datetime.now(UTC) - read_duration(value, MAX_AGO_DAYS))
        except ParameterError as error:
            self.fail(f"{error.reason} ago", param, ctx)
