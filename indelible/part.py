"""One row of `indelible status`."""

from msgspec import Struct


class Part(Struct, frozen=True, kw_only=True, rename="camel"):
    """How one part is; `figures` are its numbers and instants, for programs.

    Args:
        name: what it is called.
        ok: whether it is up.
        needs_look: whether somebody is to look at what it found, though it is up.
        summary: how it is, for people.
    """

    name: str
    ok: bool
    needs_look: bool = False
    summary: str
    figures: dict[str, int | float | str | None] = {}
