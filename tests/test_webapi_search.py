"""Search on the real node: which question finds which events, where it matched, what is refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cluster import Cluster
from tests.test_webapi_search_text import TEXTS
from tests.timing import measure
from tests.webapi_api import Api, problem, store, token, write_events
from webapi.errors import ParameterError
from webapi.search_text import read_text

pytestmark = pytest.mark.opensearch

TARGET = "0190a1b2-7c3d-7000-8000-00000000000A"
JOSE = {"type": "user", "id": "u_jose", "email": "jose.nunez@company.com", "name": "José Núñez"}
PLAIN = {"type": "user", "id": "U-9F", "email": "ana.lopez42@x-corp.example", "name": "Ana Admin"}
EVENTS: list[dict[str, object]] = [
    {
        "action": "member.role_changed",
        "actor": JOSE,
        "target_user": {"id": TARGET, "email": "Team@company.com", "name": "Zoë Ångström"},
        "resource": {"type": "app", "id": "app_42", "name": "Shop Front"},
        "ip_address": "203.0.113.9",
        "user_agent": "Mozilla/5.0 (Macintosh; Intel) Firefox/128.0",
        "context": {
            "previous": {"role": "member", "seats": 5},
            "new": {"role": "Admin", "seats": 12, "active": True},
            "reason": "Asked to by Legal",
            "tags": ["alpha", "Béta"],
            "peerAddress": "10.1.2.3",
        },
    },
    {
        "action": "app.created",
        "actor": PLAIN,
        "resource": {"type": "app", "id": "app_43", "name": "L'Été à Zoé"},
        "ip_address": "2001:db8::1",
        "correlation_id": "req_9f2c",
        "result": "failure",
        "context": {"new": {"owner": "José"}, "note": "<script>alert(1)</script>"},
    },
    {
        "action": "zebra.danced",
        "actor": {"type": "system"},
        "target_user": {"name": "Jose\u0301 Decomposed"},
        "ip_address": "203.0.114.77",
        "result": "denied",
    },
    {
        "action": "member.invited",
        "target_user": {"email": "jose@elsewhere.example", "name": "Jose"},
    },
    {"action": "member.offboarded", "organization_id": "org_b", "actor": JOSE},
]
ROLE, APP, ZEBRA, INVITED = "member.role_changed", "app.created", "zebra.danced", "member.invited"
ALL = [INVITED, ZEBRA, APP, ROLE]

FINDS: list[tuple[str, str, list[str]]] = [
    ("a word", "role", [ROLE]),
    ("two words in different fields", "role shop", [ROLE]),
    ("words of an action", "role changed", [ROLE]),
    ("an action", "member.role_changed", [ROLE]),
    ("a part of an action", "role_changed", [ROLE]),
    ("a phrase of an action", '"role changed"', [ROLE]),
    ("not that phrase", '"changed role"', []),
    ("an email", "team@company.com", [ROLE]),
    ("an email in another case", "TEAM@Company.com", [ROLE]),
    ("a domain", "company.com", [INVITED, ROLE]),
    ("a domain with its sign", "@x-corp.example", [APP]),
    ("a part of an email", "lopez*", [APP]),
    ("another", "elsewhere", [INVITED]),
    ("the beginning of an email", "ana.lopez42@x-c*", [APP]),
    ("an id", "app_42", [ROLE]),
    ("an id in another case", "u-9f", [APP]),
    ("the beginning of an id", "app_4*", [APP, ROLE]),
    ("not a part of an id", "pp_42", []),
    ("a phrase of an email", '"team@company.com"', [ROLE]),
    ("a phrase in part of one", '"x-corp example"', [APP]),
    ("a phrase over the end of a word", '"compan com"', []),
    ("a phrase of an uncatalogued action", '"zebra danced"', [ZEBRA]),
    ("not that phrase of one", '"danced zebra"', []),
    ("a phrase over noun and verb", '"app created"', [APP]),
    ("a phrase of a type and no more", '"app"', [APP, ROLE]),
    ("a phrase in another case", '"SHOP front"', [ROLE]),
    ("a phrase of an agent in another case", '"FIREFOX 128.0"', [ROLE]),
    ("words of an agent in any order", '"firefox Macintosh"', [ROLE]),
    ("a name in the wrong order", '"Front Shop"', []),
    ("a UUID", TARGET.lower(), [ROLE]),
    ("the beginning of a UUID", "0190a1b2-7c3d*", [ROLE]),
    ("a correlation", "req_9f2c", [APP]),
    ("an address", "203.0.113.9", [ROLE]),
    ("a block", "203.0.112.0/22", [ZEBRA, ROLE]),
    ("the beginning of an address", "203.0.113.*", [ROLE]),
    ("the beginning of a part", "203.0.11*", [ZEBRA, ROLE]),
    ("an IPv6 address", "2001:DB8::1", [APP]),
    ("the beginning of one", "2001:db8:*", [APP]),
    ("the beginning as it is shown", "2001:db8::*", [APP]),
    ("an IPv6 block", "2001:db8::/32", [APP]),
    ("an address in the context", "10.1.2.3", [ROLE]),
    ("a user agent", "firefox", [ROLE]),
    ("a version of one", "firefox/128.0", [ROLE]),
    ("the beginning of one", "firefox/128*", [ROLE]),
    ("a phrase of one", '"Macintosh; Intel"', [ROLE]),
    ("a name with its accents", "José", ALL),
    ("a name without", "jose", ALL),
    ("capitals with accents", "NÚÑEZ", [ROLE]),
    ("a name without, another", "angstrom", [ROLE]),
    ("the beginning of a name without", "angst*", [ROLE]),
    ("the beginning of a name with", "ángst*", [ROLE]),
    ("behind an apostrophe", "ete", [APP]),
    ("a phrase with accents", '"josé núñez"', [ROLE]),
    ("a name in the context, without accents", "context:beta", [ROLE]),
    ("a value in the context", "legal", []),
    ("a whole value in the context", '"asked to by legal"', [ROLE]),
    ("the beginning of one", "context:asked*", [ROLE]),
    ("a value in another case", "ADMIN", [APP, ROLE]),
    ("a value of a list", "alpha", [ROLE]),
    ("a number", "context.seats:12", [ROLE]),
    ("a flag", "context.active:true", [ROLE]),
    ("where it stands", "context.new.role:admin", [ROLE]),
    ("what it was", "context.previous.role:admin", []),
    ("what it was or became", "context.role:member,admin", [ROLE]),
    ("not under another name", "context.reason:admin", []),
    ("the beginning of a value there", "context.reason:Asked*", [ROLE]),
    ("no word of a path", "context.new:role=Admin", []),
    ("a sign that a pattern would obey", "context.new.ro.e:admin", []),
    ("without", "member -role", [INVITED]),
    ("without a field", "-actor:jose -actor:system", [INVITED, APP]),
    ("NOT", "NOT member", [ZEBRA, APP]),
    ("without a group", "-(zebra OR invited) -app_43", [ROLE]),
    ("either", "zebra OR invited", [INVITED, ZEBRA]),
    ("either, by a bar", "zebra|invited", [INVITED, ZEBRA]),
    ("and before or", "member invited OR zebra", [INVITED, ZEBRA]),
    ("parentheses", "member (invited OR zebra)", [INVITED]),
    ("who", "actor:ana", [INVITED, APP]),
    ("who, by a phrase", 'actor:"Ana Admin"', [APP]),
    ("who, by email", "actor:jose.nunez@company.com", [ROLE]),
    ("who, by id", "actor:u_jose", [ROLE]),
    ("who, without accents", "actor:nunez", [ROLE]),
    ("the system", "actor:system", [ZEBRA]),
    ("several", "actor:nunez,system", [ZEBRA, ROLE]),
    ("several in parentheses", "actor:(nunez OR system)", [ZEBRA, ROLE]),
    ("not the target", "actor:team", []),
    ("the target", "target:team", [ROLE]),
    ("the target without accents", "target:jose", [INVITED, ZEBRA]),
    ("its name", "target.name:zoe", [ROLE]),
    ("its name as the event spells it", "targetUser.name:zoe", [ROLE]),
    ("its email", "target.email:company.com", [ROLE]),
    ("what", "resource:app_42", [ROLE]),
    ("what, by type", "resource:app", [APP, ROLE]),
    ("what, by name", "resource:shop", [ROLE]),
    ("what, by name behind an apostrophe", "resource.name:ete", [APP]),
    ("a type", "resource.type:app", [APP, ROLE]),
    ("an action by name", "action:app.created", [APP]),
    ("actions of a noun", "action:member.*", [INVITED, ROLE]),
    ("the beginning of an action", "action:member.ro*", [ROLE]),
    ("words of an action by name", "action:invited", [INVITED]),
    ("an action that is not in the catalogue", "action:zebra.danced", [ZEBRA]),
    ("such a noun", "action:zebra.*", [ZEBRA]),
    ("a category", 'category:"member management"', [INVITED, ROLE]),
    ("a word of a category", "category:member", [INVITED, ROLE]),
    ("a colour", "colour:green", [INVITED, APP]),
    ("no such colour", "-color:green,blue", [ZEBRA]),
    ("a result", "result:denied,failure", [ZEBRA, APP]),
    ("success is what does not say", "result:success", [INVITED, ROLE]),
    ("an address by name", "ip:203.0.113.9,2001:db8::1", [APP, ROLE]),
    ("a block by name", "ip:203.0.112.0/22", [ZEBRA, ROLE]),
    ("its beginning by name", "ip:203.0.114.*", [ZEBRA]),
    ("a user agent by name", "agent:macintosh", [ROLE]),
    ("a correlation by name", "correlation:req*", [APP]),
    ("a service", "service:tests", ALL),
    ("all together", "actor:jose action:member.* resource:app_42 ip:203.0.113.0/24 -zebra", [ROLE]),
    ("the event of another organisation", "offboarded", []),
    ("everything but nothing", "-nothing", ALL),
    ("markup is text", "context:<script>*", [APP]),
]


@dataclass(frozen=True, slots=True)
class Scene:
    """The API on the events above, and their lines; nothing here writes."""

    api: Api
    lines: list[bytes]


@pytest.fixture(scope="module")
def scene(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    path = tmp_path_factory.mktemp("search") / "e.log"
    with opensearch.own_prefix() as index, opensearch.client("writer") as writer:
        lines = write_events(path, EVENTS, "2026-03-15T09:00:00Z")
        store(writer, index, lines)
        yield Scene(Api(opensearch.client("reader"), index), lines)


@pytest.fixture
def api(scene: Scene) -> Api:
    return scene.api


def text_at(event: dict[str, Any], pointer: str) -> str:
    """Return what a JSON Pointer leads to, as the highlights see it."""
    value: Any = event
    for key in pointer.split("/")[1:]:
        plain = key.replace("~1", "/").replace("~0", "~")
        value = value[int(plain)] if isinstance(value, list) else value[plain]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def shown(event: dict[str, Any]) -> list[str]:
    """Return each place as the text that it marks."""
    return [
        f"{one['field']}: {text_at(event, one['field'])[one['start'] : one['end']]}"
        for one in event["highlights"]
    ]


def test_what_is_found_and_that_its_place_is_told(api: Api) -> None:
    found = {text: api.actions([("q", text)]) for _, text, _ in FINDS}
    assert found == {text: events for _, text, events in FINDS}
    for name, text, _ in FINDS:
        for event in api.page([("q", text), ("highlight", "true")])["events"]:
            places = shown(event)
            assert places or text.startswith(("-", "NOT")) or "result:success" in text, name
            assert all(place.rpartition(": ")[2] for place in places), name


PLACES: list[tuple[str, str, list[str]]] = [
    ("a word in two fields", "jose", [
        "/actor/email: jose", "/actor/name: José"]),
    ("the part of an action", "role", ["/action: role"]),
    ("a phrase", '"shop front"', ["/resource/name: Shop Front"]),
    ("a beginning", "angst*", ["/targetUser/name: Ångst"]),
    ("an address", "203.0.113.*", ["/ipAddress: 203.0.113.9"]),
    ("the beginning of an id", "app_4*", ["/resource/id: app_4"]),
    ("inside the context", "context.role:member,admin", [
        "/context/new/role: Admin", "/context/previous/role: member"]),
    ("inside a list", "context:beta", ["/context/tags/1: Béta"]),
    ("a number", "context.seats:12", ["/context/new/seats: 12"]),
    ("actions of a noun", "action:member.*", ["/action: member."]),
    ("a colour", "colour:blue", ["/action: member.role_changed"]),
    ("what holds, of two", "zebra OR (role -invited)", ["/action: role"]),
]  # fmt: skip


def test_where_it_matched(api: Api) -> None:
    for name, text, places in PLACES:
        events = api.page([("q", text), ("action", ROLE), ("highlight", "true")])["events"]
        assert [shown(event) for event in events] == [places], name
    without = api.page([("q", "role"), ("highlight", "false")])["events"]
    assert "highlights" not in without[0]
    assert api.page([("highlight", "true"), ("limit", "1")])["events"][0]["highlights"] == []


def test_events_without_their_highlights_are_the_stored_ones(scene: Scene) -> None:
    stored = scene.lines
    page = scene.api.get([("q", "role"), ("highlight", "true")]).data
    (event,) = msgspec.json.decode(page)["events"]
    assert event.pop("highlights")
    assert msgspec.json.decode(stored[0]) == event
    assert stored[0][:-1] in page


def test_a_mistake_points_at_its_place(api: Api) -> None:
    body = problem(api.get([("q", "role actr:ana")]), 400, "parameters_invalid")
    assert body["errors"] == [
        {
            "parameter": "q",
            "code": "unknown_field",
            "reason": "there is no field `actr`; put text with a colon in quotes",
            "position": 5,
            "hint": "role actr:ana\n     ^",
            "nearest": ["actor", "actor.id", "actor.type"],
        }
    ]
    (error,) = problem(api.get([("q", "x -action:lion.roared")]), 400, "parameters_invalid")[
        "errors"
    ]
    assert (error["code"], error["position"], error["parameter"]) == ("unknown_value", 10, "q")
    assert error["hint"].endswith("\n          ^")
    several = problem(api.get([("q", "a*"), ("limit", "0")]), 400, "parameters_invalid")["errors"]
    assert [one["parameter"] for one in several] == ["q", "limit"]


def test_a_cursor_goes_on_with_the_same_question_only(api: Api) -> None:
    first = api.page([("q", "actor:jose OR target:jose"), ("limit", "1"), ("highlight", "true")])
    asked = [("cursor", first["nextCursor"]), ("limit", "1")]
    again = api.page([("q", "actor:jose OR target:jose"), *asked])
    assert [event["action"] for event in again["events"]] == [ZEBRA]
    problem(api.get([("q", "actor:jose"), *asked]), 400, "parameters_invalid")


ATTACKS: list[tuple[str, str]] = [
    ("10,000 characters", "a" * 10_000),
    ("10,000 words", "a " * 5_000),
    ("10,000 words, escaped", "%61+" * 2_500),
    ("parentheses", "(" * 10_000),
    ("parentheses, closed", "(" * 500 + "a" + ")" * 500),
    ("as deep as it goes", "(a OR " * 10 + "b" + ")" * 10),
    ("minus signs", "-" * 1_000 + "a"),
    ("nots", "NOT " * 250 + "a"),
    ("wildcards", "*" * 1_000),
    ("a wildcard before", "*a"),
    ("wildcards within", "a*b*c*d*e*f"),
    ("wildcards everywhere", "*a* " * 60),
    ("beginnings", "aa* " * 64),
    ("beginnings of most words", "co* me* ap* js* an* te*"),
    ("questions marks", "a?????????? " * 20),
    ("a regular expression", "/(a+)+$/ /.*/ /[a-z]{1000}/"),
    ("fuzzy, slop, boost and range", 'role~2 "a b"~1000 a^1000 [a TO z] {a TO z}'),
    ("a field with a pattern", "actor.\\*:x *:x context.*:x"),
    ("a field of the cluster", "_id:x _index:x _exists_:x _source:x"),
    ("a query of the cluster", '{"match_all":{}} {"script":{"source":"x"}}'),
    ("a path of 1,000 keys", "context" + ".a" * 500 + ":x"),
    ("a path that climbs", "context.._value:x"),
    ("a path of the index", "context._valueAndPath:context.new.role=Admin"),
    ("a long word", "a" * 1_000),
    ("a long word with accents", "é" * 1_000),
    ("a long beginning with accents", "é" * 1_000 + "*"),
    ("one run of many words", "日" * 1_000),
    ("a few such", "日本語" * 10),
    ("marks on one letter", "e" + "\u0301" * 1_000),
    ("emoji", "👩‍👩‍👧‍👦" * 100 + " a"),
    ("right to left", "\u202eabc\u202c \u2066x\u2069"),
    ("no character", "\ufffe\uffff a"),
    ("beyond the first plane", "\U0001d51e\U0001d51f* \U00010000\U00010000*"),
    ("a null byte", "a\x00b"),
    ("a line", "a\r\nSet-Cookie: x"),
    ("64 values", "actor:" + ",".join(f"v{n}" for n in range(64))),
    ("64 values in the context", "context.a:" + ",".join(f"v{n}*" for n in range(64))),
    ("many words that are everywhere", "app member company com jose " * 6),
    ("a phrase that is everywhere", '"company com"'),
    ("a large block", "ip:0.0.0.0/0,::/0"),
    ("a network of nonsense", "ip:1.2.3.4/999999999999999999999"),
    ("a number beyond all", "context.seats:" + "9" * 900),
    ("percent signs", "%00%ff%u0000"),
    ("dots", "a." * 500),
    ("quotes", '"a" ' * 64),
    ("a phrase of one word again and again", '"' + "a " * 24 + '"'),
    ("a phrase of words that are like each other", '"' + "ab abc abab " * 8 + '"'),
    ("a phrase that is long", '"' + "ab cd ef gh ij" * 20 + '"'),
    ("a phrase of the longest words", '"' + ("aé" * 6 + " ") * 23 + '"'),
    ("a phrase of another script", '"' + "日本 " * 8 + '"'),
    ("a phrase of signs that a pattern obeys", r'"a.* [b] (c|d)+ e? \ {9} <1-9> ~ & # @ ^ $"'),
]


@pytest.mark.parametrize("highlight", ["true", "false"])
def test_attacks_are_answered_soon_and_never_by_a_fault(api: Api, highlight: str) -> None:
    """No answer is a 5xx, none takes 2 s, and none shows another organisation."""
    for name, text in ATTACKS:
        asked = [("q", text), ("highlight", highlight)]
        response, seconds = measure(partial(api.get, asked, bearer=token("org_a")), 2)
        assert response.status_code in {200, 400}, (name, response.text)
        assert seconds < 2, (name, seconds)
        assert "offboarded" not in response.text.replace("member.offboarded, ", ""), name
        if response.status_code == 400:
            (error,) = problem(response, 400, "parameters_invalid")["errors"]
            assert error["parameter"] == "q", name
            assert 0 <= error["position"] <= len(text), name
            assert error["hint"].count("\n") == 1, name


def test_the_largest_questions_that_are_read_are_answered(api: Api) -> None:
    """OpenSearch counts no more clauses than `webapi.search_text` does."""
    for piece in (
        "word ",
        "w.x.y ",
        "日",
        "日本 ",
        "a_b-c.d ",
        "🔥a ",
        '"a b c" ',
        "ab* ",
        "é-é ",
        "actor:a.b.c ",
        "context:a ",
        "-x'y\u2019z ",
        "ก",
        "한글 ",
        "ab.cd* ",
    ):
        sizes = [n for n in range(1, 120) if is_read(piece * n)]
        response = api.get([("q", piece * max(sizes))])
        assert response.status_code == 200, (piece, max(sizes), response.text)


def is_read(text: str) -> bool:
    try:
        read_text(text)
    except ParameterError:
        return False
    return True


PIECES = st.builds(
    lambda sign, name, value: sign + name + value,
    st.sampled_from(["", "-", "NOT ", "+"]),
    st.sampled_from(
        ["", "", "", "actor:", "target.name:", "resource:", "context:", "context.a.b:", "agent:",
         "service:", "correlation:", "action:"]
    ),
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), max_size=12).map(
        lambda text: "ab" + "".join(one if one.isalnum() else "\\" + one for one in text)
    )
    | st.sampled_from(
        ['"role changed"', '"日本 语 x_1"', '"é\u0301"', "jo*", "日本*", "203.0.1*", "a_b*"]
    ),
)  # fmt: skip
READABLE = st.lists(PIECES, min_size=1, max_size=8).map(" OR ".join) | st.lists(
    PIECES, min_size=1, max_size=8
).map(" ".join)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS | READABLE)
def test_no_text_is_a_fault(api: Api, text: str) -> None:
    """What is read here, the cluster takes as well."""
    response = api.get([("q", text), ("highlight", "true"), ("limit", "3")])
    assert response.status_code in {200, 400}, response.text
