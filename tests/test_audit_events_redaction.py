"""No listed value stands in a line or an error, however it is nested, spelled or wrapped."""

import json
import traceback
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_events.draft import DraftRules, draft_event
from audit_events.errors import EventError, ParameterError
from audit_events.redaction import DEFAULT_KEYS, REDACTED, Redaction
from audit_events.secret_keys import SecretKeys

HASH_KEY = b"0123456789abcdef0123456789abcdef"
BASE: dict[str, Any] = {"organization_id": "o", "actor": {"type": "system"}}


def _context_of(context: object, redaction: Redaction | None = None) -> Any:
    rules = DraftRules() if redaction is None else DraftRules(redaction=redaction)
    written = draft_event("a.b", {**BASE, "context": context}, rules).encode()
    again = draft_event("a.b", {**BASE, "context": context}, rules).encode()
    assert again == written, "what was learned of the first changes nothing"
    return json.loads(written)["context"]


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "passwd",
        "PASSWORD",
        "pAsSwOrD",
        "newPassword",
        "new_password",
        "dbpassword",
        "PGPASSWORD",
        "password2",
        "password_hash",
        "passwordHash",
        "passwordhash",
        "passwordConfirmation",
        "password_reset_code",
        "reset.password",
        "token",
        "accessToken",
        "access-token",
        "refresh_token",
        "csrftoken",
        "X-Auth-Token",
        "authorization",
        "Proxy-Authorization",
        "secret",
        "client-secret",
        "clientSecret",
        "aws_secret_access_key",
        "api_key",
        "apiKey",
        "APIKey",
        "X-Api-Key",
        "apikey",
        "private_key",
        "cookie",
        "Set-Cookie",
        "credit_card",
        "creditCardNumber",
        "cvv",
        "pin",
        "ssn",
        "credentials",
        "passphrase",
        "db_pass",
        "otp",
        "pw",
        "smtpPw",
        "creds",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44",
        "pass\u200bword",
    ],
)
def test_a_key_of_a_secret_is_listed(key: str) -> None:
    assert _context_of({key: "hunter2"}) == {key: REDACTED}


@pytest.mark.parametrize(
    "key",
    [
        "token_id",
        "tokenId",
        "tokens_used",
        "token_type",
        "token_name",
        "secretary",
        "secret_name",
        "password_changed_at",
        "passwordChangedAt",
        "password_policy",
        "passwordless",
        "pass_rate",
        "bypass",
        "passport_number",
        "tokenizer",
        "authorization_type",
        "author",
        "credential_id",
        "cookie_consent",
        "access_key_id",
        "public_key",
        "laptop",
        "spin",
        "idempotency_key",
        "role",
        "email",
        "session_id",
    ],
)
def test_a_key_that_is_about_a_secret_or_of_another_word_is_not(key: str) -> None:
    assert _context_of({key: "value"}) == {key: "value"}


@pytest.mark.parametrize(
    ("context", "written"),
    [
        pytest.param({"reset_password": True, "token": None},
                     {"reset_password": True, "token": None},
                     id="what is yes, no or nothing"),
        pytest.param({"max_tokens": 5, "tokens": ["a"]}, {"max_tokens": 5, "tokens": REDACTED},
                     id="a count"),
        pytest.param({"pin": 1234, "password": ""}, {"pin": REDACTED, "password": REDACTED},
                     id="a number and nothing"),
        pytest.param({"token": {"id": 1}, "secret": [1]}, {"token": REDACTED, "secret": REDACTED},
                     id="all below a key"),
        pytest.param({"previous": {"password": "a"}, "new": {"password": "b"}},
                     {"previous": {"password": REDACTED}, "new": {"password": REDACTED}},
                     id="a diff"),
        pytest.param({"a": [[({"password": "a"},)]]}, {"a": [[[{"password": REDACTED}]]]},
                     id="lists"),
        pytest.param({"a": MappingProxyType({"password": b"\xff"})}, {"a": {"password": REDACTED}},
                     id="what could not be encoded"),
        pytest.param({"password": "\ud800", "token": float("nan")},
                     {"password": REDACTED, "token": REDACTED}, id="what would be refused"),
        pytest.param({"fields": [{"name": "password", "value": "x", "type": "text"}]},
                     {"fields": [{"name": "password", "value": REDACTED, "type": "text"}]},
                     id="a key that stands as a value"),
        pytest.param({"field": "api_key", "old": "x", "newValue": 5},
                     {"field": "api_key", "old": REDACTED, "newValue": REDACTED}, id="a change"),
        pytest.param({"name": "Ana", "value": "x"}, {"name": "Ana", "value": "x"},
                     id="another name"),
        pytest.param({"headers": [("Authorization", "abc"), ["Accept", "*/*"]]},
                     {"headers": [["Authorization", REDACTED], ["Accept", "*/*"]]}, id="pairs"),
        pytest.param({"scopes": ["token", "secret"]}, {"scopes": ["token", "secret"]}, id="a list"),
        pytest.param({"note": "Bearer abcdef123456"}, {"note": "Bearer [redacted]"}, id="a text"),
    ],
)  # fmt: skip
def test_what_is_redacted(context: dict[str, object], written: object) -> None:
    assert _context_of(context) == written


