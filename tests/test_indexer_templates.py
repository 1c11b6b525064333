"""Templates: installed once, compared whatever spelling the cluster gives them."""

from collections.abc import Generator

import msgspec
import pytest
from opensearchpy import OpenSearch

from indexer.client import ask
from indexer.errors import NoAnswerError, RefusedError
from indexer.partitions import list_partitions
from indexer.settings import IndexSettings
from indexer.templates import (
    Change,
    Difference,
    compare,
    differ,
    differ_live,
    flatten,
    install,
    render,
    show,
)
from tests.cluster import Cluster
from tests.faults import UNREACHABLE, Faults, connect_through, in_turn, refused
from tests.lines import NOW, batch_of, event_line


@pytest.mark.parametrize(
    ("value", "flat"),
    [
        pytest.param({"a": {"b": 1}, "c.d": "x"}, {"a.b": "1", "c.d": "x"}, id="nested or dotted"),
        pytest.param({"a": False, "b": "false"}, {"a": "false", "b": "false"}, id="switches"),
        pytest.param({"a": ["x", "y"]}, {"a": "x, y"}, id="lists"),
        pytest.param({"a": [], "b": {}, "c": None}, {}, id="what is empty is not there"),
    ],
)
def test_values_are_compared_as_the_cluster_understands_them(
    value: object, flat: dict[str, str]
) -> None:
    assert flatten(value) == flat


def test_settings_are_rendered_into_the_template() -> None:
    settings = IndexSettings(
        prefix="audit-t1", replicas=2, refresh_interval_seconds=5, codec="default"
    )
    flat = flatten(render(settings))
    assert flat["index_patterns"] == "audit-t1-events-*, audit-t1-late-*, audit-t1-journal"
    assert flat["template.settings.index.number_of_replicas"] == "2"
    assert flat["template.settings.index.codec"] == "default"
    assert flat["template.settings.index.refresh_interval"] == "5s"


def test_a_difference_is_shown_from_both_sides() -> None:
    wanted: dict[str, object] = {"a": 1, "b": True}
    differences = differ(wanted, {"a": "2", "c": "x"})
    assert show("template t", differences) == (
        "template t\n  - a: 2\n  + a: 1\n  + b: true\n  - c: x"
    )


def test_a_live_partition_differs_by_its_mapping_and_by_the_settings_that_we_set() -> None:
    wanted: dict[str, object] = {
        "mappings": {"dynamic": False},
        "settings": {"index": {"codec": "best_compression", "append_only.enabled": True}},
    }
    found: dict[str, object] = {
        "mappings": {"dynamic": "false", "properties": {"x": {"type": "text"}}},
        # The codec is that of new partitions alone.
        "settings": {"index.codec": "default", "index.uuid": "u", "index.hidden": "false"},
    }
    assert differ_live(wanted, found) == (
        Difference("mappings.properties.x.type", None, "text"),
        Difference("settings.index.append_only.enabled", "true", None),
    )


@pytest.mark.parametrize(
    ("name", "value", "drifts"),
    [
        pytest.param("index.hidden", "true", True, id="hidden"),
        pytest.param("index.hidden", "false", False, id="no longer hidden"),
        pytest.param("index.blocks.read", "true", True, id="no reads"),
        pytest.param("index.blocks.metadata", "true", True, id="no look at settings"),
        pytest.param("index.default_pipeline", "p", True, id="changed before it is stored"),
        pytest.param("index.default_pipeline", "_none", False, id="no pipeline"),
        pytest.param("index.final_pipeline", "p", True, id="changed last"),
        pytest.param("index.search.default_pipeline", "p", True, id="changed when it is read"),
        pytest.param("index.blocks.write", "true", False, id="sealed, as it should be"),
    ],
)
def test_what_hides_or_changes_events_is_a_difference_though_no_template_speaks_of_it(
    name: str, value: str, *, drifts: bool
) -> None:
    expected = (Difference(f"settings.{name}", None, value),) if drifts else ()
    assert differ_live({}, {"settings": {name: value}}) == expected


@pytest.fixture
def client(opensearch: Cluster) -> Generator[OpenSearch]:
    with opensearch.client("lifecycle") as client:
        yield client


