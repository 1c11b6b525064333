"""Signing in by a one-time link, and out; forged requests on the way."""

import io
import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
import requests
from werkzeug.test import TestResponse

from indelible.sign_in import link
from indexer.settings import Secret
from tests.node_home import free_ports
from tests.webapi_api import OWNER, SECRET, SETTINGS, Api, session_cookie, storeless, token
from tests.webapi_browser import HTML, form_fields, submit, visit
from tests.webapi_process import ROOT, serving
from webapi.settings import WebSettings
from webapi.sign_in.cookie import cookie_name, cookie_serializer
from webapi.sign_in.csrf import FIELD
from webapi.sign_in.destination import HOME
from webapi.sign_in.ticket import TICKET_SECONDS, write_ticket

CLAIMS = {
    "organizationId": "org_a",
    "role": "owner",
    "plan": "studio_pro",
    "sub": "u_ana",
    "email": "ana@company.com",
    "name": "Ana <b>María</b>",
}


@pytest.fixture
def settings(tmp_path: Path) -> WebSettings:
    return msgspec.structs.replace(SETTINGS, state_directory=tmp_path)


def path_of(settings: WebSettings, claims: Mapping[str, object] = CLAIMS, *, age: float = 0) -> str:
    """Return path and query of a link that was made so many seconds ago."""
    made = urlsplit(link(claims, settings, now=time.time() - age))
    return f"{made.path}?{made.query}"


def who(api: Api) -> str | None:
    """Return who is signed in, by the client's cookie."""
    cookie = api.client.get_cookie(cookie_name(SETTINGS))
    data = {} if cookie is None else cookie_serializer(SETTINGS).loads(cookie.value)
    return cast("dict[str, str]", data.get("reader", {})).get("subject")


def is_refused_link(response: TestResponse, why: str) -> bool:
    return response.status_code == 410 and why in response.text


def test_a_link_signs_in_by_a_button(settings: WebSettings) -> None:
    api = storeless(settings)
    page = visit(api.client, path_of(settings) + "&" + urlencode({"next": f"{HOME}?q=a"}))
    assert page.status_code == 200
    assert "ana@company.com" in page.text
    assert "Ana &lt;b&gt;María" in page.text
    assert who(api) is None
    response = submit(api.client, page)
    assert (response.status_code, response.location) == (303, f"{HOME}?q=a")
    assert who(api) == "u_ana"


def test_a_preview_of_the_link_does_not_use_it_up(settings: WebSettings) -> None:
    path = path_of(settings)
    for _ in range(3):
        assert visit(storeless(settings).client, path).status_code == 200
    api = storeless(settings)
    assert submit(api.client, visit(api.client, path)).status_code == 303


def test_a_link_works_once(settings: WebSettings) -> None:
    path = path_of(settings)
    first, second = storeless(settings), storeless(settings)
    pages = [visit(one.client, path) for one in (first, second)]
    assert submit(first.client, pages[0]).status_code == 303
    assert is_refused_link(submit(second.client, pages[1]), "it was used")
    assert who(second) is None
    assert is_refused_link(visit(second.client, path), "it was used")


@pytest.mark.slow
def test_of_many_at_once_one_is_signed_in(settings: WebSettings) -> None:
    path = path_of(settings)
    browsers = [storeless(settings) for _ in range(12)]
    pages = [visit(one.client, path) for one in browsers]
    with ThreadPoolExecutor(len(browsers)) as pool:
        done = list(pool.map(submit, (one.client for one in browsers), pages))
    assert sorted(one.status_code for one in done) == [303] + [410] * 11
    assert sum(who(one) == "u_ana" for one in browsers) == 1


def test_a_link_expires(settings: WebSettings) -> None:
    old = TICKET_SECONDS + settings.leeway_seconds + 1
    assert is_refused_link(visit(storeless(settings).client, path_of(settings, age=old)), "expired")
    in_time = path_of(settings, age=TICKET_SECONDS - 5)
    assert visit(storeless(settings).client, in_time).status_code == 200


