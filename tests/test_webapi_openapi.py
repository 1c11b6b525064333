"""The description says what the code does: every address, parameter, default, bound and code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import jsonschema
import msgspec
import pytest

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import Api, store, write_events
from webapi import openapi, token_routes
from webapi.audit_log import PATH, blueprint
from webapi.errors import CODES, PAGE_CODES, PARAMETER_CODES, ROUTING_CODES
from webapi.health import blueprint as health
from webapi.parameters import PARAMETERS
from webapi.query import DEFAULT_LIMIT, MAX_LIMIT

COPY = Path(__file__).parents[1] / "docs" / "openapi.json"
DOCUMENT: dict[str, Any] = msgspec.json.decode(openapi.encode())
PAGES = {"oidc", "owners", "page", "sign_in"}
"""Blueprints for people, whose addresses are no API."""
LIST: dict[str, Any] = DOCUMENT["paths"][PATH]["get"]


def test_the_copy_in_the_repository_is_up_to_date() -> None:
    hint = "run: python -m webapi.openapi > docs/openapi.json"
    assert COPY.read_bytes() == openapi.encode(), hint


@pytest.mark.opensearch
def test_every_address_is_described(opensearch: Cluster, index: IndexSettings) -> None:
    app = Api(opensearch.client("reader"), index).app
    served: dict[str, set[str]] = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in PAGES:
            continue
        path = rule.rule.replace("<", "{").replace(">", "}")
        served.setdefault(path, set()).update((rule.methods or set()) - {"HEAD"})
    described = {path: {verb.upper() for verb in item} for path, item in DOCUMENT["paths"].items()}
    assert described == served
    names = {blueprint.name, token_routes.blueprint.name, health.name, "openapi", "docs", "metrics"}
    assert names == set(app.blueprints) - PAGES


def test_every_parameter_is_described_with_its_default_and_bounds() -> None:
    described = {one["name"]: one for one in LIST["parameters"]}
    assert list(described) == list(PARAMETERS)
    limit = described["limit"]["schema"]
    assert (limit["default"], limit["minimum"], limit["maximum"]) == (DEFAULT_LIMIT, 1, MAX_LIMIT)
    assert described["action"]["schema"]["type"] == "array"
    assert described["order"]["schema"]["default"] == "desc"


@pytest.mark.parametrize("name", PARAMETERS)
def test_what_the_description_shows_as_a_value_is_taken(name: str) -> None:
    """Bounds, defaults, choices and examples of the description, read by the code."""
    parameter = PARAMETERS[name]
    schema = parameter.schema
    shown = [
        *cast("list[object]", schema.get("examples", [])),
        *cast("list[object]", schema.get("enum", [])),
        *[schema[bound] for bound in ("default", "minimum", "maximum") if bound in schema],
    ]
    for value in shown:
        parameter.read(str(value))
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if bound in schema and name == "limit":
            with pytest.raises(Exception, match="1 to 200"):
                parameter.read(str(cast("int", schema[bound]) + step))


def test_every_code_is_described_where_it_is_answered() -> None:
    described: set[str] = set(ROUTING_CODES)
    for item in DOCUMENT["paths"].values():
        answers = [answer for one in item.values() for answer in one["responses"].items()]
        for status, response in answers:
            if status.startswith("2"):
                continue
            assert list(response["content"]) == ["application/problem+json"], (
                "clients have one type for refusals: no text beside them, and none without a body"
            )
            schema = response["content"]["application/problem+json"]["schema"]
            codes = schema["allOf"][1]["properties"]["code"]["enum"]
            assert {CODES[code].status for code in codes} == {int(status)}
            described |= set(codes)
    assert described == set(CODES) - set(PAGE_CODES)
    problem = DOCUMENT["components"]["schemas"]["ParameterProblem"]["properties"]
    assert problem["code"]["enum"] == list(PARAMETER_CODES)


def test_generators_of_clients_find_nothing_that_they_leave_out() -> None:
    """They merge `enum` with a type, but not `const`; and leave out a list of nobody knows what.

    Of an `enum` without a type Go makes `interface{}`, and Java what does not compile.
    """
    schemas = [one for one in walk(DOCUMENT) if isinstance(one, dict)]
    assert [one for one in schemas if one.get("type") == "array" and "items" not in one] == []
    assert [one for one in schemas if "const" in one] == []
    assert [one for one in schemas if "enum" in one and "type" not in one] == []


def test_clients_know_an_event_wherever_it_is_answered() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    event = {"$ref": "#/components/schemas/Event"}
    assert schemas["Page"]["properties"]["events"]["items"]["anyOf"][0] == event
    assert schemas["StreamPage"]["properties"]["events"]["items"] == event
    for name in ("IncidentEvent", "SurroundingEvent", "HistoryEntry"):
        assert schemas[name]["properties"]["event"] == event, name
    assert schemas["EventReference"]["properties"]["actor"] == {
        "$ref": "#/components/schemas/Actor"
    }


def test_members_of_answers_are_always_there_or_have_no_default() -> None:
    """Clients in TypeScript take a `default` for a promise that the member is there."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name == "TokenRequest":
            continue
        assert not any("default" in one for one in schema["properties"].values()), name
        assert schema.get("additionalProperties", True), f"{name}: later versions add some"
    assert "totalRelation" in DOCUMENT["components"]["schemas"]["Incident"]["required"]


