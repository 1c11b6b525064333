"""Signing in by OpenID Connect, with a provider that is real, and sometimes hostile."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
import msgspec
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug.test import TestResponse

from indexer.settings import Secret
from tests.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    KEY,
    IdentityProvider,
    identity_provider,
)
from tests.webapi_api import SETTINGS, Api, storeless
from tests.webapi_browser import visit
from webapi.settings import WebSettings
from webapi.sign_in.cookie import cookie_name, cookie_serializer
from webapi.sign_in.destination import HOME
from webapi.sign_in.oidc import FLOW, FLOW_SECONDS
from webapi.sign_in.provider import CALLBACK

PUBLIC = "https://audit.company.com"


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as found:
        yield found


def settings_of(provider: IdentityProvider, **more: Any) -> WebSettings:
    named = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": Secret(CLIENT_SECRET),
        "public_url": PUBLIC,
    }
    return msgspec.structs.replace(SETTINGS, **{**named, **more})


def data_of(api: Api) -> dict[str, Any]:
    cookie = api.client.get_cookie(cookie_name(SETTINGS))
    found: dict[str, Any] = (
        {} if cookie is None else cookie_serializer(SETTINGS).loads(cookie.value)
    )
    return found


def who(api: Api) -> str | None:
    found: str | None = data_of(api).get("reader", {}).get("subject")
    return found


def go(api: Api, destination: str = HOME) -> str:
    """Begin here, go to the provider and back; return the callback's path and query."""
    begun = visit(api.client, "/sign-in/oidc?" + urlencode({"next": destination}))
    assert begun.status_code == 303, begun.text
    answer = requests.get(begun.location, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == PUBLIC + CALLBACK
    return f"{back.path}?{back.query}"


def sign_in(api: Api) -> TestResponse:
    return visit(api.client, go(api))


def is_refused(api: Api, response: TestResponse, words: str) -> bool:
    assert response.mimetype == "text/html"
    assert who(api) is None
    assert words in response.text, response.text
    return response.status_code == 403


def test_the_sign_in_page_leads_to_the_provider_and_back_to_where_one_was(
    provider: IdentityProvider,
) -> None:
    api = storeless(settings_of(provider))
    there = f"{HOME}?action=member.*"
    page = visit(api.client, "/sign-in?" + urlencode({"next": there}))
    assert "/sign-in/oidc?next=" in page.text
    response = visit(api.client, go(api, there))
    assert (response.status_code, response.location) == (303, there)
    data = data_of(api)
    assert data["reader"] == {
        "organization_id": "org_a",
        "role": "owner",
        "plan": "studio_pro",
        "subject": "u_ana",
        "email": "ana@company.com",
        "name": "Ana María",
    }
    assert data["method"] == "oidc"
    assert FLOW not in data


def test_a_member_is_signed_in_and_sees_why_there_is_nothing_more(
    provider: IdentityProvider,
) -> None:
    provider.person["role"] = "member"
    api = storeless(settings_of(provider))
    assert sign_in(api).status_code == 303
    response = visit(api.client, HOME)
    assert response.status_code == 403
    assert "role owner or admin" in response.text


def test_the_claims_have_the_names_that_the_provider_gives_them(provider: IdentityProvider) -> None:
    provider.person = {
        "sub": "u_1",
        "preferred_username": "ana",
        "https://company.com/org": "org_7",
        "realm_access": {"roles": ["member", "admin", "owner"]},
        "tier": "enterprise",
        "email": "typed@company.com",
        "email_verified": False,
    }
    settings = settings_of(
        provider,
        oidc_organization_claim="https://company.com/org",
        oidc_role_claim="realm_access.roles",
        oidc_plan_claim="tier",
    )
    api = storeless(settings)
    assert sign_in(api).status_code == 303
    assert data_of(api)["reader"] == {
        "organization_id": "org_7",
        "role": "owner",
        "plan": "enterprise",
        "subject": "u_1",
        "name": "ana",
    }


def forged(header: dict[str, object], claims: dict[str, Any]) -> str:
    def encode(part: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    return f"{encode(header)}.{encode(claims)}."


STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLAIMS: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("another nonce", lambda one: one.update(nonce="n" * 32), "claim nonce"),
    ("no nonce", lambda one: one.update(nonce=None), "claim nonce"),
    ("another audience", lambda one: one.update(aud="another"), "claim aud"),
    ("no audience", lambda one: one.update(aud=None), "claim aud"),
    ("for several, not said for whom", lambda one: one.update(aud=[CLIENT_ID, "b"]), "claim azp"),
    ("for another party", lambda one: one.update(aud=[CLIENT_ID, "b"], azp="b"), "claim azp"),
    ("another issuer", lambda one: one.update(iss="https://evil.example"), "claim iss"),
    ("no issuer", lambda one: one.update(iss=None), "claim iss"),
    ("expired", lambda one: one.update(exp=int(time.time()) - 60), "has expired"),
    ("never expires", lambda one: one.update(exp=None), "claim exp"),
    ("of tomorrow", lambda one: one.update(nbf=int(time.time()) + 600), "claim nbf"),
    ("another token's hash", lambda one: one.update(at_hash="x" * 22), "claim at_hash"),
    ("nobody", lambda one: one.update(sub=None), "claim sub"),
    ("no organisation", lambda one: one.update(organizationId=None), "claim organizationId"),
    ("the log itself", lambda one: one.update(organizationId="_system"), "reserved"),
    ("a role that is an object", lambda one: one.update(role={"a": 1}), "claim role"),
    ("no role among its roles", lambda one: one.update(role=[]), "claim role"),
    ("a name that is a number", lambda one: one.update(name=7), "claim name"),
    ("a control character", lambda one: one.update(email="a\r\nb"), "claim email"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("bend", "words"), [pytest.param(b, w, id=n) for n, b, w in CLAIMS])
def test_an_id_token_that_proves_nothing_signs_nobody_in(
    provider: IdentityProvider, bend: Callable[[dict[str, Any]], object], words: str
) -> None:
    provider.bend_claims = bend
    api = storeless(settings_of(provider))
    assert is_refused(api, sign_in(api), words)


SIGNATURES: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
    ("alg none", lambda claims: forged({"alg": "none"}, claims)),
    ("alg none with a key id", lambda claims: forged({"alg": "none", "kid": "first"}, claims)),
    (
        "HMAC with the client's secret",
        lambda claims: jwt.encode(claims, CLIENT_SECRET, "HS256", {"kid": "first"}),
    ),
    ("another key", lambda claims: jwt.encode(claims, STRANGER, "RS256", {"kid": "first"})),
    ("a key that is not published", lambda claims: jwt.encode(claims, KEY, "RS256", {"kid": "x"})),
    ("nonsense", lambda _: "x.y"),
    ("nothing", lambda _: ""),
]


@pytest.mark.slow
@pytest.mark.parametrize("sign", [pytest.param(sign, id=name) for name, sign in SIGNATURES])
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_signature_that_does_not_hold_signs_nobody_in(
    provider: IdentityProvider, sign: Callable[[dict[str, Any]], str]
) -> None:
    provider.sign = sign
    api = storeless(settings_of(provider))
    assert is_refused(api, sign_in(api), "ignature of the provider&#39;s ID token does not hold")


def test_a_clock_may_be_a_little_wrong(provider: IdentityProvider) -> None:
    provider.bend_claims = lambda one: one.update(exp=int(time.time()) - 5)
    api = storeless(settings_of(provider))
    assert sign_in(api).status_code == 303


def test_keys_that_changed_are_fetched_again_but_not_for_every_stranger(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = storeless(settings_of(provider))
    sign_in(api)
    provider.key_id = "second"
    before = provider.asked.count("/jwks.json")
    again = sign_in(api)
    assert again.status_code == 403, "young keys are kept"
    monkeypatch.setattr("webapi.sign_in.provider.KEYS_SECONDS", 0)
    assert sign_in(api).status_code == 303
    assert provider.asked.count("/jwks.json") == before + 1


def test_a_callback_that_this_browser_did_not_begin_is_refused(provider: IdentityProvider) -> None:
    """Signing in the victim as the attacker: the attacker's code in the victim's browser."""
    settings = settings_of(provider)
    attacker, victim = storeless(settings), storeless(settings)
    callback = go(attacker)
    assert is_refused(victim, visit(victim.client, callback), "not begun in this browser")
    go(victim)
    assert is_refused(victim, visit(victim.client, callback), "not begun in this browser")


@pytest.mark.parametrize("state", ["", "x", "ä", "s" * 32])
def test_a_wrong_state_is_refused(provider: IdentityProvider, state: str) -> None:
    provider.bend_answer = lambda answer: answer.update(state=state)
    api = storeless(settings_of(provider))
    assert is_refused(api, sign_in(api), "not begun in this browser")
    assert "/token" not in provider.asked


def test_a_code_works_once_even_with_a_copy_of_the_cookie(provider: IdentityProvider) -> None:
    settings = settings_of(provider)
    api, copy = storeless(settings), storeless(settings)
    callback = go(api)
    cookie = api.client.get_cookie(cookie_name(settings))
    assert cookie is not None
    copy.client.set_cookie(cookie_name(settings), cookie.value)
    assert visit(api.client, callback).status_code == 303
    assert is_refused(copy, visit(copy.client, callback), "refuses what the browser brought back")
    assert "<script" not in visit(copy.client, callback).text
    assert visit(api.client, callback).status_code == 403, "the attempt is over"


def test_an_attempt_is_over_whatever_came_of_it(provider: IdentityProvider) -> None:
    api = storeless(settings_of(provider))
    callback = go(api)
    assert is_refused(api, visit(api.client, f"{callback}&error=access_denied"), "access_denied")
    assert is_refused(api, visit(api.client, callback), "not begun in this browser")


def test_an_attempt_that_took_too_long_begins_again(provider: IdentityProvider) -> None:
    settings = settings_of(provider)
    api = storeless(settings)
    callback = go(api)
    data = data_of(api)
    data[FLOW]["at"] -= FLOW_SECONDS + 1
    api.client.set_cookie(cookie_name(settings), cookie_serializer(settings).dumps(data))
    assert is_refused(api, visit(api.client, callback), "took too long")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param({"iss": "https://evil.example"}, "another identity provider", id="mix-up"),
        pytest.param({"error": "access_denied"}, "(access_denied)", id="the person said no"),
        pytest.param({"error": "<script>"}, "did not sign you in<", id="words of a stranger"),
        pytest.param({"code": "invented"}, "refuses what the browser", id="an invented code"),
        pytest.param({"code": ""}, "refuses what the browser", id="no code"),
    ],
)
def test_answers_that_do_not_sign_in(
    provider: IdentityProvider, answer: dict[str, str], words: str
) -> None:
    provider.bend_answer = lambda sent: sent.update(answer)
    api = storeless(settings_of(provider))
    response = sign_in(api)
    assert is_refused(api, response, words)
    assert "<script>" not in response.text


