"""What is never recorded of a context: values by their key, by their path, and by how they look.

A stored line can't be changed, so a secret in it stays for years. Whoever opens a log decides once:

    redaction = Redaction(more_keys=["iban"], paths=["context.new.ssn"],
                          hash_keys=["email"], hash_key=secret_bytes)
    configure(path, service="members", redaction=redaction)

The walk that prepares a context (`canonical.prepare`) asks for each key, so that a secret is gone
before anything is encoded, measured, digested or named in an error.
"""

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache
from typing import Final, TypeVar, cast

from audit_events.errors import ParameterError
from audit_events.redaction_path import Path, parse_path
from audit_events.secret_keys import DEFAULT_KEYS, Listing, SecretKeys, last_word

__all__ = [
    "DEFAULT_KEYS",
    "DEFAULT_REDACTION",
    "NO_REDACTION",
    "REDACTED",
    "Redaction",
    "Treatment",
]

REDACTED: Final = "[redacted]"
"""What stands in the place of a secret; a fixed text, so that it can be searched for."""

SHORTEST_TEXT: Final = 10
"""A shorter text is not looked at: `Basic QTpC` has ten characters."""

SHORTEST_HASH_KEY_BYTES: Final = 32
"""RFC 2104 section 3: a key shorter than the digest makes it weaker."""
DEFAULT_MAX_TEXT_BYTES: Final = 8_192
_LEAST_MAX_TEXT_BYTES: Final = 256
_MOST_MAX_TEXT_BYTES: Final = 16_384
_REMEMBERED_KEYS: Final = 4_096
_REMEMBERED_KEY_CHARACTERS: Final = 128
_LOOKED_AT_CHARACTERS: Final = 512
"""Of each end of a key."""


class Treatment(Enum):
    """What becomes of the value under a key."""

    REDACT = auto()
    REDACT_UNLESS_COUNT = auto()
    """A number under a plural, such as `max_tokens`, is a count."""
    HASH = auto()
    NAME = auto()
    """The value may be a listed key, whose value stands beside: `{"name": …, "value": …}`."""


_SECRET: Final = frozenset({Treatment.REDACT, Treatment.REDACT_UNLESS_COUNT, Treatment.HASH})
_NAMING_WORDS: Final = frozenset(
    ["name", "key", "field", "header", "attribute", "property", "column"]
)
_VALUE_ENDS: Final = (
    "value", "values", "old", "new", "before", "after", "previous", "current", "from", "to",
    "content", "text", "default",
)  # fmt: skip


_Answer = TypeVar("_Answer")


