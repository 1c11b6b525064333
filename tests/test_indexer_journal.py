"""The journal: each record once, one unbroken chain a run, and nothing missing when it is read."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch, Urllib3HttpConnection
from opensearchpy.exceptions import ConnectionError as LibraryConnectionError
from typing_extensions import override

from audit_events.chain import split_hash, verify_chain
from audit_events.errors import EventError
from audit_events.event import Actor, Event, Resource
from indexer.client import QuietConnection, ask, connect, request
from indexer.document_id import document_id
from indexer.errors import AliasError, JournalError, NoAnswerError
from indexer.journal import Journal, Key, identify
from indexer.names import events_template, journal_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster

SEALED = "audit_log.partition_sealed"
DELETED = "audit_log.partition_deleted"
INSTANT = datetime(2025, 2, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
KEY = Key("audit-events-2025.01/uuid", INSTANT)


@pytest.mark.parametrize(
    ("action", "organization_id", "key"),
    [
        pytest.param(DELETED, "_system", KEY, id="another action"),
        pytest.param(SEALED, "org_1", KEY, id="another organisation"),
        pytest.param(SEALED, "_system", Key("audit-events-2025.01/other", INSTANT), id="a uuid"),
        pytest.param(SEALED, "_system", Key(KEY.text, NOW), id="another moment"),
    ],
)
def test_an_id_follows_from_what_is_recorded(action: str, organization_id: str, key: Key) -> None:
    first = identify(SEALED, "_system", KEY)
    assert first == identify(SEALED, "_system", Key(KEY.text, INSTANT))
    assert first[14] == "7"
    assert first[19] in "89ab"
    assert identify(action, organization_id, key) != first


def test_an_id_before_the_epoch_is_one_too() -> None:
    assert identify(SEALED, "_system", Key("a", datetime(1930, 1, 1, tzinfo=UTC)))


class Losing(QuietConnection):
    """Loses the answer of one request, or the request, as `lose` says of its method and path."""

    lose: Callable[[str, str], str | None] = staticmethod(lambda _method, _path: None)

    @override
    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        loss = type(self).lose(method, url)
        if loss == "request":
            raise LibraryConnectionError("N/A", "lost", OSError("lost"))
        answer = super().perform_request(method, url, *args, **kwargs)
        if loss == "answer":
            raise LibraryConnectionError("N/A", "lost", OSError("lost"))
        return answer


@pytest.fixture
def losing() -> type[Losing]:
    class Own(Losing):
        """One test's."""

    return Own


@pytest.fixture
def client(opensearch: Cluster, losing: type[Urllib3HttpConnection]) -> Iterator[OpenSearch]:
    with connect(opensearch.connection(), role="lifecycle", connection_class=losing) as client:
        yield client


@pytest.fixture
def journal(client: OpenSearch, index: IndexSettings) -> Journal:
    return Journal(client, index, clock=lambda: NOW, host="h")


def record(journal: Journal, text: str, *, context: Mapping[str, object] | None = None) -> bool:
    return journal.record(SEALED, key=Key(text, INSTANT), context=context or {"name": text})


def stored_lines(cluster: Cluster, index: IndexSettings) -> list[bytes]:
    """What the journal holds, as the lines that were written."""
    with cluster.admin() as admin:
        admin.indices.refresh(index=journal_name(index))
        answer = admin.search(index=journal_name(index), size=1000, sort="source.seq")
    lines: list[bytes] = []
    for hit in answer["hits"]["hits"]:
        source = dict(hit["_source"])
        del source["ingestedAt"]
        lines.append(msgspec.json.encode(source))
    return lines


@pytest.mark.opensearch
def test_a_record_is_an_event_and_is_recorded_once(
    index: IndexSettings, journal: Journal, client: OpenSearch
) -> None:
    resource = Resource(type="partition", id="audit-events-2025.01")
    context = {"events": 5, "organizations": {"org_1": 5}}
    assert journal.record(
        SEALED, key=KEY, context=context, resource=resource, actor=Actor(type="user", name="ann")
    )
    assert not journal.record(SEALED, key=KEY, context=context, resource=resource)
    again = Journal(client, index)
    assert not again.record(SEALED, key=KEY, context=context, resource=resource)
    assert again.record(DELETED, key=KEY, context={}, organization_id="org_1")

    (event,) = journal.read([SEALED, DELETED], with_organizations=True)
    assert isinstance(event, Event)
    assert event.id == identify(SEALED, "_system", KEY)
    assert event.timestamp == "2026-11-24T10:00:00.000000Z"
    assert event.actor.name == "ann"
    assert event.resource == resource
    assert event.context == context
    assert event.source.service == "indelible-lifecycle"
    assert len(journal.read([SEALED, DELETED], organization_id=None)) == 2
    assert len(journal.read([SEALED], resource_id=resource.id)) == 1
    assert journal.read([SEALED], resource_id="another") == []
    (short,) = journal.read([SEALED])
    assert short.context == {"events": 5}


