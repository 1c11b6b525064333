"""The index template on a real node: each documented question has its answer, nothing changes."""

import uuid
from collections.abc import Callable, Generator
from importlib.resources import files
from typing import Final

import msgspec
import pytest
from msgspec import Struct, field

from indexer.batch import Batch
from indexer.client import ask, connect, request
from indexer.document_id import document_id
from indexer.names import events_template, partition_name, read_indices
from indexer.settings import IndexSettings
from indexer.templates import install, render
from tests.cluster import Cluster
from tests.event_ids import event_id_of
from tests.lines import EVENT, NOW, event_line
from webapi.search_text import read_text

pytestmark = pytest.mark.opensearch

ANA: Final = str(uuid.uuid4())
OTHER: Final = str(uuid.uuid4())
TARGET: Final = str(uuid.uuid4())
FIELDS: Final[dict[str, object]] = {
    "actor": {
        "type": "user",
        "id": "u_42",
        "email": "Ana.Lopez@Acme.com",
        "name": "Ana García",
        "onBehalfOf": "u_7",
    },
    "targetUser": {"id": TARGET, "email": "team@company.com", "name": "Bob O'Neil"},
    "context": {
        "previous": {"role": "member", "seats": [1, 2.5]},
        "new": {"role": "Admin", "owner": True},
        "reason": "left the company",
    },
}
OTHER_FIELDS: Final[dict[str, object]] = {
    "organizationId": "org_2",
    "action": "app.deleted",
    "actor": {"type": "system"},
    "resource": {"type": "app", "id": "app_1"},
    "ipAddress": "2001:db8::1",
    "userAgent": "curl/8.5.0",
    "context": {"new": {"role": "member"}},
    "result": "failure",
    "correlationId": "job-5",
    "source": {"id": ANA, "seq": 3, "service": "billing", "host": "web-1"},
}


@pytest.fixture(scope="module")
def events(opensearch: Cluster) -> Generator[IndexSettings]:
    """Two events that have no value in common but their month."""
    settings = IndexSettings(prefix=f"audit-t{uuid.uuid4().hex[:12]}", replicas=0)
    batch = Batch(settings, NOW)
    for event_id, fields in ((ANA, FIELDS), (OTHER, OTHER_FIELDS)):
        batch.extend([event_line(fields, event_id=event_id)], [event_id], [NOW], "/a", 0)
    with connect(opensearch.connection(), role="lifecycle") as client:
        install(client, settings)
        with connect(opensearch.connection(), role="writer") as writer:
            reply = ask(writer, "POST", "/_bulk", body=batch.body([0, 1]))
        assert msgspec.json.decode(reply.text)["errors"] is False, reply.text
        ask(client, "POST", f"/{read_indices(settings)}/_refresh")
    yield settings
    with opensearch.admin() as admin:
        names = msgspec.json.decode(ask(admin, "GET", f"/{settings.prefix}-*").text)
        for name in names:
            ask(admin, "DELETE", f"/{name}")
        ask(admin, "DELETE", f"/_index_template/{events_template(settings)}")


class Hit(Struct):
    id: str = field(name="_id")


class Hits(Struct):
    hits: list[Hit]


class Found(Struct):
    hits: Hits
    aggregations: dict[str, dict[str, object]] = {}


Search = Callable[[object], Found]


@pytest.fixture(scope="module")
def search(opensearch: Cluster, events: IndexSettings) -> Generator[Search]:
    with connect(opensearch.connection(), role="reader") as client:

        def ask_node(body: object) -> Found:
            path = f"/{read_indices(events)}/_search"
            return msgspec.convert(request(client, "POST", path, body=body), Found)

        yield ask_node


def found(search: Search, query: object) -> list[str]:
    return [event_id_of(hit.id) for hit in search({"query": query}).hits.hits]


def term(name: str, value: object) -> object:
    return {"term": {name: {"value": value}}}


