"""Who signed in, was refused or signed out is in the audit log of their organisation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from audit_events.event import Event, decode_event
from tests.test_webapi_sign_in_views import path_of
from tests.webapi_api import OWNER, SETTINGS, Api, session_cookie, storeless
from tests.webapi_browser import submit, visit
from webapi.settings import WebSettings
from webapi.sign_in.cookie import cookie_name, cookie_serializer


@pytest.fixture
def settings(tmp_path: Path) -> WebSettings:
    trail = str(tmp_path / "trail.log")
    return msgspec.structs.replace(SETTINGS, state_directory=tmp_path / "web", audit_path=trail)


def recorded(settings: WebSettings) -> list[Event]:
    assert settings.audit_path is not None
    return [decode_event(line) for line in Path(settings.audit_path).read_bytes().splitlines()]


def use_link(api: Api, settings: WebSettings, **claims: Any) -> int:
    claims = {
        "organizationId": "org_a",
        "sub": "u_ana",
        "role": "owner",
        "plan": "enterprise",
        **claims,
    }
    return submit(api.client, visit(api.client, path_of(settings, claims))).status_code


def test_signing_in_and_out_is_told_with_who_how_and_from_where(settings: WebSettings) -> None:
    api = storeless(settings)
    assert use_link(api, settings, email="ana@company.com") == 303
    page = visit(api.client, "/sign-in/once?" + path_of(settings).partition("?")[2])
    fields = {"csrf_token": page.text.partition('csrf_token" value="')[2].partition('"')[0]}
    assert api.client.post("/sign-out", data=fields).status_code == 303
    entered, left = recorded(settings)
    assert (entered.action, left.action) == ("audit_log.signed_in", "audit_log.signed_out")
    for event in (entered, left):
        assert event.organization_id == "org_a"
        assert (event.actor.id, event.actor.email) == ("u_ana", "ana@company.com")
        assert event.ip_address == "127.0.0.1"
        assert event.context == {"method": "link"}


def test_a_refusal_is_told_as_one(settings: WebSettings) -> None:
    assert use_link(storeless(settings), settings, role="member") == 303
    assert use_link(storeless(settings), settings, plan="free") == 303
    role, plan = recorded(settings)
    assert role.action == plan.action == "audit_log.sign_in_refused"
    assert role.result == plan.result == "denied"
    assert role.context == {"method": "link", "reason": "role_not_allowed"}
    assert plan.context == {"method": "link", "reason": "plan_not_allowed"}


def test_who_cannot_be_recorded_is_not_let_in(settings: WebSettings, tmp_path: Path) -> None:
    api = storeless(settings)
    trail = tmp_path / "trail.log"
    trail.unlink(missing_ok=True)
    trail.mkdir()
    assert use_link(api, settings) == 503
    cookie = api.client.get_cookie(cookie_name(settings))
    assert cookie is not None
    assert "reader" not in cookie_serializer(settings).loads(cookie.value)


def test_who_cannot_be_recorded_gets_out_all_the_same(
    settings: WebSettings, tmp_path: Path
) -> None:
    api = storeless(settings)
    api.client.set_cookie(*session_cookie(replace(OWNER, role="member"), settings))
    page = visit(api.client, "/settings/access-control/audit-log")
    trail = tmp_path / "trail.log"
    trail.unlink(missing_ok=True)
    trail.mkdir()
    assert submit(api.client, page).status_code == 303
    assert visit(api.client, "/sign-in").status_code == 200, "not signed in any more"


def test_what_proves_nothing_is_told_to_the_operator_without_what_was_sent(
    settings: WebSettings,
) -> None:
    with capture_logs() as said:
        visit(storeless(settings).client, "/sign-in/once?ticket=some-guess")
    (line,) = [one for one in said if one["event"] == "sign-in failed"]
    assert line["method"] == "link"
    assert "some-guess" not in str(said)