@pytest.mark.opensearch
def test_what_an_older_version_recorded_is_recorded_once(
    opensearch: Cluster, index: IndexSettings, journal: Journal, client: OpenSearch
) -> None:
    """Its `_id` is the text of the `id`, and the step that it ended with may not have ended."""
    assert record(journal, "a")
    (line,) = stored_lines(opensearch, index)
    name, event_id = journal_name(index), identify(SEALED, "_system", Key("b", INSTANT))
    former = {**msgspec.json.decode(line), "id": event_id, "ingestedAt": "2026-11-24T10:00:00Z"}
    body = msgspec.json.encode(former)
    assert ask(client, "PUT", f"/{name}/_create/{event_id}", body=body).status == 201
    assert not record(journal, "b")
    assert len(journal.read([SEALED])) == 2

    taken = identify(SEALED, "_system", Key("c", INSTANT))
    forged = msgspec.json.encode({**former, "id": taken, "organizationId": "org_1"})
    assert ask(client, "PUT", f"/{name}/_create/{taken}", body=forged).status == 201
    with pytest.raises(JournalError, match="that belongs there"):
        record(journal, "c")


@pytest.mark.opensearch
def test_the_records_of_a_run_are_one_unbroken_chain(
    opensearch: Cluster, index: IndexSettings, journal: Journal, client: OpenSearch
) -> None:
    assert record(Journal(client, index), "b")
    assert [record(journal, text) for text in "abcbad"] == [True, False, True, False, False, True]
    lines = stored_lines(opensearch, index)
    assert len(lines) == 4
    assert verify_chain(lines) == []
    assert all(split_hash(line) for line in lines)


@pytest.mark.opensearch
@pytest.mark.parametrize(
    "losses",
    [
        pytest.param({"/_create/": "answer"}, id="the answer, and it was written"),
        pytest.param({"/_create/": "request"}, id="the request"),
        pytest.param({"/_create/": "answer", "/_doc/": "answer"}, id="both answers"),
    ],
)
def test_what_got_no_answer_leaves_no_gap_and_no_second_record(
    opensearch: Cluster,
    index: IndexSettings,
    journal: Journal,
    losing: type[Losing],
    losses: dict[str, str],
) -> None:
    assert record(journal, "a")

    former_id = identify(SEALED, "_system", Key("b", INSTANT))

    def lose(_method: str, path: str) -> str | None:
        # What is looked for before it is written is under the `_id` of older versions.
        asked = (loss for part, loss in losses.items() if part in path and former_id not in path)
        return next(asked, None)

    losing.lose = staticmethod(lose)
    is_found = losses == {"/_create/": "answer"}
    if is_found:
        assert record(journal, "b")
    else:
        with pytest.raises(NoAnswerError):
            record(journal, "b")
    losing.lose = staticmethod(lambda _method, _path: None)
    assert record(journal, "b") == ("request" in losses.values())
    assert record(journal, "c")
    lines = stored_lines(opensearch, index)
    assert len(lines) == 3
    assert verify_chain(lines) == []


