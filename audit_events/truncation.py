"""Cuts a context until its event fits: never refused for its size, and what was cut is said.

Nothing is cut of a context within the limits. Otherwise, in this order:

1. A text over the limit of one text is cut to its first part, a key over 512 bytes to its beginning
   and a digest.
2. If the whole is still too large, each value may take an equal share of the room, and what small
   values leave of theirs goes to the larger ones. So the largest values are cut first and most.
3. Where even marks have no room for all members, an object keeps its smallest members and a list
   its first.

A cut text becomes `{"truncated": true, "bytes", "sha256", "value"}`. An object that lost members
keeps the rest in place and gets such a mark under the key `truncated`, a list as its last item;
there `left` says how many are missing. The same context is cut the same way each time.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import Final, NamedTuple, cast

import msgspec

from audit_events.canonical import read_back
from audit_events.mark import mark
from audit_events.redaction import NO_REDACTION
from audit_events.terms import MAX_LEAF_BYTES, MAX_TERM_BYTES, count_term_bytes
from audit_events.walk import MAX_DIGESTED_DEPTH, Walk, encode_prepared

MAX_KEY_BYTES: Final = 512
"""Twenty keys of it and the longest text make less than a leaf may have."""
_SHORTEST_LONG_KEY_CHARACTERS: Final = MAX_KEY_BYTES // 4
_KEPT_KEY_CHARACTERS: Final = 100
_TERM_BYTES_FOR_ONE: Final = 16
"""A line has 65,536 bytes and 16 times as much in terms: so many weigh as one byte of the line."""
_LONGEST_MARK_BYTES: Final = (
    len(b'{"bytes":9007199254740992,"left":9007199254740992,"sha256":"","truncated":true}') + 64
)
_LEAF_FRAME_BYTES: Final = len("context..=")
_NUMBER_SPARE_BYTES: Final = len(".e+16")
"""How much longer Python spells a double than RFC 8785: at most so, for `1.0000000000000002e+16`,
17 digits there. (`.0` behind a whole one, `e-07` for `e-7` are less.)"""
_MAX_SHORT_BYTES: Final = MAX_LEAF_BYTES - _LEAF_FRAME_BYTES - _NUMBER_SPARE_BYTES
"""In a context of no more no value is too long, its path included."""
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_deep_walk: Final = Walk(NO_REDACTION, max_depth=2 * MAX_DIGESTED_DEPTH)


def fit_context(encoded: bytes, *, max_text_bytes: int, room_bytes: int) -> object | None:
    """Return the context cut to fit, or None if it fits as it is.

    Args:
        encoded: a context in canonical form, redacted.
        max_text_bytes: of one text.
        room_bytes: what the line has left for the context.
    """
    if len(encoded) <= min(max_text_bytes, room_bytes, _MAX_SHORT_BYTES) and (
        most_term_bytes(encoded) <= MAX_TERM_BYTES
    ):
        return None
    context = cast("Mapping[str, object]", read_back(encoded))
    if (
        len(encoded) <= room_bytes
        and not _holds_too_much(context, len("context"), max_text_bytes)
        and count_term_bytes(context) <= MAX_TERM_BYTES
    ):
        return None
    for weighs_terms in (False, True):
        fitting = _Fitting(max_text_bytes, weighs_terms)
        fitted = fitting.fit(fitting.weigh(context, len("context")), room_bytes)
        if len(_encode(fitted)) <= room_bytes and count_term_bytes(fitted) <= MAX_TERM_BYTES:
            return prepare_fitted(fitted)
    return {"truncated": mark(encoded, left=len(context))}


def most_term_bytes(encoded: bytes) -> int:
    """Return what a context comes to in terms at most, from lengths alone.

    The path of a value is no longer than the member of the context that it stands in is written,
    and a member has no more values than commas, and one. A tenth of the cost of a pass.
    """
    members = ((key, bytes(raw)) for key, raw in _decode_members(encoded).items())
    return sum(
        (raw.count(b",") + 1)
        * (_LEAF_FRAME_BYTES + _NUMBER_SPARE_BYTES + len(key.encode()) + len(raw))
        for key, raw in members
    )


def prepare_fitted(value: object) -> object:
    """Make a context that was read back writable in canonical form."""
    return _deep_walk.prepare(value)


def _encode(value: object) -> bytes:
    return encode_prepared(_deep_walk.prepare(value))


def _holds_too_much(value: object, path_bytes: int, max_text_bytes: int) -> bool:
    """Tell whether a text or a term is longer than one may be."""
    if isinstance(value, Mapping):
        members = cast("Mapping[str, object]", value).items()
        return any(
            _holds_too_much(item, path_bytes + 1 + len(key.encode()), max_text_bytes)
            for key, item in members
        )
    if isinstance(value, list):
        items = cast("list[object]", value)
        return any(_holds_too_much(item, path_bytes, max_text_bytes) for item in items)
    size = len(str(value).encode())
    return size > max_text_bytes or path_bytes + 1 + size > MAX_LEAF_BYTES


class _Node(NamedTuple):
    """A value, weighed once with all that is in it."""

    value: object
    path_bytes: int
    weight: int
    """When only its keys and texts are cut."""
    least: int
    """Cut as far as it can be."""
    members: "list[_Member]"


class _Member(NamedTuple):
    """A member of an object or a list; what it weighs includes its key and comma."""

    key: str | int
    own_weight: int
    """Of the key and comma alone."""
    weight: int
    least: int
    node: _Node


@dataclass(frozen=True, slots=True)
class _Fitting:
    """One way to weigh: by bytes of the line, and by terms in the index too where they are many."""

    max_text_bytes: int
    weighs_terms: bool

    def weigh(self, value: object, path_bytes: int) -> _Node:
        """Weigh a value that was read back; a pass over it."""
        if isinstance(value, dict):
            return self._weigh_object(cast("dict[str, object]", value), path_bytes)
        if isinstance(value, list):
            items = enumerate(cast("list[object]", value))
            members = [self._to_member(place, item, path_bytes, 1) for place, item in items]
            weight = 2 + sum(map(_weight, members))
            least = min(weight, self._weigh_mark(path_bytes) + 2)
            return _Node(cast("object", value), path_bytes, weight, least, members)
        weight = self._weigh_leaf(value, path_bytes)
        least = min(weight, self._weigh_mark(path_bytes)) if isinstance(value, str) else weight
        return _Node(value, path_bytes, weight, least, [])

    def _weigh_object(self, value: dict[str, object], path_bytes: int) -> _Node:
        members: list[_Member] = []
        for key in sorted(value):
            cut = _cut_key(key)
            inner_bytes = path_bytes + 1 + len(cut.encode())
            own_weight = len(encode_prepared(cut)) + len(b":,")
            members.append(self._to_member(key, value[key], inner_bytes, own_weight))
        mark_weight = self._weigh_mark(path_bytes) + len(b',"truncated":')
        has_long_keys = any(map(_is_long_key, value))
        weight = 2 + sum(map(_weight, members)) + (mark_weight if has_long_keys else 0)
        return _Node(value, path_bytes, weight, min(weight, mark_weight + 2), members)

    def _to_member(self, key: str | int, value: object, path: int, own_weight: int) -> _Member:
        node = self.weigh(value, path)
        return _Member(key, own_weight, own_weight + node.weight, own_weight + node.least, node)

    def _weigh_leaf(self, value: object, path_bytes: int) -> int:
        if isinstance(value, str):
            written = encode_prepared(value)
            if len(value) * 4 > self.max_text_bytes and len(value.encode()) > self.max_text_bytes:
                term = self._weigh_term(path_bytes, len("value=") + self.max_text_bytes)
                return self._weigh_mark(path_bytes) + 11 + self.max_text_bytes + term
        else:
            written = _encode(value)
        return len(written) + self._weigh_term(path_bytes, len(written))

    def fit(self, node: _Node, room: int) -> object:
        """Return the value cut to weigh at most `room`, if its least is not more."""
        value = node.value
        if isinstance(value, str):
            return self._fit_text(value, node, room)
        if isinstance(value, dict):
            return self._fit_object(cast("dict[str, object]", value), node, room)
        return self._fit_list(cast("list[object]", value), node, room) if node.members else value

    def _fit_text(self, text: str, node: _Node, room: int) -> object:
        whole = text.encode()
        if len(whole) <= self.max_text_bytes and node.weight <= room:
            return text
        room -= self._weigh_mark(node.path_bytes) + len(b',"value":""')
        if self.weighs_terms:
            # Each byte counts in the line and as a sixteenth in the index, and the path once more.
            room = (room - self._weigh_term(node.path_bytes, len("value="))) * 16 // 17
        first = _cut_text(text, min(room, self.max_text_bytes))
        return mark(whole, value=first) if first else mark(whole)

    def _fit_object(self, value: dict[str, object], node: _Node, room: int) -> object:
        members = sorted(node.members, key=_weight)
        has_long_keys = any(map(_is_long_key, value))
        kept, room = self._choose(members, node, room - 2, is_marked=has_long_keys)
        fitted = {_cut_key(str(one.key)): item for one, item in self._share(kept, room)}
        if has_long_keys or len(kept) < len(members):
            fitted["truncated"] = mark(_encode(value), left=len(members) - len(kept))
        return fitted

    def _fit_list(self, items: list[object], node: _Node, room: int) -> object:
        kept, room = self._choose(node.members, node, room - 2, is_marked=False)
        fitted: list[object] = [None] * len(kept)
        for one, item in self._share(sorted(kept, key=_weight), room):
            fitted[int(one.key)] = item
        if len(kept) < len(items):
            fitted.append(mark(_encode(items), left=len(items) - len(kept)))
        return fitted

    def _choose(
        self, members: list[_Member], node: _Node, room: int, *, is_marked: bool
    ) -> tuple[list[_Member], int]:
        """Return the first members that have room when each is cut to its least, and the room."""
        without_mark = room - self._weigh_mark(node.path_bytes) - len(b',"truncated":')
        if is_marked:
            room = without_mark
        if sum(one.least for one in members) <= room:
            return members, room
        taken = list(accumulate(one.least for one in members))
        return members[: bisect_right(taken, without_mark)], without_mark

    def _share(self, members: list[_Member], room: int) -> Iterator[tuple[_Member, object]]:
        """Fit members, lightest first: each into its share of what is left beyond the least."""
        spare = room - sum(one.least for one in members)
        for place, one in enumerate(members):
            allowed = min(one.weight, one.least + spare // (len(members) - place))
            spare -= allowed - one.least
            yield one, self.fit(one.node, allowed - one.own_weight)

    def _weigh_mark(self, path_bytes: int) -> int:
        if not self.weighs_terms:
            return _LONGEST_MARK_BYTES
        return _LONGEST_MARK_BYTES + 5 * self._weigh_term(path_bytes, len(".truncated.truncated="))

    def _weigh_term(self, path_bytes: int, value_bytes: int) -> int:
        if not self.weighs_terms:
            return 0
        return (path_bytes + 1 + value_bytes) // _TERM_BYTES_FOR_ONE + 1


def _weight(member: _Member) -> int:
    return member.weight


def _cut_key(key: str) -> str:
    """Return a key as it is, or its beginning and enough of a digest to tell it from others."""
    if not _is_long_key(key):
        return key
    return f"{key[:_KEPT_KEY_CHARACTERS]}…{sha256(key.encode()).hexdigest()[:16]}"


def _is_long_key(key: object) -> bool:
    is_short = len(str(key)) <= _SHORTEST_LONG_KEY_CHARACTERS
    return not is_short and len(str(key).encode()) > MAX_KEY_BYTES


def _cut_text(text: str, room: int) -> str:
    """Return the longest beginning that is written in so many bytes; whole characters."""
    if room <= 0:
        return ""
    text = text[:room]
    return text[
        : bisect_right(range(1, len(text) + 1), room, key=lambda end: _count_written(text[:end]))
    ]


def _count_written(text: str) -> int:
    return len(encode_prepared(text)) - len(b'""')