def test_the_issuer_must_be_said_where_the_provider_says_that_it_says_it(
    provider: IdentityProvider,
) -> None:
    key = "authorization_response_iss_parameter_supported"
    provider.bend_metadata = lambda one: one.update({key: True})
    api = storeless(settings_of(provider))
    assert is_refused(api, sign_in(api), "another identity provider")
    provider.bend_answer = lambda sent: sent.update(iss=provider.issuer)
    assert sign_in(api).status_code == 303


METADATA: list[tuple[str, dict[str, object], int, str]] = [
    ("another issuer", {"issuer": "https://evil.example"}, 403, "another issuer"),
    ("codes in the clear", {"token_endpoint": "http://evil.example/t"}, 403, "not https"),
    ("keys in the clear", {"jwks_uri": "http://evil.example/k"}, 403, "not https"),
    ("a script", {"authorization_endpoint": "javascript:alert(1)"}, 403, "not https"),
    ("no endpoint", {"token_endpoint": None}, 503, "does not answer"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "status", "words"), [pytest.param(c, s, w, id=n) for n, c, s, w in METADATA]
)
def test_a_provider_that_is_another_one_is_not_gone_to(
    provider: IdentityProvider, change: dict[str, object], status: int, words: str
) -> None:
    provider.bend_metadata = lambda one: one.update(change)
    response = visit(storeless(settings_of(provider)).client, "/sign-in/oidc")
    assert response.status_code == status
    assert words in response.text


