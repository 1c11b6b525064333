"""The life of one thing, as the page shows it: no browser, no JavaScript."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import OWNER, SETTINGS, Api, store, storeless, write_events
from webapi.page.views import PATH

pytestmark = pytest.mark.opensearch

TEA = "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10"
START = "2026-03-15T09:00:00Z"
SCRIPT = "<script>alert(1)</script>"
APP = {"type": "app", "id": "app_1", "name": "Shop"}
WORKSPACE = {"type": "workspace", "id": "w_1", "name": "Customer Care"}
OF_APP, OF_TEA = "resourceType=app&resourceId=app_1", f"targetUserId={TEA}"
HOSTILE = [("resourceType", SCRIPT), ("resourceId", f"\u202e{SCRIPT}")]
LIFE: list[dict[str, Any]] = [
    {"action": "app.created", "resource": APP, "context": {"new": {"name": "Shop", "seats": 5}}},
    {
        "action": "app.settings_updated",
        "resource": APP,
        "result": "denied",
        "context": {"previous": {"name": "Shop"}, "new": {"name": "Stolen"}},
    },
    {
        "action": "app.renamed",
        "resource": {**APP, "name": "Store"},
        "context": {"previous": {"name": "Shop"}, "new": {"name": "Store"}},
    },
    {
        "action": "app.settings_updated",
        "resource": {**APP, "name": "Store"},
        "context": {
            "previous": {"seats": 9, "region": "eu"},
            "new": {"seats": 10, "region": "us", "theme": "dark"},
        },
    },
    {"action": "app.renamed", "resource": APP, "organization_id": "org_b"},
    {
        "action": "member.role_changed",
        "target_user": {"id": TEA.upper(), "email": "team@company.com"},
        "context": {"previous": {"role": "member"}, "new": {"role": "admin"}},
    },
    {
        "action": "workspace_member.added",
        "target_user": {"id": TEA},
        "resource": WORKSPACE,
        "context": {"new": {"role": "viewer"}},
    },
    {"action": "member.offboarded", "target_user": {"id": TEA}},
    {"action": "member.role_changed", "target_user": {"id": "u_7", "name": SCRIPT}},
    {
        "action": "workspace_member.added",
        "target_user": {"id": "U_8", "email": "ana@company.com"},
        "resource": {**WORKSPACE, "id": "w_2"},
        "context": {"new": {"role": "viewer"}},
    },
    {
        "action": "workspace_member.added",
        "target_user": {"id": "u_9"},
        "resource": {"type": "workspace", "id": "w_2"},
        "context": {"new": {"role": "viewer"}},
    },
    {
        "action": "zebra.painted",
        "resource": {"type": SCRIPT, "id": f"\u202e{SCRIPT}", "name": "x" * 1000},
        "context": {"new": {SCRIPT: SCRIPT, "k" * 300: "\u202ey" * 400, "gone": None}},
    },
    {"action": "app.moved", "resource": {"type": "app", "id": "a\nb"}},
]
"""One second apart."""


@pytest.fixture(scope="module")
def api(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    directory = tmp_path_factory.mktemp("life")
    settings = msgspec.structs.replace(SETTINGS, audit_path=str(directory / "reads.log"))
    with opensearch.own_prefix() as index:
        with opensearch.client("writer") as writer:
            store(writer, index, write_events(directory / "life.log", LIFE, START))
        yield Api(opensearch.client("reader"), index, settings)


def page(api: Api, query: str, status: int = 200, organization: str = "org_a") -> str:
    reader = replace(OWNER, organization_id=organization)
    response = api.visit(f"{PATH}/history?{query}", reader)
    assert response.status_code == status, response.text
    return response.text


def text(html: str) -> str:
    """Return what is read, with one blank between two parts."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def titles(html: str) -> list[str]:
    return re.findall(r'class="unseen">[^<]*:</span><span><b><bdi>([^<]*)</bdi></b>', html)


def heading(html: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert found is not None
    return text(found[1])


def fields(html: str) -> list[tuple[str, ...]]:
    """Return path, value and telling of each field."""
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th>\s*<td data-label="Value">(.*?)</td>'
        r'\s*<td data-label="As told by">(.*?)</td>',
        html,
        re.DOTALL,
    )
    return [tuple(text(cell) for cell in row) for row in rows]


def changes(html: str) -> list[list[str]]:
    """Return what stands below each row."""
    told = re.findall(r'<div class="told">(.*?)</div>', html, re.DOTALL)
    return [re.findall(r'<(?:th scope="row"|td class="\w+")>(.*?)</t[hd]>', one) for one in told]


