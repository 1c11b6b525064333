"""Refusals as pages: a request too many loses nothing of what was asked."""

from dataclasses import replace

import msgspec

from tests.webapi_api import OWNER, SETTINGS, storeless
from webapi.page.views import PATH

QUESTION = f"{PATH}?action=app.created&zone=%22%3E%3Cscript%3E"


def test_a_request_too_many_says_when_and_leads_back_to_the_same_question() -> None:
    api = storeless(msgspec.structs.replace(SETTINGS, list_per_minute=1))
    assert api.visit(f"{PATH}/x").status_code == 404
    response = api.visit(QUESTION)
    assert response.status_code == 429
    seconds = response.headers["Retry-After"]
    assert f"asked again in {seconds} seconds" in response.text
    again = f'<a href="{PATH}?action=app.created&amp;zone=%22%3E%3Cscript%3E">Try again</a>'
    assert again in response.text
    for kept in ("Sign out", "API tokens", "Legal holds", OWNER.organization_id):
        assert kept in response.text


def test_a_request_too_many_shows_an_admin_what_admins_see() -> None:
    api = storeless(msgspec.structs.replace(SETTINGS, list_per_minute=1))
    admin = replace(OWNER, role="admin")
    assert api.visit(f"{PATH}/x", admin).status_code == 404
    response = api.visit(f"{PATH}/x", admin)
    assert response.status_code == 429
    assert "Sign out" in response.text
    assert "Legal holds" not in response.text


def test_what_is_refused_for_good_offers_no_second_try() -> None:
    assert "Try again" not in storeless().visit(f"{PATH}/x").text