@pytest.mark.opensearch
def test_nothing_is_recorded_without_the_template(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    request(client, "DELETE", f"/_index_template/{events_template(index)}")
    with pytest.raises(JournalError, match="no index template"):
        record(Journal(client, index), "a")
    with opensearch.admin() as admin:
        assert not admin.indices.exists(index=journal_name(index))


@pytest.mark.opensearch
def test_nothing_is_recorded_in_an_index_that_another_mapping_made(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    with opensearch.admin() as admin:
        admin.indices.delete_index_template(name=events_template(index))
        admin.indices.create(index=journal_name(index))
    with pytest.raises(JournalError, match="append_only"):
        record(Journal(client, index), "a")


@pytest.mark.opensearch
def test_an_alias_is_no_journal(
    opensearch: Cluster, index: IndexSettings, journal: Journal
) -> None:
    with opensearch.admin() as admin:
        aliases: dict[str, object] = {"aliases": {f"{index.prefix}-journal": {}}}
        admin.indices.create(index=f"{index.prefix}-other", body=aliases)
    with pytest.raises(AliasError, match=f"is an alias of {index.prefix}-other"):
        journal.prepare()


@pytest.mark.opensearch
def test_what_would_have_to_be_cut_is_refused_before_it_is_sent(journal: Journal) -> None:
    with pytest.raises(EventError, match="context: would have to be cut"):
        record(journal, "a", context={"long": "x" * 40_000})
    assert record(journal, "a")
    assert len(journal.read([SEALED])) == 1


@pytest.mark.opensearch
def test_an_organisation_may_be_called_like_a_secret(journal: Journal) -> None:
    counts = {"token": 3, "password": 4}
    assert record(journal, "a", context={"held": counts})
    (event,) = journal.read([SEALED])
    assert (event.context or {})["held"] == counts


@pytest.mark.opensearch
def test_it_is_read_whole_and_in_order(
    client: OpenSearch, index: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.journal_reading.PAGE", 5)
    ticks = iter(range(10_000))
    journal = Journal(client, index, clock=lambda: NOW + timedelta(seconds=next(ticks)))
    count = 5 + 3
    assert all(record(journal, str(number)) for number in range(count))
    events = journal.read([SEALED])
    assert [(event.context or {})["name"] for event in events] == [str(n) for n in range(count)]


@pytest.mark.opensearch
def test_a_record_is_not_hidden_by_one_of_its_moment_and_id(
    client: OpenSearch, index: IndexSettings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.journal_reading.PAGE", 1)
    assert record(journal, "a")
    (true,) = journal.read([SEALED])
    path = f"/{journal_name(index)}/_create/forged"
    assert ask(client, "PUT", path, body=msgspec.json.encode(true)).status == HTTPStatus.CREATED
    assert journal.read([SEALED]) == [true, true]


@pytest.mark.opensearch
@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(b"{}", id="nothing"),
        pytest.param(b'{"action":"a.b","organizationId":"_system"}', id="another action"),
        pytest.param(b'{"action":"%b"}' % SEALED.encode(), id="of nobody"),
    ],
)
def test_what_somebody_put_in_the_place_of_a_record_is_not_taken_for_it(
    client: OpenSearch, index: IndexSettings, journal: Journal, forged: bytes
) -> None:
    journal.prepare()
    event_id = identify(SEALED, "_system", Key("a", INSTANT))
    path = f"/{journal_name(index)}/_create/{document_id(event_id)}"
    assert ask(client, "PUT", path, body=forged).status == HTTPStatus.CREATED
    with pytest.raises(JournalError, match=f"{event_id} is not .*partition_sealed"):
        record(journal, "a")
    assert record(journal, "b")


@pytest.mark.opensearch
def test_only_records_that_have_something_are_read_where_that_is_asked_for(
    journal: Journal,
) -> None:
    """However long it is, or whatever else is called so: as a signed head is."""
    assert record(journal, "a", context={"name": "a", "head": "e30." * 500})
    assert record(journal, "b", context={"name": "head", "organizations": [{"head": "x"}]})
    assert record(journal, "c")
    having = journal.read([SEALED], having="head")
    assert [(one.context or {})["name"] for one in having] == ["a"]
    assert len(journal.read([SEALED])) == 3


@pytest.mark.opensearch
def test_without_a_journal_there_is_nothing_to_read(journal: Journal) -> None:
    assert journal.read([SEALED]) == []
    assert journal.find() is None
    assert journal.prepare() == journal.find()


@pytest.mark.opensearch
def test_what_cannot_be_read_is_an_error_and_never_nothing(
    opensearch: Cluster, index: IndexSettings, journal: Journal
) -> None:
    assert record(journal, "a")
    with opensearch.admin() as admin:
        source = {"action": SEALED, "organizationId": "_system", "timestamp": NOW, "id": "x"}
        admin.create(index=journal_name(index), id="x", body=source)
    with pytest.raises(JournalError, match="no event"):
        journal.read([SEALED])
    with opensearch.admin() as admin:
        admin.indices.close(index=journal_name(index))
    with pytest.raises(Exception, match="closed"):
        journal.read([SEALED])
