"""Search on the real node, where values are nearly alike: what is found, and what is not."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.test_webapi_search import shown
from tests.webapi_api import Api, store, write_events

pytestmark = pytest.mark.opensearch

ANA, SHOUTED = "ana@company.com", "Ana@Company.COM"
LIKE_ANA = [
    "ana.lopez@company.com", "bob.ana@company.com", "ana+audit@company.com", "ana42@company.com",
    "bob-ana@company.com", "company@ana.com", "ana@mail.company.com",
]  # fmt: skip
BEHIND = "ana@company.com.evil.example"
EMAILS = [ANA, SHOUTED, *LIKE_ANA, BEHIND]
CITY, CAPITALS, SMALL = "Львов-Юг", "ЯЛТА", "são paulo"
MIXED = "Ọ̀yọ́"
"""As it is written in Yoruba: a letter with a dot below, which Unicode has, and the tone behind it,
since both together it has not."""
CITIES = [CITY, CAPITALS, SMALL, MIXED, "Straße-1", "STRASSE-1"]

ADDRESSES = ["203.0.113.7", "198.51.100.4", "2001:db8::1", "fe80::1"]


AGENTS = ["curl/8.5.0", "curl/80.1", "Firefox/128.0 (X11)", "Firefox/12.8 curl"]


SYSTEM = {"type": "system"}


def events() -> Iterator[dict[str, object]]:
    for email in EMAILS:
        yield {"action": "member.invited", "actor": {"type": "user", "email": email}}
    for city in CITIES:
        resource = {"type": "app", "id": city}
        context = {"in": city}
        yield {"action": "app.created", "actor": SYSTEM, "resource": resource, "context": context}
    for address in ADDRESSES:
        yield {"action": "domain.added", "actor": SYSTEM, "ip_address": address}
    for agent, name in zip(AGENTS, ["J.R.R. Tolkien", "Zoe", "Bo", "Cy"], strict=True):
        yield {"action": "member.left", "actor": {**SYSTEM, "name": name}, "user_agent": agent}


@pytest.fixture(scope="module")
def api(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    path = tmp_path_factory.mktemp("exact") / "e.log"
    with opensearch.own_prefix() as index, opensearch.client("writer") as writer:
        store(writer, index, write_events(path, list(events()), "2026-03-15T09:00:00Z"))
        yield Api(opensearch.client("reader"), index)


def emails(api: Api, text: str) -> list[str]:
    pairs = [("q", text), ("order", "asc")]
    return [event["actor"]["email"] for event in api.page(pairs)["events"]]


@pytest.mark.parametrize("name", ["", "actor:", "actor.email:"])
def test_a_whole_email_is_that_one_and_no_other(api: Api, name: str) -> None:
    for text in (ANA, SHOUTED, f'"{ANA}"'):
        assert emails(api, name + text) == [ANA, SHOUTED], text
        assert emails(api, f"-{name}{text} invited") == [*LIKE_ANA, BEHIND], text
    (event,) = api.page([("q", name + ANA), ("highlight", "true"), ("limit", "1")])["events"]
    assert shown(event) == [f"/actor/email: {SHOUTED}"]


def test_the_beginning_of_an_email_is_no_other_name_at_the_same_domain(api: Api) -> None:
    for text in ("ana@company.*", "ana@comp*", "ana@company.com*"):
        assert emails(api, text) == [ANA, SHOUTED, BEHIND], text
    assert emails(api, "ana@*") == [ANA, SHOUTED, "ana@mail.company.com", BEHIND]


def test_parts_of_emails_are_found_by_their_words(api: Api) -> None:
    for text in ("company.com", "@company.com", "@company*", "ana company"):
        assert emails(api, text) == EMAILS, text
    assert emails(api, "ana@company") == EMAILS, "half of an address is no whole one"


@pytest.mark.parametrize("name", ["", "context.in:", "context:", "resource.id:"])
def test_ids_and_values_are_found_in_any_case_beyond_ascii_too(api: Api, name: str) -> None:
    def found(text: str) -> list[str]:
        return [event["resource"]["id"] for event in api.page([("q", name + text)])["events"]]

    for text in ("львов-юг", "ЛЬВОВ-ЮГ", "Львов-Юг", "львов-*", "Львов-ю*"):
        assert found(text) == [CITY], text
    assert found("Ялта") == found("ялта") == found("ЯЛТ*") == [CAPITALS]
    assert found('"SÃO PAULO"') == found('"São Paulo"') == [SMALL]
    assert found(MIXED) == found(f'"{MIXED}"') == found(MIXED.lower()) == [MIXED]
    assert found(MIXED[:2] + "y*") == [MIXED]
    assert found("STRAßE-1") == ["Straße-1"]
    assert found("strasse-1") == ["STRASSE-1"]


@pytest.mark.parametrize(
    ("block", "places"),
    [
        ("::/0", [2, 3]),
        ("0.0.0.0/0", [0, 1]),
        ("2000::/3", [2]),
        ("::/80", []),
        ("::ffff:0:0/96", [0, 1]),
        ("::ffff:203.0.113.7", [0]),
        ("::ffff:cb00:7100/120", [0]),
    ],
)
def test_ipv4_is_in_no_block_of_ipv6_but_its_own(api: Api, block: str, places: list[int]) -> None:
    wanted = [ADDRESSES[place] for place in places]
    asked = [("q", f"ip:{block}"), ("ip", block), ("q", f"-(-ip:{block})")]
    for pair in asked:
        page = api.page([pair, ("order", "asc"), ("highlight", "true")])
        assert [event["ipAddress"] for event in page["events"]] == wanted, pair
    for event in api.page([asked[0], ("highlight", "true")])["events"]:
        assert shown(event) == [f"/ipAddress: {event['ipAddress']}"]
    several = [("ip", block), ("ip", "fe80::1"), ("order", "asc")]
    found = [event["ipAddress"] for event in api.page(several)["events"]]
    assert found == [one for one in ADDRESSES if one in {*wanted, "fe80::1"}]


@pytest.mark.parametrize(
    ("text", "agents"),
    [
        ("agent:curl/8.*", ["curl/8.5.0"]),
        ("curl/8.5.*", ["curl/8.5.0"]),
        ("agent:curl/8*", ["curl/8.5.0", "curl/80.1"]),
        ("firefox/128.*", ["Firefox/128.0 (X11)"]),
        ("agent:firefox/12.*", ["Firefox/12.8 curl"]),
        ("firefox/1.*", []),
        ("agent:curl.*", ["curl/8.5.0", "curl/80.1", "Firefox/12.8 curl"]),
        ("J.R.*", ["curl/8.5.0"]),
        ("actor:j.r.*", ["curl/8.5.0"]),
    ],
)
def test_a_beginning_may_end_with_a_sign_within_a_word(
    api: Api, text: str, agents: list[str]
) -> None:
    found = api.page([("q", text), ("order", "asc"), ("highlight", "true")])["events"]
    assert [event["userAgent"] for event in found] == agents
    assert all(shown(event) for event in found)