@pytest.mark.parametrize(
    "ticket",
    [
        pytest.param("", id="none"),
        pytest.param("x.y.z", id="nonsense"),
        pytest.param(token(jti="j" * 32, iat=int(time.time())), id="a bearer token"),
        pytest.param("eyJhbGciOiJub25lIn0.eyJqdGkiOiJ4In0.", id="not signed"),
        pytest.param("ä", id="not ASCII"),
    ],
)
def test_what_is_no_ticket_signs_nobody_in(settings: WebSettings, ticket: str) -> None:
    api = storeless(settings)
    shown = visit(api.client, "/sign-in/once?" + urlencode({"ticket": ticket}))
    assert is_refused_link(shown, "it was not made here")
    page = visit(api.client, path_of(settings))
    assert is_refused_link(submit(api.client, page, ticket=ticket), "it was not made here")
    assert who(api) is None


def test_a_ticket_is_no_bearer_token(settings: WebSettings) -> None:
    (ticket,) = parse_qs(urlsplit(path_of(settings)).query)["ticket"]
    assert storeless(settings).get(bearer=ticket).status_code == 401


def test_a_ticket_of_another_secret_is_none(settings: WebSettings) -> None:
    elsewhere = msgspec.structs.replace(settings, jwt_secret=Secret("z" * 48))
    assert is_refused_link(
        visit(storeless(settings).client, path_of(elsewhere)), "it was not made here"
    )


def test_a_reserved_organisation_signs_nobody_in(settings: WebSettings) -> None:
    text = write_ticket({**CLAIMS, "organizationId": "_system"}, settings, now=time.time())
    response = visit(storeless(settings).client, f"/sign-in/once?ticket={text}")
    assert is_refused_link(response, "reserved")


def test_a_session_that_somebody_else_began_is_not_carried_on(settings: WebSettings) -> None:
    """Session fixation: whatever cookie the browser had, its session has another id now."""
    api = storeless(settings)
    page = visit(api.client, path_of(settings))
    before = api.client.get_cookie(cookie_name(settings))
    assert before is not None
    submit(api.client, page)
    after = api.client.get_cookie(cookie_name(settings))
    assert after is not None
    read = cookie_serializer(settings).loads
    assert read(before.value)["id"] != read(after.value)["id"]
    intruder = storeless(settings)
    intruder.client.set_cookie(cookie_name(settings), before.value)
    assert visit(intruder.client, "/sign-in").status_code == 200, "not signed in"


def test_signing_in_again_ends_the_session_before(settings: WebSettings) -> None:
    api, old = storeless(settings), session_cookie(OWNER, settings)
    api.client.set_cookie(*old)
    submit(api.client, visit(api.client, path_of(settings)))
    copy = storeless(settings)
    copy.client.set_cookie(*old)
    assert visit(copy.client, "/sign-in").status_code == 200, "not signed in any more"


def test_who_is_too_long_for_a_cookie_is_told(settings: WebSettings) -> None:
    api = storeless(settings)
    claims = {name: secrets.token_hex(500) for name in ("sub", "email", "name", "role", "plan")}
    response = submit(api.client, visit(api.client, path_of(settings, {**CLAIMS, **claims})))
    assert response.status_code == 400
    assert "too long" in response.text
    assert who(api) is None


def test_without_a_state_directory_no_link_is_taken() -> None:
    response = visit(storeless().client, path_of(SETTINGS))
    assert response.status_code == 403
    assert "web.state_directory" in response.text


def test_where_nobody_can_sign_in_the_page_says_so(settings: WebSettings) -> None:
    words = "No way to sign in is set up here"
    proxied = msgspec.structs.replace(SETTINGS, trusted_proxy_networks=("127.0.0.1",))
    assert words in visit(storeless().client, "/sign-in").text
    for offered in (settings, proxied):
        assert words not in visit(storeless(offered).client, "/sign-in").text


def test_a_form_whose_session_has_ended_says_so(settings: WebSettings) -> None:
    api = storeless(settings)
    page = visit(api.client, path_of(settings))
    api.client.delete_cookie(cookie_name(settings))
    response = submit(api.client, page)
    assert response.status_code == 401
    assert "The session of that page has ended" in response.text
    assert submit(api.client, page, **{FIELD: "x"}).status_code == 403


def test_who_is_signed_in_goes_on(settings: WebSettings) -> None:
    api = storeless(settings)
    api.sign_in()
    response = visit(api.client, "/sign-in?" + urlencode({"next": "//evil.example/settings/"}))
    assert (response.status_code, response.location) == (303, HOME)


@pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_no_link_leads_away(settings: WebSettings, evil: str) -> None:
    api = storeless(settings)
    page = visit(api.client, path_of(settings) + "&" + urlencode({"next": evil}))
    assert form_fields(page.text)["next"] == HOME
    assert submit(api.client, page, next=evil).location == HOME


FORGED = [
    pytest.param({}, {}, id="no token"),
    pytest.param({"csrf_token": "x"}, {}, id="a made-up token"),
    pytest.param({}, {"Sec-Fetch-Site": "cross-site"}, id="another site"),
    pytest.param({}, {"Sec-Fetch-Site": "same-site"}, id="a neighbour"),
]


@pytest.mark.parametrize(("data", "headers"), FORGED)
def test_another_site_signs_nobody_out(
    settings: WebSettings, data: dict[str, str], headers: dict[str, str]
) -> None:
    api = storeless(settings)
    api.sign_in()
    response = api.client.post("/sign-out", data=data, headers={**HTML, **headers})
    assert response.status_code == 403
    assert response.mimetype == "text/html"
    assert who(api) == "u_reader"


@pytest.mark.parametrize(("method", "path"), [("POST", "/healthz"), ("DELETE", "/settings/none")])
def test_what_is_not_there_says_so(settings: WebSettings, method: str, path: str) -> None:
    assert storeless(settings).client.open(path, method=method).status_code in {404, 405}


@pytest.mark.parametrize("path", ["/sign-in/once", "/sign-out"])
def test_nobody_fills_memory_or_disk_with_a_form(settings: WebSettings, path: str) -> None:
    for data in ({"ticket": "x" * 100_000}, {"file": (io.BytesIO(b"x" * 100_000), "big")}):
        response = storeless(settings).client.post(path, data=data, headers=HTML)
        assert response.status_code == 400


def test_even_a_good_token_is_not_taken_from_another_site(settings: WebSettings) -> None:
    api = storeless(settings)
    page = visit(api.client, path_of(settings))
    fields = form_fields(page.text)
    response = api.client.post(
        "/sign-in/once", data=fields, headers={**HTML, "Sec-Fetch-Site": "cross-site"}
    )
    assert response.status_code == 403


def test_a_token_of_another_session_is_none(settings: WebSettings) -> None:
    """An attacker's own form, sent by the victim's browser: signing in as the attacker."""
    attacker, victim = storeless(settings), storeless(settings)
    page = visit(attacker.client, path_of(settings))
    visit(victim.client, path_of(settings))
    response = submit(victim.client, page)
    assert response.status_code == 403
    assert who(victim) is None


def test_pages_of_signing_in_are_kept_by_nobody_and_framed_nowhere(settings: WebSettings) -> None:
    response = visit(storeless(settings).client, path_of(settings))
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.slow
def test_of_all_that_reach_two_real_workers_at_once_one_is_signed_in(tmp_path: Path) -> None:
    """gunicorn, two processes, sixteen browsers that press the same button."""
    (port,) = free_ports(1)
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "INDELIBLE_HOME": str(tmp_path),
        "INDELIBLE_OPENSEARCH_URL": "https://127.0.0.1:1",
        "INDELIBLE_WEB_JWT_SECRET": SECRET,
        "INDELIBLE_WEB_PORT": str(port),
        "INDELIBLE_WEB_WORKERS": "2",
        "INDELIBLE_WEB_COOKIE_SECURE": "false",
    }
    address = f"http://127.0.0.1:{port}"
    with serving(("-m", "indelible", "web"), environ, port, tmp_path / "web.log"):
        browsers = [requests.Session() for _ in range(16)]
        path = path_of(SETTINGS)
        forms = [form_fields(one.get(address + path, timeout=30).text) for one in browsers]

        def press(browser: requests.Session, form: dict[str, str]) -> int:
            url = f"{address}/sign-in/once"
            return browser.post(url, form, allow_redirects=False, timeout=30).status_code

        with ThreadPoolExecutor(len(browsers)) as pool:
            assert sorted(pool.map(press, browsers, forms)) == [303] + [410] * 15
        for browser in browsers:
            browser.close()
