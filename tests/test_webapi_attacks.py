"""An organisation attacks another: each row is one attack, and what it must come to.

An outcome is a status and the code of the refusal, or the number of events of the attacker's own
that it gets. Whatever it is, nothing of the victim's is in the answer, and it comes within 2 s.
"""

import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jwt
import msgspec
import pytest
from werkzeug.test import TestResponse

from audit_events.envelope import decode_envelope
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.timing import measure
from tests.webapi_api import SECRET, SETTINGS, Api, store, token, write_events
from webapi.audit_log import PATH
from webapi.token_text import checksum

pytestmark = pytest.mark.opensearch

SLOW_SECONDS = 2.0
TARGET = "0190a1b2-7c3d-7000-8000-00000000000a"
VICTIM = "victim secret"
THEIRS = (
    "org_victim",
    "u_victim",
    "target@victim.com",
    "203.0.113.9",
    "req_victim",
    "hidden.done",
    VICTIM,
)
EVENTS: list[dict[str, object]] = [
    {
        "organization_id": "org_victim",
        "action": "hidden.done",
        "actor": {"type": "user", "id": "u_victim", "email": "victim@company.com", "name": VICTIM},
        "target_user": {"id": TARGET, "email": "target@victim.com"},
        "resource": {"type": "vault", "id": "vault_1", "name": VICTIM},
        "ip_address": "203.0.113.9",
        "correlation_id": "req_victim",
        "context": {"secret": VICTIM},
    },
    {"organization_id": "org_attacker", "action": "app.created"},
    {"organization_id": "org_victim", "action": "app.created", "actor": {"type": "system"}},
]
CLAIMS: dict[str, Any] = jwt.decode(token("org_victim"), options={"verify_signature": False})
ROUTES = ("", "/facets", "/incident", "/history", "/state", "/heads", "/actions", "/tokens")


def evil(**claims: object) -> str:
    return token("org_attacker", claims)


def signed(key: str, algorithm: str = "HS256", **headers: object) -> str:
    """Return a token for the victim that the attacker signed."""
    return jwt.encode(CLAIMS, key, algorithm=algorithm, headers=dict(headers))


