"""Who asks: what a token must prove, and what it can't talk its way around."""

import base64
import hmac
import json
import time
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.jwks_provider import EC_KEY, ED_KEY, RSA_KEY, provider, signed
from tests.webapi_api import SECRET, SETTINGS, token
from webapi.auth import Reader, authorize, verifier
from webapi.errors import ForbiddenError, TokenError, UnavailableError
from webapi.settings import WebSettings


def refused(header: str | None, settings: WebSettings = SETTINGS) -> TokenError:
    with pytest.raises(TokenError) as caught:
        verifier(settings)(header)
    assert caught.value.headers["WWW-Authenticate"].startswith('Bearer realm="audit-log"')
    return caught.value


def test_a_good_token_tells_who_asks() -> None:
    header = f"Bearer {token('org_7', role='admin', plan='enterprise', name='Ana')}"
    assert verifier(SETTINGS)(header) == Reader(
        organization_id="org_7",
        role="admin",
        plan="enterprise",
        subject="u_reader",
        email="reader@company.com",
        name="Ana",
    )


def test_the_scheme_is_read_in_any_case() -> None:
    """RFC 9110, section 11.1."""
    assert verifier(SETTINGS)(f"bearer  {token()}").organization_id == "org_a"


@pytest.mark.parametrize("header", [None, "", "  "])
def test_without_a_token_there_is_only_the_challenge(header: str | None) -> None:
    """RFC 6750, section 3.1: no error code for a request without a token."""
    error = refused(header)
    assert error.code == "token_missing"
    assert "error=" not in error.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer x", id="no jwt"),
        pytest.param("Bearer a.b.c", id="three parts of nothing"),
        pytest.param(f"Basic {token()}", id="another scheme"),
        pytest.param(token(), id="no scheme"),
        pytest.param(f"Bearer {token()}, Bearer {token()}", id="two of them"),
        pytest.param(f"Bearer {token()}\n", id="line end is trimmed, so this is fine"),
        pytest.param(f"Bearer {token()[:-2]}", id="cut"),
        pytest.param(f"Bearer {token()}=", id="padded"),
    ],
)
def test_what_is_no_bearer_token_is_refused(header: str) -> None:
    if header.endswith("\n"):
        assert verifier(SETTINGS)(header).organization_id == "org_a"
    else:
        assert refused(header).code == "token_invalid"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        pytest.param({"exp": int(time.time()) - 3600}, "token_expired", id="expired"),
        pytest.param({"exp": None}, "token_invalid", id="never expires"),
        pytest.param({"exp": "tomorrow"}, "token_invalid", id="expires some day"),
        pytest.param({"nbf": int(time.time()) + 86_400}, "token_invalid", id="not valid yet"),
        pytest.param({"iat": int(time.time()) + 86_400}, "token_invalid", id="of the future"),
        pytest.param({"organizationId": None}, "token_invalid", id="no organisation"),
        pytest.param({"organizationId": ""}, "token_invalid", id="empty organisation"),
        pytest.param({"organizationId": ["org_a"]}, "token_invalid", id="several organisations"),
        pytest.param({"organizationId": {"$ne": 1}}, "token_invalid", id="an object"),
        pytest.param({"organizationId": "org\x00a"}, "token_invalid", id="null byte"),
        pytest.param({"organizationId": "org_a\n"}, "token_invalid", id="a newline at the end"),
        pytest.param({"organizationId": "\ud800"}, "token_invalid", id="half a character"),
        pytest.param({"email": "\udfff"}, "token_invalid", id="half a character in the email"),
        pytest.param({"organizationId": "_system"}, "token_invalid", id="the log's own"),
        pytest.param({"organizationId": "_x"}, "token_invalid", id="reserved"),
        pytest.param({"role": None}, "token_invalid", id="no role"),
        pytest.param({"role": []}, "token_invalid", id="an empty list of roles"),
        pytest.param({"role": [7]}, "token_invalid", id="a list without a role"),
        pytest.param({"plan": None}, "token_invalid", id="no plan"),
        pytest.param({"sub": None}, "token_invalid", id="nobody"),
        pytest.param({"sub": 7}, "token_invalid", id="subject is a number"),
    ],
)
def test_what_a_token_must_say(claims: dict[str, object], code: str) -> None:
    assert refused(f"Bearer {token(claims=claims)}").code == code


