"""Whatever is sent to the pages of signing in, the answer is one of theirs, and nobody is in."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.identity_provider import CLIENT_ID, identity_provider
from tests.webapi_api import SETTINGS, Api, storeless
from tests.webapi_browser import HTML
from webapi.sign_in.cookie import cookie_name, cookie_serializer
from webapi.sign_in.destination import SECTION

PROVIDER = "https://id.company.com"
PATHS = st.sampled_from(
    [
        "/sign-in", "/sign-in/once", "/sign-in/oidc", "/sign-in/oidc/callback",
        "/sign-out", "/sign-out/provider",
        "/settings/access-control/audit-log", "/settings/access-control/api-tokens",
        "/settings/access-control/api-tokens/x/revoke", "/settings/access-control/log-state",
    ]
)  # fmt: skip
NAMES = st.sampled_from(
    ["next", "ticket", "state", "code", "iss", "error", "signed_out", "csrf_token", "name"]
)
ANY = st.text(max_size=60) | st.sampled_from(["..", "x.y.z", "eyJhbGciOiJub25lIn0.e30.", "1", ""])
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "X-Auth-Request-User", "X-Auth-Request-Role", "X-Auth-Request-Organization",
            "X-Auth-Request-Plan", "X-Indelible-Proxy-Secret", "X-Forwarded-For", "Forwarded",
            "X-Forwarded-Proto", "X-Forwarded-Host", "Host", "Origin", "Sec-Fetch-Site",
            "Sec-Fetch-Mode", "X-CSRF-Token", "Cookie", "X-HTTP-Method-Override",
        ]
    ),
    HEADER,
    max_size=4,
)  # fmt: skip
PAIRS = st.dictionaries(NAMES, ANY, max_size=4)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    directory = tmp_path_factory.mktemp("web")
    with identity_provider() as provider:
        provider.bend_metadata = lambda one: one.update(
            authorization_endpoint=f"{PROVIDER}/authorize",
            end_session_endpoint=f"{PROVIDER}/logout",
        )
        yield storeless(
            msgspec.structs.replace(
                SETTINGS,
                state_directory=directory,
                oidc_issuer=provider.issuer,
                oidc_client_id=CLIENT_ID,
                public_url="https://audit.company.com",
                trusted_proxy_networks=("10.0.0.0/8",),
                trusted_proxy_secret=SETTINGS.jwt_secret,
            )
        )


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request of anybody."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    peer: str
    cookie: str | None


SIGNED = st.builds(
    cookie_serializer(SETTINGS).dumps,
    st.dictionaries(st.sampled_from(["id", "oidc", "at", "reader"]), ANY, max_size=3),
)
SENT = st.builds(
    Sent,
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE"]),
    path=PATHS,
    query=PAIRS,
    form=PAIRS,
    headers=HEADERS,
    peer=st.sampled_from(["127.0.0.1", "10.0.0.1", "::1", "", "nonsense"]),
    cookie=st.none() | ANY | SIGNED,
)


@pytest.mark.slow
@settings(max_examples=300)
@given(SENT)
def test_nothing_breaks_nobody_comes_in_and_nobody_is_led_away(api: Api, sent: Sent) -> None:
    client = api.app.test_client()
    if sent.cookie is not None:
        client.set_cookie(cookie_name(SETTINGS), sent.cookie)
    answer = client.open(
        f"{sent.path}?{urlencode(sent.query)}",
        method=sent.method,
        data=sent.form if sent.method in ("POST", "PUT") else None,
        headers={**HTML, **sent.headers},
        environ_overrides={"REMOTE_ADDR": sent.peer},
    )
    assert answer.status_code < 500, answer.text
    cookie = client.get_cookie(cookie_name(SETTINGS))
    data = None if cookie is None else cookie_serializer(SETTINGS).loads_unsafe(cookie.value)[1]
    assert not isinstance(data, dict) or "method" not in data, "signed in"
    location = answer.headers.get("Location", SECTION)
    assert location.startswith((SECTION, "/sign-in", PROVIDER)), location
