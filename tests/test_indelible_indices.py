"""`indelible indices` as an operator uses it, on a real node."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from indelible.indices import command
from indexer.client import ask
from indexer.settings import IndexSettings
from tests.cluster import Cluster
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
    assert "nothing to change" in run("apply").output


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
    assert [(one["action"], one["name"]) for one in report["changes"]] == [
        ("create", f"{operator.prefix}-events")
    ]
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
    assert "differs" not in output
    report = json.loads(run("status", "--json").output)
    assert [one["events"] for one in report["partitions"]] == [1]
    assert report["drift"] == []


def test_status_says_how_to_mend_a_missing_template(operator: IndexSettings) -> None:
    output = run("status").output
    assert (
        f"index template {operator.prefix}-events differs: run `indelible indices apply`" in output
    )
    assert "  + index template: installed" in output
