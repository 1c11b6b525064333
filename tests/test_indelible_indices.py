"""`indelible indices` as an operator uses it, on a real node."""

import json
import time
from collections.abc import Generator
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from audit_events.identifier import new_uuid7
from audit_events.instant import parse_instant
from indelible.indices import command
from indexer.client import ask, request
from indexer.errors import PolicyConflictError
from indexer.hold import Hold, place
from indexer.journal import Journal
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.ism_stand_in import IsmStandIn, ism_plugin
from tests.lines import batch_of, event_line

pytestmark = pytest.mark.opensearch


@pytest.fixture
def operator(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> IndexSettings:
    """The environment of somebody who looks after this cluster; returns the index settings."""
    monkeypatch.setenv("INDELIBLE_HOME", str(tmp_path))
    monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", opensearch.url)
    monkeypatch.setenv("INDELIBLE_OPENSEARCH_CA_FILE", str(opensearch.ca_file))
    for role in ("writer", "reader", "lifecycle"):
        variable = f"INDELIBLE_OPENSEARCH_{role.upper()}"
        monkeypatch.setenv(f"{variable}_USERNAME", f"audit_{role}")
        monkeypatch.setenv(f"{variable}_PASSWORD", opensearch.credentials.users[f"audit_{role}"])
    bare = msgspec.structs.replace(index, prefix=f"{index.prefix}-bare")
    monkeypatch.setenv("INDELIBLE_INDEX_PREFIX", bare.prefix)
    monkeypatch.setenv("INDELIBLE_INDEX_REPLICAS", "0")
    monkeypatch.setenv("COLUMNS", "120")
    return bare


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_apply_says_what_it_does_and_does_it_once(operator: IndexSettings) -> None:
    name = f"{operator.prefix}-events"
    assert f"would create index template {name}\n" in run("apply", "--dry-run").output
    assert f"created index template {name}\n" in run("apply").output
    again = run("apply").output
    assert "nothing to change" in again
    assert "no ISM plugin: `indelible lifecycle` does all of it\n" in again


def test_apply_shows_what_changes(operator: IndexSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    run("apply")
    monkeypatch.setenv("INDELIBLE_INDEX_REFRESH_INTERVAL_SECONDS", "9")
    output = run("apply").output
    assert f"updated index template {operator.prefix}-events\n" in output
    assert "  - template.settings.index.refresh_interval: 1s\n" in output
    assert "  + template.settings.index.refresh_interval: 9s\n" in output


def test_apply_as_json(operator: IndexSettings) -> None:
    report = json.loads(run("apply", "--json").output)
    assert report["dryRun"] is False
    assert [(one["kind"], one["action"], one["name"]) for one in report["changes"]] == [
        ("template", "create", f"{operator.prefix}-events")
    ]
    assert (report["mode"]["name"], report["mode"]["plugin"]) == ("worm", False)
    assert json.loads(run("apply", "--json", "--dry-run").output)["changes"] == []


def test_status_shows_partitions_and_drift(opensearch: Cluster, operator: IndexSettings) -> None:
    assert "no partition yet" in run("status").output
    run("apply")
    with opensearch.client("writer") as client:
        ask(client, "POST", "/_bulk", body=batch_of(operator, [event_line()]).body([0]))
    with opensearch.client("lifecycle") as client:
        ask(client, "POST", f"/{operator.prefix}-*/_refresh")
    output = run("status").output
    assert f"{operator.prefix}-events-20" in output
    assert output.split("\n", 1)[0].split() == ["partition", "events", "size", "health", "drift"]
    assert "differs" not in output
    report = json.loads(run("status", "--json").output)
    assert [one["events"] for one in report["partitions"]] == [1]
    assert report["drift"] == []


def test_a_template_that_comes_before_ours_is_told_before_a_partition_is_made(
    opensearch: Cluster, operator: IndexSettings
) -> None:
    run("apply")
    name = f"{operator.prefix}-of-others"
    bodies = {
        f"{name}-above": {"index_patterns": [f"{operator.prefix}-*"], "priority": 900},
        f"{name}-below": {"index_patterns": [f"{operator.prefix}-*"], "priority": 100},
        f"{name}-beside": {"index_patterns": [f"{operator.prefix}-other-*"], "priority": 901},
    }
    with opensearch.admin() as admin:
        for one, body in bodies.items():
            admin.indices.put_index_template(name=one, body=body)
    told = f"index template {name}-above comes before ours"
    for command_ in (("apply",), ("apply", "--dry-run", "--json"), ("status",)):
        output = run(*command_).output
        assert told in output
        assert output.count("comes before ours") == 1
    assert "  - priority: 900\n  + priority: below 510" in run("status").output
    (drift,) = json.loads(run("status", "--json").output)["drift"]
    assert (drift["kind"], drift["name"]) == ("outranking", f"{name}-above")


def test_status_says_how_to_mend_a_missing_template(operator: IndexSettings) -> None:
    output = run("status").output
    assert (
        f"index template {operator.prefix}-events differs: run `indelible indices apply`" in output
    )
    assert "  + index template: installed" in output


@pytest.fixture
def plugin(
    opensearch: Cluster, operator: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> Generator[IsmStandIn]:
    """The operator's cluster has the ISM plugin, and no index is immutable."""
    run("apply")
    with opensearch.client("writer") as client:
        body = batch_of(operator, [event_line()]).body([0])
        assert ask(client, "POST", "/_bulk", body=body).status == 200
    with ism_plugin(opensearch, immutable=False) as (plugin, proxy):
        monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", proxy.url)
        yield plugin


def test_apply_installs_the_policies_that_the_files_hold(
    operator: IndexSettings, plugin: IsmStandIn
) -> None:
    events, late = f"{operator.prefix}-events", f"{operator.prefix}-late"
    output = run("apply", "--dry-run").output
    assert f"would create lifecycle policy {events}\n" in output
    assert f"would attach policy {events}: {events}-20" in output
    assert plugin.requests == []
    assert f"created lifecycle policy {late}\n" in run("apply").output
    for stem, policy_id in (("audit-events", events), ("audit-late", late)):
        file = (files("index_templates") / f"{stem}.policy.json").read_text("utf-8")
        ours = json.loads(file.replace(f"{stem}-*", f"{policy_id}-*"))
        path = f"/_plugins/_ism/policies/{policy_id}"
        assert [body for _, target, body in plugin.requests if target == path] == [ours]
    assert run("apply").output == (
        "nothing to change: everything is installed as it should be\nISM seals and deletes\n"
    )


def test_a_changed_policy_is_shown_and_put_right(
    operator: IndexSettings, plugin: IsmStandIn
) -> None:
    run("apply")
    name = f"{operator.prefix}-events"
    plugin.edit(name, lambda policy: policy["states"][1]["actions"].pop())
    difference = "  + states.sealed.actions.2.force_merge.max_num_segments: 1\n"
    for shown in (run("status").output, run("apply", "--dry-run").output, run("apply").output):
        assert f"lifecycle policy {name}" in shown
        assert difference in shown
    assert "differs" not in run("status").output


def test_a_conflict_is_an_error_that_names_the_policy(
    operator: IndexSettings, plugin: IsmStandIn
) -> None:
    run("apply")
    name = f"{operator.prefix}-events"
    plugin.edit(name, lambda policy: policy.update(description="x"))
    plugin.before_update = lambda: plugin.edit(name, lambda policy: policy.update(description="y"))
    with pytest.raises(PolicyConflictError, match=name):
        run("apply")


def test_plan_shows_when_and_why(
    opensearch: Cluster, operator: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no partition yet" in run("plan").output
    run("apply")
    old = "2026-01-03T10:00:00.000001Z"
    with opensearch.client("writer") as client:
        body = batch_of(operator, [event_line(), event_line(timestamp=old)]).body([0, 1])
        ask(client, "POST", "/_bulk", body=body, params={"refresh": "true"})
    report = json.loads(run("plan", "--json").output)
    due, open_one = report["partitions"]
    assert (due["name"], due["state"]) == (f"{operator.prefix}-events-2026.01", "due")
    assert (due["events"], due["first"], due["last"]) == (1, old, old)
    assert due["sealAt"] == "2026-02-08T00:00:00.000000Z"
    assert due["deleteAt"] == "2027-03-08T00:00:00.000000Z"
    assert (due["nextStep"], due["heldBy"]) == ("block", [])
    assert (open_one["state"], open_one["nextStep"], open_one["blocked"]) == ("open", None, False)
    assert report["mode"]["immutable"] is opensearch.secured
    monkeypatch.setenv("COLUMNS", "200")
    output = run("plan").output
    assert "2027-03-08" in output
    assert "its time has come, and it takes events still" in output
    assert "no ISM plugin" in output


def test_plan_without_a_reader_leaves_the_timestamps_out(
    opensearch: Cluster, operator: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("apply")
    with opensearch.client("writer") as client:
        body = batch_of(operator, [event_line()]).body([0])
        ask(client, "POST", "/_bulk", body=body, params={"refresh": "true"})
    monkeypatch.delenv("INDELIBLE_OPENSEARCH_READER_USERNAME")
    monkeypatch.delenv("INDELIBLE_OPENSEARCH_READER_PASSWORD")
    (partition,) = json.loads(run("plan", "--json").output)["partitions"]
    assert (partition["events"], partition["first"], partition["last"]) == (1, None, None)


def test_plan_says_who_holds_what(opensearch: Cluster, operator: IndexSettings) -> None:
    run("apply")
    old = "2026-01-03T10:00:00.000001Z"
    with opensearch.client("writer") as client:
        body = batch_of(operator, [event_line(timestamp=old)]).body([0])
        ask(client, "POST", "/_bulk", body=body, params={"refresh": "true"})
    hold = Hold(
        id=new_uuid7(time.time_ns()),
        organization_id="org_1",
        since=parse_instant("2026-01-31"),
        until=parse_instant("2026-02-10"),
        reason="case 7",
        placed_by="ana",
        placed_at=parse_instant("2026-11-01"),
    )
    with opensearch.client("lifecycle") as client:
        place(Journal(client, operator), hold)
    (partition,) = json.loads(run("plan", "--json").output)["partitions"]
    assert partition["heldBy"] == [hold.id]


def test_status_says_what_to_do_where_copies_are_missing(
    opensearch: Cluster, operator: IndexSettings
) -> None:
    """A replica where there is one node; and a partition of which no copy can be anywhere."""
    run("apply")
    nowhere = {"index.routing.allocation.require._name": "nobody"}
    with opensearch.client("lifecycle") as client:
        for day, settings in (("01", {"index.number_of_replicas": 5}), ("02", nowhere)):
            path, body = f"/{operator.prefix}-events-2026.{day}", {"settings": settings}
            request(client, "PUT", path, params={"wait_for_active_shards": "0"}, body=body)
    output = " ".join(run("status").output.split())
    assert f"red: {operator.prefix}-events-2026.02: no copy is there" in output
    assert f"yellow: {operator.prefix}-events-2026.01: 6 copies are wanted, on " in output
    report = json.loads(run("status", "--json").output)
    assert [one["colour"] for one in report["troubles"]] == ["red", "yellow"]