def test_numbers_and_instants_of_answers_say_what_they_are() -> None:
    """A `seq` beyond 32 bits cost clients in Java the whole page; instants were any text."""
    schemas = DOCUMENT["components"]["schemas"]
    seq = schemas["Source"]["properties"]["seq"]
    distance = schemas["IncidentEvent"]["properties"]["distanceMilliseconds"]
    assert (seq["format"], distance["format"]) == ("int64", "double")
    for name, members in {
        "ApiToken": ["createdAt", "expiresAt"],
        "TimeBucket": ["since", "until"],
        "Incident": ["origin", "since", "until"],
        "ValueParticipant": ["firstAt", "lastAt"],
        "State": ["at"],
    }.items():
        for member in members:
            assert schemas[name]["properties"][member].get("format") == "date-time", (name, member)
    revoked = schemas["ApiToken"]["properties"]["revokedAt"]["anyOf"][0]
    assert revoked == {"type": "string", "format": "date-time"}
    assert "format" not in schemas["Event"]["properties"]["timestamp"], "its bytes are hashed"


def test_clients_read_in_the_description_that_they_have_to_wait_for_seconds() -> None:
    for status in ("429", "503", "504"):
        header = LIST["responses"][status]["headers"]["Retry-After"]
        assert (header["schema"]["type"], header["required"]) == ("integer", True), status


def test_an_export_is_a_file_to_clients() -> None:
    """Java parsed the text of an export as JSON; where there is `text/…`, Python reads a text."""
    answer = DOCUMENT["paths"][f"{PATH}/export"]["get"]["responses"]["200"]["content"]
    formats = {kind: content["schema"].get("format") for kind, content in answer.items()}
    assert formats.pop("text/csv") is None
    assert set(formats.values()) == {"binary"}
    assert next(iter(answer)) == "application/x-ndjson", "what generators go by"


def test_every_operation_has_a_name_for_people() -> None:
    """As tools that import the description list them by: Postman, Swagger UI, Redoc."""
    assert LIST["summary"] == "List events"
    assert all("summary" in one for item in DOCUMENT["paths"].values() for one in item.values())


def test_every_parameter_has_one_type_that_a_client_can_send() -> None:
    """Of a choice oapi-codegen makes a struct that nobody can fill, Java a text that is refused."""
    for path, item in DOCUMENT["paths"].items():
        for one in item.values():
            for parameter in one.get("parameters", []):
                assert isinstance(parameter["schema"].get("type"), str), (path, parameter["name"])
    since = {one["name"]: one["schema"] for one in LIST["parameters"]}["since"]
    assert (since["type"], since["format"]) == ("string", "date-time")


def walk(value: object) -> Iterator[object]:
    """Yield a value of JSON and all that is in it, examples left out."""
    yield value
    inside: list[object] = []
    if isinstance(value, dict):
        inside = [one for name, one in value.items() if name != "example"]
    elif isinstance(value, list):
        inside = value
    for one in inside:
        yield from walk(one)


def test_every_code_is_used_by_the_code() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in COPY.parents[1].joinpath("webapi").rglob("*.py")
        if path.name not in {"errors.py", "openapi.py", "description.py"}
    )
    fixed = {
        "internal_error",
        "parameters_invalid",
        "rate_limited",
        "scope_not_allowed",
        "storage_timeout",
    }  # said by their classes in errors.py
    unused = [code for code in CODES if f'"{code}"' not in sources and code not in fixed]
    assert unused == []
    assert [code for code in PARAMETER_CODES if f'"{code}"' not in sources] == []


