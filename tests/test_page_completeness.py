"""The badge that says whether what is shown is all there is, in a real browser."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from audit_events.instant import format_instant
from tests.cluster import Cluster
from tests.page_browser import Size, Visit, run_browser, violations, visit
from tests.page_site import PLAIN, Site, run_site
from tests.webapi_api import write_events

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

SYSTEM = {"organization_id": "_system", "actor": {"type": "system"}}
RARELY = {"intervalSeconds": 3600}
"""A process that is not late before a slow machine has seen all of this."""
HEARTBEAT = {"action": "audit_log.source_heartbeat", "context": RARELY, **SYSTEM}
TRIES = 60


@pytest.fixture(scope="module")
def site(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(opensearch, tmp_path_factory.mktemp("site")) as running:
        running.emit(PLAIN, "2026-03-15T09:00:00Z", "plain")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as running:
        yield running


def badge_says(page: Page, words: str) -> None:
    """Look again until it does: what the log says of itself is kept for ten seconds."""
    badge = page.locator("details.completeness summary")
    for _ in range(TRIES):
        if re.search(words, badge.inner_text()):
            return
        page.wait_for_timeout(1000)
        page.reload()
    raise AssertionError(badge.inner_text())


def is_clean(found: Visit, name: str) -> None:
    """Open it, and hold the page to what every page must be."""
    summary = found.page.locator("details.completeness summary")
    if not found.page.locator("details.completeness[open]").count():
        summary.focus()
        found.page.keyboard.press("Enter")
    expect(found.page.locator("details.completeness > div")).to_be_visible()
    found.shoot(f"completeness-{name}")
    found.check()
    assert violations(found.page) == []


def lose_two(site: Site, now: datetime) -> None:
    """Have an agent find that two events of a process are not in its file."""
    events = [HEARTBEAT, *PLAIN[:3], HEARTBEAT]
    lines = write_events(site.home.directory / "cut.whole", events, format_instant(now))
    kept = b"".join(one + b"\n" for one in (lines[0], *lines[3:]))
    (site.home.directory / "cut.events").write_bytes(kept)
    site.emit([HEARTBEAT], format_instant(now + timedelta(seconds=1)), "again")


def test_the_badge_says_what_is_known(browser: Browser, site: Site) -> None:
    """Of a log that nobody watches, one that is complete, and one where events never arrived."""
    now = datetime.now(UTC)
    with visit(browser, site) as found:
        page = found.open()
        badge_says(page, "Nobody can say")
        is_clean(found, "unknown")
        site.emit([HEARTBEAT], format_instant(now), "alive")
        found.open("?since=2026-03-15&until=2026-03-16")
        badge_says(page, "Complete$")
        found.open()
        badge_says(page, "Complete up to")
        is_clean(found, "complete")
        lose_two(site, now)
        badge_says(page, "Something of this time is missing")
        is_clean(found, "gaps")
        expect(page.locator("details.completeness li")).to_contain_text(
            "2 events of a process never"
        )
        found.open("?since=2026-03-15&until=2026-03-16")
        badge_says(page, "Complete$")
        found.open("?q=nobody")
        badge_says(page, "Something of this time is missing")
        found.open("/incident?around=2026-03-15T09:00:00Z&window=15m")
        badge_says(page, "Complete$")
        is_clean(found, "incident")


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_it_needs_no_script_and_has_room(browser: Browser, site: Site, size: Size) -> None:
    with visit(browser, site, size=size, javascript=False) as found:
        found.open()
        found.page.locator("details.completeness summary").click()
        expect(found.page.locator("details.completeness > div")).to_be_visible()
        found.shoot(f"completeness-{size}")
        wide = found.page.locator("html").bounding_box()
        assert wide is not None
        inner = found.page.locator("details.completeness > div").bounding_box()
        assert inner is not None
        assert inner["x"] + inner["width"] <= wide["width"]
