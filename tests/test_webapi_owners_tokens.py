"""The page of the API tokens: made, shown once, revoked; by owners, of their organisation alone."""

import re
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from audit_events.event import decode_event
from indexer.client import connect
from indexer.settings import ConnectionSettings, IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import OWNER, SETTINGS, Api, session_cookie, storeless
from tests.webapi_browser import HTML, form_fields, submit, visit
from webapi.auth import Reader
from webapi.owners.views import PATH

PAGE = f"{PATH}/api-tokens"
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def shared(opensearch: Cluster) -> Iterator[IndexSettings]:
    """One prefix for all of them: each test is an organisation of its own."""
    with opensearch.own_prefix() as settings:
        yield settings


@pytest.fixture
def api(opensearch: Cluster, shared: IndexSettings, tmp_path: Path) -> Iterator[Api]:
    settings = msgspec.structs.replace(SETTINGS, audit_path=str(tmp_path / "trail.log"))
    with opensearch.client("tokens") as tokens, opensearch.client("reader") as reader:
        api = Api(reader, shared, settings, tokens=tokens)
        enter(api.client, somebody())
        yield api


def somebody() -> Reader:
    return replace(OWNER, organization_id=f"org_{secrets.token_hex(6)}")


def enter(client: FlaskClient, reader: Reader) -> None:
    client.set_cookie(*session_cookie(reader))


def make(api: Api, **changed: str) -> TestResponse:
    asked = {"name": "SIEM", "scopes": "read", "expiresInDays": "30"}
    return submit(api.client, visit(api.client, PAGE), **{**asked, **changed})


def revoke(client: FlaskClient, page: TestResponse, token_id: str) -> TestResponse:
    fields = {"csrf_token": form_fields(page.text)["csrf_token"]}
    return client.post(f"{PAGE}/{token_id}/revoke", data=fields, headers=HTML)


def ids(page: TestResponse) -> list[str]:
    return re.findall(r"<br><small><code><bdi>([^<]+)</bdi>", page.text)


@pytest.mark.opensearch
def test_a_token_is_made_shown_once_and_works_until_it_is_revoked(api: Api, tmp_path: Path) -> None:
    page = make(api)
    assert page.status_code == 200
    assert f'<a href="{PAGE}" aria-current="page">' in page.text
    (text,) = re.findall(r"<pre[^>]*><code>(indl_[0-9A-Za-z]+)</code>", page.text)
    assert api.get(bearer=text).status_code == 200
    again = visit(api.client, PAGE)
    assert text not in again.text
    (token_id,) = ids(again)
    button = again.text.partition("cannot be undone")[2].partition("</details>")[0]
    assert "Yes, revoke" in button, "it is asked first, without a script too"
    gone = revoke(api.client, again, token_id)
    assert gone.status_code == 303
    after = visit(api.client, gone.location)
    assert "The token is revoked" in after.text
    assert "<td>revoked<br><small><time datetime=" in after.text
    assert api.get(bearer=text).status_code == 401
    lines = (tmp_path / "trail.log").read_bytes().splitlines()
    actions = [decode_event(line).action for line in lines]
    assert "audit_log.token_created" in actions
    assert "audit_log.token_revoked" in actions
    assert text.encode() not in b"".join(lines)


@pytest.mark.opensearch
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param({"name": " "}, "say what the token is for", id="no name"),
        pytest.param({"name": "n" * 101}, "at most 100 characters", id="a book"),
        pytest.param({"scopes": "admin"}, "no such scope", id="a scope that is none"),
        pytest.param({"expiresInDays": "0"}, "from 1 to 365", id="no time"),
        pytest.param({"expiresInDays": "9" * 5000}, "from 1 to 365", id="for ever"),
        pytest.param({"expiresInDays": "١٢"}, "from 1 to 365", id="other digits"),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(
    api: Api, changed: dict[str, str], words: str
) -> None:
    page = make(api, **changed)
    assert page.status_code == 400
    assert words in page.text
    assert 'aria-invalid="true"' in page.text
    assert ids(visit(api.client, PAGE)) == []


@pytest.mark.opensearch
def test_a_name_is_text_wherever_it_stands(api: Api) -> None:
    assert "<script" not in make(api, name=HOSTILE).text
    assert "&lt;script&gt;" in visit(api.client, PAGE).text
    wrong = make(api, name=HOSTILE, expiresInDays="0").text
    assert 'value="&#34;&gt;&lt;script&gt;' in wrong


@pytest.mark.opensearch
def test_tokens_of_others_are_neither_seen_nor_revoked(api: Api) -> None:
    make(api)
    owner_page = visit(api.client, PAGE)
    (token_id,) = ids(owner_page)
    other = api.app.test_client()
    enter(other, somebody())
    page = visit(other, PAGE)
    assert ids(page) == []
    assert revoke(other, page, token_id).status_code == 404
    assert revoke(other, page, "x" * 20).status_code == 404
    assert "Revoke" in visit(api.client, PAGE).text, "it can still be used"


@pytest.mark.opensearch
def test_another_site_makes_and_revokes_nothing(api: Api) -> None:
    make(api)
    (token_id,) = ids(visit(api.client, PAGE))
    for path in (PAGE, f"{PAGE}/{token_id}/revoke"):
        data = {"name": "x", "scopes": "read", "expiresInDays": "3"}
        assert api.client.post(path, data=data, headers=HTML).status_code == 403
        assert api.client.get(f"{PAGE}/{token_id}/revoke", headers=HTML).status_code == 405
    assert len(ids(visit(api.client, PAGE))) == 1


def test_admins_and_members_have_no_part_in_it() -> None:
    api = storeless()
    for role in ("admin", "member"):
        assert api.visit(PAGE, replace(OWNER, role=role)).status_code == 403


def test_where_there_are_none_the_page_says_how_to_turn_them_on() -> None:
    page = storeless().visit(PAGE)
    assert page.status_code == 200
    assert "opensearch.tokens_username" in page.text


def test_a_store_that_is_down_is_not_told_as_tokens_that_nobody_offers() -> None:
    with connect(ConnectionSettings(url="http://127.0.0.1:9"), role="tokens") as nowhere:
        down = Api(nowhere, IndexSettings(), tokens=nowhere)
        enter(down.client, OWNER)
        page = visit(down.client, PAGE)
    assert page.status_code == 503
    assert "not offered here" not in page.text
    assert "not offered here" in storeless().visit(PAGE).text
