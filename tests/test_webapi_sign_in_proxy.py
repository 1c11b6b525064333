"""Signing in by a trusted proxy: whose headers are believed, and what cannot be smuggled past."""

import http.client
from pathlib import Path
from typing import Any

import msgspec
import pytest
from werkzeug.test import TestResponse

from indexer.settings import Secret
from tests.node_home import free_ports
from tests.webapi_api import SETTINGS, Api, storeless
from tests.webapi_browser import HTML
from tests.webapi_process import ROOT, serving
from webapi.auth import Reader
from webapi.errors import TokenError
from webapi.settings import WebSettings
from webapi.sign_in.proxy import SECRET_HEADER, read_proxied
from webapi.sign_in.session import require_reader

KNOWN = "10.1.2.3"
SECRET = "p" * 40
PROXIED = msgspec.structs.replace(
    SETTINGS,
    trusted_proxy_networks=("10.1.0.0/16", "2001:db8::/64"),
    trusted_proxy_secret=Secret(SECRET),
)
PERSON = {
    "X-Auth-Request-User": "u_ana",
    "X-Auth-Request-Email": "ana@company.com",
    "X-Auth-Request-Preferred-Username": "Ana",
    "X-Auth-Request-Organization": "org_a",
    "X-Auth-Request-Role": "owner",
    "X-Auth-Request-Plan": "enterprise",
}
SAID = {**PERSON, SECRET_HEADER: SECRET}
ANA = Reader(
    organization_id="org_a",
    role="owner",
    plan="enterprise",
    subject="u_ana",
    email="ana@company.com",
    name="Ana",
)


def environ(headers: dict[str, str], peer: str = KNOWN) -> dict[str, object]:
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return {"REMOTE_ADDR": peer, **named}


def changed(**values: str) -> dict[str, str]:
    return {**SAID, **{f"X-Auth-Request-{name}": value for name, value in values.items()}}


@pytest.mark.parametrize("peer", [KNOWN, "::ffff:10.1.2.3", "2001:db8::7"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    assert read_proxied(environ(SAID, peer), PROXIED) == ANA


NOT_BELIEVED: list[tuple[str, dict[str, str], str, dict[str, Any]]] = [
    ("from elsewhere", SAID, "10.2.0.1", {}),
    ("from nowhere", SAID, "", {}),
    ("without the secret", PERSON, KNOWN, {}),
    ("with another secret", {**SAID, SECRET_HEADER: "x" * 40}, KNOWN, {}),
    ("with the secret twice", {**SAID, SECRET_HEADER: f"{SECRET},{SECRET}"}, KNOWN, {}),
    ("an address in a header", {**SAID, "X-Forwarded-For": KNOWN}, "192.0.2.1", {}),
    ("a real ip in a header", {**SAID, "X-Real-IP": KNOWN}, "192.0.2.1", {}),
    ("by default", SAID, "127.0.0.1", {"trusted_proxy_networks": ()}),
    ("without a person", {SECRET_HEADER: SECRET}, KNOWN, {}),
    ("with an empty person", changed(User=" "), KNOWN, {}),
]


@pytest.mark.parametrize(
    ("headers", "peer", "settings"), [pytest.param(h, p, s, id=n) for n, h, p, s in NOT_BELIEVED]
)
def test_nobody_else_is(headers: dict[str, str], peer: str, settings: dict[str, Any]) -> None:
    found = msgspec.structs.replace(PROXIED, **settings)
    assert read_proxied(environ(headers, peer), found) is None


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        pytest.param(changed(User="evil,u_ana"), "came twice", id="a person twice"),
        pytest.param(changed(Role="owner,member"), "came twice", id="a role twice"),
        pytest.param(changed(Organization="org_b, org_a"), "came twice", id="two organisations"),
        pytest.param(changed(Role=""), "no X-Auth-Request-Role", id="no role"),
        pytest.param(changed(Plan=""), "no X-Auth-Request-Plan", id="no plan"),
        pytest.param(changed(Organization="_system"), "reserved", id="the log itself"),
        pytest.param(changed(Email="a\x00b"), "claim email", id="a control character"),
        pytest.param(changed(User="\xff"), "not UTF-8", id="bytes that are no text"),
        pytest.param(changed(User="u" * 2000), "claim sub", id="a book"),
    ],
)
def test_what_a_proxy_cannot_mean_is_told(headers: dict[str, str], words: str) -> None:
    with pytest.raises(TokenError, match=words):
        read_proxied(environ(headers), PROXIED)


