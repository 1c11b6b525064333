"""Refusals as pages: a request too many loses nothing of what was asked."""

from dataclasses import replace

import msgspec
import pytest

from tests.webapi_api import OWNER, SETTINGS, problem, storeless
from webapi.audit_log import PATH as API_PATH
from webapi.page.document import POLICY
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


CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
NOWHERE = ("/audit-log", f"{PATH}/", "/%3Cscript%3Ealert(1)%3C/script%3E", f"{API_PATH}/x/y")


@pytest.mark.parametrize("path", [*NOWHERE, "/metrics"])
@pytest.mark.parametrize("accept", ["text/html", CHROME])
def test_a_browser_at_an_address_that_is_none_gets_a_page_that_leads_home(
    path: str, accept: str
) -> None:
    response = storeless().client.get(path, headers={"Accept": accept})
    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert f'<a href="{PATH}">Go to the audit log</a>' in response.text
    assert "There is nothing at this address" in response.text
    assert "script" not in response.text
    assert response.headers["Content-Security-Policy"] == POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Accept" in response.vary


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/problem+json"])
def test_a_client_of_the_api_gets_a_problem_at_an_address_that_is_none(
    path: str, accept: str | None
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    response = storeless().client.get(path, headers=headers)
    problem(response, 404, "route_not_found")
    assert "Accept" in response.vary


def test_a_browser_at_an_address_that_only_takes_forms_gets_a_page() -> None:
    response = storeless().client.get("/sign-out", headers={"Accept": CHROME})
    assert (response.status_code, response.mimetype) == (405, "text/html")
    assert response.headers["Allow"] == "POST"


def test_what_an_address_of_the_api_refuses_stays_a_problem_in_a_browser() -> None:
    response = storeless().client.get(API_PATH, headers={"Accept": CHROME})
    problem(response, 401, "token_missing")