def test_a_clock_that_is_a_little_off_is_forgiven_and_no_more() -> None:
    now = int(time.time())
    assert verifier(SETTINGS)(f"Bearer {token(exp=now - 3)}").subject == "u_reader"
    strict = msgspec.structs.replace(SETTINGS, leeway_seconds=0)
    assert refused(f"Bearer {token(exp=now - 3)}", strict).code == "token_expired"


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def forged(header: dict[str, object], key: bytes = b"") -> str:
    """Sign by hand, as libraries refuse to make such tokens."""
    payload = jwt.decode(token(), options={"verify_signature": False})
    text = f"{encoded(header)}.{encoded(payload)}"
    mac = hmac.digest(key, text.encode(), "sha256") if key else b""
    return f"Bearer {text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS384", "RS256", "ES256", 7])
def test_the_algorithm_is_not_for_the_token_to_choose(algorithm: object) -> None:
    for key in (b"", SECRET.encode()):
        error = refused(forged({"alg": algorithm, "typ": "JWT"}, key))
        assert error.code == "token_invalid"


def test_another_secret_is_refused() -> None:
    assert "signature" in refused(forged({"alg": "HS256"}, b"x" * 48)).detail


def test_what_a_token_says_never_reaches_the_challenge() -> None:
    """A header injection, were the claim's name or value repeated there."""
    error = refused(forged({"alg": 'x"\r\nSet-Cookie: a=b', "typ": "JWT"}))
    assert "Set-Cookie" not in error.headers["WWW-Authenticate"]


def test_issuer_and_audience_are_demanded_when_they_are_set() -> None:
    settings = msgspec.structs.replace(SETTINGS, issuer="https://id", audience="audit")
    good = f"Bearer {token(iss='https://id', aud='audit')}"
    assert verifier(settings)(good).subject == "u_reader"
    wrong = [
        {},
        {"iss": "https://id"},
        {"iss": "https://evil", "aud": "audit"},
        {"iss": "https://id", "aud": "other"},
    ]
    for claims in wrong:
        assert refused(f"Bearer {token(claims=claims)}", settings).code == "token_invalid"


def test_an_audience_that_nobody_asked_for_is_let_be() -> None:
    assert verifier(SETTINGS)(f"Bearer {token(aud='anything')}").subject == "u_reader"


@pytest.mark.parametrize(
    ("role", "plan", "code"),
    [
        ("owner", "studio_pro", None),
        ("admin", "enterprise", None),
        ("member", "enterprise", "role_not_allowed"),
        ("Owner", "enterprise", "role_not_allowed"),
        ("owner,member", "enterprise", "role_not_allowed"),
        ("owner", "studio", "plan_not_allowed"),
        ("owner", "free", "plan_not_allowed"),
        ("auditor", "enterprise", "role_not_allowed"),
    ],
)
def test_who_may_read(role: str, plan: str, code: str | None) -> None:
    reader = Reader(organization_id="org_a", role=role, plan=plan, subject="u")
    if code is None:
        authorize(reader, SETTINGS)
        return
    with pytest.raises(ForbiddenError) as caught:
        authorize(reader, SETTINGS)
    assert caught.value.code == code


def test_an_auditor_reads_where_the_settings_say_so() -> None:
    reader = Reader(organization_id="org_a", role="auditor", plan="enterprise", subject="u")
    authorize(reader, msgspec.structs.replace(SETTINGS, auditor_roles=("auditor",)))


