"""The use cases of the product page, from an emitted event to the answer on the screen.

Each is walked on a desktop and on a phone, with and without JavaScript.
"""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.cluster import Cluster
from tests.page_browser import Size, Visit, run_browser, visit
from tests.page_site import Site, run_site

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

DAY = "2026-03-15"
JON = {"type": "user", "id": "u_jon", "email": "jon@company.com", "name": "Jon Berg"}
TEAM = {"id": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10", "email": "team@company.com", "name": "Tea M"}
EVENTS = [
    {"action": "member.invited", "target_user": TEAM, "context": {"new": {"role": "member"}}},
    {"action": "member.invite_accepted", "target_user": TEAM},
    {
        "action": "member.access_granted",
        "target_user": TEAM,
        "context": {"new": {"workspace": "atlas"}},
    },
    {
        "action": "member.role_changed",
        "actor": JON,
        "target_user": TEAM,
        "context": {"previous": {"role": "member"}, "new": {"role": "admin"}, "reason": "on call"},
        "ip_address": "203.0.113.9",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    },
    {
        "action": "integration.connected",
        "resource": {"type": "integration", "id": "int_1", "name": "Slack"},
    },
    {
        "action": "subscription.changed",
        "resource": {"type": "subscription", "id": "sub_1"},
        "context": {"previous": {"plan": "studio"}, "new": {"plan": "studio_pro"}},
    },
    {
        "action": "billing.top_up_settings_updated",
        "resource": {"type": "billing", "id": "bil_1"},
        "context": {"previous": {"limit": 50}, "new": {"limit": 500}},
    },
    {"action": "member.offboarded", "actor": {"type": "system"}, "target_user": TEAM},
    {"action": "app.deleted", "at": "2026-03-20T03:00:00Z", "resource": {"type": "app", "id": "a"}},
]


@pytest.fixture(scope="module")
def site(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_site(opensearch, tmp_path_factory.mktemp("site")) as running:
        running.emit(EVENTS, f"{DAY}T09:00:00Z")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with run_browser() as running:
        yield running


@pytest.fixture(
    params=[
        pytest.param(("desktop", True), id="desktop"),
        pytest.param(("phone", True), id="phone"),
        pytest.param(("desktop", False), id="desktop without JavaScript"),
        pytest.param(("phone", False), id="phone without JavaScript"),
    ]
)
def look(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Visit]:
    size: Size
    size, javascript = request.param
    with visit(browser, site, size=size, javascript=javascript) as found:
        yield found


def choose(page: Page, *titles: str) -> None:
    """Tick actions in the dropdown, and apply."""
    page.locator("#actions > summary").click()
    for title in titles:
        page.locator("#actions").get_by_label(title, exact=False).first.check()
    page.locator("#actions").get_by_role("button", name="Apply").click()


def test_a_security_audit_filters_for_people_and_connections(look: Visit) -> None:
    page = look.open()
    choose(page, "Member offboarded", "Role changed", "Integration connected")
    look.shows("Member offboarded", "Integration connected", "Role changed")
    row = page.locator(".rows > li").filter(has_text="Role changed")
    row.locator("summary").first.click()
    details = row.locator(".details")
    for text in (
        "jon@company.com",
        "team@company.com",
        f"{DAY}T09:00:03.000000Z",
        "203.0.113.9",
        "Firefox 145 on Linux",
        "Context",
        "on call",
    ):
        expect(details).to_contain_text(text)
    assert details.locator(".diff tbody tr").all_inner_texts() == ["role\tmember\tadmin"]
    expect(page.locator(".rows > li").first).to_contain_text("System")
    page.reload()
    look.shows_rows(3)
    page.go_back()
    look.shows_rows(len(EVENTS))


def test_a_billing_investigation_searches_and_finds_what_changed(look: Visit) -> None:
    page = look.open()
    page.locator("#q").fill("action:subscription.* OR action:billing.*")
    page.locator("#q").press("Enter")
    look.shows("Top-up settings updated", "Subscription changed")
    expect(page.locator(".rows")).to_contain_text("plan: studio → studio_pro")
    expect(page.locator(".rows")).to_contain_text("limit: 50 → 500")


def test_a_compliance_review_sees_a_whole_range_of_dates(look: Visit) -> None:
    page = look.open(f"?zone=UTC&since={DAY}")
    page.locator("#dates > summary").click()
    page.locator("input[name=to]").fill("2026-03-16T00:00:00")
    page.locator("#dates").get_by_role("button", name="Apply").click()
    look.shows_rows(len(EVENTS) - 1)
    assert f"since={DAY}" in page.url
    chips = page.locator(".chips").inner_text()
    assert re.search(r"From\s+2026-03-15 .*Before\s+2026-03-16", chips, re.DOTALL)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV", exact=True).click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert [row["action"] for row in rows] == [event["action"] for event in EVENTS[-2::-1]]
    assert download.value.suggested_filename.endswith(".csv")


def test_an_incident_response_looks_around_a_moment(look: Visit) -> None:
    page = look.open("?action=member.role_changed")
    page.locator(".rows summary").first.click()
    page.get_by_role("link", name="Around this event").click()
    expect(page.locator("h1")).to_contain_text("Around")
    look.shows_rows(len(EVENTS) - 1)
    distances = page.locator('.rows time[data-as="distance"]')
    expect(distances).to_have_text(["−3s", "−2s", "−1s", "+0ms", "+1s", "+2s", "+3s", "+4s"])  # noqa: RUF001  # as wide as the plus
    expect(page.locator(".taking-part caption").first).to_have_text("Actors")
    expect(page.locator(".taking-part")).to_contain_text("Jon Berg")
    expect(page.locator(".unusual")).to_contain_text("days of history before the moment")
    asked = page.locator(".rows > .asked")
    expect(asked).to_contain_text("Role changed")
    expect(asked).to_be_in_viewport()
    assert asked.locator(".event").get_attribute("id") == page.url.split("#")[1]
    expect(page.locator(".rows > .divider + li")).to_contain_text("Role changed")
    expect(page.locator(".timeline .marked")).to_have_count(1)
    asked.locator("summary").first.click()
    colour = "(one) => getComputedStyle(one).color"
    assert asked.locator(".diff .new").evaluate(colour) == asked.locator("b").first.evaluate(colour)
    look.shoot("around-this-event")
    look.check()
    page.get_by_role("link", name="1m", exact=True).click()
    expect(page.locator("[aria-current=true]", has_text="1m")).to_be_visible()
    expect(page.locator(".rows")).not_to_contain_text("App deleted")


def test_an_onboarding_is_verified_by_the_person_it_is_about(look: Visit) -> None:
    page = look.open()
    page.locator("#more > summary").click()
    page.locator("input[name=target]").fill(TEAM["id"])
    page.locator("#more").get_by_role("button", name="Apply").click()
    look.shows(
        "Member offboarded",
        "Role changed",
        "Access granted to member",
        "Invite accepted",
        "Member invited",
    )
    page.locator(".rows > li").last.locator("summary").first.click()
    page.locator(".rows > li").last.get_by_role("link", name="Link to this event").click()
    expect(page.locator("h1")).to_contain_text("Member invited")
    expect(page.locator("article")).to_contain_text('"role": "member"')


def test_a_person_is_followed_through_their_life(look: Visit) -> None:
    page = look.open("?action=member.role_changed")
    page.locator(".rows summary").first.click()
    page.get_by_role("link", name="History of this user").click()
    expect(page.locator("h1")).to_have_text("History of team@company.com")
    told = ("Member invited", "Invite accepted", "Access granted to member", "Role changed")
    look.shows(*told, "Member offboarded")
    expect(page.locator(".state")).to_contain_text("Gone, as told by Member offboarded")
    role, workspace = page.get_by_role("region", name="Fields").locator("tbody tr").all()
    expect(role).to_contain_text(re.compile("role.*admin.*Role changed", re.DOTALL))
    expect(workspace).to_contain_text(re.compile("workspace.*atlas.*Access", re.DOTALL))
    expect(page.locator(".told").nth(2)).to_contain_text("admin")
    look.shoot("history")


def test_what_somebody_was_allowed_at_a_moment_is_looked_up(look: Visit) -> None:
    page = look.open(f"/history?targetUserId={TEAM['id']}")
    page.locator(".rows summary").first.click()
    expect(page.locator(".told").first).to_be_hidden()
    page.get_by_role("link", name="State at this event").click()
    fields = page.get_by_role("region", name="Fields").locator("tbody tr")
    expect(fields.first).to_contain_text("member")
    expect(fields.last).to_contain_text("unknown")
    moment = page.locator("input[name=moment]")
    moment.fill(f"{moment.input_value()}:03")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h2").first).to_contain_text("State at 2026-03-15")
    expect(fields.first).to_contain_text("admin")
    expect(page.locator(".rows > .asked")).to_contain_text("Role changed")
    expect(page.locator(".rows > .divider + li")).to_contain_text("Member offboarded")
    look.shoot("history-at")
    look.check()
    page.get_by_role("link", name="Now", exact=True).click()
    expect(page.locator("h2").first).to_have_text("State now")


def test_an_empty_answer_leads_back_to_events(look: Visit) -> None:
    page = look.open("?action=app.deleted&actorEmail=jon@company.com")
    page.get_by_role("link", name="Without Action").click()
    look.shows("Role changed")
    page.locator(".chips").get_by_role("link", name="Remove the filter Actor").click()
    look.shows_rows(len(EVENTS))


def test_a_mistake_in_the_search_is_shown_at_its_place(look: Visit) -> None:
    page = look.open("?q=role+actr:jon", status=400)
    expect(page.get_by_role("alert")).to_contain_text("there is no field `actr`")
    expect(page.locator("#q")).to_have_value("role actr:jon")
    page.locator("#q").fill("role actor:jon")
    page.locator("#q").press("Enter")
    look.shows("Role changed")


def test_recent_events_are_told_by_how_long_ago_they_were(look: Visit) -> None:
    moment = datetime.now(UTC) - timedelta(hours=5, minutes=5)
    action = f"zebra.seen_{moment:%H%M%S%f}"
    look.site.emit([{"action": action}], moment.isoformat(), action)
    look.open(f"?action={action}")
    expect(look.page.locator(".rows time").first).to_have_text("5 hours ago")