def test_a_provider_that_is_down_is_told(provider: IdentityProvider) -> None:
    settings = settings_of(provider, oidc_issuer="http://127.0.0.1:1")
    response = visit(storeless(settings).client, "/sign-in/oidc")
    assert response.status_code == 503
    assert "does not answer" in response.text
    assert response.headers["Retry-After"]


def test_a_provider_that_is_silent_is_left_alone_for_some_seconds(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can begin; were each attempt to wait for its own answer, none could be served."""
    provider.metadata_status = 500
    api = storeless(settings_of(provider))
    for _ in range(5):
        assert visit(api.client, "/sign-in/oidc").status_code == 503
    assert len(provider.asked) == 1
    provider.metadata_status = 200
    monkeypatch.setattr("webapi.sign_in.provider.SILENT_SECONDS", 0)
    assert visit(api.client, "/sign-in/oidc").status_code == 303


def test_a_token_endpoint_that_fails_signs_nobody_in(provider: IdentityProvider) -> None:
    provider.token_status = 500
    api = storeless(settings_of(provider))
    response = sign_in(api)
    assert response.status_code == 503
    assert who(api) is None


def test_the_secret_is_sent_to_the_provider_alone(provider: IdentityProvider) -> None:
    api = storeless(settings_of(provider, oidc_client_secret=Secret("w" * 40)))
    response = sign_in(api)
    assert is_refused(api, response, "refuses what the browser brought back")
    assert "w" * 40 not in response.text


def test_signing_out_offers_to_sign_out_of_the_provider_too(provider: IdentityProvider) -> None:
    api = storeless(settings_of(provider))
    page = visit(api.client, "/sign-in?signed_out=1")
    assert "/sign-out/provider" in page.text
    response = visit(api.client, "/sign-out/provider")
    found = urlsplit(response.location)
    assert f"{found.scheme}://{found.netloc}{found.path}" == f"{provider.issuer}/logout"
    assert dict(parse_qsl(found.query)) == {
        "client_id": CLIENT_ID,
        "post_logout_redirect_uri": f"{PUBLIC}/sign-in",
    }


def test_a_provider_without_signing_out_says_so(provider: IdentityProvider) -> None:
    provider.bend_metadata = lambda one: one.pop("end_session_endpoint")
    response = visit(storeless(settings_of(provider)).client, "/sign-out/provider")
    assert response.status_code == 404


def test_without_a_provider_there_is_nothing_to_go_to() -> None:
    api = storeless()
    assert "oidc" not in visit(api.client, "/sign-in").text
    assert visit(api.client, "/sign-in/oidc").status_code == 404


def test_what_is_asked_of_the_provider(provider: IdentityProvider) -> None:
    begun = visit(storeless(settings_of(provider)).client, "/sign-in/oidc")
    asked = parse_qs(urlsplit(begun.location).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [PUBLIC + CALLBACK]
    assert len(asked["state"][0]) >= 32
    assert len(asked["nonce"][0]) >= 32
    assert "code_verifier" not in asked
