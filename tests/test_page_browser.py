"""What must hold for everybody in a browser: axe, room for all of it, and hostile data as text."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.cluster import Cluster
from tests.page_browser import Size, Visit, run_browser, violations, visit
from tests.page_site import PLAIN, Site, run_site
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


COLUMNS_OF_CATEGORIES = """
all => all.map(one => new Set(
  [...one.querySelectorAll(":scope > legend, :scope > label")]
    .map(item => Math.round(item.getBoundingClientRect().left))
).size)
"""


def test_each_action_stands_below_the_name_of_its_category(look: Visit) -> None:
    page = look.open()
    page.locator("#actions > summary").click()
    columns = page.locator("#actions .groups fieldset").evaluate_all(COLUMNS_OF_CATEGORIES)
    assert columns == [1] * 6


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
