"""What the scripts of the page add: keyboard, the viewer's times, timeline, news and exports."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, expect

from tests.cluster import Cluster
from tests.page_browser import Size, Visit, run_browser, visit
from tests.page_site import PLAIN, Site, run_site
from tests.waiting import wait_until

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(opensearch, tmp_path_factory.mktemp("site")) as running:
        running.emit(PLAIN, "2026-03-15T09:00:00Z")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as running:
        yield running


@pytest.fixture
def look(browser: Browser, site: Site) -> Iterator[Visit]:
    with visit(browser, site) as found:
        yield found


def test_the_keyboard_alone_reaches_rows_search_and_details(look: Visit) -> None:
    page = look.open()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator("#q").blur()
    page.keyboard.press("ArrowDown")
    rows = page.locator(".rows > li > details > summary")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".rows .details").nth(1)).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".rows .details").nth(1)).to_be_hidden()
    page.keyboard.press("ArrowUp")
    expect(rows.nth(0)).to_be_focused()


def test_every_control_is_reached_by_tab_and_seen_when_it_is(look: Visit) -> None:
    page = look.open("?action=app.created&limit=50")
    seen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
    assert "" not in seen, "a focus that is not seen"
    order = [seen.index(name) for name in ("skip", "#q", "#actions", "#dates", "#more", "row")]
    assert order == sorted(order)


FOCUSED = """
(() => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) return "";
  if (element.matches(".rows > li > details > summary")) return "row";
  if (element.matches(".drop > summary")) return `#${element.parentElement.id}`;
  return element.id ? `#${element.id}` : element.className || element.tagName;
})()
"""


def test_times_are_the_viewers_and_utc_by_a_switch_that_is_remembered(look: Visit) -> None:
    page = look.open("?limit=50&until=2026-03-16")
    first = page.locator(".rows time[data-as=clock]").first
    expect(first).to_have_text("2026-03-15 10:00:59")
    expect(first).to_have_attribute(
        "title", "2026-03-15 09:00:59 UTC · 2026-03-15 10:00:59 UTC+01:00"
    )
    page.get_by_role("button", name="UTC").click()
    expect(first).to_have_text("2026-03-15 09:00:59")
    whole = page.locator(".rows time[data-as=long]").first
    expect(whole).to_have_text("2026-03-15 09:00:59 UTC", use_inner_text=False)
    page.reload()
    expect(first).to_have_text("2026-03-15 09:00:59")


def test_a_time_that_the_viewers_clock_shows_twice_says_which(look: Visit) -> None:
    page = look.open("/incident?around=2026-10-25T00:40:00Z&window=1h")
    told = "0 events from 2026-10-25 01:40:00 to 2026-10-25 02:40:00 UTC+01:00"
    expect(page.locator(".about p")).to_have_text(told)


def test_dates_are_meant_in_the_zone_that_is_shown(look: Visit) -> None:
    page = look.open()
    page.locator("#dates > summary").click()
    page.locator("input[name=from]").fill("2026-03-15T10:00:30")
    page.locator("#dates").get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("since=2026-03-15T09%3A00%3A30.000000Z"))
    page.locator("#dates > summary").click()
    expect(page.locator("input[name=from]")).to_have_value("2026-03-15T10:00:30")


def test_a_window_is_dragged_on_the_timeline(look: Visit) -> None:
    page = look.open("?since=2026-03-15T09:00:00Z&until=2026-03-15T09:01:00Z")
    box = page.locator(".timeline svg").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.26, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.49, middle, steps=5)
    # In the viewer's zone, as all other times.
    told = "2026-03-15 10:00:15 to 2026-03-15 10:00:30: 15 events"
    expect(page.locator(".choice")).to_have_text(told)
    expect(page.get_by_role("status").filter(has_text=told)).to_have_count(1)
    # A ring of the browser's own would hide bars: its units are those of the drawing.
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(ring) == "none"
    look.shoot("drag")
    page.mouse.up()
    page.wait_for_url(re.compile("since=2026-03-15T09%3A00%3A15"))
    assert "until=2026-03-15T09%3A00%3A30" in page.url
    look.shows_rows(15)


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("", "2026-03-15 10:00:00 to 2026-03-15 10:00:01: 1 event"),
        ("&zone=Asia/Tokyo", "2026-03-15 18:00:00 to 2026-03-15 18:00:01: 1 event"),
    ],
)
def test_a_bar_is_named_in_the_zone_that_is_shown(look: Visit, zone: str, told: str) -> None:
    page = look.open(f"?since=2026-03-15T09:00:00Z&until=2026-03-15T09:01:00Z{zone}")
    # Another tab may have chosen another zone: what counts is what stands here.
    page.evaluate("localStorage.setItem('indelible.zone', 'utc')")
    page.locator(".timeline .hit").first.hover()
    expect(page.locator(".timeline title").first).to_have_text(told)


def test_a_window_is_chosen_on_the_timeline_by_the_keyboard(look: Visit) -> None:
    page = look.open("?since=2026-03-15T09:00:00Z&until=2026-03-15T09:01:00Z")
    page.locator(".chart").focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(re.compile("since=2026-03-15T09%3A00%3A01.*until=2026-03-15T09%3A00%3A03"))
    look.shows_rows(2)


def test_new_events_are_announced_and_not_thrust_into_the_reading(look: Visit) -> None:
    page = look.page
    page.clock.install()
    look.open("?action=app.created,app.moved")
    look.shows_rows(20)
    look.site.emit([{"action": "app.moved"}] * 2, datetime.now(UTC).isoformat(), "moved")
    page.clock.run_for(11_000)
    expect(page.locator(".news")).to_have_text("2 new events")
    look.shows_rows(20)
    page.locator(".news a").click()
    look.shows(*["App moved"] * 2, *["App created"] * 20)


def test_a_session_that_ended_meanwhile_is_said_and_no_silence(look: Visit) -> None:
    page = look.page
    page.clock.install()
    look.open("?action=app.created,app.moved")
    # The organisation asked too often: that passes, and the next time tells.
    page.route("**/news?*", lambda route: route.fulfill(status=429), times=1)
    with page.expect_response("**/news?*"):
        page.clock.run_for(11_000)
    page.context.clear_cookies()
    page.clock.run_for(11_000)
    expect(page.locator(".news")).to_contain_text("Your session has ended")
    page.get_by_role("link", name="CSV", exact=True).click()
    expect(page.locator(".export-status")).to_contain_text("Your session has ended")
    page.locator(".news a").click()
    page.wait_for_url("**/sign-in?next=*audit-log*app.moved*")


def test_rows_that_were_opened_are_open_again_after_going_back(look: Visit) -> None:
    page = look.open("?limit=5&until=2026-03-16")
    rows = page.locator(".rows > li > details")
    for row in (1, 3, 4):
        rows.nth(row).locator("summary").first.click()
    rows.nth(3).locator("summary").first.click()
    rows.nth(4).get_by_role("link", name="Link to this event").click()
    expect(page.locator("article")).to_be_visible()
    page.go_back()
    expect(page.locator(".rows > li > details[open]")).to_have_count(2)
    expect(rows.nth(1).locator(".details")).to_be_visible()
    expect(rows.nth(4).locator(".details")).to_be_visible()
    look.open("?limit=6&until=2026-03-16")
    expect(rows).to_have_count(6)
    expect(page.locator(".rows > li > details[open]")).to_have_count(0)


def test_an_event_is_copied_as_json(look: Visit) -> None:
    look.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = look.open("?action=app.created")
    page.locator(".rows summary").first.click()
    page.get_by_role("button", name="Copy JSON").first.click()
    copied: list[str] = []

    def is_copied() -> bool:
        copied[:] = [page.evaluate("navigator.clipboard.readText()")]
        return copied != [""]

    wait_until(is_copied, "nothing was copied", pause_seconds=0.1)
    assert json.loads(copied[0])["action"] == "app.created"


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_link_stays_below_the_pointer_while_its_export_tells(
    browser: Browser, site: Site, size: Size
) -> None:
    with visit(browser, site, size=size) as found:
        page = found.open("?action=app.created")
        links = [page.get_by_role("link", name=one, exact=True) for one in ("CSV", "NDJSON")]
        places = [link.bounding_box() for link in links]
        refused = "The export could not begin (503); nothing was saved."
        for words in ("1,000 of 2,000 events", f"{refused} It can be asked for again in 60 s."):
            page.evaluate(
                """(words) => {
                    document.querySelector(".export-status").textContent = words;
                    document.querySelector(".export button").hidden = false;
                }""",
                words,
            )
            assert [link.bounding_box() for link in links] == places
            found.check()


def test_an_export_says_how_far_it_is_and_can_be_cancelled(look: Visit) -> None:
    page = look.open("?action=app.created")
    with page.expect_download() as download:
        page.get_by_role("link", name="NDJSON", exact=True).click()
    assert len(download.value.path().read_text().splitlines()) == 20 + 1
    expect(page.locator(".export-status")).to_have_text("Saved")
    asked: list[str] = []
    page.route("**/export?*", lambda _route: None)  # never answered
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_request("**/export?*"):
        page.get_by_role("link", name="CSV", exact=True).dblclick()
    expect(page.locator(".export-status")).to_have_text("Asking…")
    assert len(asked) == 1
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".export-status")).to_have_text("Cancelled")
    page.unroute_all(behavior="ignoreErrors")
