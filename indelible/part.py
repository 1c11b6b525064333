"""One row of `indelible status`."""

from msgspec import Struct


class Part(Struct, frozen=True, kw_only=True, rename="camel"):
    """How one part is; `figures` are its numbers and instants, for programs."""

    name: str
    ok: bool
    summary: str
    figures: dict[str, int | float | str | None] = {}