@pytest.mark.parametrize(
    ("path", "context", "written"),
    [
        pytest.param("context.new.tax_no", {"new": {"TAX_NO": "1", "b": 1}, "tax_no": "2"},
                     {"new": {"TAX_NO": REDACTED, "b": 1}, "tax_no": "2"}, id="key"),
        pytest.param("context.items[*].iban", {"items": [{"iban": "x", "n": 1}, {"n": 2}]},
                     {"items": [{"iban": REDACTED, "n": 1}, {"n": 2}]}, id="any place"),
        pytest.param("context.items.iban", {"items": [[{"iban": "x"}], {"iban": "y"}]},
                     {"items": [[{"iban": REDACTED}], {"iban": REDACTED}]}, id="through lists"),
        pytest.param("context.items[1]", {"items": ["x", "y", True]},
                     {"items": ["x", REDACTED, True]},
                     id="one place"),
        pytest.param("context.*.phone", {"a": {"phone": 1}, "b": {"c": {"phone": 2}}, "phone": 3},
                     {"a": {"phone": REDACTED}, "b": {"c": {"phone": 2}}, "phone": 3},
                     id="any key"),
        pytest.param('context["a.b"].c', {"a.b": {"c": [1]}}, {"a.b": {"c": REDACTED}},
                     id="quoted"),
    ],
)  # fmt: skip
def test_a_path_redacts_what_it_leads_to(path: str, context: object, written: object) -> None:
    assert _context_of(context, Redaction(paths=[path])) == written


def test_a_list_of_ones_own_replaces_or_extends_and_keys_can_be_kept() -> None:
    context = {"password": "p", "iban": "i", "userIban": "u", "token": "t"}
    assert _context_of(context, Redaction(keys=["iban"])) == {
        **context, "iban": REDACTED, "userIban": REDACTED
    }  # fmt: skip
    more = Redaction(more_keys=["iban"], kept_keys=["token"])
    assert _context_of(context, more) == {**dict.fromkeys(context, REDACTED), "token": "t"}
    assert _context_of({"a": "Bearer abcdef123456"}, Redaction(text_patterns=False)) == {
        "a": "Bearer abcdef123456"
    }


def test_without_redaction_all_is_recorded() -> None:
    rules = DraftRules(redaction=None)
    draft = draft_event("a.b", {**BASE, "context": {"password": "p"}}, rules)
    assert b'"password":"p"' in draft.encode()


def test_hashed_values_can_be_joined_and_not_read() -> None:
    redaction = Redaction(hash_keys=["email"], hash_paths=["context.id"], hash_key=HASH_KEY)
    first = _context_of({"email": "ana@example.com", "id": 7, "deep": [{"Email": "x"}]}, redaction)
    again = _context_of({"new": {"userEmail": "ana@example.com"}, "id": "7"}, redaction)
    assert first["email"] == again["new"]["userEmail"]
    assert first["email"].startswith("hmac-sha256:")
    assert len(first["email"]) == len("hmac-sha256:") + 64
    assert first["id"] != again["id"], "a number is another value than its text"
    other = Redaction(hash_keys=["email"], hash_key=HASH_KEY[::-1])
    assert _context_of({"email": "ana@example.com"}, other)["email"] != first["email"]
    assert _context_of({"email": object(), "id": None}, redaction) == {
        "email": REDACTED,
        "id": None,
    }


def test_a_value_is_redacted_before_it_is_cut_so_no_digest_of_a_secret_stands() -> None:
    big = {"password": "p" * 50_000, "note": "n" * 50_000}
    written = _context_of(big)
    assert written["password"] == REDACTED
    assert written["note"]["truncated"] is True


