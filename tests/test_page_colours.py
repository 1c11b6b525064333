"""The page in colours that the viewer's system forces: what is current is told without ours."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.page_browser import run_browser, visit
from tests.page_site import Site, run_site

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