class Remembered(dict[str, _Answer]):
    """What is known of each key, found out once; a bounded number is remembered."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[str], _Answer]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: str) -> _Answer:
        answer = self._find(key)
        if len(key) <= _REMEMBERED_KEY_CHARACTERS:
            if len(self) >= _REMEMBERED_KEYS:
                self.clear()
            self[key] = answer
        return answer


IS_VALUE_KEY: Final = Remembered(lambda key: key.casefold().endswith(_VALUE_ENDS))
"""Whether a key beside `name` may hold what is named: `value`, `old`, `newValue`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """Rules of redaction and size for the contexts of one log; frozen, and the same for each event.

    Keys are compared by words, in any case and spelling, at any depth, in lists and tuples too:
    docs/applications.md, "Personal data", has the rules. True, False and None stay.

    Args:
        keys: whose values are replaced by `[redacted]`; replaces `DEFAULT_KEYS`.
        more_keys: the same, beside `keys`.
        kept_keys: whole keys that are left alone although the rules would list them.
        paths: values to replace wherever their key is not listed: `context.new.ssn`,
            `context.items[*].iban`, `context.*.phone`. A list is passed through without `[*]` too.
        hash_keys: whose values are replaced by a keyed digest, `hmac-sha256:…`, the same for the
            same value, so that events can be joined by it. They win over `keys`.
        hash_paths: the same by path.
        hash_key: the secret of the digests, at least 32 bytes; never shown.
        text_patterns: look into texts too for what is recognisable: `Bearer …`, private keys,
            passwords in URLs, listed keys in query strings and JSON.
        max_text_bytes: a longer text of the context is cut, and says so.

    Raises:
        ParameterError: naming the argument that cannot be meant.
    """

    keys: Iterable[str] = DEFAULT_KEYS
    more_keys: Iterable[str] = ()
    kept_keys: Iterable[str] = ()
    paths: Iterable[str] = ()
    hash_keys: Iterable[str] = ()
    hash_paths: Iterable[str] = ()
    hash_key: bytes = field(default=b"", repr=False)
    text_patterns: bool = True
    max_text_bytes: int = DEFAULT_MAX_TEXT_BYTES
    find: Callable[[str], Treatment | None] = field(init=False, repr=False, compare=False)
    """What becomes of the value under a key; a few µs."""
    treatments: dict[str, Treatment | None] = field(init=False, repr=False, compare=False)
    """The same by subscript, remembered."""
    all_paths: tuple[Path[Treatment], ...] = field(init=False, repr=False, compare=False)
    shortest_text: int = field(init=False, repr=False, compare=False)
    """A shorter text is not looked at."""

    def __post_init__(self) -> None:
        for name in ("keys", "more_keys", "kept_keys", "paths", "hash_keys", "hash_paths"):
            object.__setattr__(self, name, _check_texts(name, getattr(self, name)))
        _check_hash_key(self.hash_key, is_needed=bool(self.hash_keys or self.hash_paths))
        _check_max_text_bytes(self.max_text_bytes)
        _check_patterns(self.text_patterns)
        paths = [Path(parse_path("hash_paths", one), Treatment.HASH) for one in self.hash_paths]
        paths += [Path(parse_path("paths", one), Treatment.REDACT) for one in self.paths]
        object.__setattr__(self, "all_paths", tuple(paths))
        find = self._compile()
        object.__setattr__(self, "find", find)
        object.__setattr__(self, "treatments", Remembered(find))
        never = 1 << 62
        object.__setattr__(self, "shortest_text", SHORTEST_TEXT if self.text_patterns else never)

    def _compile(self) -> Callable[[str], Treatment | None]:
        secret = SecretKeys((*self.keys, *self.more_keys), kept=self.kept_keys)
        hashed = SecretKeys(self.hash_keys, kept=self.kept_keys)

        def find(key: str) -> Treatment | None:
            if len(key) > 2 * _LOOKED_AT_CHARACTERS:
                key = f"{key[:_LOOKED_AT_CHARACTERS]}_{key[-_LOOKED_AT_CHARACTERS:]}"
            if hashed.find(key):
                return Treatment.HASH
            listing = secret.find(key)
            if listing is Listing.MANY:
                return Treatment.REDACT_UNLESS_COUNT
            if listing is Listing.ONE:
                return Treatment.REDACT
            return Treatment.NAME if last_word(key) in _NAMING_WORDS else None

        return find

    def is_secret(self, key: str) -> bool:
        """Tell whether a value under this key is replaced, by `[redacted]` or a digest."""
        return self.treatments[key] in _SECRET

    def clean(self, text: str) -> str:
        """Return a text without the secrets that can be recognised in it."""
        return _load_redact_text()(text, self.is_secret)

    def digest(self, encoded: bytes) -> str:
        """Return what stands for a hashed value, given in canonical form."""
        return f"hmac-sha256:{hmac.digest(self.hash_key, encoded, 'sha256').hex()}"


@cache
def _load_redact_text() -> Callable[[str, Callable[[str], bool]], str]:
    """Import what reads texts at the first of them: its patterns cost 2 ms to compile."""
    from audit_events.secret_text import redact_text  # noqa: PLC0415  # as said

    return redact_text


def _check_texts(name: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ParameterError(name, f"is of type {type(given).__name__}", "a list of texts")
    texts: list[str] = []
    for one in cast("Iterable[object]", given):
        if not isinstance(one, str) or (not any(map(str.isalnum, one)) and name.endswith("keys")):
            raise ParameterError(name, "holds what is no key", "a list of texts with letters")
        texts.append(one)
    return tuple(texts)


def _check_hash_key(key: object, *, is_needed: bool) -> None:
    """Refuse a key that protects nothing; an error tells its length at most."""
    if not isinstance(key, bytes):
        raise ParameterError("hash_key", f"is of type {type(key).__name__}", "bytes")
    if (key or is_needed) and len(key) < SHORTEST_HASH_KEY_BYTES:
        hint = f"at least {SHORTEST_HASH_KEY_BYTES}, such as secrets.token_bytes(32), kept safe"
        raise ParameterError("hash_key", f"has {len(key)} bytes", hint)


def _check_max_text_bytes(value: object) -> None:
    if not (
        isinstance(value, int)
        and not isinstance(value, bool)
        and _LEAST_MAX_TEXT_BYTES <= value <= _MOST_MAX_TEXT_BYTES
    ):
        hint = f"a whole number from {_LEAST_MAX_TEXT_BYTES} to {_MOST_MAX_TEXT_BYTES}"
        raise ParameterError("max_text_bytes", f"is {value!r}", hint)


def _check_patterns(value: object) -> None:
    if not isinstance(value, bool):
        raise ParameterError("text_patterns", f"is of type {type(value).__name__}", "True or False")


DEFAULT_REDACTION: Final = Redaction()
NO_REDACTION: Final = Redaction(keys=(), text_patterns=False)
