"""The pages in colours that the viewer's system forces, in wide letters, and on paper."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.cluster import Cluster
from tests.page_browser import run_browser, visit
from tests.page_site import Site, run_site
from tests.webapi_api import OWNER
from webapi.owners.views import PATH

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

LOOKS = """
(group) => {
  const current = "[aria-current], [aria-pressed=true]";
  const look = (one) => {
    const { backgroundColor, borderBottomColor } = getComputedStyle(one);
    return `${backgroundColor} ${borderBottomColor}`;
  };
  const all = [...group.querySelectorAll("a, button")];
  const of = (chosen) => all.filter((one) => one.matches(current) === chosen).map(look);
  return [of(true), of(false)];
}
"""


@pytest.fixture(scope="module")
def site(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(opensearch, tmp_path_factory.mktemp("site")) as running:
        running.emit([{"action": "app.created"}], "2026-03-15T09:00:00Z")
        yield running


def test_what_is_current_is_told_from_the_rest_in_forced_colours(site: Site) -> None:
    with run_browser() as browser, visit(browser, site) as found:
        page = found.open("/incident?around=2026-03-15T09:00:00Z&window=5m")
        page.emulate_media(forced_colors="active")
        for group in (".places", ".zones", ".windows"):
            current, others = page.locator(group).evaluate(LOOKS)
            assert len(current) == 1, group
            assert others
            assert current[0] not in others, group
        found.shoot("forced-colours")


def test_printed_owners_pages_say_whose_they_are_and_of_when(site: Site) -> None:
    with run_browser() as browser, visit(browser, site) as found:
        for name in ("legal-holds", "log-state"):
            found.page.goto(f"{site.url}{PATH}/{name}")
            printed = found.page.locator(".printed")
            expect(printed).to_be_hidden()
            found.page.emulate_media(media="print")
            expect(printed).to_be_visible()
            told = rf"^{OWNER.organization_id}, as of \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"
            expect(printed).to_have_text(re.compile(told))
            found.shoot(f"printed-{name}")
            found.page.emulate_media(media="screen")


def test_a_time_is_whole_in_letters_as_far_apart_as_a_viewer_sets_them(site: Site) -> None:
    """WCAG 2.2, 1.4.12."""
    apart = "* { letter-spacing: 0.12em !important; word-spacing: 0.16em !important }"
    with run_browser() as browser, visit(browser, site) as found:
        page = found.open()
        page.evaluate("(rule) => document.styleSheets[0].insertRule(rule)", apart)
        time = page.locator(".rows .when small").last
        expect(time).to_have_text("2026-03-15 10:00:00")
        assert time.evaluate("(one) => one.scrollWidth <= one.clientWidth")
