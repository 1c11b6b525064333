"""What another organisation tries; each row is one attack and what it must come to."""

import ast
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jwt
import pytest
from werkzeug.test import TestResponse

from audit_events.envelope import decode_envelope
from indexer.settings import IndexSettings, Secret
from tests.cluster import Cluster
from tests.timing import measure
from tests.webapi_api import SECRET, Api, problem, store, token, write_events
from webapi.audit_log import PATH
from webapi.auth import Reader
from webapi.kinds import kind_of
from webapi.settings import WebSettings

pytestmark = pytest.mark.opensearch

OPEN = {
    "/",
    "/docs",
    "/healthz",
    "/metrics",
    "/readyz",
    "/openapi.json",
    "/sign-in",
    "/sign-in/once",
    "/settings/access-control/audit-log/static/<version>/<name>",
}
"""What shows nothing of anybody."""
TARGET = "0190a1b2-7c3d-7000-8000-00000000000a"
VICTIM = "victim secret"
MARK = "org_victim"
EVENTS: list[dict[str, object]] = [
    {
        "organization_id": MARK,
        "action": "hidden.done",
        "actor": {"type": "user", "id": "u_victim", "email": "victim@company.com", "name": VICTIM},
        "target_user": {"id": TARGET, "email": "target@victim.com"},
        "resource": {"type": "vault", "id": "vault_1", "name": VICTIM},
        "ip_address": "203.0.113.9",
        "correlation_id": "req_victim",
        "context": {"secret": VICTIM},
    },
    {"organization_id": "org_attacker", "action": "app.created"},
    {"organization_id": MARK, "action": "app.created", "actor": {"type": "system"}},
]
EVIL = token("org_attacker")


@dataclass(frozen=True, slots=True)
class Scene:
    """The API, with the events of the victim and of the attacker."""

    api: Api
    victim_id: str
    victim_cursor: str


