"""What changed, field by field: `previous` and `new` of an event's context side by side. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

import msgspec

_ABSENT: Final = object()
Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs.

    Args:
        path: where, as in `limits.seats`; empty where the values have no fields.
        before: as text; None where there was none.
        after: as text; None where there is none.
    """

    path: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> Kind:
        """Whether something came, went, or is another now."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def changes(context: Mapping[str, object] | None) -> list[Change]:
    """Return the fields that differ between `previous` and `new`; none where neither is there."""
    if not context:
        return []
    before, after = context.get("previous", _ABSENT), context.get("new", _ABSENT)
    return list(_differences("", before, after))


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


def _differences(path: str, before: object, after: object) -> Iterator[Change]:
    if before is after or (before == after and type(before) is type(after)):
        return
    if _has_fields(before) or _has_fields(after):
        olds, news = _fields(before), _fields(after)
        if olds is not None and news is not None:
            for name in dict.fromkeys([*olds, *news]):
                inner = f"{path}.{name}" if path else name
                yield from _differences(inner, olds.get(name, _ABSENT), news.get(name, _ABSENT))
            return
    yield Change(path=path, before=_text(before), after=_text(after))


def _has_fields(value: object) -> bool:
    return isinstance(value, Mapping) and bool(cast("Mapping[str, object]", value))


def _fields(value: object) -> Mapping[str, object] | None:
    """Return the fields of an object; none of what is not there; None for a bare value."""
    if value is _ABSENT:
        return {}
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else None


def _text(value: object) -> str | None:
    return None if value is _ABSENT else written(value)