@pytest.mark.parametrize("secret", [{1: "a"}, {"of": {None: "b"}}], ids=["keys", "inner keys"])
def test_what_is_redacted_may_be_anything(secret: object) -> None:
    assert _context_of({"password": secret}) == {"password": REDACTED}


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        pytest.param({"keys": "password"}, "keys", id="a text is no list"),
        pytest.param({"more_keys": [1]}, "more_keys", id="not a text"),
        pytest.param({"more_keys": ["--"]}, "more_keys", id="no letter"),
        pytest.param({"paths": ["new.ssn"]}, "paths", id="not from the context"),
        pytest.param({"paths": ["context"]}, "paths", id="all of it"),
        pytest.param({"paths": ["context.a[b]"]}, "paths", id="unreadable"),
        pytest.param({"hash_keys": ["email"]}, "hash_key", id="no key"),
        pytest.param({"hash_paths": ["context.id"]}, "hash_key", id="no key for a path"),
        pytest.param({"hash_keys": ["email"], "hash_key": b"hunter2"}, "hash_key", id="short key"),
        pytest.param({"hash_key": "hunter2" * 9}, "hash_key", id="key as text"),
        pytest.param({"max_text_bytes": 100}, "max_text_bytes", id="too small"),
        pytest.param({"max_text_bytes": True}, "max_text_bytes", id="no number"),
        pytest.param({"text_patterns": "no"}, "text_patterns", id="only truthy"),
    ],
)
def test_what_cannot_be_meant_is_named_and_no_key_is_shown(
    arguments: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        Redaction(**arguments)
    assert caught.value.parameter == parameter
    assert "hunter2" not in str(caught.value)


def test_the_key_of_the_digests_shows_nowhere() -> None:
    redaction = Redaction(hash_keys=["email"], hash_key=HASH_KEY)
    assert "0123" not in repr(redaction)
    assert "0123" not in str(DraftRules(redaction=redaction))


def test_names_of_people_do_not_stay_in_memory() -> None:
    redaction = Redaction()
    _context_of({"name": "Ana Admin", "value": "x"}, redaction)
    assert "Ana Admin" not in redaction.treatments


SENTINEL = "Zq7vK1xW9"
_names = st.text(st.characters(codec="utf-8"), max_size=8)
_scalars = st.none() | st.booleans() | st.integers(-99, 99) | _names
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)
_words = st.sampled_from(["user", "db", "old", "x", "client", "my", "Kunden", "a1"])
_separators = st.sampled_from(["_", "-", ".", " ", "__"])


@st.composite
def _listed_keys(draw: st.DrawFn) -> str:
    """A listed name in any case and spelling, perhaps with a word before it."""
    key = draw(st.sampled_from(DEFAULT_KEYS))
    key = key.replace("_", draw(_separators | st.just("")))
    key = "".join(draw(st.sampled_from([str.upper, str.lower]))(letter) for letter in key)
    if draw(st.booleans()):
        key = draw(_words) + draw(_separators) + key
    return key


_secrets: st.SearchStrategy[object] = st.sampled_from([
    SENTINEL, [SENTINEL], {"value": SENTINEL}, {SENTINEL: 1}, SENTINEL.encode(),
    f"\ud800{SENTINEL}", SENTINEL * 5_000, [[{"x": (SENTINEL,)}]],
])  # fmt: skip
_Wrap = Callable[[object, object], object]
_wraps: list[_Wrap] = [
    lambda inner, _: [inner],
    lambda inner, other: (other, inner),
    lambda inner, other: {"k": inner, "other": other},
    lambda inner, other: {"previous": inner, "new": other},
    lambda inner, _: MappingProxyType({"m": inner}),
    lambda inner, other: [other, other, inner],
]


def _pair(key: str, secret: object) -> object:
    return [{"name": key, "value": secret}]


def _headers(key: str, secret: object) -> object:
    return [(key, secret)]


@given(
    _listed_keys(), _secrets, st.sampled_from([None, _pair, _headers]),
    st.lists(st.tuples(st.sampled_from(_wraps), _trees), max_size=25),
    st.sampled_from([Redaction(), Redaction(hash_keys=DEFAULT_KEYS, hash_key=HASH_KEY)]),
    st.sampled_from([None, object(), float("nan"), "x" * 70_000]),
)  # fmt: skip
@pytest.mark.slow
@settings(deadline=None, max_examples=300)
def test_no_listed_value_gets_through(  # noqa: PLR0917  # each is drawn on its own
    key: str, secret: object, form: Callable[[str, object], object] | None,
    wraps: list[tuple[_Wrap, object]], redaction: Redaction, trouble: object,
) -> None:  # fmt: skip
    value = {key: secret} if form is None else form(key, secret)
    for wrap, other in wraps:
        value = wrap(value, other)
    rules = DraftRules(redaction=redaction)
    try:
        draft = draft_event("a.b", {**BASE, "context": {"top": value, "z": trouble}}, rules)
        shown = draft.encode().decode()
    except EventError as error:
        shown = "".join(traceback.format_exception(error)) + repr(error.__context__)
    assert SENTINEL[:4] not in shown


@given(st.text())
def test_any_text_can_be_a_key(key: str) -> None:
    SecretKeys(DEFAULT_KEYS).find(key)