def unsigned(**header: object) -> str:
    parts = [msgspec.json.encode(part) for part in ({"typ": "JWT", **header}, CLAIMS)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


@dataclass(frozen=True, slots=True)
class Attack:
    name: str
    outcome: str
    query: str = ""
    path: str = ""
    bearer: str = ""
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: object = None


def q(name: str, query: str, outcome: str, path: str = "") -> Attack:
    return Attack(name, outcome, query=query, path=path)


def t(name: str, bearer: str, outcome: str = "401 token_invalid") -> Attack:
    return Attack(name, outcome, bearer=bearer)


def h(name: str, outcome: str = "200 own 1", **headers: str) -> Attack:
    spelled = {key.replace("_", "-"): value for key, value in headers.items()}
    return Attack(name, outcome, headers=spelled)


BAD = "400 parameters_invalid"
NONE = "200 own 0"
FORGED_TOKEN = "indl_" + "a" * 63
OF_QUERIES = [
    q("organisation in the query", "organizationId=org_victim", BAD),
    q("organisation by its wire name twice", "organizationId=org_attacker&organizationId=*", BAD),
    q("target of the victim", f"targetUserId={TARGET}", NONE),
    q("actor of the victim", "actorId=u_victim", NONE),
    q("email of the victim", "actorEmail=victim@company.com", NONE),
    q("resource of the victim", "resourceType=vault&resourceId=vault_1", NONE),
    q("address of the victim", "ip=203.0.113.9", NONE),
    q("correlation of the victim", "correlationId=req_victim", NONE),
    q("an action that only the victim has", "action=hidden.done", BAD),
    q("actions of a noun that only the victim has", "action=hidden.*", BAD),
    q("every action", "action=*", BAD),
    q("a regular expression", "action=/.*/", BAD),
    q("text of the victim", "q=victim", NONE),
    q("the organisation as a field of the text", "q=organizationId:org_victim", BAD),
    q("a query of the cluster in the text", "q=%7B%22match_all%22:%7B%7D%7D", "any"),
    q("a script in the text", "q=%22);doc%5B'x'%5D.value//", "any"),
    q("a leading wildcard", "q=*ictim", BAD),
    q("a regular expression in the text", "q=/v.*m/", "any"),
    q("250 brackets", "q=" + "(" * 250 + "x" + ")" * 250, BAD),
    q("10,000 characters", "q=" + "victim+" * 1428, BAD),
    q("a hundred prefixes", "q=" + "+".join(f"a{number}*" for number in range(100)), "any"),
    q("a hundred negations", "q=" + "+".join(f"-a{number}" for number in range(100)), "any"),
    q("a null byte", "actorId=u_victim%00", BAD),
    q("a null byte in a name", "actorId%00=u_victim", BAD),
    q("a line end, and a header", "actorId=x%0d%0aX-Evil:%20yes", BAD),
    q("a line end in the text", "q=x%0d%0aSet-Cookie:a=b", BAD),
    q("no UTF-8", "q=%ff%fe", "400 request_malformed"),
    q("half a surrogate pair", "q=%ed%a0%80", "400 request_malformed"),
    q("600 fields", "&".join(f"a{number}=1" for number in range(600)), "400 request_malformed"),
    q("60 values", "&".join(f"actorId=a{number}" for number in range(60)), BAD),
    q("brackets of other frameworks", "actorId[$ne]=x", BAD),
    q("another index", "index=audit-*&routing=org_victim", BAD),
    q("every instant", "since=0001-01-01&until=9999-12-31", "200 own 1"),
    q("a window without end", "around=2026-03-15T09:00:00Z&window=99999d", BAD),
    q("the moment of the victim", "around=2026-03-15T09:00:00Z&window=31d", "200 own 1"),
    q("a field that is none", "fields=_source", BAD),
    q("a huge offset", "offset=99999999999999999999", BAD),
    q("a negative limit", "limit=-1", BAD),
    q("a limit in Arabic digits", "limit=%D9%A5", BAD),
    q("a cursor of the victim", "cursor={cursor}&limit=1", BAD),
    q("a cursor that nobody signed", "cursor=WzEsIngiXQ", BAD),
    q("a cursor of 100,000 characters", "cursor=" + "A" * 100_000, BAD),
    q("the victim's resource, its history", "resourceType=vault&resourceId=vault_1", NONE,
      "/history"),
    q("the victim's person, the history", f"targetUserId={TARGET}", NONE, "/history"),
    q("the victim's resource, its state", "resourceType=vault&resourceId=vault_1", "any", "/state"),
    q("the victim's facets", "q=victim", "any", "/facets"),
    q("the victim's incident", "around=2026-03-15T09:00:00Z&window=15m", "any", "/incident"),
    q("an organisation for each address", "organizationId=org_victim", BAD, "/facets"),
    q("the victim's event", "", "404 event_not_found", "/{victim}"),
    q("what stood around the victim's event", "", "404 event_not_found", "/{victim}/surroundings"),
    q("a path that climbs", "", "404 route_not_found", "/../../../../etc/passwd"),
    q("a path that climbs, encoded", "", "404 route_not_found", "/%2e%2e%2f%2e%2e%2fetc"),
    q("an id of the cluster", "", "404 event_not_found", "/_search"),
    q("an id with a wildcard", "", "404 event_not_found", "/*"),
    q("an id in capitals", "", "404 event_not_found", "/{VICTIM}"),
]  # fmt: skip
OF_TOKENS = [
    t("alg none", unsigned(alg="none")),
    t("alg None", unsigned(alg="None")),
    t("no alg", unsigned()),
    t("alg as a list", unsigned(alg=["HS256"])),
    t("another secret", signed("y" * 64)),
    t("another algorithm with our secret", signed(SECRET, "HS512")),
    t("a key of its own in the header", signed("y" * 64, jwk={"kty": "oct", "k": "eXl5"})),
    t("a key to fetch", signed("y" * 64, jku="https://evil.example/jwks.json")),
    t("a key id that climbs", signed("y" * 64, kid="../../../../dev/null")),
    t("a key id that asks a database", signed("y" * 64, kid="x' UNION SELECT 'y")),
    t("a critical extension", signed(SECRET, crit=["x"], x=1)),
    t("expired", token("org_victim", exp=int(time.time()) - 3600), "401 token_expired"),
    t("not valid yet", token("org_victim", nbf=int(time.time()) + 86_400)),
    t("never expires", token("org_victim", {"exp": None})),
    t("another issuer", token("org_victim", iss="https://evil.example")),
    t("another audience", token("org_victim", iss="https://id", aud="another")),
    t("of the log itself", token("_system", iss="https://id", aud="audit")),
    t("two organisations", evil(organizationId=["org_attacker", "org_victim"])),
    t("an object for an organisation", evil(organizationId={"$ne": ""})),
    t("a wildcard for an organisation", evil(organizationId="org_*"), NONE),
    t("two organisations in a text", evil(organizationId="org_attacker,org_victim"), NONE),
    t("a null byte behind the organisation", evil(organizationId="org_victim\x00")),
    t("a member", evil(role="member"), "403 role_not_allowed"),
    t("an auditor where there is none", evil(role="auditor"), "403 role_not_allowed"),
    t("a role in capitals", evil(role="OWNER"), "403 role_not_allowed"),
    t("a lower plan", evil(plan="free"), "403 plan_not_allowed"),
    t("an API token that nobody made", FORGED_TOKEN + checksum(FORGED_TOKEN)),
    t("a text that looks like an API token", "indl_' OR 1=1 --"),
    t("a token of 8,000 characters", "a." + "b" * 8000 + ".c"),
]
OF_HEADERS = [
    h("organisation in a header", X_Organization_Id="org_victim", X_Tenant="org_victim"),
    h("another path in a header", X_Original_URL=PATH, X_Rewrite_URL="/metrics"),
    h("another method in a header", X_HTTP_Method_Override="DELETE"),
    h("another person in a header", X_Forwarded_User="u_victim", X_Remote_User="u_victim"),
    h("another host", Host="evil.example"),
    h("an address of the victim", X_Forwarded_For="203.0.113.9"),
    h("a session of nobody", Cookie="indelible=eyJyZWFkZXIiOnt9fQ.x.y"),
    h("two tokens", "401 token_invalid", Authorization=f"Bearer {evil()}, Bearer {evil()}"),
    h("another scheme", "401 token_invalid", Authorization=f"Basic {evil()}"),
]
OF_METHODS = [
    Attack("writing an event", "405 method_not_allowed", method="POST", body={"action": "a.b"}),
    Attack("deleting events", "405 method_not_allowed", method="DELETE"),
    Attack("deleting the victim's event", "405 method_not_allowed", path="/{victim}",
           method="DELETE"),
    Attack("making a token for the victim", BAD, path="/tokens", method="POST",
           body={"name": "x", "scopes": ["read"], "organizationId": "org_victim"}),
    Attack("revoking a token of the victim", "404 token_not_found", path="/tokens/{token}",
           method="DELETE"),
    Attack("revoking by wildcard", "404 token_not_found", path="/tokens/*", method="DELETE"),
    Attack("a body that nests", "400 request_malformed", path="/tokens", method="POST",
           body="[" * 15_000),
]  # fmt: skip
ATTACKS = [*OF_QUERIES, *OF_TOKENS, *OF_HEADERS, *OF_METHODS]


@dataclass(frozen=True, slots=True)
class Scene:
    api: Api
    strict: Api
    """The same, which asks for issuer and audience."""
    names: dict[str, str]

    def make(self, attack: Attack) -> TestResponse:
        wants_issuer = attack.name in {"another issuer", "another audience", "of the log itself"}
        api = self.strict if wants_issuer else self.api
        headers = {"Authorization": f"Bearer {attack.bearer or evil()}", **attack.headers}
        body, kind = attack.body, {}
        if isinstance(body, str):
            kind, body = {"data": body, "content_type": "application/json"}, None
        return api.client.open(
            self.fill(PATH + attack.path),
            method=attack.method,
            query_string=self.fill(attack.query),
            headers=headers,
            json=body,
            **kind,  # type: ignore[arg-type]
        )

    def fill(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text


@pytest.fixture(scope="module")
def scene(opensearch: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    path = tmp_path_factory.mktemp("attacks") / "events.log"
    lines = write_events(path, EVENTS, "2026-03-15T09:00:00Z")
    with opensearch.own_prefix() as index:
        with opensearch.client("writer") as writer:
            store(writer, index, lines)
        yield make_scene(opensearch, index, decode_envelope(lines[0]).id)


def make_scene(opensearch: Cluster, index: IndexSettings, victim: str) -> Scene:
    reader, tokens = opensearch.client("reader"), opensearch.client("tokens")
    strict = msgspec.structs.replace(SETTINGS, issuer="https://id", audience="audit")
    api = Api(reader, index, tokens=tokens)
    body = {"name": "SIEM", "scopes": ["read"]}
    made = api.send("POST", f"{PATH}/tokens", body, bearer=token("org_victim")).get_json()
    cursor = api.page("limit=1", bearer=token("org_victim"))["nextCursor"]
    names = {"victim": victim, "VICTIM": victim.upper(), "token": made["id"], "cursor": cursor}
    return Scene(api, Api(reader, index, strict), names)


def outcome_of(response: TestResponse) -> str:
    body = response.get_json(silent=True) or {}
    if response.status_code == 200:
        events = body.get("events", body.get("entries"))
        return f"200 own {len(events)}" if isinstance(events, list) else "200"
    return f"{response.status_code} {body.get('code')}"


def test_there_are_more_than_60_attacks_of_different_names() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


def test_each_attack_comes_to_its_outcome_and_to_nothing_of_the_victims(scene: Scene) -> None:
    wrong: list[str] = []
    for attack in ATTACKS:
        response, seconds = measure(partial(scene.make, attack), SLOW_SECONDS)
        found = outcome_of(response)
        if attack.outcome not in ("any", found) or response.status_code >= 500:
            wrong.append(f"{attack.name}: {found}, not {attack.outcome}: {response.text[:200]}")
        echoed = scene.fill(attack.query) + str(attack.body)
        told = [one for one in THEIRS if one in response.text and one not in echoed]
        if told or "X-Evil" in response.headers:
            wrong.append(f"{attack.name}: told {told}: {response.text[:200]}")
        if seconds > SLOW_SECONDS:
            wrong.append(f"{attack.name}: {seconds:.1f} s")
    assert wrong == []


def test_the_victim_is_as_before(scene: Scene) -> None:
    """What was tried has changed nothing, and the victim's own token still works."""
    page = scene.api.page(bearer=token("org_victim"))
    assert page["total"] == 2
    listed = scene.api.get(path=f"{PATH}/tokens", bearer=token("org_victim")).get_json()["tokens"]
    assert [one["revokedAt"] for one in listed] == [None]


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_takes_an_organisation_from_anything_but_the_token(
    scene: Scene, route: str
) -> None:
    for query in ("organizationId=org_victim", "organization_id=org_victim", "tenant=org_victim"):
        response = scene.make(Attack("", "", query=query, path=route))
        assert outcome_of(response) == BAD
