"""What an event changed, as texts for a table; `webapi.field_changes` finds it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from webapi.field_changes import FieldChange, Kind, field_changes
from webapi.pointer import keys_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs.

    Args:
        path: where, as in `limits.seats`; empty where the values have no fields.
        kind: whether something came, went, or is another now.
        before: as text; None where there was none.
        after: as text; None where there is none.
    """

    path: str
    kind: Kind
    before: str | None
    after: str | None


def changes(context: Mapping[str, object] | None) -> list[Change]:
    """Return the fields that differ between `previous` and `new`; none where neither is there."""
    return [_change(one) for one in field_changes(context).changes]


def others(context: Mapping[str, object] | None) -> list[tuple[str, str]]:
    """Return the rest of a context, each with its value as text."""
    return [
        (name, written(value))
        for name, value in (context or {}).items()
        if name not in {"previous", "new"}
    ]


def written(value: object) -> str:
    """Return a value as text: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def spelled(pointer: str) -> str:
    """Return a path as people write it: `limits.seats`."""
    return ".".join(keys_of(pointer))


def _change(one: FieldChange) -> Change:
    return Change(
        path=spelled(one.path),
        kind=one.kind,
        before=None if one.previous is msgspec.UNSET else written(one.previous),
        after=None if one.new is msgspec.UNSET else written(one.new),
    )