@pytest.fixture
def scene(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Scene:
    lines = write_events(tmp_path / "events.log", EVENTS, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    api = Api(opensearch.client("reader"), index)
    cursor = api.page("limit=1", bearer=token(MARK))["nextCursor"]
    return Scene(api, decode_envelope(lines[0]).id, cursor)


QUERIES: list[tuple[str, str]] = [
    ("organisation in the query", "organizationId=org_victim"),
    ("organisation under another name", "organization_id=org_victim&tenant=org_victim"),
    ("target of the victim", f"targetUserId={TARGET}"),
    ("actor of the victim", "actorId=u_victim"),
    ("email of the victim", "actorEmail=victim@company.com"),
    ("resource of the victim", "resourceType=vault&resourceId=vault_1"),
    ("address of the victim", "ip=203.0.113.9"),
    ("every address", "ip=0.0.0.0/0&ip=::/0"),
    ("correlation of the victim", "correlationId=req_victim"),
    ("an action that only the victim has", "action=hidden.done"),
    ("all actions of a noun of the victim", "action=hidden.*"),
    ("every action", "action=*"),
    ("a pattern over nouns", "action=*.done"),
    ("a regular expression", "action=/.*/"),
    ("text of the victim", "q=victim"),
    ("phrase of the victim", "q=%22victim+secret%22"),
    ("a field by name in the text", "q=organizationId:org_victim"),
    ("a field by name, all values", "q=organizationId:*"),
    ("everything but", "q=-nothing"),
    ("one or everything", "q=(app+%7C+victim)"),
    ("a query of the cluster in the text", "q=%7B%22match_all%22:%7B%7D%7D"),
    ("a text that closes the filter", "q=%22%7D%5D%7D,%22query%22:%7B%22match_all%22:%7B%7D%7D"),
    ("every instant", "since=0001-01-01&until=9999-12-31"),
    ("the moment of the victim", "around=2026-03-15T09:00:00Z&window=31d"),
    ("a wildcard for an id", "actorId=*"),
    ("a wildcard for an email", "actorEmail=*@*"),
    ("null byte", "actorId=u_victim%00"),
    ("the same parameter twice", "q=app&q=victim"),
    ("brackets", "actorId[]=u_victim&actorId[$ne]=x"),
    ("a source filter", "_source=*&fields=*"),
    ("another index", "index=audit-*&routing=org_victim"),
    ("a very deep query", "q=" + "(" * 250 + "victim" + ")" * 250),
    ("a very wide query", "q=" + "+".join(["victim"] * 73)),
    ("prefixes of everything", "q=" + "+".join(f"{a}{b}*" for a in "abcdef" for b in "ghijk")),
    ("negations of everything", "q=" + "+".join(f"-{a}{b}" for a in "abcdef" for b in "ghijk")),
    ("10,000 characters", "q=" + "victim+" * 1428),
    ("reading backwards", "order=asc&limit=200"),
]


@pytest.mark.slow
def test_no_parameter_leads_to_another_organisation(scene: Scene) -> None:
    """Each may be refused or answered, but nothing of the victim is in it, and it is not slow."""
    leaks: list[str] = []
    slow: list[str] = []
    for name, query in QUERIES:
        response, seconds = measure(partial(scene.api.get, query, bearer=EVIL), 2)
        slow += [name] * (seconds > 2)
        assert response.status_code in {200, 400}, (name, response.text)
        if response.status_code == 400:
            assert response.get_json()["errors"], name
            continue
        page = response.get_json()
        mine = [event["organizationId"] == "org_attacker" for event in page["events"]]
        leaks += [name] * (not all(mine) or page["total"] > 1 or VICTIM in response.text)
    assert (leaks, slow) == ([], [])


def forged(claims: dict[str, object], key: str, algorithm: str) -> str:
    payload = {**jwt.decode(EVIL, options={"verify_signature": False}), **claims}
    return jwt.encode(payload, key, algorithm=algorithm)


def test_tokens_and_places_lead_nowhere_else(scene: Scene) -> None:
    api, event_path = scene.api, f"{PATH}/{scene.victim_id}"
    other_key = "y" * 64
    header = {"X-Organization-Id": MARK, "X-Original-URL": PATH, "X-HTTP-Method-Override": "GET"}
    assert api.page(bearer=EVIL)["total"] == 1
    assert api.get(bearer=EVIL, headers=header).get_json()["total"] == 1
    problem(api.get(path=event_path, bearer=EVIL), 404, "event_not_found")
    problem(api.get(path=event_path, bearer=EVIL, headers=header), 404, "event_not_found")
    problem(
        api.get([("cursor", scene.victim_cursor), ("limit", "1")], bearer=EVIL),
        400,
        "parameters_invalid",
    )
    problem(
        api.get(bearer=forged({"organizationId": MARK}, other_key, "HS256")), 401, "token_invalid"
    )
    problem(api.get(bearer=forged({"organizationId": MARK}, SECRET, "HS512")), 401, "token_invalid")
    problem(api.get(bearer=token("_system")), 401, "token_invalid")
    problem(api.get(bearer=token(MARK, exp=int(time.time()) - 3600)), 401, "token_expired")
    problem(api.get(bearer=token(MARK, role="member")), 403, "role_not_allowed")
    problem(api.get(bearer=token(MARK, plan="free")), 403, "plan_not_allowed")
    for wildcard in ("*", "org_*", "org_attacker,org_victim", "org_attacker org_victim"):
        assert api.page(bearer=token(wildcard))["total"] == 0, wildcard


def test_every_route_but_the_open_ones_lets_nobody_in_unknown_and_shows_nothing_of_others(
    scene: Scene,
) -> None:
    """Walks the map of addresses, so that a new one cannot forget it."""
    rules = list(scene.api.app.url_map.iter_rules())
    attacker = Reader(organization_id="org_attacker", role="owner", plan="enterprise", subject="u")
    let_in: set[str] = set()
    for rule in rules:
        path = rule.rule.replace("<event_id>", scene.victim_id)
        for method in sorted(rule.methods or ()):
            answer = scene.api.app.test_client().open(path, method=method)
            if not is_closed(answer):
                let_in.add(rule.rule)
                continue
            assert MARK not in scene.api.send(method, path, bearer=EVIL).text, path
            assert MARK not in scene.api.visit(path, attacker).text, path
    assert let_in == OPEN
    assert len(rules) > len(let_in)


def is_closed(answer: TestResponse) -> bool:
    """Whether nobody comes in without a token, a session, or the form of a page."""
    sent_away = answer.headers.get("Location", "").startswith("/sign-in?next=")
    is_forged = answer.status_code == 403 and "request_forged" in answer.text
    return answer.status_code == 401 or sent_away or is_forged


def test_every_view_that_needs_a_token_says_what_kind_of_question_it_answers(scene: Scene) -> None:
    silent = [
        name
        for name, view in scene.api.app.view_functions.items()
        if name.partition(".")[0] not in {"health", "openapi", "sign_in", "docs", "metrics"}
        and name != "page.show_asset"
        and kind_of(view) is None
    ]
    assert silent == []


def test_the_cluster_is_searched_in_one_place_alone() -> None:
    """Whoever searches past `Storage.search` searches without the organisation.

    The store of API tokens asks as a user who may read no event.
    """
    callers: dict[str, set[str]] = {}
    for path in Path(__file__).parents[1].joinpath("webapi").glob("*.py"):
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(found, ast.Attribute | ast.Name):
                name = found.attr if isinstance(found, ast.Attribute) else found.id
                if name in {"ask", "msearch", "scroll", "mget", "perform_request", "_ask"}:
                    callers.setdefault(path.name, set()).add(name)
    assert callers == {name: {"ask", "_ask"} for name in ("storage.py", "token_store.py")}


def test_settings_with_a_secret_do_not_show_it() -> None:
    settings = WebSettings(jwt_secret=Secret(SECRET), cursor_secret=Secret(SECRET))
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