@pytest.mark.opensearch
def test_a_client_may_send_every_default(opensearch: Cluster, index: IndexSettings) -> None:
    """As those of generators do, whatever else is asked for."""
    api = Api(opensearch.client("reader"), index)
    thing = {"resourceType": "app", "resourceId": "a"}
    cursor = {"after": api.get("", path=f"{PATH}/stream").get_json()["cursor"]}
    asked = [("", {}), ("/facets", {}), ("/history", thing), ("/stream", cursor)]
    asked += [("/export", {"format": each}) for each in ("ndjson", "csv", "zip")]
    for path, needed in asked:
        described = DOCUMENT["paths"][PATH + path]["get"]["parameters"]
        schemas = {one["name"]: one["schema"] for one in described}
        defaults = {name: one["default"] for name, one in schemas.items() if "default" in one}
        answer = api.get(urlencode({**defaults, **needed}), path=PATH + path)
        assert answer.status_code == 200, answer.text
        assert not {"window", "offset", "start"} & defaults.keys(), (
            "go only with, or without, others"
        )


@pytest.mark.opensearch
def test_answers_are_as_described(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    app = {"type": "app", "id": "1"}
    context = {"previous": {"a": [1], "b": 1}, "new": {"a": [2]}}
    events: list[dict[str, object]] = [
        {"action": "app.created", "resource": app, "target_user": {"id": "u"}, "context": context},
        {"action": "zebra.danced", "resource": app, "context": context},
    ]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "e.log", events, "2026-03-15"))
    api = Api(opensearch.client("reader"), index)
    event_id = api.page()["events"][0]["id"]
    asked = [
        (PATH, PATH, ""),
        (PATH, PATH, "limit=1"),
        (PATH, PATH, "fields=actor.email,source.seq,resource.name"),
        (PATH, PATH, "q=app&highlight=true"),
        (f"{PATH}/stream", f"{PATH}/stream", ""),
        (PATH, PATH, "limit=0&foo=1&colour=gren"),
        (f"{PATH}/actions", f"{PATH}/actions", ""),
        (f"{PATH}/facets", f"{PATH}/facets", ""),
        (f"{PATH}/facets", f"{PATH}/facets", "facet=actor,ip&values=1"),
        (f"{PATH}/facets", f"{PATH}/facets", "values=0"),
        (f"{PATH}/incident", f"{PATH}/incident", "around=2026-03-15"),
        (f"{PATH}/incident", f"{PATH}/incident", "around=2026-03-25&window=20d&limit=1"),
        (f"{PATH}/incident", f"{PATH}/incident", ""),
        (f"{PATH}/{{event_id}}", f"{PATH}/{event_id}", ""),
        (f"{PATH}/{{event_id}}", f"{PATH}/x", ""),
        (f"{PATH}/{{event_id}}/surroundings", f"{PATH}/{event_id}/surroundings", ""),
        (f"{PATH}/{{event_id}}/surroundings", f"{PATH}/{event_id}/surroundings", "by=ip"),
        (f"{PATH}/history", f"{PATH}/history", "resourceType=app&resourceId=1&limit=1"),
        (f"{PATH}/history", f"{PATH}/history", "resourceType=app"),
        (f"{PATH}/state", f"{PATH}/state", "resourceType=app&resourceId=1"),
        (f"{PATH}/state", f"{PATH}/state", "at=2026-03-15"),
        ("/healthz", "/healthz", ""),
        ("/readyz", "/readyz", ""),
        ("/openapi.json", "/openapi.json", ""),
    ]
    for template, path, query in asked:
        response = api.get(query, path=path)
        described = DOCUMENT["paths"][template]["get"]["responses"][str(response.status_code)]
        schema = described["content"][response.mimetype]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(
            response.get_json()
        )


def test_every_operation_has_an_example_of_its_shape() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, one in item.items():
            places = [answer for status, answer in one["responses"].items() if status < "3"]
            for place in [*places, one.get("requestBody", {})]:
                content = place.get("content", {}).get("application/json")
                if content is None:
                    continue
                schema = {**content["schema"], "components": DOCUMENT["components"]}
                check = jsonschema.Draft202012Validator(schema)
                assert check.is_valid(content["example"]), (method, path)