def text(words: str) -> object:
    return read_text(words).clause


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(term("action", "member.role_changed"), id="action"),
        pytest.param({"prefix": {"action": "member."}}, id="action.*"),
        pytest.param(term("organizationId", "org_1"), id="organisation"),
        pytest.param(term("actor.type", "user"), id="actor type"),
        pytest.param(term("actor.id", "u_42"), id="actor id"),
        pytest.param(term("actor.email", "ana.lopez@acme.com"), id="actor email"),
        pytest.param(term("actor.email", "ANA.LOPEZ@ACME.COM"), id="actor email in capitals"),
        pytest.param(term("actor.onBehalfOf", "u_7"), id="on behalf of"),
        pytest.param(term("targetUser.id", TARGET), id="target"),
        pytest.param(term("targetUser.email", "Team@Company.com"), id="target email"),
        pytest.param(term("resource.type", "workspace"), id="resource type"),
        pytest.param(term("resource.id", "app_42"), id="resource id"),
        pytest.param(term("ipAddress", "203.0.113.9"), id="address"),
        pytest.param(term("ipAddress", "203.0.113.0/24"), id="CIDR"),
        pytest.param(term("userAgent", EVENT["userAgent"]), id="user agent"),
        pytest.param(term("result", "success"), id="result"),
        pytest.param(term("correlationId", "req-77aa"), id="correlation"),
        pytest.param(term("source.service", "s"), id="service"),
        pytest.param(term("source.seq", 0), id="sequence"),
        pytest.param({"ids": {"values": [document_id(ANA)]}}, id="id"),
        pytest.param(term("context.new.role", "Admin"), id="path in context"),
        pytest.param(term("context", "left the company"), id="value in context"),
        pytest.param(term("context", "2.5"), id="number in context"),
        pytest.param(
            {"term": {"context": {"value": "admin", "case_insensitive": True}}},
            id="value in context in any case",
        ),
        pytest.param(
            {"wildcard": {"context": {"value": "*COMPANY*", "case_insensitive": True}}},
            id="word in a value of context",
        ),
        pytest.param(text("role changed"), id="words of a dotted action"),
        pytest.param(text("member.role_changed"), id="dotted action"),
        pytest.param(text("role_changed"), id="half of a dotted action"),
        pytest.param(text("ANA"), id="part of an email in capitals"),
        pytest.param(text("acme"), id="domain of an email"),
        pytest.param(text("ana.lopez@acme.com"), id="email"),
        pytest.param(text("García"), id="name with an accent"),
        pytest.param(text("O'Neil"), id="name with an apostrophe"),
        pytest.param(text('"main space"'), id="phrase"),
        pytest.param(text('"ana garcía"'), id="phrase of a name"),
        pytest.param(text('"role changed"'), id="phrase of an action"),
        pytest.param(text('"left the company"'), id="value of the context as a phrase"),
        pytest.param(text("APP_4*"), id="beginning of an id in capitals"),
        pytest.param(text("firef*"), id="prefix"),
        pytest.param(text("app_42"), id="id as text"),
        pytest.param(text(TARGET), id="UUID as text"),
        pytest.param(text("203.0.113.9"), id="address as text"),
        pytest.param(text("req-77aa"), id="correlation as text"),
        pytest.param(text("ana role firefox"), id="words of several fields"),
        pytest.param(text("ana -curl"), id="without a word"),
    ],
)
def test_a_question_finds_its_event_and_no_other(search: Search, query: object) -> None:
    assert found(search, query) == [ANA]


@pytest.mark.parametrize(
    "query",
    [text('"space main"'), text('"changed role"'), text("ana curl"), term("action", "member")],
)
def test_a_question_without_an_answer_finds_nothing(search: Search, query: object) -> None:
    assert found(search, query) == []


def test_times_are_exact_to_the_microsecond(search: Search) -> None:
    for name in ("timestamp", "ingestedAt"):
        exactly = {"range": {name: {"gte": NOW, "lte": NOW}}}
        assert sorted(found(search, exactly)) == sorted([ANA, OTHER])
        assert found(search, {"range": {name: {"gt": NOW}}}) == []


def test_the_stored_event_is_the_line_with_its_hash_and_host(
    opensearch: Cluster, events: IndexSettings
) -> None:
    with connect(opensearch.connection(), role="reader") as client:
        path = f"/{read_indices(events)}/_search"
        reply = ask(
            client,
            "POST",
            path,
            body=msgspec.json.encode({"query": {"ids": {"values": [document_id(OTHER)]}}}),
        )
    line = event_line(OTHER_FIELDS, event_id=OTHER)
    assert line[:-1].decode() + f',"ingestedAt":"{NOW}"}}' in reply.text


def test_the_list_sorts_and_facets_count(search: Search) -> None:
    fields = ["action", "actor.type", "actor.id", "actor.email", "targetUser.id", "resource.type"]
    fields += ["resource.id", "ipAddress", "userAgent", "result", "source.id", "source.service"]
    body = {
        "sort": [{"organizationId": "asc"}, {"timestamp": "desc"}, {"id": "desc"}],
        "aggs": {name: {"terms": {"field": name}} for name in fields},
    }
    answer = search(body)
    assert [event_id_of(hit.id) for hit in answer.hits.hits] == [ANA, OTHER]
    empty = [name for name, it in answer.aggregations.items() if not it["buckets"]]
    assert (len(answer.aggregations), empty) == (len(fields), [])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("PUT", "/{index}/_doc/{id}", b'{"action":"x.y"}'), id="index over"),
        pytest.param(("POST", "/{index}/_update/{id}", b'{"doc":{"a":1}}'), id="update"),
        pytest.param(("DELETE", "/{index}/_doc/{id}", None), id="delete"),
        pytest.param(
            ("PUT", "/{index}/_settings", b'{"index.append_only.enabled":false}'), id="switch off"
        ),
    ],
)
def test_the_engine_itself_refuses_changes(
    opensearch: Cluster,
    events: IndexSettings,
    search: Search,
    change: tuple[str, str, bytes | None],
) -> None:
    """With the admin certificate, which no role and no immutable index holds back."""
    method, path, body = change
    with opensearch.admin() as admin:
        filled = path.format(index=partition_name(NOW, events), id=document_id(ANA))
        reply = ask(admin, method, filled, body=body)
    assert reply.status == 400, reply.text
    assert sorted(found(search, {"match_all": {}})) == sorted([ANA, OTHER])


def test_late_events_and_the_journal_are_mapped_as_all_others() -> None:
    patterns = render(IndexSettings())["index_patterns"]
    assert patterns == [
        "audit-events-*",
        "audit-late-*",
        "audit-journal",
    ]


def test_a_file_is_the_body_that_is_installed_with_default_settings() -> None:
    settings = IndexSettings()
    content = (files("index_templates") / f"{events_template(settings)}.json").read_bytes()
    assert msgspec.json.decode(content) == render(settings)
