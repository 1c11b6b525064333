"""`indelible verify` as an auditor uses it: what it prints, and its exit codes."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from indelible.verify import command, conclude, describe
from indexer.settings import IndexSettings
from indexer.store_findings import Finding, Summary, tell_foreign
from tests.cluster import Cluster
from tests.fault_proxy import cut_on_the_wire, fault_proxy
from tests.faults import in_turn
from tests.webapi_api import store, write_events

UNTIL = datetime(2026, 3, 16, tzinfo=UTC)


def run(*arguments: str, code: int) -> Result:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_what_is_found_is_said_with_its_place_and_the_next_step() -> None:
    one = Finding("missing", "`seq` 3 is \x1b[2Jmissing", "look", index="i", event_id="e")
    assert describe(one) == "error: `seq` 3 is \\u001b[2Jmissing (i, event e)\n  next: look"
    one = Finding("deleted", "gone", "nothing", is_warning=True)
    assert describe(one) == "warning: gone\n  next: nothing"


@pytest.mark.parametrize("end", ["\n", "\x85", "\u2028", "\x1c"])
def test_what_others_stored_makes_no_line_of_its_own(end: str) -> None:
    """Else it says that all holds where a person looks for just that."""
    told = describe(tell_foreign("i", 1, f"{{{end}holds: 0 errors, 0 warnings{end}}}"))
    assert [line[:6] for line in told.splitlines()] == ["error:", "  next"]


def test_what_it_came_to_is_said() -> None:
    summary = Summary(indices=1, events=1200, sources=2, late_beginnings=1, sealed=1)
    assert conclude(summary, 0, UNTIL) == (
        "1,200 events before 2026-03-16 00:00:00Z, of 2 sources (1 from a later event on) in 1"
        " index, 1 of them sealed\nholds: 0 errors, 0 warnings"
    )
    summary.errors, summary.kinds, summary.forgotten_sources = 3, {"missing": 3}, 7
    assert conclude(summary, 1, UNTIL).splitlines()[::2] == [
        "and 2 more, counted below",
        "7 sources too many to remember",
    ]
    assert conclude(summary, 1, UNTIL).endswith("does not hold: 3 errors, 0 warnings (3 missing)")


def test_nothing_is_no_verdict_that_all_of_it_holds() -> None:
    """As in the first minutes, or with a prefix that is another one's."""
    told = conclude(Summary(indices=2), 0, UNTIL)
    assert told.startswith("nothing to check: no event is stored from before 2026-03-16")
    assert "--until 1s" in told
    assert "holds: " in conclude(Summary(sealed=1), 0, UNTIL), "a digest was compared"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"),
        ("--until", "2026-02-31"),
        ("--since", "2026-02-02", "--until", "2026-02-02"),
        ("--since", "1m"),
    ],
)
def test_a_time_that_is_none_is_no_verdict(arguments: Sequence[str]) -> None:
    assert "--since" in run(*arguments, code=2).output or "--until" in arguments


@pytest.fixture
def auditor(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> IndexSettings:
    """The environment of somebody who has the reader's password alone."""
    for name in [name for name in os.environ if name.startswith("INDELIBLE_")]:
        if not name.startswith("INDELIBLE_TEST"):
            monkeypatch.delenv(name)
    settings = {
        "HOME": str(tmp_path),
        "OPENSEARCH_URL": opensearch.url,
        "OPENSEARCH_CA_FILE": str(opensearch.ca_file),
        "OPENSEARCH_READER_USERNAME": "audit_reader",
        "OPENSEARCH_READER_PASSWORD": opensearch.credentials.users["audit_reader"],
        "INDEX_PREFIX": index.prefix,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"INDELIBLE_{name}", value)
    return index


def fill(cluster: Cluster, index: IndexSettings, path: Path, *, without: int) -> None:
    fields: list[dict[str, Any]] = [
        {"action": "member.invited", "organization_id": f"org_{number % 2}"} for number in range(6)
    ]
    lines = write_events(path, fields, "2026-03-15T10:00:00Z")
    with cluster.client("writer") as writer:
        store(writer, index, [line for seq, line in enumerate(lines) if seq != without])


@pytest.mark.opensearch
@pytest.mark.secured
def test_the_reader_alone_gets_a_verdict(
    opensearch: Cluster, auditor: IndexSettings, tmp_path: Path
) -> None:
    assert "nothing to check" in run(code=0).output, "an empty store"
    fill(opensearch, auditor, tmp_path / "a.log", without=-1)
    assert ", of 1 source in 1 index, 0 of them sealed\nholds: 0 errors" in run(code=0).output
    fill(opensearch, auditor, tmp_path / "b.log", without=3)
    fill(opensearch, auditor, tmp_path / "c.log", without=4)
    output = run("--limit", "1", code=1).output
    assert output.count("error: `seq`") == 1
    assert "and 1 more, counted below\n" in output
    assert "does not hold: 2 errors, 0 warnings (2 missing)" in output
    assert "holds" in run("--until", "2026-03-15T10:00:02Z", code=0).output
    document = json.loads(run("--json", "--since", "2026-03-01", code=1).output)
    assert (document["holds"], document["since"]) == (False, "2026-03-01T00:00:00.000000Z")
    assert document["summary"]["events"] == 16
    assert {one["kind"] for one in document["findings"]} == {"missing"}
    assert {(one["firstSeq"], one["lastSeq"]) for one in document["findings"]} == {(3, 3), (4, 4)}
    assert "no index audit-nobody" in run("--index", "audit-nobody", code=2).output


@pytest.mark.opensearch
@pytest.mark.secured
def test_where_nobody_can_say_it_is_no_verdict(
    auditor: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDELIBLE_OPENSEARCH_READER_PASSWORD", "wrong")
    assert "error: " in run(code=2).output
    monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", "https://127.0.0.1:1")
    output = run("--json", code=2).output
    assert "next: " in output
    assert "holds" not in output
    monkeypatch.setenv("INDELIBLE_INDEX_PARTITION", auditor.prefix)
    assert "INDELIBLE_INDEX_PARTITION" in run(code=2).output


@pytest.mark.opensearch
@pytest.mark.secured
def test_a_cluster_that_goes_away_in_the_middle_says_nothing_of_the_store(
    opensearch: Cluster, auditor: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found until then is no verdict either."""
    monkeypatch.setattr("indexer.store_reading.PAGE_EVENTS", 2)
    fill(opensearch, auditor, tmp_path / "a.log", without=3)
    with fault_proxy(opensearch.url, opensearch.ca_file) as proxy:
        monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", proxy.url)
        monkeypatch.delenv("INDELIBLE_OPENSEARCH_CA_FILE")
        assert "does not hold" in run(code=1).output
        proxy.faults = in_turn(None, cut_on_the_wire, path="/_search")
        output = run(code=2).output
    assert "hold" not in output
    assert "next: " in output


@pytest.mark.opensearch
@pytest.mark.secured
def test_a_full_disk_says_where_it_needs_room(
    opensearch: Cluster, auditor: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(opensearch, auditor, tmp_path / "a.log", without=-1)
    monkeypatch.setattr("indexer.spool.BUFFER_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert "TMPDIR" in run(code=2).output
