"""Where `indelible stream` asks, and by which token.

Read without the other groups: a host that only reads on has no cluster and no node, and need not
have the extra for one.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from indexer.settings import Secret
from indexer.settings_reading import SettingsReading

TOKEN_VARIABLE: Final = "INDELIBLE_STREAM_TOKEN"  # noqa: S105  # a name
_is_token: Final = re.compile(r"[!-~]+").fullmatch


class StreamSettings(Struct, frozen=True, kw_only=True):
    """Group `stream`: the API, as who reads on finds it."""

    url: Annotated[
        str,
        Meta(
            description="where the API is that `indelible stream` asks: the address of the page,"
            " without a path of the API",
            pattern=r"\Ahttps?://[^\s?#@/:][^\s?#@]*\Z",
            examples=["https://audit.example"],
        ),
    ] = "http://127.0.0.1:8250"
    token: Annotated[
        Secret | None, Meta(description="bearer token that it asks by; its scope is `stream`")
    ] = None

    def __post_init__(self) -> None:
        # What sends it would tell of it in whole.
        if self.token is not None and not _is_token(self.token.reveal()):
            raise ValueError("token: expected one bearer token, without blanks")


def read_settings(environ: Mapping[str, str]) -> StreamSettings:
    """Read the group.

    Raises:
        SettingsError: everything that is wrong with it; that there is no token among it.
    """
    reading = SettingsReading(environ)
    settings = reading.group("stream", StreamSettings)
    if settings is not None and settings.token is None:
        reading.problems.append(
            f"{TOKEN_VARIABLE}: there is no token; set it, or {TOKEN_VARIABLE}_FILE"
        )
    if settings is None or reading.problems:
        raise reading.error()
    return settings