def write_one(opensearch: Cluster, settings: IndexSettings) -> None:
    with opensearch.client("writer") as writer:
        ask(writer, "POST", "/_bulk", body=batch_of(settings, [event_line()]).body([0]))


@pytest.mark.opensearch
def test_what_is_installed_is_right_and_not_installed_again(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    assert install(client, index) == []
    write_one(opensearch, index)
    assert compare(client, index) == []
    assert install(client, index) == []


@pytest.mark.opensearch
def test_a_missing_template_is_drift_until_it_is_installed(
    index: IndexSettings, client: OpenSearch
) -> None:
    bare = msgspec.structs.replace(index, prefix=f"{index.prefix}-bare")
    name = f"{bare.prefix}-events"
    assert [(one.kind, one.name) for one in compare(client, bare)] == [("template", name)]
    created = [Change("create", name, ())]
    assert install(client, bare, dry_run=True) == created
    assert install(client, bare) == created
    assert compare(client, bare) == []


def install_as_before(client: OpenSearch, settings: IndexSettings) -> None:
    """Two templates of one priority, as older versions had them."""
    body = render(settings)
    for kind in ("events", "late"):
        body["priority"], body["index_patterns"] = 500, [f"{settings.prefix}-{kind}-*"]
        name = f"{settings.prefix}-{kind}"
        assert ask(client, "PUT", f"/_index_template/{name}", body=msgspec.json.encode(body)).status


@pytest.mark.opensearch
def test_an_older_installation_is_upgraded(index: IndexSettings, client: OpenSearch) -> None:
    """Its two templates become one, and at no moment is a pattern covered by none."""
    old = msgspec.structs.replace(index, prefix=f"{index.prefix}-old")
    install_as_before(client, old)
    changes = install(client, old, dry_run=True)
    assert [(one.action, one.name) for one in changes] == [
        ("update", f"{old.prefix}-events"),
        ("delete", f"{old.prefix}-late"),
    ]
    assert [one.name for one in compare(client, old)] == [
        f"{old.prefix}-events",
        f"{old.prefix}-late",
    ]
    assert install(client, old) == changes
    assert install(client, old) == []
    assert compare(client, old) == []


@pytest.mark.opensearch
def test_a_strangers_template_of_that_name_stays(index: IndexSettings, client: OpenSearch) -> None:
    name = f"{index.prefix}-late"
    body = b'{"index_patterns":["%s-elsewhere-*"]}' % index.prefix.encode()
    assert ask(client, "PUT", f"/_index_template/{name}", body=body).status == 200
    assert install(client, index) == []
    assert compare(client, index) == []


@pytest.mark.opensearch
def test_the_journal_is_made_and_compared_as_a_partition(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    with opensearch.admin() as admin:
        assert ask(admin, "PUT", f"/{index.prefix}-journal").status == 200
    assert compare(client, index) == []
    slower = msgspec.structs.replace(index, refresh_interval_seconds=7)
    assert f"{index.prefix}-journal" in [one.name for one in compare(client, slower)]


@pytest.mark.opensearch
def test_other_settings_update_the_template_and_show_in_live_partitions(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    write_one(opensearch, index)
    slower = msgspec.structs.replace(index, refresh_interval_seconds=7)
    path = "template.settings.index.refresh_interval"
    assert install(client, slower, dry_run=True) == install(client, slower)
    (drift,) = compare(client, slower)
    assert (drift.kind, drift.name) == (
        "partition",
        f"{index.prefix}-events-{NOW[:7].replace('-', '.')}",
    )
    assert drift.differences == (Difference("settings.index.refresh_interval", "7s", "1s"),)
    (change,) = install(client, index)
    assert change == Change("update", f"{index.prefix}-events", (Difference(path, "1s", "7s"),))


@pytest.mark.opensearch
def test_a_partition_that_somebody_else_made_is_drift(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    """Made without the template: it would take changes, and must not pass for one of ours."""
    name = f"{index.prefix}-late-2026.11"
    with opensearch.admin() as admin:
        ask(admin, "DELETE", f"/_index_template/{index.prefix}-events")
        reply = ask(admin, "PUT", f"/{name}", body=b'{"mappings":{"dynamic":true}}')
    assert reply.status == 200
    drifts = {drift.name: drift.differences for drift in compare(client, index)}
    assert Difference("settings.index.append_only.enabled", "true", None) in drifts[name]
    assert Difference("mappings.dynamic", "false", "true") in drifts[name]


@pytest.mark.opensearch
def test_partitions_are_listed_with_their_size_and_drift(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    assert list_partitions(client, index, []) == []
    write_one(opensearch, index)
    ask(client, "POST", f"/{index.prefix}-events-*/_refresh")
    slower = msgspec.structs.replace(index, refresh_interval_seconds=7)
    (partition,) = list_partitions(client, index, compare(client, slower))
    assert partition.name == f"{index.prefix}-events-{NOW[:7].replace('-', '.')}"
    assert (partition.events, partition.open, partition.drift) == (1, True, 1)
    assert partition.health in {"green", "yellow"}
    assert (partition.size_bytes or 0) > 0


@pytest.mark.opensearch
def test_a_hidden_partition_is_listed_and_is_drift(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    write_one(opensearch, index)
    name = f"{index.prefix}-events-{NOW[:7].replace('-', '.')}"
    settings = b'{"index.hidden":true,"index.search.default_pipeline":"p"}'
    assert ask(client, "PUT", f"/{name}/_settings", body=settings).status == 200
    (drift,) = drifts = compare(client, index)
    assert (drift.kind, drift.name) == ("partition", name)
    assert drift.differences == (
        Difference("settings.index.hidden", None, "true"),
        Difference("settings.index.search.default_pipeline", None, "p"),
    )
    (partition,) = list_partitions(client, index, drifts)
    assert (partition.name, partition.drift) == (name, 2)


@pytest.mark.opensearch
def test_a_partition_whose_settings_cannot_be_looked_at_is_an_error_that_says_how_to_lift_it(
    opensearch: Cluster, index: IndexSettings, client: OpenSearch
) -> None:
    write_one(opensearch, index)
    path = f"/{index.prefix}-events-{NOW[:7].replace('-', '.')}/_settings"
    assert ask(client, "PUT", path, body=b'{"index.blocks.metadata":true}').status == 200
    try:
        with pytest.raises(RefusedError, match="index metadata") as raised:
            compare(client, index)
        assert '{"index.blocks.metadata": false}' in raised.value.hint
    finally:
        lifted = ask(client, "PUT", path, body=b'{"index.blocks.metadata":false}')
    assert lifted.status == 200


def test_an_unreachable_cluster_is_an_error_with_the_next_step() -> None:
    script = in_turn(refused, path="/_index_template/audit-events")
    with (
        connect_through(UNREACHABLE, script, role="lifecycle") as client,
        pytest.raises(NoAnswerError) as raised,
    ):
        install(client, IndexSettings())
    assert "INDELIBLE_OPENSEARCH_URL" in raised.value.hint


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param("<html>", id="a page"),
        pytest.param("[]", id="another JSON"),
        pytest.param('{"index_templates":[]}', id="none of ours"),
        pytest.param('{"x":' + "[" * 10_000, id="nested without end"),
    ],
)
def test_something_else_that_answers_is_an_error_with_the_next_step(garbage: str) -> None:
    script = Faults(lambda *_: lambda _send, _body: (200, {}, garbage))
    with connect_through(UNREACHABLE, script, role="lifecycle") as client:
        with pytest.raises(RefusedError, match="not_an_answer"):
            compare(client, IndexSettings())
        with pytest.raises(RefusedError, match="not_an_answer") as raised:
            install(client, IndexSettings())
    assert raised.value.hint


def test_partitions_that_something_else_lists_are_an_error() -> None:
    script = Faults(lambda *_: lambda _send, _body: (200, {}, '{"index":1}'))
    with (
        connect_through(UNREACHABLE, script, role="lifecycle") as client,
        pytest.raises(RefusedError, match="not_an_answer"),
    ):
        list_partitions(client, IndexSettings(), [])
