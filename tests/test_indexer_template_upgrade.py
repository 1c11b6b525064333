"""An upgrade of the template: partitions that stand keep their mapping, and queries go over all."""

from pathlib import Path
from typing import Any, cast

import pytest

from indexer import templates
from indexer.client import request
from indexer.names import partition_name
from indexer.settings import IndexSettings
from indexer.templates import Body, compare, install
from tests.cluster import Cluster
from tests.webapi_api import Api, store, write_events

pytestmark = pytest.mark.opensearch

OLD, NEW = "2026-01-15T00:00:00.000000Z", "2026-02-15T00:00:00.000000Z"
FIELD = "correlationId"


def test_an_upgraded_template_touches_no_partition_that_stands(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older template has a field less. A sealed partition shows that as drift, no more."""
    old, new = partition_name(OLD, index), partition_name(NEW, index)
    with opensearch.client("writer") as writer, opensearch.client("lifecycle") as lifecycle:
        with monkeypatch.context() as older:
            body = without(FIELD, templates.render(index))
            older.setattr(templates, "render", lambda _settings: body)
            install(lifecycle, index)
        store(writer, index, events(tmp_path / "old.log", OLD))
        request(lifecycle, "PUT", f"/{old}/_block/write")
        stood = live(lifecycle, old)

        (change,) = install(lifecycle, index)
        assert change.action == "update"
        store(writer, index, events(tmp_path / "new.log", NEW))

        assert live(lifecycle, old) == stood
        assert FIELD not in stood["mappings"]["properties"]
        assert FIELD in live(lifecycle, new)["mappings"]["properties"]
        (drift,) = compare(lifecycle, index)
        assert (drift.kind, drift.name) == ("partition", old)
        assert {one.path.split(".")[2] for one in drift.differences} == {FIELD}
    with opensearch.client("reader") as reader:
        api = Api(reader, index)
        assert api.actions() == ["app.deleted", "app.created"] * 2
        assert api.actions([("action", "app.created")]) == ["app.created"] * 2
        # What a partition did not index, it does not find; the events themselves have it.
        assert api.actions([("correlationId", "c1")]) == ["app.deleted", "app.created"]
        assert {event[FIELD] for event in api.page()["events"]} == {"c1"}


PERSON = {"type": "user", "id": "u_1", "email": "ana1@company.com", "name": "José Müller"}


def test_people_are_found_in_partitions_of_the_first_template(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has all words in one field, and emails and names whole."""
    named: list[dict[str, Any]] = [
        {"action": "app.created", "actor": PERSON},
        {"action": "app.deleted"},
    ]
    with opensearch.client("writer") as writer, opensearch.client("lifecycle") as lifecycle:
        with monkeypatch.context() as older:
            body = with_all_words_in_one_field(templates.render(index))
            older.setattr(templates, "render", lambda _settings: body)
            install(lifecycle, index)
        store(writer, index, write_events(tmp_path / "old.log", named, OLD))
        install(lifecycle, index)
        store(writer, index, write_events(tmp_path / "new.log", named, NEW))
    with opensearch.client("reader") as reader:
        api = Api(reader, index)
        for text in ("JOSÉ", "mül*", '"josé müller"', "ana1@company.com", "company.com"):
            assert api.actions([("q", f"{text} action:app.created")]) == ["app.created"] * 2, text
        for field in ("actor:ana1@company.com", "actor:ANA1@company.com", "actor:ana1*"):
            assert api.actions([("q", field)]) == ["app.created"] * 2, field


def events(path: Path, start: str) -> list[bytes]:
    named = [{"action": name, "correlation_id": "c1"} for name in ("app.created", "app.deleted")]
    return write_events(path, named, start)


def without(field: str, body: Body) -> Body:
    mappings = cast("dict[str, dict[str, Any]]", body["template"])["mappings"]
    del mappings["properties"][field]
    return body


def with_all_words_in_one_field(body: Body) -> Body:
    part = cast("dict[str, dict[str, Any]]", body["template"])
    fields = part["mappings"]["properties"]
    letters = {"simple": {"type": "text", "analyzer": "simple"}}
    fields["searchText"] = {"type": "text", "fields": letters}
    whole = {"type": "keyword", "normalizer": "lowercase", "copy_to": ["searchText"]}
    fields["actor"]["properties"] |= {"email": whole, "name": whole}
    part["settings"]["index"]["query"] = {"default_field": ["searchText"]}
    return body


def live(client: Any, name: str) -> dict[str, Any]:  # a client of any role
    found = request(client, "GET", f"/{name}", params={"flat_settings": "true"})
    return cast("dict[str, dict[str, Any]]", found)[name]
