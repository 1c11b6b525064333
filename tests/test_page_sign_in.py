"""Signing in and out in a real browser, with and without JavaScript, by keyboard alone."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from audit_events.instant import format_instant
from indelible.sign_in import link
from indexer.hold import OPEN_END, Hold, place, release
from indexer.journal import Journal
from indexer.settings import IndexSettings
from tests.agent_process import AgentHome
from tests.cluster import Cluster
from tests.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    identity_provider,
)
from tests.node_home import free_ports
from tests.page_browser import Size, Visit, run_browser, violations, visit
from tests.page_site import PLAIN_HTTP, Site
from tests.webapi_api import OWNER, store, write_events
from tests.webapi_process import environment, serving
from webapi.owners.views import PATH as OWNERS
from webapi.page.views import PATH

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

HOSTILE = "<script>document.title = 'taken'</script>\u202eevil"
CLAIMS = {
    "organizationId": "org_a",
    "role": "owner",
    "plan": "studio_pro",
    "sub": "u_ana",
    "email": "ana@company.com",
    "name": HOSTILE,
}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


@pytest.fixture(scope="module")
def site(
    opensearch: Cluster, provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The page as `indelible web` serves it, with a home, a provider, and keepers of tokens."""
    directory = tmp_path_factory.mktemp("site")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    connection = opensearch.connection()
    assert connection.tokens_password is not None
    with opensearch.own_prefix() as index:
        fill(opensearch, index, directory)
        environ = environment(
            opensearch,
            index,
            directory / "home",
            INDELIBLE_WEB_PORT=str(port),
            INDELIBLE_WEB_COOKIE_SECURE="false",
            INDELIBLE_WEB_PUBLIC_URL=url,
            INDELIBLE_WEB_OIDC_ISSUER=provider.issuer,
            INDELIBLE_WEB_OIDC_CLIENT_ID=CLIENT_ID,
            INDELIBLE_WEB_OIDC_CLIENT_SECRET=CLIENT_SECRET,
            INDELIBLE_OPENSEARCH_TOKENS_USERNAME="audit_tokens",
            INDELIBLE_OPENSEARCH_TOKENS_PASSWORD=connection.tokens_password.reveal(),
        )
        with serving(("-m", "indelible", "web"), environ, port, directory / "web.log"):
            yield Site(url, AgentHome(directory, opensearch, index))


def fill(cluster: Cluster, index: IndexSettings, directory: Path) -> None:
    """Store events of long ago and of today, and two holds, one of them released."""
    for number, start in enumerate(("2026-03-15", format_instant(datetime.now(UTC)))):
        events = [{"action": "app.created"}] * 3
        with cluster.client("writer") as writer:
            store(writer, index, write_events(directory / f"{number}.log", events, start))
    with cluster.client("lifecycle") as lifecycle:
        journal = Journal(lifecycle, index)
        holds = [
            Hold(
                id=f"019577e0-8000-7000-8000-{number:012d}",
                organization_id="org_a",
                since=datetime(2026, 3, 1, tzinfo=UTC),
                until=OPEN_END,
                reason=HOSTILE + " because" * 40,
                placed_by="ann@acme.example",
                placed_at=datetime.now(UTC),
            )
            for number in (1, 2)
        ]
        for hold in holds:
            place(journal, hold)
        release(journal, holds[1], by="ann@acme.example", reason="over", at=datetime.now(UTC))
        lifecycle.indices.refresh(index=f"{index.prefix}-*")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as running:
        yield running