def test_claims_stand_where_the_settings_say() -> None:
    settings = msgspec.structs.replace(
        SETTINGS,
        organization_claim="https://id.example/org",
        role_claim="app_metadata.role",
        plan_claim="https://id.example/claims.plan",
        subject_claim="uid",
    )
    claims: dict[str, object] = {
        "organizationId": "org_of_another_name",
        "https://id.example/org": "org_7",
        "app_metadata": {"role": "admin"},
        "https://id.example/claims": {"plan": "enterprise"},
        "uid": "u_7",
    }
    found = verifier(settings)(f"Bearer {token(claims=claims)}")
    assert (found.organization_id, found.role, found.plan, found.subject) == (
        "org_7", "admin", "enterprise", "u_7",
    )  # fmt: skip
    assert refused(f"Bearer {token()}", settings).detail == (
        "its claim https://id.example/org is missing"
    ), "as whoever makes the tokens calls it"
    wrong = token(claims={**claims, "app_metadata": {"role": {"owner": True}}})
    assert (
        refused(f"Bearer {wrong}", settings).detail == "its claim app_metadata.role is not usable"
    )


def test_a_claim_of_any_name_is_told_in_a_header_that_can_be_sent() -> None:
    settings = msgspec.structs.replace(SETTINGS, role_claim='"rôle"\r\n役割')
    error = refused(f"Bearer {token()}", settings)
    assert error.detail == 'its claim "rôle"\r\n役割 is missing'
    assert (
        'error_description="its claim ?r?le????? is missing"' in error.headers["WWW-Authenticate"]
    )


def test_keys_of_a_provider_are_fetched_once_and_verify() -> None:
    with provider() as server:
        verify = verifier(server.settings)
        keys = ((RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed"))
        for key, algorithm, key_id in keys:
            assert verify(signed(key, algorithm, key_id)).organization_id == "org_a"
        assert server.fetched == 1


def test_a_public_key_is_no_shared_secret() -> None:
    """The classic confusion: an HMAC over the public key that everybody knows."""
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with provider() as server:
        assert refused(forged({"alg": "HS256", "kid": "rsa"}, pem), server.settings).code
        assert refused(forged({"alg": "HS256", "kid": "oct"}, b"x" * 40), server.settings).code
        assert server.fetched == 0, "a token of a foreign algorithm made us fetch keys"


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"),
    [
        pytest.param(rsa.generate_private_key(65537, 2048), "RS256", "rsa", id="forged key"),
        pytest.param(RSA_KEY, "PS256", "rsa", id="algorithm that is not accepted"),
        pytest.param(EC_KEY, "ES256", "rsa", id="another kind of key"),
        pytest.param(RSA_KEY, "RS256", "unknown", id="unknown key"),
        pytest.param(RSA_KEY, "RS256", None, id="unnamed key"),
    ],
)
def test_forgeries_against_a_provider(
    key: Any, algorithm: str, key_id: str | None
) -> None:  # any kind
    with provider() as server:
        assert refused(signed(key, algorithm, key_id), server.settings).code == "token_invalid"


def test_a_key_verifies_no_token_of_another_algorithm_than_its_own() -> None:
    header, payload = encoded({"alg": "ES256", "kid": "rsa"}), token().split(".")[1]
    signature = RSA_KEY.sign(f"{header}.{payload}".encode(), PKCS1v15(), SHA256())
    text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    with provider() as server:
        error = refused(f"Bearer {header}.{payload}.{text}", server.settings)
    assert error.detail == "its algorithm is not that of its key"


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b'{"keys": []}'])
def test_a_provider_that_publishes_nothing_is_not_the_callers_fault(answer: bytes) -> None:
    with provider() as server:
        server.answer = answer
        with pytest.raises(UnavailableError) as caught:
            verifier(server.settings)(signed(RSA_KEY, "RS256", "rsa"))
    assert caught.value.code == "keys_unavailable"
    assert "Retry-After" in caught.value.headers


def test_a_provider_that_is_down_is_not_the_callers_fault() -> None:
    with provider() as server:
        settings = server.settings
    with pytest.raises(UnavailableError):
        verifier(settings)(signed(RSA_KEY, "RS256", "rsa"))
