"""The list and the page of one event, as they are served: no browser, no JavaScript."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from audit_events.catalogue import CATALOGUE
from audit_events.instant import format_instant
from indexer.settings import IndexSettings, Secret
from tests.cluster import Cluster
from tests.webapi_api import ANA, OWNER, SECRET, Api, store, write_events
from webapi.page.views import PATH
from webapi.settings import WebSettings

pytestmark = pytest.mark.opensearch

HOSTILE = "<script>alert(1)</script>"
EVENTS: list[dict[str, Any]] = [
    {"action": "app.created", "resource": {"type": "app", "id": "app_1", "name": HOSTILE}},
    {
        "action": "member.role_changed",
        "target_user": {"id": "u_t", "email": "team@company.com"},
        "context": {"previous": {"role": "member"}, "new": {"role": "admin\u202e\u0007"}},
        "ip_address": "203.0.113.9",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        "correlation_id": "req_1",
    },
    {"action": "member.offboarded", "actor": {"type": "system"}, "target_user": {"id": "u_x"}},
    {"action": "zebra.painted", "organization_id": "org_b"},
]


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[Api]:
    """An application over four events, one of them of another organisation."""
    lines = write_events(tmp_path / "events.log", EVENTS, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    settings = WebSettings(jwt_secret=Secret(SECRET), audit_path=str(tmp_path / "reads.log"))
    with opensearch.client("reader") as client:
        yield Api(client, index, settings)


def page(api: Api, path: str = "", organization: str = "org_a") -> str:
    """Return a page that must come."""
    response = api.visit(PATH + path, replace(OWNER, organization_id=organization))
    assert response.status_code == 200, response.text
    return response.text


def ids(html: str) -> list[str]:
    return re.findall(r'id="e-([0-9a-f-]{36})"', html)


def test_the_legend_counts_what_no_catalogue_knows_where_there_is_some(api: Api) -> None:
    def legend(html: str) -> str:
        inside = html.partition('class="legend"')[2].partition("</ul>")[0]
        return re.sub(r"<[^>]+>|\s+", " ", inside)

    assert re.search(r"\? +Not in the catalogue +1", legend(page(api, organization="org_b")))
    assert "Not in the catalogue" not in legend(page(api))


def test_the_list_has_who_did_what_when_and_on_what_newest_first(api: Api) -> None:
    html = page(api)
    titles = re.findall(r"<b><bdi>([^<]*)</bdi></b><small><code>", html)
    assert titles == ["Member offboarded", "Role changed", "App created"]
    for text in (ANA["name"], ANA["email"], "System", "team@company.com", "203.0.113.9"):
        assert f"<bdi>{text}</bdi>" in html
    assert "2026-03-15 09:00:01" in html
    assert re.search(r"\d+ (months?|years?) ago", html)


def test_what_came_late_or_by_a_wrong_clock_is_told(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, api: Api
) -> None:
    late = {"action": "app.created", "at": "2026-03-14T09:00:00Z"}
    (line,) = write_events(tmp_path / "late.log", [late], "2026-03-14")
    with opensearch.client("writer") as writer:
        store(writer, index, [line[:-1] + b',"ingestedAt":"2026-03-15T11:00:00.000000Z"}'])
    html = page(api, "?zone=Asia/Tokyo")
    assert "2026-03-15 20:00:00 UTC+09:00</time><small>+1d 2h from the timestamp" in html


def test_colours_are_told_by_a_sign_and_a_word_too(api: Api) -> None:
    html = page(api)
    for word in ("Created or connected", "Changed", "Removed"):
        assert f'<span class="unseen">{word}:</span>' in html


def test_a_row_holds_every_field(api: Api) -> None:
    html = page(api)
    for term in (
        "Actor", "Target user", "Resource", "Timestamp", "IP address", "User agent",
    ):  # fmt: skip
        assert f"<dt>{term}</dt>" in html
    assert "2026-03-15T09:00:01.000000Z" in html
    assert "Firefox 145 on Linux" in html
    assert '<td class="old"><bdi>member</bdi></td>' in html


def test_what_others_wrote_is_text_and_its_marks_are_seen(api: Api) -> None:
    html = page(api)
    assert HOSTILE not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert r"<bdi>admin\u202e\u0007</bdi>" in html
    assert "\u202e" not in html


def test_another_organisations_events_are_not_there(api: Api) -> None:
    theirs = ids(page(api, organization="org_b"))
    assert len(theirs) == 1
    assert theirs[0] not in page(api)
    absent = api.visit(f"{PATH}/{theirs[0]}")
    assert absent.status_code == 404
    assert "no event of your organisation has this id" in absent.text.lower()


def test_one_link_shows_one_event_whole(api: Api) -> None:
    event_id = ids(page(api))[1]
    html = page(api, f"/{event_id}")
    assert f"<code>{event_id}</code>" in html
    assert "req_1" in html
    assert "&#34;schemaVersion&#34;: 1" in html


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", "Audit Log"),
        ("?action=app.created&ip=192.0.2.1", "Audit Log: App created · 192.0.2.1"),
        ("?q=%3C/title%3E%E2%80%AE", r"Audit Log: &lt;/title&gt;\u202e"),
        ("?since=2026-03-15&zone=Asia/Tokyo", "Audit Log: 2026-03-15 09:00:00 UTC+09:00"),
        (f"?q={'x' * 100}", f"Audit Log: {'x' * 79}…"),
        ("/incident?around=2026-03-15T09:00:01Z", "Around 2026-03-15 09:00:01 UTC"),
        (
            "/incident?since=2026-03-15&until=2026-03-16",
            "Between 2026-03-15 00:00:00 UTC and 2026-03-16 00:00:00 UTC",
        ),
    ],
)
def test_tabs_are_told_apart_by_what_they_show(api: Api, path: str, told: str) -> None:
    html = page(api, path)
    assert f"<title>{told} · Indelible</title>" in html
    here = re.findall(r'<li aria-current="page">([^<]*)</li>', html)
    assert here[0] in {"Audit Log", "Around a moment", "Between two moments"}


@pytest.mark.parametrize("path", ["", "/incident"])
def test_an_event_is_shown_in_the_zone_that_leads_to_it(api: Api, path: str) -> None:
    html = page(api, f"{path}?around=2026-03-15T09:00:01Z&zone=Asia/Tokyo")
    link = f"{PATH}/{ids(html)[1]}?zone=Asia%2FTokyo"
    assert f'<a href="{link}" data-copy=' in html
    html = api.visit(link).text
    assert re.search(r"2026-03-15 18:00:0\d UTC[+]09:00", html)
    assert '<a href="?" data-zone-choice="UTC">' in html
    assert api.visit(link.replace("Tokyo", "Nowhere")).status_code == 400
    assert api.visit(f"{link}&q=a").status_code == 400


@pytest.mark.parametrize("event_id", ["x", "0" * 36, "01a209c8-3fec-704d-9ea0-6979ad24323e"])
def test_an_event_that_is_not_there_is_told_politely(api: Api, event_id: str) -> None:
    response = api.visit(f"{PATH}/{event_id}")
    assert response.status_code == 404
    assert response.mimetype == "text/html"
    assert "<h1>There is no such event</h1>" in response.text


def test_reading_the_page_is_recorded_as_reading_the_api_is(api: Api, tmp_path: Path) -> None:
    event_id = ids(page(api))[0]
    page(api, f"/{event_id}")
    reads = (tmp_path / "reads.log").read_text().splitlines()
    assert len(reads) == 2
    assert all('"action":"audit_log.viewed"' in line for line in reads)
    assert event_id in reads[1]


def test_nobody_sees_anything_without_proof_of_who_they_are(api: Api) -> None:
    refused = [
        api.visit(PATH, None),
        api.visit(PATH, replace(OWNER, role="member")),
        api.visit(PATH, replace(OWNER, plan="free")),
    ]
    for response in refused:
        assert response.status_code in {303, 403}
        assert "role_changed" not in response.text


def test_pages_forbid_everything_that_is_not_theirs(api: Api) -> None:
    for path in (PATH, f"{PATH}/x"):
        response = api.visit(path)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert response.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=", response.text)


def test_assets_are_kept_for_ever_under_their_version_and_not_under_another(api: Api) -> None:
    address = re.findall(r'href="([^"]+page\.css)"', page(api))[0]
    kept = api.visit(address, None)
    assert kept.status_code == 200
    assert kept.mimetype == "text/css"
    assert "immutable" in kept.headers["Cache-Control"]
    old = api.visit(re.sub(r"static/[^/]+", "static/0", address), None)
    assert old.headers["Cache-Control"] == "no-store"
    assert api.visit(f"{PATH}/static/0/nothing.css", None).status_code == 404


def test_filters_are_those_of_the_api_and_stand_as_chips(api: Api) -> None:
    html = page(api, "?action=member.role_changed&limit=10")
    assert ids(html) == ids(page(api))[1:2]
    assert "<span>Action</span> <b><bdi>Role changed</bdi></b>" in html


def test_a_form_settles_into_a_url_that_can_be_linked(api: Api) -> None:
    sent = "q=role&from=2026-03-15T10:00&to=&in=Europe/Berlin&ip=&actor="
    moved = api.visit(f"{PATH}?{sent}")
    assert moved.status_code == 303
    assert moved.headers["Location"] == f"{PATH}?q=role&since=2026-03-15T09%3A00%3A00.000000Z"


def test_every_mistake_is_told_at_its_place_with_what_was_perhaps_meant(api: Api) -> None:
    response = api.visit(f"{PATH}?q=role+actr:ana&action=member.invitd&nonsense=1")
    assert response.status_code == 400
    text = response.text
    assert "<pre>role actr:ana\n     ^</pre>" in text
    assert "<code>actor</code>" in text
    assert 'action=member.invited">member.invited</a>' in text
    assert "there is no such parameter" in text
    assert '<a href="?q=role+actr%3Aana&amp;action=member.invitd">Do without it</a>' in text


def test_the_same_target_user_is_found_whatever_the_id(api: Api) -> None:
    for asked in ("", "?q=Ana"):
        found = re.findall(r'<a href="([^"]+)">Same target user<', page(api, asked))
        assert found
        for one in found:
            response = api.visit(unescape(one))
            assert response.status_code == 200, one
            assert len(ids(response.text)) == 1, one
            assert ("<bdi>Ana target.id:" in response.text) == bool(asked)


def test_one_of_several_values_is_wrong_alone(api: Api) -> None:
    asked = "action=app.created&action=member.invitd&action=appp.moved&ip=x&ip=203.0.113.9"
    response = api.visit(f"{PATH}?{asked}")
    assert response.status_code == 400
    wrong = re.findall(r'<li class="wrong"><span>\w+</span> <b><bdi>([^<]+)<', response.text)
    assert wrong == ["member.invitd", "appp.moved", "x"]
    (meant,) = re.findall(r'href="([^"]+)">member\.invited<', response.text)
    kept = "action=app.created&amp;action=appp.moved&amp;ip=x&amp;ip=203.0.113.9"
    assert meant == f"?{kept}&amp;action=member.invited"


def test_an_empty_result_says_which_filter_to_relax(api: Api) -> None:
    html = page(api, "?action=member.role_changed&ip=192.0.2.1")
    assert "No event matches all of these filters" in html
    relax = re.findall(r'<li><a href="[^"]*\?([^"]*)">Without <b>([^<]+)</b>', html)
    assert relax == [("action=member.role_changed", "Address")]


def test_a_moment_in_the_search_leads_to_what_happened_around_it(api: Api) -> None:
    html = page(api, "?q=2026-03-15+10:00:01+UTC%2B01:00&result=success&zone=Asia/Tokyo&range=7d")
    (way,) = re.findall(r'<a href="([^"]+)">around <time', html)
    asked = "result=success&amp;zone=Asia%2FTokyo&amp;around=2026-03-15T09%3A00%3A01%2B00%3A00"
    assert way == f"{PATH}/incident?{asked}"
    assert ">2026-03-15 18:00:01 UTC+09:00</time>" in html
    assert api.visit(way.replace("&amp;", "&")).status_code == 200


def test_an_empty_log_is_told_from_an_empty_result(api: Api) -> None:
    assert "Nothing has been recorded yet" in page(api, organization="org_empty")


def follow(html: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', html)
    return None if found is None else found[1].replace("&amp;", "&")


def test_pages_lead_to_older_and_back_to_newer_events(api: Api) -> None:
    every = ids(page(api))
    first = page(api, "?limit=1")
    assert follow(first, "prev") is None
    second = page(api, follow(first, "next") or "")
    third = page(api, follow(second, "next") or "")
    assert [*ids(first), *ids(second), *ids(third)] == every
    assert follow(third, "next") is None
    assert ids(page(api, follow(third, "prev") or "")) == ids(second)


def test_above_the_first_page_is_the_first_page(api: Api) -> None:
    second = page(api, follow(page(api, "?limit=1"), "next") or "")
    back = api.visit(PATH + (follow(second, "prev") or ""))
    assert back.status_code == 303
    assert back.headers["Location"] == f"{PATH}?limit=1"


def test_a_range_does_not_move_under_whoever_pages(api: Api) -> None:
    html = page(api, "?order=asc&limit=1&since=2026-03-15")
    again = page(api, follow(html, "next") or "")
    assert ids(again) == ids(page(api))[1:2]


def test_times_are_shown_in_the_zone_that_was_chosen(api: Api) -> None:
    html = page(api, "?zone=Europe/Berlin")
    assert "2026-03-15 10:00:01" in html
    assert "2026-03-15 09:00:01 UTC" in html
    wrong = api.visit(f"{PATH}?zone=Europe/Nowhere")
    assert wrong.status_code == 400
    assert "is no time zone" in wrong.text


def test_the_dropdown_has_every_action_by_category_and_colour(api: Api) -> None:
    html = page(api, "?action=app.created&action=zebra.*", "org_b")
    assert html.count('checkbox" name="action"') == len(CATALOGUE) + 1
    assert html.count('checkbox" name="category"') == len(CATALOGUE.categories)
    assert 'value="app.created" checked' in html
    assert 'value="zebra.*" checked' in html


def test_news_are_counted_and_looking_is_none(api: Api) -> None:
    html = page(api, "?action=app.created&action=member.offboarded")
    address = re.search(r'data-news="([^"]+)"', html)
    assert address is not None
    news = api.visit(address[1].replace("&amp;", "&"))
    assert news.get_json() == {"events": 0, "more": False}
    assert "data-news" not in page(api, "?until=2026-03-16")


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "?q=Ana",
        "?range=7d&zone=Europe%2FBerlin",
        "?since=2026-03-15&zone=Europe%2FBerlin&limit=5",
        "?action=zebra.*&action=app.created&actorEmail=ana%40company.com",
        "?category=App+Lifecycle&q=action%3Aapp.created",
        "?action=audit_log.viewed&action=app.created",
    ],
)
def test_news_are_told_of_what_was_shown_alone(
    api: Api, opensearch: Cluster, index: IndexSettings, tmp_path: Path, asked: str
) -> None:
    """They leave no record, so nobody may ask them what was not asked of the list."""
    recent = format_instant(datetime.now(UTC) - timedelta(hours=1))
    zebras = [{"action": name} for name in ("zebra.painted", "app.created")]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "recent.log", zebras, recent))
    found = re.search(r'data-news="([^"]+)"', page(api, asked))
    assert found is not None
    address = found[1].replace("&amp;", "&")
    told = api.visit(address)
    assert (told.status_code, told.get_json()) == (200, {"events": 0, "more": False})
    shown, _, after = address.rpartition("after=")
    for other in (
        f"{PATH}/news?q=salary&after={after}",
        f"{shown}result=denied&after={after}",
        f"{shown}after=2026-03-15T09:00:00Z",
        f"{address}x",
        f"{PATH}/news",
    ):
        assert api.visit(other).status_code == 400, other


def test_pages_are_compressed_and_their_length_says_little(api: Api) -> None:
    api.sign_in()
    sizes = {len(api.client.get(PATH, headers={"Accept-Encoding": "gzip"}).data) for _ in range(8)}
    assert len(sizes) > 1
    assert max(sizes) < len(page(api)) / 3