def test_names_may_be_of_any_script() -> None:
    sent = changed(**{"Preferred-Username": "Ana María Núñez".encode().decode("latin-1")})
    found = read_proxied(environ(sent), PROXIED)
    assert found is not None
    assert found.name == "Ana María Núñez"


def site(settings: WebSettings = PROXIED) -> Api:
    api = storeless(settings)
    api.app.add_url_rule("/settings/test", view_func=lambda: require_reader().subject)
    return api


def go(api: Api, headers: dict[str, str], peer: str = KNOWN) -> TestResponse:
    return api.client.get(
        "/settings/test", headers={**HTML, **headers}, environ_overrides={"REMOTE_ADDR": peer}
    )


def test_each_request_is_judged_anew(tmp_path: Path) -> None:
    api = site(msgspec.structs.replace(PROXIED, state_directory=tmp_path))
    assert go(api, SAID).text == "u_ana"
    assert go(api, changed(User="u_bo")).text == "u_bo", "the proxy's word, not the cookie's"
    assert go(api, {}).status_code == 303, (
        "a cookie that outlives the proxy's word is worth nothing"
    )
    assert go(api, SAID, "192.0.2.1").status_code == 303
    assert go(api, SAID).text == "u_ana"


def test_one_session_lasts_as_long_as_the_proxy_says_the_same() -> None:
    api = site()
    assert go(api, SAID).headers.getlist("Set-Cookie") != []
    assert go(api, SAID).headers.getlist("Set-Cookie") == []


def test_a_member_sees_why() -> None:
    response = go(site(), changed(Role="member"))
    assert response.status_code == 403
    assert "role owner or admin" in response.text


def test_a_proxy_that_says_nonsense_is_told_on_the_page() -> None:
    response = go(site(), changed(Role="owner,member"))
    assert response.status_code == 403


def test_headers_do_not_open_the_api() -> None:
    response = site().client.get(
        "/api/organization/rbac/members/audit-log",
        headers=SAID,
        environ_overrides={"REMOTE_ADDR": KNOWN},
    )
    assert response.status_code == 401


def ask(port: int, headers: list[tuple[str, str]]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest("GET", "/settings/access-control/audit-log/x")
        for name, value in [("Accept", "text/html"), *headers]:
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slow
def test_a_real_server_lets_no_spelling_through(tmp_path: Path) -> None:
    """gunicorn: a header twice, with underscores, in another case, and folded."""
    (port,) = free_ports(1)
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "INDELIBLE_HOME": str(tmp_path),
        "INDELIBLE_OPENSEARCH_URL": "https://127.0.0.1:1",
        "INDELIBLE_WEB_JWT_SECRET": "j" * 40,
        "INDELIBLE_WEB_PORT": str(port),
        "INDELIBLE_WEB_TRUSTED_PROXY_NETWORKS": "127.0.0.1",
        "INDELIBLE_WEB_TRUSTED_PROXY_SECRET": SECRET,
    }
    good = list(SAID.items())
    rest = [pair for pair in good if pair[0] != SECRET_HEADER]
    with serving(("-m", "indelible", "web"), environ, port, tmp_path / "web.log"):
        assert ask(port, good) == 404, "signed in, and there is no such event"
        assert ask(port, [(name.lower(), value) for name, value in good]) == 404
        assert ask(port, rest) == 303, "no secret"
        assert ask(port, [("X-Auth-Request-Role", "owner"), *good]) == 403, "twice"
        underscored = [(name.replace("-", "_"), value) for name, value in good]
        assert ask(port, underscored) == 303, "dropped"
        role = ("X_Auth_Request_Role", "owner")
        member = [
            *(pair for pair in good if "Role" not in pair[0]),
            ("X-Auth-Request-Role", "member"),
        ]
        assert ask(port, [*member, role]) == 403, "the hyphened one counts"
        assert (
            ask(port, [*rest, ("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1")])
            == 303
        )