def ways(html: str, words: str) -> list[str]:
    return [unescape(one) for one in re.findall(rf'<a href="([^"]+)"[^>]*>{words}<', html)]


def test_a_life_is_told_in_order_with_what_each_event_changed(api: Api) -> None:
    html = page(api, OF_APP)
    assert heading(html) == "History of Store"
    created, tried, renamed, updated = [[text(cell) for cell in one] for one in changes(html)]
    assert created == ["name", "∅", "Shop", "seats", "∅", "5"]
    assert tried == ["name", "Shop", "Stolen"]
    assert renamed == ["name", "Shop", "Store"]
    assert updated == ["region", "eu", "us", "seats", "9", "10", "theme", "∅", "dark"]
    assert html.count("What was tried; nothing changed") == 2  # below its row, and inside of it
    names = ["App created", "App settings updated", "App renamed", "App settings updated"]
    assert titles(html) == names
    assert titles(page(api, f"{OF_APP}&order=desc")) == names[::-1]


def test_the_state_names_the_event_that_set_each_field(api: Api) -> None:
    html = page(api, OF_APP)
    assert "State now" in html
    assert fields(html) == [
        ("name", "Store", "App renamed Ana María (ana@company.com) · 2026-03-15 09:00:02"),
        ("region", "us", "App settings updated Ana María (ana@company.com) · 2026-03-15 09:00:03"),
        ("seats", "10", "App settings updated Ana María (ana@company.com) · 2026-03-15 09:00:03"),
        ("theme", "dark", "App settings updated Ana María (ana@company.com) · 2026-03-15 09:00:03"),
    ]
    assert "Exists , as told by App created Ana María (ana@company.com) ·" in text(html)
    assert "Concluded from 4 events." in html


def test_a_moment_shows_the_state_then_and_says_what_is_not_known(api: Api) -> None:
    html = page(api, f"{OF_APP}&at=2026-03-15T09:00:01Z")
    assert "State at 2026-03-15 09:00:01 UTC" in text(html)
    assert [one[:2] for one in fields(html)] == [
        ("name", "Shop"), ("region", "eu perhaps"), ("seats", "5"), ("theme", "unknown"),
    ]  # fmt: skip
    assert "Doubtful: 9 was found there by" in text(html)
    assert "Concluded from 2 events up to then, and 2 later ones." in html
    before, divider, behind = html.partition('<li class="divider">')
    assert divider
    assert len(titles(before)) == len(titles(behind)) == 2
    assert html.count('<li class="asked">') == 1
    turned = page(api, f"{OF_APP}&at=2026-03-15T09:00:01Z&order=desc")
    assert titles(turned.partition('<li class="divider">')[0]) == titles(behind)[::-1]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"{OF_APP}&at=2026-03-15T08:59:59Z", "Did not exist yet : it began later, with App"),
        (f"{OF_TEA}&at=2026-03-15", "Whether it existed is unknown : no event up to then"),
        (f"{OF_TEA}&at=2026-03-15T09:00:06Z", "Existed , as told by Role changed"),
        (OF_TEA, "Gone , as told by Member offboarded"),
        (f"{OF_TEA}&at=2026-03-16", "Was gone , as told by Member offboarded"),
    ],
)
def test_whether_there_was_such_a_thing_is_said(api: Api, query: str, said: str) -> None:
    assert said in text(page(api, query))


def test_a_user_is_called_by_name_and_what_is_theirs_elsewhere_stays_apart(api: Api) -> None:
    html = page(api, f"resourceType=member&resourceId={TEA}")
    assert titles(html) == titles(page(api, OF_TEA)) != []
    assert heading(html) == "History of team@company.com"
    assert [one[:2] for one in fields(html)] == [("role", "admin"), ("role", "viewer")]
    assert "Together with workspace Customer Care w_1" in text(html)
    assert f"{PATH}/history?resourceType=workspace&resourceId=w_1" in ways(html, "History")


def test_what_a_thing_shares_fields_with_is_called_by_name_where_an_event_has_one(api: Api) -> None:
    shown = text(page(api, "resourceType=workspace&resourceId=w_2"))
    assert "Together with ana@company.com U_8 History of this one" in shown
    assert "Together with u_9 History of this one" in shown


