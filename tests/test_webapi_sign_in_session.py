"""Who is signed in: what the cookie must prove, and what ends a session."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from flask import g, render_template_string
from itsdangerous import URLSafeTimedSerializer

from indexer.settings import Secret
from tests.webapi_api import OWNER, SETTINGS, Api, problem, session_cookie, storeless
from tests.webapi_browser import HTML, submit, visit
from webapi.auth import Reader
from webapi.settings import WebSettings
from webapi.sign_in.cookie import cookie_name, cookie_serializer
from webapi.sign_in.session import SignedIn, is_alive, require_owner, require_reader

PAGE = "/settings/test"


def site(settings: WebSettings = SETTINGS) -> Api:
    """An application with a page for readers and one for owners."""
    api = storeless(settings)

    @api.app.get(PAGE)
    def for_readers() -> str:
        return f"{require_reader().subject} {g.reader.organization_id}"

    @api.app.get(PAGE + "/owners")
    def for_owners() -> str:
        return require_owner().subject

    return api


def with_state(path: Path) -> WebSettings:
    return msgspec.structs.replace(SETTINGS, state_directory=path)


def other(**changes: Any) -> Reader:
    return Reader(**{name: getattr(OWNER, name) for name in OWNER.__slots__} | changes)


def is_sent_to_sign_in(api: Api, path: str = PAGE) -> bool:
    response = visit(api.client, path)
    return response.status_code == 303 and response.location.startswith("/sign-in?next=")


def test_nobody_is_sent_to_sign_in_and_back_here() -> None:
    response = visit(site().client, f"{PAGE}?action=member.*&q=a+b")
    assert response.status_code == 303
    found = urlsplit(response.location)
    assert (found.path, found.netloc) == ("/sign-in", "")
    assert parse_qs(found.query) == {"next": [f"{PAGE}?action=member.*&q=a+b"]}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, id="fetch"),
        pytest.param({"X-Requested-With": "fetch", "Accept": "text/html"}, id="says so"),
        pytest.param({"Accept": "application/json"}, id="wants data"),
    ],
)
def test_a_fragment_gets_no_redirect(headers: dict[str, str]) -> None:
    problem(site().client.get(PAGE, headers=headers), 401, "session_missing")


def test_who_is_signed_in_is_let_in() -> None:
    api = site()
    api.sign_in()
    response = visit(api.client, PAGE)
    assert (response.status_code, response.text) == (200, "u_reader org_a")
    assert response.headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize(
    ("reader", "code", "words"),
    [
        pytest.param(other(role="member"), "role_not_allowed", "role owner or admin", id="member"),
        pytest.param(other(plan="free"), "plan_not_allowed", "plan studio_pro", id="plan"),
    ],
)
def test_who_may_not_read_sees_why_and_nothing_else(reader: Reader, code: str, words: str) -> None:
    api = site()
    api.sign_in(reader)
    response = visit(api.client, PAGE)
    assert response.status_code == 403
    assert response.mimetype == "text/html"
    assert words in response.text
    assert "Sign out" in response.text
    problem(api.client.get(PAGE, headers={"Sec-Fetch-Mode": "cors"}), 403, code)


def test_an_admin_is_no_owner() -> None:
    api = site()
    api.sign_in(other(role="admin"))
    assert visit(api.client, PAGE).status_code == 200
    response = visit(api.client, PAGE + "/owners")
    assert response.status_code == 403
    assert "role owner" in response.text


def test_names_are_text() -> None:
    api = site()
    api.sign_in(other(role="member", name="<script>alert(1)</script>"))
    page = visit(api.client, PAGE).text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


COOKIE_FLAGS = {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


def test_the_cookie_is_for_this_host_https_and_no_script() -> None:
    header = visit(site().client, "/sign-in/once?ticket=x").headers.getlist("Set-Cookie")
    assert header == [], "nothing to keep yet"
    api = site()
    api.client.set_cookie(*session_cookie(age_seconds=61))
    (header_line,) = visit(api.client, PAGE).headers.getlist("Set-Cookie")
    name, *flags = header_line.split("; ")
    assert name.startswith("__Host-indelible=")
    assert set(flags) == COOKIE_FLAGS, "no Domain, no Expires: it ends with the browser"


def test_on_this_host_it_may_go_without_https() -> None:
    settings = msgspec.structs.replace(SETTINGS, cookie_secure=False)
    assert cookie_name(settings) == "indelible"
    api = site(settings)
    api.sign_in()
    assert visit(api.client, PAGE).status_code == 200


def flip(value: str, place: int) -> str:
    return value[:place] + ("A" if value[place] != "A" else "B") + value[place + 1 :]


def test_an_altered_cookie_is_no_cookie() -> None:
    name, value = session_cookie()
    api = site()
    for place in range(0, len(value) - 1, 7):
        if value[place] != ".":
            api.client.set_cookie(name, flip(value, place))
            assert is_sent_to_sign_in(api), place


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(WebSettings(jwt_secret=Secret("x" * 48)), id="another secret"),
        pytest.param(
            msgspec.structs.replace(SETTINGS, session_secret=Secret("y" * 48)),
            id="a session secret",
        ),
    ],
)
def test_a_cookie_of_another_key_is_no_cookie(settings: WebSettings) -> None:
    api = site()
    api.client.set_cookie(*session_cookie(OWNER, settings))
    assert is_sent_to_sign_in(api)


def test_a_cookie_signed_for_something_else_is_no_cookie() -> None:
    assert SETTINGS.jwt_secret is not None
    value = URLSafeTimedSerializer(SETTINGS.jwt_secret.reveal(), salt="cookie-session").dumps(
        {"id": "i" * 32, "reader": {}, "method": "link", "at": 0, "seen": 0}
    )
    api = site()
    api.client.set_cookie(cookie_name(SETTINGS), str(value))
    assert is_sent_to_sign_in(api)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="empty"),
        pytest.param({"id": "i" * 32}, id="nobody"),
        pytest.param({"id": "i" * 32, "reader": {"role": "owner"}, "method": "link"}, id="half"),
    ],
)
def test_a_session_of_another_version_is_nobodys(data: dict[str, object]) -> None:
    api = site()
    api.client.set_cookie(cookie_name(SETTINGS), cookie_serializer(SETTINGS).dumps(data))
    assert is_sent_to_sign_in(api)


@pytest.mark.parametrize(
    ("at", "seen", "now", "alive"),
    [
        pytest.param(0, 0, 0, True, id="now"),
        pytest.param(0, 0, 299, True, id="idle, just in time"),
        pytest.param(0, 0, 300, False, id="idle for too long"),
        pytest.param(0, 900, 999, True, id="in use"),
        pytest.param(0, 999, 1000, False, id="in use, and too old"),
    ],
)
def test_a_session_ends_by_age_and_by_silence(at: int, seen: int, now: int, alive: bool) -> None:  # noqa: FBT001  # a table
    settings = msgspec.structs.replace(SETTINGS, session_seconds=1000, session_idle_seconds=300)
    found = SignedIn(reader=OWNER, method="link", at=at, seen=seen)
    assert is_alive(found, settings, now) is alive


def test_an_old_session_signs_in_again() -> None:
    api = site()
    api.client.set_cookie(*session_cookie(age_seconds=SETTINGS.session_idle_seconds + 1))
    assert is_sent_to_sign_in(api)


def test_use_keeps_a_session_young_but_not_beyond_its_time() -> None:
    api = site(msgspec.structs.replace(SETTINGS, session_seconds=7200, session_idle_seconds=3700))
    api.client.set_cookie(*session_cookie(age_seconds=3640))
    before = int(time.time())
    assert visit(api.client, PAGE).status_code == 200
    cookie = api.client.get_cookie(cookie_name(SETTINGS))
    assert cookie is not None
    data = cookie_serializer(SETTINGS).loads(cookie.value)
    assert data["seen"] >= before
    assert data["at"] < time.time() - 3600


SIGN_OUT_FORM = (
    '<form method="post" action="/sign-out">'
    '<input type="hidden" name="csrf_token" value="{{ csrf_token() }}"></form>'
)


def test_signing_out_ends_the_session_and_every_copy_of_its_cookie(tmp_path: Path) -> None:
    api, thief = site(with_state(tmp_path)), site(with_state(tmp_path))
    api.app.add_url_rule("/form", view_func=lambda: render_template_string(SIGN_OUT_FORM))
    name, value = session_cookie()
    for browser in (api.client, thief.client):
        browser.set_cookie(name, value)
        assert visit(browser, PAGE).status_code == 200
    response = submit(api.client, visit(api.client, "/form"))
    assert response.location == "/sign-in?signed_out=1"
    assert "You are signed out" in visit(api.client, response.location).text
    assert is_sent_to_sign_in(api)
    assert is_sent_to_sign_in(thief), "another worker, a copy of the cookie"


def test_state_that_cannot_be_read_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "ended-sessions").write_text("no directory")
    api = site(with_state(tmp_path))
    api.sign_in()
    problem(api.client.get(PAGE, headers=HTML), 503, "session_unavailable")


def test_the_cookie_opens_no_door_of_the_api() -> None:
    api = site()
    api.sign_in()
    problem(api.get(bearer=None), 401, "token_missing")


def test_no_two_sessions_have_the_same_id() -> None:
    read = cookie_serializer(SETTINGS).loads
    first, second = (str(read(session_cookie()[1])["id"]) for _ in range(2))
    assert first != second
    assert len(first) >= 32
