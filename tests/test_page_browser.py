"""What the browser adds, and what must hold for everybody: axe, keyboard, and hostile data."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.cluster import Cluster
from tests.page_browser import Size, Visit, run_browser, violations, visit
from tests.page_site import Site, run_site
from tests.webapi_api import OWNER

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

SCRIPT = "<script>document.title = 'taken'</script>"
HOSTILE: list[dict[str, Any]] = [
    {
        "action": "member.role_changed",
        "actor": {
            "type": "user",
            "id": SCRIPT,
            "email": '"><img src=x onerror="document.title=1">@x.example',
            "name": f"</bdi></b></summary>{SCRIPT}\u202egnp.exe",
        },
        "target_user": {"name": "A" * 1000, "id": "u_1"},
        "user_agent": "<svg onload=alert(1)>" + "x" * 2000,
        "context": {
            "previous": {"role": SCRIPT, "a/b~c": None},
            "new": {"role": "\u0007\u0000\u202eadmin 👩‍👩‍👧‍👦", "a/b~c": "x" * 10_000},
            "</pre><script>": "{{ 7 * 7 }} {% raw %}",
            "reason": "שלום עולם " + "z" * 10_000,
        },
    },
    {
        "action": "zebra.painted",
        "actor": {"type": "user", "id": "u_م", "name": "محمد بن عبد الله"},
        "resource": {"type": "t" * 200, "id": "🦓" * 200, "name": "line\nbreak\ttab"},
        "correlation_id": "c" * 900,
        "context": {"deep": [[[[[["x"] * 200]]]]]},
    },
]
PLAIN = [
    {
        "action": ("member.role_changed", "app.created", "app.deleted")[number % 3],
        "target_user": {"id": f"u_{number}", "email": f"m{number}@company.com"},
        "resource": {"type": "app", "id": f"app_{number}"},
        "context": {"previous": {"role": "member"}, "new": {"role": "admin"}},
        "ip_address": "203.0.113.9",
    }
    for number in range(60)
]


@pytest.fixture(scope="module")
def site(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(opensearch, tmp_path_factory.mktemp("site")) as running:
        running.emit(PLAIN, "2026-03-15T09:00:00Z", "plain")
        running.emit(HOSTILE, "2026-03-16T09:00:00Z", "hostile")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as running:
        yield running


@pytest.fixture
def look(browser: Browser, site: Site) -> Iterator[Visit]:
    with visit(browser, site) as found:
        yield found


INCIDENT = "/incident?around=2026-03-15T09:00:30Z&window=5m"
STATES = {
    "list": "?limit=5",
    "filtered": "?action=app.created&result=success&until=2026-03-16&zone=Europe/Berlin&limit=5",
    "nothing": "?action=app.created&ip=192.0.2.1",
    "mistakes": "?q=a+actr:b&nonsense=1&action=app.creatd",
    "around": f"{INCIDENT}&limit=5",
    "no such event": "/x",
    "history": "/history?resourceType=app&resourceId=app_1&at=2026-03-15",
    "no history": "/history?resourceType=app&resourceId=app_1&since=2026-03-16",
    "mistakes in a history": "/history?resourceType=app&at=soon&nonsense=1",
}


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(look: Visit, state: str) -> None:
    page = look.page
    page.goto(look.site.address(STATES[state]))
    assert violations(page) == []
    look.shoot(state.replace(" ", "-"))


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_axe_finds_nothing_in_what_opens(browser: Browser, site: Site, size: Size) -> None:
    with visit(browser, site, size=size) as found:
        page = found.open("?limit=5&until=2026-03-16")
        row = page.locator(".rows > li").nth(2)
        row.locator("summary").first.click()
        row.locator(".json summary").click()
        assert violations(page) == []
        for name in ("actions", "dates", "more", "help"):
            page.locator(f"#{name} > summary").click()
            if size == "desktop":
                assert violations(page) == [], name
            found.check()
            found.shoot(f"{name}-{size}")
        page.goto(site.address("/" + event_id(page, 2)))
        assert violations(page) == []


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_dark_is_dark(browser: Browser, site: Site, size: Size) -> None:
    with visit(browser, site, size=size, scheme="dark") as found:
        found.open()
        found.shoot(f"dark-{size}")
        ground = found.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert ground == "rgb(14, 17, 20)"


@pytest.mark.parametrize("javascript", [True, False])
@pytest.mark.parametrize("path", ["", "/incident?around=2026-03-15T09:00:00Z"])
def test_the_bar_is_one_row_on_a_phone_and_the_account_opens_from_it(
    browser: Browser, site: Site, *, path: str, javascript: bool
) -> None:
    with visit(browser, site, size="phone", javascript=javascript) as found:
        page = found.open(path)
        bar = page.locator("header.top").bounding_box()
        assert bar is not None
        assert bar["height"] < 60
        sign_out = page.get_by_role("button", name="Sign out")
        expect(sign_out).to_be_hidden()
        page.get_by_role("button", name="Account").click()
        expect(sign_out).to_be_in_viewport(ratio=1)
        expect(page.locator("#account")).to_contain_text(OWNER.organization_id)
        found.shoot("account")
        page.keyboard.press("Escape")
        expect(sign_out).to_be_hidden()
        leads_back = page.get_by_role("navigation", name="Where you are").get_by_role("link")
        expect(leads_back).to_have_text(["Audit Log"] if path else [])


@pytest.mark.parametrize("path", ["?", "/incident?around=2026-03-15T09:00:00Z&"])
def test_the_bar_is_one_row_at_every_width_from_a_tablets_on(
    browser: Browser, site: Site, path: str
) -> None:
    """With names as long as they come: the crumbs and the reader's give way."""
    reader = replace(OWNER, email=f"{'long.' * 12}name@company.example")
    with visit(browser, site, reader=reader) as found:
        page = found.open(f"{path}zone=America/Argentina/Buenos_Aires")
        for width in (768, 900, 1023, 1024, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            bar = page.locator("header.top").bounding_box()
            assert bar is not None
            found.shoot(f"bar-{'list' if path == '?' else 'around'}-{width}")
            assert bar["height"] < 60, width
            expect(page.get_by_text("UTC", exact=True).first).to_be_in_viewport(ratio=1)
            who = "Account" if width < 1024 else "Sign out"
            expect(page.get_by_role("button", name=who)).to_be_in_viewport(ratio=1)
            found.check()


def event_id(page: Page, row: int) -> str:
    name = page.locator(".rows details.event").nth(row).get_attribute("id")
    assert name is not None
    return name.removeprefix("e-")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_hostile_data_is_text_and_breaks_no_layout(
    browser: Browser, site: Site, size: Size
) -> None:
    with visit(browser, site, size=size) as found:
        page = found.open()
        first = event_id(page, 0)
        for row in (0, 1):
            page.locator(".rows > li > details > summary").nth(row).click()
        found.check()
        found.shoot(f"hostile-{size}")
        expect(page.locator(".rows")).to_contain_text(SCRIPT)
        expect(page.locator(".rows")).to_contain_text(r"\u202egnp.exe")
        second = event_id(page, 1)
        lives = page.get_by_role("link", name="History").evaluate_all("all => all.map(String)")
        assert len(lives) == 2
        for life in lives:
            page.goto(life)
            expect(page.locator("h1")).to_contain_text("History of")
            assert violations(page) == []
            found.check()
            found.shoot(f"hostile-history-{lives.index(life)}-{size}")
            assert "taken" not in page.title()
        for event in (first, second):
            page = found.open(f"/{event}")
            found.check()
        expect(page.locator("pre")).to_contain_text("schemaVersion")
        assert page.evaluate("window.violations") == []
        assert "taken" not in page.title()
        # What is spelled out in the JSON is the same JSON.
        stored = page.evaluate("JSON.parse(document.querySelector('pre').textContent)")
        assert stored["context"]["new"]["role"] == HOSTILE[0]["context"]["new"]["role"]


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


def test_a_dropdown_is_searched_and_closed_by_escape(look: Visit) -> None:
    page = look.open()
    page.locator("#actions > summary").click()
    expect(page.get_by_label("Find an action")).to_be_focused()
    page.keyboard.type("role changed")
    expect(page.locator("#actions .groups label:visible span")).to_have_text(
        ["Role changed", "Workspace member role changed"]
    )
    count = page.locator("#actions label", has_text="Role changed").first.locator("small")
    expect(count).to_have_text("21")
    nothing = page.locator("#actions").get_by_text("No action is called so.")
    expect(nothing).to_be_hidden()
    page.keyboard.type(" nonsense")
    expect(nothing).to_be_visible()
    assert violations(page) == []
    look.shoot("no-such-action")
    page.keyboard.press("Escape")
    expect(page.locator("#actions .panel")).to_be_hidden()
    expect(page.locator("#actions > summary")).to_be_focused()


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
    assert "since=2026-03-15T09%3A00%3A30.000000Z" in page.url
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
    copied = page.evaluate("navigator.clipboard.readText().then((text) => JSON.parse(text))")
    assert copied["action"] == "app.created"


def test_the_first_view_is_small(look: Visit) -> None:
    sizes: dict[str, int] = {}
    look.page.on(
        "response", lambda one: sizes.update({one.url: one.request.sizes()["responseBodySize"]})
    )
    look.open()
    look.page.wait_for_load_state("networkidle")
    assert sum(sizes.values()) < 100_000, sizes
    assert all(url.startswith(look.site.url) for url in sizes)


@pytest.mark.parametrize(
    "path",
    [
        "?action=app.created&since=2026-03-15&until=2026-03-16",
        INCIDENT,
        "/history?resourceType=app&resourceId=app_1&at=2026-03-15",
    ],
)
def test_print_has_the_rows_and_whose_they_are_and_no_controls(look: Visit, path: str) -> None:
    page = look.open(path)
    printed = page.locator(".printed")
    expect(printed).to_be_hidden()
    page.emulate_media(media="print")
    for control in (".filters", ".windows", ".onward", ".moment", ".paging", ".tools"):
        for one in page.locator(control).all():
            expect(one).to_be_hidden()
    expect(page.locator(".rows")).to_be_visible()
    expect(printed).to_contain_text(
        re.compile(rf"^{OWNER.organization_id}, as of .* UTC[+]..:00; times in Europe/Berlin$")
    )
    look.shoot("print")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_how_an_event_ended_stands_with_what_was_tried(
    browser: Browser, site: Site, size: Size
) -> None:
    tried = {"action": "zebra.tried", "ip_address": "203.0.113.9"}
    results = [{**tried, "result": one} for one in ("success", "failure", "denied")]
    action = f"zebra.tried_{size}"
    site.emit([{**one, "action": action} for one in results], "2026-03-18T09:00:00Z", action)
    with visit(browser, site, size=size) as found:
        page = found.open(f"?action={action}")
        found.shows_rows(3)
        expect(page.locator(".rows .what .result")).to_have_text(["· Denied", "· Failure"])
        expect(page.locator(".rows .from")).to_have_text(["203.0.113.9"] * 3)
        for number in range(2):
            title = page.locator(".rows .what b").nth(number).bounding_box()
            badge = page.locator(".rows .what .result").nth(number).bounding_box()
            assert title is not None
            assert badge is not None
            assert title["x"] + title["width"] <= badge["x"]
            assert badge["y"] < title["y"] + title["height"]
        assert violations(page) == []
        found.shoot(f"results-{size}")


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_an_address_is_whole_and_leaves_the_time_its_room(
    browser: Browser, site: Site, size: Size
) -> None:
    longest = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
    action = f"zebra.seen_{size}"
    site.emit(
        [{"action": action, "ip_address": longest}, {"action": action}],
        "2026-03-19T09:00:00Z",
        action,
    )
    with visit(browser, site, size=size) as found:
        page = found.open(f"?action={action}")
        found.shoot(f"address-{size}")
        address = page.locator(".rows .from bdi")
        expect(address).to_have_text(longest)
        assert address.evaluate("(one) => one.scrollWidth <= one.parentElement.clientWidth")
        (without, beside) = page.locator(".rows .when").all()
        least, most = without.bounding_box(), beside.bounding_box()
        assert least is not None
        assert most is not None
        # On a phone the time may need more lines; it is not cut, either.
        assert most["height"] <= 3 * least["height"]
        for part in beside.locator("small").all():
            assert part.evaluate("(one) => one.scrollWidth <= one.clientWidth")


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