def test_opened_rows_lead_to_the_lives_of_what_they_are_about(api: Api) -> None:
    listed = api.visit(f"{PATH}?zone=Europe%2FBerlin").text
    there = f"{PATH}/history?zone=Europe%2FBerlin&"
    found = ways(listed, "History")
    assert {one.removeprefix(there) for one in found} >= {
        OF_APP, f"{OF_TEA.upper().replace('TARGETUSERID', 'targetUserId')}",
        "resourceType=workspace&resourceId=w_1", "resourceType=user&resourceId=u_7",
    }  # fmt: skip
    # An id with a line break can stand in no address, so no link leads to a refusal.
    for one in found:
        assert api.visit(one).status_code == 200, one
    event_id = re.findall(r'id="e-([0-9a-f-]{36})"', listed)[-1]
    assert ways(api.visit(f"{PATH}/{event_id}").text, "History") == [f"{PATH}/history?{OF_APP}"]


def test_it_leads_back_to_the_list_and_to_each_event(api: Api) -> None:
    html = page(api, f"{OF_APP}&at={START}&order=desc&limit=50")
    assert f'<li><a href="{PATH}">Audit Log</a></li>' in html
    (listed,) = ways(html, "Filter the list by it")
    assert titles(api.visit(listed).text) == titles(html)
    for one in ways(html, "Same actor"):
        assert api.visit(one).status_code == 200, one
    events = ways(html, "Link to this event")
    assert len(events) == 4
    assert api.visit(events[0]).status_code == 200
    (listed,) = ways(page(api, OF_TEA), "Filter the list by it")
    assert titles(api.visit(listed).text)[::-1] == titles(page(api, OF_TEA))


def test_each_row_shows_the_state_at_its_event(api: Api) -> None:
    then = ways(page(api, OF_APP), "State at this event")
    assert len(then) == 4
    html = page(api, then[2].removeprefix("?"))
    assert fields(html)[0][:2] == ("name", "Store")
    assert "App renamed" in html.partition('<li class="asked">')[2].partition("</li>")[0]


def test_a_moment_that_was_chosen_in_the_form_stands_in_the_url(api: Api) -> None:
    sent = f"{OF_APP}&at={START}&cursor=c&in=Europe%2FBerlin&moment=2026-03-15T10%3A00%3A02"
    moved = api.visit(f"{PATH}/history?{sent}")
    at = "at=2026-03-15T09%3A00%3A02.000000Z"
    assert (moved.status_code, moved.headers["Location"]) == (
        303, f"{PATH}/history?{OF_APP}&{at}",
    )  # fmt: skip
    emptied = api.visit(f"{PATH}/history?{OF_APP}&at={START}&moment=&in=UTC")
    assert emptied.headers["Location"] == f"{PATH}/history?{OF_APP}"
    html = page(api, f"{OF_APP}&{at}&zone=Europe%2FBerlin")
    assert 'name="moment" value="2026-03-15T10:00:02"' in html
    assert '<input type="hidden" name="resourceId" value="app_1">' in html


def test_pages_follow_each_other_both_ways_and_begin_where_the_moment_is(api: Api) -> None:
    whole = titles(page(api, OF_APP))
    first = page(api, f"{OF_APP}&limit=2")
    assert titles(first) == whole[:2]
    second = page(api, follow(first, "next"))
    assert titles(second) == whole[2:]
    assert titles(page(api, follow(second, "prev"))) == whole[:2]
    moment = page(api, f"{OF_APP}&limit=2&at=2026-03-15T09:00:02Z")
    assert titles(moment) == whole[2:]
    assert "State at" in page(api, follow(moment, "prev"))
    assert titles(page(api, follow(moment, "prev"))) == whole[:2]


def follow(html: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="[?]([^"]+)"', html)
    assert found is not None
    return unescape(found[1])


def test_a_window_is_shown_and_can_be_left(api: Api) -> None:
    html = page(api, f"{OF_APP}&since=2026-03-15T09:00:02Z")
    assert len(titles(html)) == 2
    assert "Concluded from 2 events." in html
    rest = re.findall(r'<a href="([^"]+)" aria-label="Remove the filter From', html)
    assert [unescape(one) for one in rest] == [f"{PATH}/history?{OF_APP}"]
    assert "No event of this window is about it" in text(page(api, f"{OF_APP}&until=2026-03-15"))


def test_what_nothing_is_known_of_is_said_so(api: Api) -> None:
    html = page(api, "resourceType=app&resourceId=app_9")
    assert heading(html) == "History of app app_9"
    assert "No event is about it" in html
    assert "State now" not in html


