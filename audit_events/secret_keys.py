"""Which keys of a context hold a secret, told by the words that a key is made of.

A line can't be taken back once it is stored, so in doubt a value goes: a key is listed when it
holds a listed name in whole words (`db_password_hash`, `X-Api-Key`, `accessToken`), unless its last
word says that the value is only about it (`token_id`, `password_changed_at`). `secretary` is
another word. What other redactors list was the beginning: those of Sentry, Rails, Logfire, pino.
"""

import re
import unicodedata
from collections.abc import Iterable
from enum import Enum, auto
from functools import cached_property
from typing import Final

DEFAULT_KEYS: Final = (
    "access_key", "account_key", "api_key", "auth_key", "authorization", "backup_code", "bearer",
    "card_number", "client_assertion", "connection_string", "connect.sid", "cookie", "cred",
    "credential", "credit_card", "csrf", "cvc", "cvv", "encryption_key", "jsessionid", "jwt",
    "master_key", "one_time_code", "otp", "pass", "passcode", "passphrase", "passwd", "password",
    "phpsessid", "pin", "private_key", "pw", "pwd", "recovery_code", "recovery_key", "salt",
    "saml_response", "secret", "security_code", "seed_phrase", "session_key", "shared_key",
    "signing_key", "social_security", "ssn", "token", "totp", "verification_code", "xsrf",
)  # fmt: skip
"""What is redacted unless a `Redaction` says otherwise."""

_ABOUT: Final = frozenset(
    [
        "age",
        "alg",
        "algorithm",
        "at",
        "attempts",
        "audience",
        "banner",
        "by",
        "changed",
        "consent",
        "count",
        "counts",
        "created",
        "date",
        "day",
        "days",
        "deleted",
        "digits",
        "disabled",
        "domain",
        "enabled",
        "endpoint",
        "exists",
        "expired",
        "expires",
        "expiration",
        "expiry",
        "failed",
        "failures",
        "fingerprint",
        "format",
        "four",
        "hours",
        "id",
        "ids",
        "issued",
        "issuer",
        "kind",
        "label",
        "last",
        "length",
        "less",
        "lifetime",
        "limit",
        "limits",
        "location",
        "manager",
        "max",
        "maximum",
        "method",
        "min",
        "minimum",
        "minutes",
        "missing",
        "ms",
        "name",
        "names",
        "on",
        "owner",
        "path",
        "permissions",
        "policies",
        "policy",
        "preferences",
        "present",
        "protection",
        "provider",
        "quota",
        "rate",
        "ratio",
        "reference",
        "required",
        "requirements",
        "reset",
        "revoked",
        "role",
        "roles",
        "rotated",
        "rotation",
        "rules",
        "scope",
        "scopes",
        "score",
        "seconds",
        "set",
        "settings",
        "size",
        "state",
        "status",
        "store",
        "strength",
        "supported",
        "title",
        "total",
        "ttl",
        "type",
        "types",
        "until",
        "updated",
        "url",
        "usage",
        "used",
        "uuid",
        "valid",
        "verified",
        "version",
    ]
)
"""A key that ends so says something about the secret that stands before, not the secret."""

_SHORTEST_WITHIN_A_WORD: Final = 5
"""`dbpassword`, `csrftoken`: a listed name of so many letters is seen at the end of a word too."""
_SHORTEST_BEFORE_A_REST: Final = 8
"""`passwordhash`: and one of so many where a word goes on behind it."""
_SEPARATORS: Final = re.compile(r"[\W_]+")
_HUMPS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Listing(Enum):
    """How a key is listed."""

    ONE = auto()
    MANY = auto()
    """In the plural at the end, as in `max_tokens`: a number there is a count."""


class SecretKeys:
    """The listed names, compiled.

    Args:
        names: in any spelling: `api_key`, `apiKey` and `API-Key` are the same.
        kept: keys that are not listed, whatever they hold; whole keys in any spelling.
    """

    def __init__(self, names: Iterable[str], kept: Iterable[str] = ()) -> None:
        words = sorted({tuple(_split(name)) for name in names}, key=lambda name: (-len(name), name))
        self._compact = {"".join(name) for name in words}
        self._kept = {"".join(_split(name)) for name in kept}
        self._words = words

    @cached_property
    def _search(self) -> re.Pattern[str]:
        """Compiled at the first key that is looked for: 1.5 ms of no application's start."""
        return re.compile(_to_pattern(self._words))

    def find(self, key: str) -> Listing | None:
        """Tell whether a value under this key is a secret; a few µs, so remember the answer."""
        compact = "".join(_split(key))
        if compact in self._kept:
            return None
        if compact in self._compact:
            return Listing.ONE
        for words in (_split_at_humps(key), _split(key)):
            found = list(self._search.finditer("_".join(words)))
            if found:
                return _judge(found[-1])
        return None


def last_word(key: str) -> str:
    """Return the word that says what a key's value is: `value` of `newValue`."""
    words = _split_at_humps(key)
    return words[-1] if words else ""


def _judge(last: re.Match[str]) -> Listing | None:
    """Look at the last listed name that a key holds, and at what stands behind it."""
    rest = last.string[last.end() :]
    if not rest:
        return Listing.MANY if last["plural"] or last["plurals"] else Listing.ONE
    return None if rest.rpartition("_")[2].rstrip("0123456789") in _ABOUT else Listing.ONE


def _to_pattern(names: list[tuple[str, ...]]) -> str:
    long = [name for name in names if sum(map(len, name)) >= _SHORTEST_BEFORE_A_REST]
    short = [name for name in names if name not in long]
    return (
        f"(?:{_to_choice(long)})(?P<plural>e?s(?=[0-9_]|$))?[0-9]*"
        f"|(?:{_to_choice(short)})(?P<plurals>e?s)?[0-9]*(?![^\\W_])"
    )


def _to_choice(names: list[tuple[str, ...]]) -> str:
    """One of these names, its words together or apart; none if there are none."""
    choices = [
        ("" if sum(map(len, name)) >= _SHORTEST_WITHIN_A_WORD else "(?:(?<=_)|^)")
        + "_?".join(map(re.escape, name))
        for name in names
    ]
    return "|".join(choices) or "(?!)"


def _fold(key: str) -> str:
    """One spelling of what looks the same: width, case, composition, characters without width."""
    if not key.isascii():
        key = "".join(c for c in key if unicodedata.category(c) != "Cf")
        key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())
    return key.casefold()


def _split(key: str) -> list[str]:
    return [word for word in _SEPARATORS.split(_fold(key)) if word]


def _split_at_humps(key: str) -> list[str]:
    return _split(_HUMPS.sub("_", key))
