"""The forms of the page in a browser: they show the filters of their page, and no others."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from indexer.head import OrganizationHeads
from tests.cluster import Cluster
from tests.page_browser import Visit, run_browser, visit
from tests.page_site import Site, run_site
from tests.sealed_log import SealedLog

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

APP = {"type": "app", "id": "app_1"}
EVENTS = [{"action": "app.created", "resource": APP}, {"action": "app.moved", "resource": APP}]
HISTORY = "/history?resourceType=app&resourceId=app_1"


@pytest.fixture(scope="module")
def site(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(opensearch, tmp_path_factory.mktemp("site")) as running:
        running.emit(EVENTS, "2026-03-15T09:00:00Z")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as running:
        yield running


@pytest.fixture(params=[True, False], ids=["", "without JavaScript"])
def look(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Visit]:
    with visit(browser, site, javascript=request.param) as found:
        yield found


def test_after_going_back_no_filter_of_the_other_list_is_left_in_the_form(look: Visit) -> None:
    page = look.open()
    page.locator("#actions > summary").click()
    page.locator("#actions").get_by_label("App created").check()
    page.locator("#actions").get_by_role("button", name="Apply").click()
    look.shows("App created")
    page.go_back()
    page.locator("#dates > summary").click()
    page.locator("input[name=from]").fill("2026-03-15T10:00:30")
    page.locator("#dates").get_by_role("button", name="Apply").click()
    page.wait_for_url("**since=*")
    page.go_back()
    look.shows("App moved", "App created")
    expect(page.locator("#actions input:checked")).to_have_count(0)
    expect(page.locator("input[name=from]")).to_have_value("")
    page.locator("#q").fill("app")
    page.locator("#q").press("Enter")
    page.wait_for_url("**/audit-log?q=app")
    look.shows("App moved", "App created")


def test_after_going_back_a_history_asks_for_no_moment_that_it_does_not_show(look: Visit) -> None:
    page = look.open(HISTORY)
    page.locator("input[name=moment]").fill("2026-03-15T10:00:30")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**at=*")
    page.go_back()
    expect(page.get_by_role("heading", name="State now")).to_be_visible()
    expect(page.locator("input[name=moment]")).to_have_value("")


@pytest.mark.parametrize("since", ["2026-03-15T09:00:00+00:00", "2026-03-15T09:00:00 00:00"])
@pytest.mark.parametrize("path", ["?since={}", f"{HISTORY}&at={{}}"])
def test_a_moment_is_shown_in_the_viewers_zone_however_the_url_spells_it(
    browser: Browser, site: Site, path: str, since: str
) -> None:
    """In an address, a plus that nobody escaped arrives as a blank."""
    with visit(browser, site) as found:
        page = found.open(path.format(since))
        bound = page.locator("input[data-bound]")
        expect(bound).to_have_value("2026-03-15T10:00")
        expect(page.locator(".rows time[data-as=clock]").last).to_contain_text("10:00:0")


def test_half_a_date_in_a_closed_dropdown_is_shown_when_it_holds_up_a_search(
    browser: Browser, site: Site
) -> None:
    with visit(browser, site) as found:
        page = found.open()
        page.locator("#dates > summary").click()
        page.locator("input[name=from]").press_sequentially("03152026")
        page.keyboard.press("Escape")
        page.locator("#q").fill("moved")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("input[name=from]")).to_be_focused()
        found.shoot("half-a-date")


def test_an_export_that_is_refused_is_a_page_and_no_file(browser: Browser, site: Site) -> None:
    with visit(browser, site, javascript=False) as found:
        page = found.open("?action=app.created")
        page.context.clear_cookies()
        page.get_by_role("link", name="CSV", exact=True).click()
        page.wait_for_url("**/sign-in?next=*export*app.created*csv")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_before_anything_was_sealed_a_page_says_that_there_are_no_heads(look: Visit) -> None:
    page = look.open()
    page.get_by_role("link", name="signed heads").click()
    expect(page.get_by_role("heading", name="There are no signed heads yet")).to_be_visible()


def test_the_signed_heads_are_one_file(
    browser: Browser, opensearch: Cluster, tmp_path: Path
) -> None:
    with run_site(opensearch, tmp_path) as site, visit(browser, site) as found:
        site.emit(EVENTS, "2026-03-15T09:00:00Z")
        SealedLog(opensearch, site.home.index).seal({"org_a": 1}, "2026.02")
        page = found.open()
        line = page.locator("p.heads")
        expect(line).to_contain_text("prove later that an export is complete and unaltered")
        found.shoot("signed-heads")
        with page.expect_download() as begun:
            line.get_by_role("link", name="signed heads").click()
        assert begun.value.suggested_filename.startswith("audit-log-heads-org_a-")
        saved = begun.value.path().read_bytes()
        document = msgspec.json.decode(saved, type=OrganizationHeads)
        assert [one.share.events for one in document.heads if one.share] == [1]


def test_actions_are_chosen_at_a_zoom_of_400_percent(browser: Browser, site: Site) -> None:
    """What is 1280 by 1024 pixels large is 320 by 256 then (WCAG 2.2, 1.4.10)."""
    with visit(browser, site) as found:
        found.page.set_viewport_size({"width": 320, "height": 256})
        page = found.open()
        page.locator("#actions > summary").click()
        page.locator("#actions").get_by_label("App moved").check()
        found.shoot("zoomed")
        page.locator("#actions").get_by_role("button", name="Apply").click()
        found.shows("App moved")
