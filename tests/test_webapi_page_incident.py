"""The incident view, as it is served."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from audit_events.catalogue import CATALOGUE
from audit_events.instant import format_instant
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import Api, store, write_events
from webapi.page.views import PATH

pytestmark = pytest.mark.opensearch

USUAL = [
    {"action": "app.created", "at": f"2026-03-{day:02}T09:00:00Z", "ip_address": "203.0.113.9"}
    for day in range(1, 29)
]
UNUSUAL: list[dict[str, Any]] = [
    {
        "action": "app.deleted",
        "at": f"2026-03-29T09:00:{second:02}Z",
        "actor": {"type": "user", "id": "u_eve", "name": "<i>Eve</i>"},
        "ip_address": "198.51.100.66",
        "resource": {"type": "app", "id": f"app_{second}"},
    }
    for second in range(12)
]
AROUND = "around=2026-03-29T09:00:00Z&window=5m"


@pytest.fixture
def api(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[Api]:
    lines = write_events(tmp_path / "e.log", [*USUAL, *UNUSUAL], "2026-03-01T00:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    with opensearch.client("reader") as client:
        yield Api(client, index)


def incident(api: Api, query: str) -> str:
    response = api.visit(f"{PATH}/incident?{query}")
    assert response.status_code == 200, response.text
    return response.text


def distances(html: str) -> list[str]:
    return re.findall(r'data-as="distance">([^<]+)<', html)


def follow(html: str, rel: str) -> str:
    found = re.search(rf'rel="{rel}" href="[?]([^"]+)"', html)
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_it_says_who_took_part_and_what_is_new_or_unusual(api: Api) -> None:
    html = incident(api, AROUND)
    assert "12 events from" in html
    assert "&lt;i&gt;Eve&lt;/i&gt;" in html
    assert '<span class="new">new</span>' in html
    assert "12 times here, not once in the days before" in html
    assert CATALOGUE["app.deleted"].title in html
    assert "+11s" in html


def test_what_is_unusual_says_what_it_is_compared_with(api: Api) -> None:
    """Else "not once in the days before" would be said of what others did all the time."""
    telling = re.compile(r"Against the days since .*?</p>", re.DOTALL)
    alone, narrowed = (
        re.sub(r"<[^>]+>", "", found[0])
        for query in (AROUND, f"{AROUND}&ip=198.51.100.66")
        if (found := telling.search(incident(api, query)))
    )
    since = "Against the days since 2026-02-27 08:55:00"
    assert alone == f"{since}. new: not once as such in these days."
    said = "under the same filters. new: not once as such in these days, whatever the filters."
    assert narrowed == f"{since}, {said}"


def test_two_of_one_name_are_told_apart_in_what_is_unusual(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, api: Api
) -> None:
    twins: list[dict[str, Any]] = [
        {**UNUSUAL[0], "actor": {"type": "user", "id": f"u_{email}", "email": email, "name": "Eve"}}
        for email in ("eve.fournier@company.com", "eve.foumier@company.com")
    ]
    noise = {**UNUSUAL[0], "actor": {"type": "user", "email": "eve.fournier@company.com"}}
    lines = write_events(tmp_path / "t.log", [*twins * 3, noise, noise], "2026-03-29T09:00:30Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    html = incident(api, AROUND)
    section = html.partition('<section class="unusual"')[2].partition("</section>")[0]
    told = re.sub(r"<[^>]+>|[\u2068\u2069]", "", section)
    for email in ("eve.fournier@company.com", "eve.foumier@company.com"):
        assert f"Eve {email} · 3 times here" in told
    assert "eve.fournier@company.com 2 times here" in told


def test_a_log_that_began_too_late_says_how_much_there_is(api: Api) -> None:
    html = incident(api, "around=2026-03-04T00:00:00Z&window=1h")
    assert re.search(r"Needs 7 days of history before the moment; there are 2\.\d\.", html)


def test_another_zone_is_asked_for_where_one_is(api: Api) -> None:
    """Without an address of its own a form is sent to that of its page."""
    form = re.search(r'<form class="panel"[^>]*>.*?</form>', incident(api, AROUND), re.DOTALL)
    assert form is not None
    assert "action=" not in form[0]
    assert 'name="around" value="2026-03-29T09:00:00Z"' in form[0]


def test_its_events_are_paged(api: Api) -> None:
    html = incident(api, f"{AROUND}&limit=10")
    assert html.count('class="event"') == 10
    assert incident(api, follow(html, "next")).count('class="event"') == 2


def test_the_first_page_is_the_one_that_the_moment_is_on(api: Api) -> None:
    asked = "around=2026-03-29T09:00:08Z&window=5m&limit=6"
    html = incident(api, asked)
    assert distances(html) == ["−3s", "−2s", "−1s", "+0ms", "+1s", "+2s"]  # noqa: RUF001
    before, divider, behind = html.partition('<li class="divider">')
    assert divider
    assert before.count('class="event"') == 3
    assert behind.count('<li class="asked">') == html.count('<li class="asked">') == 1
    assert '<line class="marked"' in html
    earlier = incident(api, follow(html, "prev"))
    assert len(distances(earlier)) == 6
    assert distances(earlier)[0] == "−8s"  # noqa: RUF001
    assert 'rel="prev"' not in earlier
    later = incident(api, follow(html, "next"))
    assert distances(later) == ["+3s"]
    assert '<li class="divider">' not in later
    assert distances(incident(api, follow(later, "prev"))) == distances(html)


def test_one_row_alone_is_the_events_own(api: Api) -> None:
    html = incident(api, "around=2026-03-29T09:00:08Z&window=5m&limit=1")
    assert distances(html) == ["+0ms"]
    assert distances(incident(api, follow(html, "prev"))) == ["−1s"]  # noqa: RUF001


@pytest.mark.parametrize("moment", ["0001-01-01", "1969-12-31", "2262-04-12", "9999-12-31"])
def test_a_moment_that_no_event_can_have_is_answered(api: Api, moment: str) -> None:
    response = api.visit(f"{PATH}/incident?around={moment}T00:00:00Z&limit=6")
    assert response.status_code in {200, 400}


def test_a_cursor_of_another_question_leads_nowhere(api: Api) -> None:
    html = incident(api, "around=2026-03-29T09:00:08Z&window=5m&limit=6")
    cursor = follow(html, "prev").split("newer=")[1]
    for query in (f"{AROUND}&newer=x", f"{AROUND}&newer={cursor}"):
        assert api.visit(f"{PATH}/incident?{query}").status_code == 400


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        pytest.param(AROUND, "Around", id="a moment"),
        pytest.param("since=2026-03-20&until=2026-03-30&action=app.deleted", "Between", id="both"),
        pytest.param("since=2026-03-20", "", id="open, and too long by now"),
        pytest.param("since=2026-01-01&until=2026-03-30", "", id="too long"),
        pytest.param("until=2026-03-30", "", id="no beginning"),
        pytest.param("", "", id="no window"),
    ],
)
def test_the_window_of_a_list_leads_to_what_is_unusual_in_it(
    api: Api, query: str, heading: str
) -> None:
    html = api.visit(f"{PATH}?{query}").text
    found = re.search(r'<a href="([^"]+)">What is unusual</a>', html)
    assert (found is not None) == bool(heading)
    if found is not None:
        response = api.visit(unescape(found[1]))
        assert f"<h1>{heading} " in response.text
        assert "12 times here, not once in the days before" in response.text
        assert ("Action" in chips(response.text)) == ("action" in query)


def chips(html: str) -> str:
    return html.partition('class="chips"')[2].partition("</ul>")[0]


def test_an_open_window_ends_now_where_it_is_looked_into(
    api: Api, opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    now = format_instant(datetime.now(UTC) - timedelta(minutes=1))
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "now.log", [{"action": "app.moved"}], now))
    found = re.search(r'<a href="([^"]+)">What is unusual</a>', api.visit(f"{PATH}?range=24h").text)
    assert found is not None
    response = api.visit(unescape(found[1]))
    assert response.status_code == 200
    assert "1 event</p>" in response.text


def test_a_window_without_events_says_so(api: Api) -> None:
    quiet, loud = "around=2026-03-29T12:00:00Z&window=1m", f"{AROUND}&actorId=u_nobody"
    assert "Nothing happened here" in incident(api, quiet)
    html = incident(api, loud)
    assert "Nothing happened here" not in html
    assert "No event of this window matches all of these filters" in html


def test_it_says_whether_it_is_about_a_moment_or_a_window(api: Api) -> None:
    def heading(query: str) -> str:
        html = incident(api, query)
        found = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
        assert found is not None
        return re.sub(r"<[^>]+>", "", found[1])

    assert heading(AROUND) == "Around 2026-03-29 09:00:00 UTC"
    window = "since=2026-03-29T08:00:00Z&until=2026-03-29T10:00:00Z"
    assert heading(window) == "Between 2026-03-29 08:00:00 UTC and 2026-03-29 10:00:00 UTC"


@pytest.mark.parametrize("query", ["", "around=soon", "around=2026-03-29&window=9y", "range=1h"])
def test_what_is_no_window_is_told(api: Api, query: str) -> None:
    response = api.visit(f"{PATH}/incident?{query}")
    assert response.status_code == 400
    assert 'role="alert"' in response.text


@pytest.mark.parametrize("window", [AROUND, "since=2026-03-29&until=2026-03-30"])
def test_without_a_filter_it_is_still_the_incident_and_without_a_bound_the_list(
    api: Api, window: str
) -> None:
    html = incident(api, f"{window}&action=app.deleted&zone=Asia/Tokyo")
    ways = dict(re.findall(r'<a href="([^"]+)" aria-label="Remove the filter (\w+)', html))
    named = {name: unescape(way) for way, name in ways.items()}
    kept = named.pop("Action")
    assert kept.startswith(f"{PATH}/incident?")
    assert "action=" not in kept
    assert len(distances(incident(api, kept.partition("?")[2]))) == 12
    assert named
    assert all(way.startswith(f"{PATH}?") for way in named.values())
    assert f'<a href="{PATH}?zone=Asia/Tokyo">Clear all</a>' in html