def press(page: Page, name: str) -> None:
    """Reach a button or link by the tab key, and use it by the enter key."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.innerText")
        if " ".join(focused.split()) == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name} cannot be reached")


def once(site: Site) -> str:
    made = link(CLAIMS, PLAIN_HTTP, now=time.time())
    return site.url + made.partition(":8250")[2]


def is_clean(found: Visit, name: str) -> None:
    found.shoot(name)
    assert violations(found.page) == []


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_in_and_out_by_a_one_time_link_and_the_keyboard(
    browser: Browser, site: Site, size: Size
) -> None:
    with visit(browser, site, size=size, reader=None) as found:
        page = found.page
        page.goto(once(site))
        expect(page.locator("dl.person")).to_contain_text("<script>")
        is_clean(found, f"sign-in-once-{size}")
        press(page, "Continue")
        page.wait_for_url(site.address())
        expect(page.locator("h1")).to_have_text("Audit Log")
        if size == "phone":
            press(page, page.get_by_role("button", name="Account").inner_text())
            is_clean(found, "account-phone")
        press(page, "Sign out")
        expect(page.locator("main")).to_contain_text("You are signed out")
        is_clean(found, f"signed-out-{size}")
        page.goto(site.address())
        assert "/sign-in?next=" in page.url
        assert page.title() != "taken"


def test_by_the_organisations_account_without_javascript_and_back_to_the_filters(
    browser: Browser, site: Site
) -> None:
    with visit(browser, site, javascript=False, reader=None) as found:
        page = found.page
        page.goto(site.address("?action=app.created"))
        page.get_by_role("link", name="Sign in with your organisation").click()
        page.wait_for_url(site.address("?action=app.created"))
        expect(page.locator("body")).to_contain_text("ana@company.com")
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("main")).to_contain_text("account, too")


def test_a_member_sees_why_and_nothing_else(
    browser: Browser, site: Site, provider: IdentityProvider
) -> None:
    provider.person["role"] = "member"
    try:
        with visit(browser, site, reader=None) as found:
            page = found.page
            page.goto(site.address())
            press(page, "Sign in with your organisation\u2019s account")
            expect(page.locator("h1")).to_have_text("No access to the audit log")
            expect(page.locator("main")).to_contain_text("role owner or admin")
            expect(page.locator("nav.places")).to_have_count(0)
            is_clean(found, "refused")
            press(page, "Sign out")
            expect(page.locator("main")).to_contain_text("You are signed out")
    finally:
        provider.person["role"] = "owner"


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("name", ["api-tokens", "legal-holds", "log-state"])
def test_the_owners_pages_are_for_everybody(
    browser: Browser, site: Site, name: str, size: Size
) -> None:
    with visit(browser, site, size=size, reader=replace(OWNER, name=HOSTILE)) as found:
        found.page.goto(f"{site.url}{OWNERS}/{name}")
        is_clean(found, f"{name}-{size}")


def test_a_token_is_made_and_revoked_by_the_keyboard(browser: Browser, site: Site) -> None:
    with visit(browser, site) as found:
        page = found.page
        page.goto(f"{site.url}{OWNERS}/api-tokens")
        page.get_by_label("Name").focus()
        page.keyboard.type("SIEM")
        press(page, "Make the token")
        expect(page.locator(".notice")).to_contain_text("indl_")
        is_clean(found, "token-made")
        page.locator("h1").click()
        press(page, "Revoke SIEM")
        expect(page.locator(".sure")).to_contain_text("This cannot be undone")
        is_clean(found, "token-asked")
        press(page, "Yes, revoke SIEM")
        expect(page.locator(".notice")).to_contain_text("The token is revoked")
        expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
        expect(page.locator(".sure")).to_have_count(0)


def test_a_session_that_ended_is_told_by_the_way_to_sign_in(browser: Browser, site: Site) -> None:
    with visit(browser, site) as found:
        page = found.page
        found.open()
        page.context.clear_cookies()
        page.reload()
        assert page.url.startswith(f"{site.url}/sign-in?next=%2Fsettings")
        assert PATH in page.url.replace("%2F", "/")


FORGERIES = {
    "sign-out": "<form method=post action={url}/sign-out></form>",
    "a token": "<form method=post action={url}/settings/access-control/api-tokens>"
    "<input name=name value=evil><input name=scopes value=read>"
    "<input name=expiresInDays value=3></form>",
}


@pytest.mark.parametrize("forged", list(FORGERIES))
def test_a_page_of_another_site_does_nothing_in_the_name_of_who_is_signed_in(
    browser: Browser, site: Site, forged: str
) -> None:
    body = FORGERIES[forged].format(url=site.url) + "<script>document.forms[0].submit()</script>"
    with visit(browser, site) as found:
        page = found.page
        page.route(
            "http://evil.example/", lambda route: route.fulfill(body=body, content_type="text/html")
        )
        with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
            page.goto("http://evil.example/")
        assert answered.value.status == 403
        page.goto(f"{site.url}{OWNERS}/api-tokens")
        expect(page.locator("h1")).to_have_text("API tokens")
        expect(page.locator("main")).not_to_contain_text("evil")