def test_another_organisations_thing_is_as_unknown_as_one_that_never_was(api: Api) -> None:
    for query in (OF_TEA, "resourceType=workspace&resourceId=w_1"):
        theirs = page(api, query, organization="org_b")
        assert "No event is about it" in theirs
        assert "team@company.com" not in theirs
    theirs = page(api, OF_APP, organization="org_b")
    assert titles(theirs) == ["App renamed"]
    assert "Store" not in theirs


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "Target user : say of what"),
        ("resourceType=app", "Resource : goes together with"),
        (f"{OF_APP}&at=soon", "at : expected RFC 3339"),
        (f"{OF_APP}&at=2026-03-15&since=2026-03-16", "From : must not be after"),
        (f"{OF_APP}&zone=Nowhere&cursor=x", "is no time zone"),
        (f"{OF_APP}&action=app.created", "Action : there is no such parameter"),
        (f"{OF_APP}&q=ana", "Text : there is no such parameter"),
        (f"{OF_APP}&actor=ana", "actor : there is no such parameter"),
        (f"{OF_TEA}&resourceType=%3Cscript%3E", "Resource type : goes without"),
    ],
)
def test_what_is_not_understood_is_told_once(api: Api, query: str, told: str) -> None:
    html = page(api, query, 400)
    assert text(html).count(told) == 1, text(html)
    assert 'role="alert"' in html
    assert "<script>" not in html


def test_what_others_wrote_is_text(api: Api) -> None:
    response = api.visit(f"{PATH}/history?" + urlencode(HOSTILE))
    assert response.status_code == 200
    html = response.text
    assert SCRIPT not in html
    assert "\u202e" not in re.sub(r'(href|value)="[^"]*"', "", html)
    assert f"<bdi>{'x' * 199}…</bdi>" in html
    assert re.search(r"<title>History of x+…", html)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["Cache-Control"] == "no-store"
    assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=", html)
    for name in ("title", "h1"):
        assert name in page(api, f"resourceType=app&resourceId={'a' * 1024}"), name
    page(api, f"resourceType=app&resourceId={'a' * 10_000}", 400)


def test_reading_a_life_is_recorded_with_the_moment_it_was_asked_for(api: Api) -> None:
    assert api.settings.audit_path is not None
    reads = Path(api.settings.audit_path)
    page(api, f"{OF_APP}&at=2026-03-15T09:00:00.5Z&limit=1")
    viewed = msgspec.json.decode(reads.read_bytes().splitlines()[-1])
    assert viewed["action"] == "audit_log.viewed"
    assert viewed["context"]["route"] == f"{PATH}/history"
    assert viewed["context"]["events"] == 4
    assert viewed["context"]["filters"]["at"] == ["2026-03-15T09:00:00.5Z"]


def test_nobody_sees_a_life_who_may_not_read_the_log(api: Api) -> None:
    for reader in (None, replace(OWNER, role="member"), replace(OWNER, plan="free")):
        response = api.visit(f"{PATH}/history?{OF_APP}", reader)
        assert response.status_code in {303, 403}
        assert "app_1" not in response.text.replace("resourceId%3Dapp_1", "")


def test_it_counts_as_a_search_does() -> None:
    limited = storeless(msgspec.structs.replace(SETTINGS, search_per_minute=1))
    assert limited.visit(f"{PATH}/history?at=soon").status_code == 400
    response = limited.visit(f"{PATH}/history?at=soon")
    assert response.status_code == 429
    assert "Try again" in response.text


def test_a_life_that_is_too_long_still_shows_its_events_and_says_what_to_do(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    wide = [{"new": {f"{one} {n}": n for n in range(2600)}} for one in ("a", "b")]
    events = [{"action": "app.settings_updated", "resource": APP, "context": one} for one in wide]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "wide.log", events, START))
    with opensearch.client("reader") as client:
        api = Api(client, index)
        html = page(api, f"{OF_APP}&at=2026-03-15T10:00:00.5Z", 422)
        assert "Too much happened to say what the state was." in text(html)
        assert len(titles(html)) == 2
        assert len(changes(html)[0]) == 36
        assert "All 1000 fields" in html
        (shorter,) = ways(html, "1h")
        assert "since=2026-03-15T09%3A00%3A00.500000Z" in shorter
        assert [one[:2] for one in fields(page(api, shorter.removeprefix("?")))[:1]] == [
            ("b 0", "0")
        ]
