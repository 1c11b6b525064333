"""One walk over a value: refuses what JSON can't carry, redacts, and leaves what msgspec can write.

msgspec writes the bytes; what it does differently from RFC 8785 (JCS) is settled here: numbers
(ECMAScript's spelling), the order of keys beyond the basic plane (UTF-16 code units), and all that
JSON cannot carry exactly, which is refused with its path and never replaced. Redaction is part of
the same walk, so that a secret is gone before anything is encoded, and named in no error.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final, cast
from uuid import UUID

import msgspec

from audit_events.errors import CanonicalError
from audit_events.instant import format_instant
from audit_events.mark import BARE_MARK, mark
from audit_events.number import format_float
from audit_events.redaction import IS_VALUE_KEY, NO_REDACTION, REDACTED, Redaction, Treatment
from audit_events.redaction_path import Path, enter_key, enter_place, find_end

MAX_SAFE_INTEGER: Final = 2**53
"""RFC 8785 appendix D: beyond it a double no longer tells two integers apart."""

MAX_DEPTH: Final = 20
"""Deep enough for any context. About 1,000 levels overflow the stack of an OpenSearch node and end
it (tried on 3.4.0)."""

MAX_DIGESTED_DEPTH: Final = 100
"""What is deeper than `MAX_DEPTH` is cut; its digest is taken as far as here."""
MAX_DEEP_VALUES: Final = 100_000
"""How many values below `_COUNTED_FROM` are walked. A few objects that refer to each other many
times (YAML's anchors make such) come to any number of values when they are written out."""
_COUNTED_FROM: Final = 4
_LAST_BEFORE_SURROGATES: Final = "\ud7ff"
_SCALARS: Final = frozenset({int, float})
_SEQUENCES: Final = frozenset({list, tuple})


def spell_text(value: object) -> str:
    """Return a text of a class of its own (Markup, `numpy.str_`) as msgspec takes it: a plain one.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(value, str):
        raise TypeError(f"a value of type {type(value).__name__} can't be encoded")
    return str.__str__(value)


_encoder: Final = msgspec.json.Encoder(order="deterministic", enc_hook=spell_text)
"""Sorts the keys of dictionaries; the fields of structs stand sorted: 0.2 µs less an event."""

encode_prepared: Final = _encoder.encode
"""Write what a walk returned, or structs with their fields in order, whose texts are all that they
hold.

Raises UnicodeEncodeError for half of a surrogate pair, which `find_surrogate` names.
"""

_Paths = tuple[Path[Treatment], ...]
_NAME: Final = Treatment.NAME
_KEPT: Final = (None, _NAME)


class Refusal(Exception):  # noqa: N818  # on its way to become a CanonicalError
    """What is wrong; the steps to it are added while it leaves the containers, innermost first."""

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        self.steps: list[str | int] = []


class _TooDeep(Refusal):
    """Nested deeper than this walk goes."""


def join_path(steps: Sequence[str | int]) -> str:
    """Spell a path whose steps are given innermost first."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(steps))
    return path.removeprefix(".") or "value"


class Walk:
    """Prepares values for `encode_prepared`; holds no state of a call, so one serves all threads.

    Args:
        redaction: what is replaced on the way.
        cuts: whether what is too deep is cut, as in a context, or refused.
        max_depth: the deepest container that is walked into, the outermost being 0.
    """

    __slots__ = ("_clean", "_deeper", "_max_depth", "_redaction", "_shortest_text", "_treatments")

    def __init__(
        self, redaction: Redaction, *, cuts: bool = False, max_depth: int = MAX_DEPTH
    ) -> None:
        self._redaction = redaction
        self._treatments = redaction.treatments
        self._clean = redaction.clean
        self._shortest_text = redaction.shortest_text
        self._max_depth = max_depth - cuts  # what is cut leaves a mark, the deepest container
        self._deeper = Walk(redaction, max_depth=MAX_DIGESTED_DEPTH) if cuts else None

    def prepare(self, value: object, field: str = "") -> object:
        """Return `value` as `encode_prepared` writes it in RFC 8785 form.

        Args:
            value: what `canonical` takes.
            field: what the value is called where its path is told.

        Raises:
            CanonicalError: naming the path of what cannot be carried exactly.
        """
        try:
            return self._prepare(value, 0, self._redaction.all_paths, [0])
        except Refusal as refusal:
            path = join_path([*refusal.steps, *([field] if field else [])])
            raise CanonicalError(path, refusal.problem, refusal.hint) from None

    def _prepare(self, value: object, depth: int, paths: _Paths, count: list[int]) -> object:
        kind = type(value)
        if kind is str:
            text = cast("str", value)
            return text if len(text) < self._shortest_text else self._clean(text)
        if kind is bool or value is None:
            return value
        if isinstance(value, list | tuple):
            return self._prepare_sequence(cast("Sequence[object]", value), depth, paths, count)
        # A dict is asked for before Mapping: the test for the abstract class is many times slower.
        if isinstance(value, dict) or (kind not in _SCALARS and isinstance(value, Mapping)):
            return self._prepare_mapping(
                cast("Mapping[object, object]", value), depth, paths, count
            )
        return self._prepare_scalar(value, depth, paths, count)

    def _prepare_mapping(  # noqa: C901  # one loop: a call for each key would be dear
        self, value: Mapping[object, object], depth: int, paths: _Paths, count: list[int]
    ) -> object:
        if depth >= _COUNTED_FROM and self._must_end(value, depth, count):
            return self._cut(value, depth, paths, count)
        treatments, shortest_text = self._treatments, self._shortest_text
        prepared: dict[str, object] = {}
        beyond_basic_plane = False
        names: list[str] = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise Refusal(f"has a key of type {type(key).__name__}", "keys are strings")
            if not key.isascii() and max(key) > _LAST_BEFORE_SURROGATES:
                beyond_basic_plane = True
            treatment = treatments[key]
            try:
                if treatment is _NAME and isinstance(item, str):
                    names.append(item)
                if paths or treatment not in _KEPT:
                    prepared[key] = self._treat(key, item, depth, paths, count)
                elif type(item) is str and len(item) < shortest_text:
                    prepared[key] = item
                else:
                    prepared[key] = self._prepare(item, depth + 1, paths, count)
            except Refusal as refusal:
                refusal.steps.append(key)
                raise
        if names:
            self._redact_named(names, value, prepared)
        return _sort_by_utf16(prepared) if beyond_basic_plane else prepared

    def _prepare_sequence(
        self, items: Sequence[object], depth: int, paths: _Paths, count: list[int]
    ) -> object:
        if depth >= _COUNTED_FROM and self._must_end(items, depth, count):
            return self._cut(items, depth, paths, count)
        prepared: list[object] = []
        try:
            for item in items:
                inner = enter_place(paths, len(prepared)) if paths else paths
                treatment = find_end(inner) if inner else None
                if treatment is not None:
                    prepared.append(self._replace(treatment, item))
                    continue
                entry = self._redact_pair(item) if type(item) in _SEQUENCES else item
                prepared.append(self._prepare(entry, depth + 1, inner, count))
        except Refusal as refusal:
            refusal.steps.append(len(prepared))
            raise
        return prepared

    def _prepare_scalar(self, value: object, depth: int, paths: _Paths, count: list[int]) -> object:
        if isinstance(value, Enum):
            return self._prepare(value.value, depth, paths, count)
        if isinstance(value, int):
            return _check_integer(int(value))
        if isinstance(value, float):
            return _prepare_float(float(value))
        if isinstance(value, str):
            return self._prepare(str.__str__(value), depth, paths, count)
        if isinstance(value, UUID):
            return str(value)
        if not isinstance(value, datetime):
            hint = "make it text, a list or a mapping, as audit_events.changes() does"
            raise Refusal(f"a value of type {type(value).__name__} can't be encoded", hint)
        return _prepare_instant(value)

    def _treat(self, key: str, item: object, depth: int, paths: _Paths, count: list[int]) -> object:
        """Prepare or replace the value of a key that some rule is about."""
        inner = enter_key(paths, key) if paths else paths
        treatment = find_end(inner) if inner else None
        if treatment is not None:
            return self._replace(treatment, item)
        treatment = self._treatments[key]
        if treatment in _KEPT or isinstance(item, bool):
            return self._prepare(item, depth + 1, inner, count)
        return self._replace(cast("Treatment", treatment), item)

    def _replace(self, treatment: Treatment, item: object) -> object:
        """Return what stands for a secret; None is none."""
        if item is None:
            return None
        if treatment is Treatment.REDACT_UNLESS_COUNT and isinstance(item, int | float):
            return PLAIN_WALK.prepare(item)
        if treatment is not Treatment.HASH:
            return REDACTED
        try:
            return self._redaction.digest(encode_prepared(PLAIN_WALK.prepare(item)))
        except (CanonicalError, UnicodeEncodeError):
            return REDACTED

    def _redact_named(
        self, names: list[str], value: Mapping[object, object], prepared: dict[str, object]
    ) -> None:
        """Redact `{"name": "password", "value": …}`, where a key stands as a value."""
        targets = [key for key in prepared if IS_VALUE_KEY[key]]
        for name in names if targets else ():
            treatment = self._redaction.find(name)
            if treatment in _KEPT:
                continue
            for target in targets:
                if not isinstance(value[target], bool):
                    prepared[target] = self._replace(cast("Treatment", treatment), value[target])

    def _redact_pair(self, item: object) -> object:
        """Redact `("Authorization", …)` in a list, as lists of headers have it."""
        pair = cast("Sequence[object]", item)
        if len(pair) != len(("name", "value")) or not isinstance(pair[0], str):
            return item
        treatment = self._redaction.find(pair[0])
        if treatment in _KEPT or isinstance(pair[1], bool):
            return item
        return (pair[0], self._replace(cast("Treatment", treatment), pair[1]))

    def _must_end(
        self, value: Mapping[object, object] | Sequence[object], depth: int, count: list[int]
    ) -> bool:
        count[0] += len(value)
        return depth > self._max_depth or count[0] > MAX_DEEP_VALUES

    def _cut(self, value: object, depth: int, paths: _Paths, count: list[int]) -> object:
        """Return what stands for what is too deep, or too much below the first levels."""
        if self._deeper is None and depth <= self._max_depth:
            raise _TooDeep(f"holds more than {MAX_DEEP_VALUES} values", "record less")
        if self._deeper is None:
            raise _TooDeep(f"is nested deeper than {self._max_depth} levels", "flatten it")
        if count[0] <= 2 * MAX_DEEP_VALUES and contains_itself(value):
            raise Refusal("contains itself", "record ids where objects refer to each other")
        if count[0] <= MAX_DEEP_VALUES:
            try:
                encoded = encode_prepared(self._deeper._prepare(value, depth, paths, count))  # noqa: SLF001  # a walk too
                return mark(encoded)
            except _TooDeep:
                return BARE_MARK
        count[0] += MAX_DEEP_VALUES
        return BARE_MARK


def contains_itself(value: object) -> bool:
    """Tell whether a container is met again below itself; looks at so many containers at most."""
    is_entered: dict[int, bool] = {}
    stack: list[tuple[object, bool]] = [(value, False)]
    while stack and len(is_entered) < MAX_DEEP_VALUES:
        container, is_left = stack.pop()
        members = _members_of(container)
        if is_left:
            is_entered[id(container)] = False
        elif members is not None and is_entered.get(id(container)):
            return True
        elif members is not None and id(container) not in is_entered:
            is_entered[id(container)] = True
            stack.append((container, True))
            stack.extend((member, False) for member in members)
    return False


def _members_of(value: object) -> Iterable[object] | None:
    if isinstance(value, Mapping):
        return cast("Mapping[object, object]", value).values()
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else None


PLAIN_WALK: Final = Walk(NO_REDACTION)
"""Replaces and cuts nothing."""


def _check_integer(value: int) -> int:
    if -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return value
    raise Refusal("is an integer beyond 2^53", "pass it as a string")


def _prepare_float(value: float) -> object:
    if not math.isfinite(value):
        raise Refusal(f"is {value}, which JSON cannot carry", "pass it as a string")
    return msgspec.Raw(format_float(value).encode())


def _prepare_instant(value: datetime) -> str:
    if value.tzinfo is None:
        raise Refusal("is a datetime without a time zone", "pass an aware datetime")
    try:
        return format_instant(value)
    except OverflowError:  # datetime.max as "for ever", in a zone west of Greenwich
        raise Refusal("is beyond the years 1 to 9999 in UTC", "pass it as a string") from None


def _sort_by_utf16(prepared: dict[str, object]) -> msgspec.Raw:
    """Write an object whose keys msgspec would sort by code point, in JCS's own order."""
    keys = sorted(prepared, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    members = [_encoder.encode(key) + b":" + _encoder.encode(prepared[key]) for key in keys]
    return msgspec.Raw(b"{" + b",".join(members) + b"}")
