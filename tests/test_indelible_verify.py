"""`indelible verify` as an auditor uses it: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from indelible.verify import command, conclude, describe, gather_evidence
from indexer.errors import HeadError
from indexer.names import journal_name
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.signing_key import describe as describe_key
from indexer.signing_key import make
from indexer.store_findings import Finding, Summary, tell_foreign
from tests.cluster import Cluster
from tests.fault_proxy import cut_on_the_wire, fault_proxy
from tests.faults import in_turn
from tests.lifecycle_world import DELETABLE, SEALABLE, World
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
    assert conclude(summary, 0, UNTIL, "no key is given") == (
        "1,200 events before 2026-03-16 00:00:00Z, of 2 sources (1 from a later event on) in 1"
        " index, 1 of them sealed\nsigned heads were not checked: no key is given\n"
        "holds: 0 errors, 0 warnings"
    )
    summary.heads, summary.kept_heads = 3, 2
    summary.errors, summary.kinds, summary.forgotten_sources = 3, {"missing": 3}, 7
    told = conclude(summary, 1, UNTIL, "").splitlines()
    assert told[::2] == [
        "and 2 more, counted below",
        "7 sources too many to remember",
        told[-1],
    ]
    assert told[3] == "3 signed heads, 2 kept elsewhere"
    assert told[-1].endswith("does not hold: 3 errors, 0 warnings (3 missing)")


def test_nothing_is_no_verdict_that_all_of_it_holds() -> None:
    """As in the first minutes, or with a prefix that is another one's."""
    told = conclude(Summary(indices=2), 0, UNTIL, "")
    assert told.startswith("nothing to check: no event is stored from before 2026-03-16")
    assert "--until 1s" in told
    assert "holds: " in conclude(Summary(sealed=1), 0, UNTIL, ""), "a digest was compared"
    assert "holds: " in conclude(Summary(heads=1), 0, UNTIL, ""), "a head was checked"


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


def become_auditor(
    cluster: Cluster, index: IndexSettings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of somebody who has the reader's password alone."""
    for name in [name for name in os.environ if name.startswith("INDELIBLE_")]:
        if not name.startswith("INDELIBLE_TEST"):
            monkeypatch.delenv(name)
    settings = {
        "HOME": str(home),
        "OPENSEARCH_URL": cluster.url,
        "OPENSEARCH_CA_FILE": str(cluster.ca_file),
        "OPENSEARCH_READER_USERNAME": "audit_reader",
        "OPENSEARCH_READER_PASSWORD": cluster.credentials.users["audit_reader"],
        "INDEX_PREFIX": index.prefix,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"INDELIBLE_{name}", value)


@pytest.fixture
def auditor(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> IndexSettings:
    become_auditor(opensearch, index, tmp_path, monkeypatch)
    return index


def fill(
    cluster: Cluster,
    index: IndexSettings,
    path: Path,
    *,
    without: int = -1,
    at: str = "2026-03-15T10:00:00Z",
) -> None:
    fields: list[dict[str, Any]] = [
        {"action": "member.invited", "organization_id": f"org_{number % 2}"} for number in range(6)
    ]
    lines = write_events(path, fields, at)
    with cluster.client("writer") as writer:
        store(writer, index, [line for seq, line in enumerate(lines) if seq != without])


@pytest.mark.opensearch
@pytest.mark.secured
def test_the_reader_alone_gets_a_verdict(
    opensearch: Cluster, auditor: IndexSettings, tmp_path: Path
) -> None:
    assert "nothing to check" in run(code=0).output, "an empty store"
    fill(opensearch, auditor, tmp_path / "a.log")
    assert ", of 1 source in 1 index, 0 of them sealed\n" in run(code=0).output
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
    fill(opensearch, auditor, tmp_path / "a.log")
    monkeypatch.setattr("indexer.spool.BUFFER_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert "TMPDIR" in run(code=2).output


@pytest.mark.opensearch
@pytest.mark.secured
@pytest.mark.parametrize("limit", ["0", "100"], ids=["at the end", "while it tells"])
def test_where_nobody_can_be_told_there_is_no_verdict(
    opensearch: Cluster, auditor: IndexSettings, tmp_path: Path, limit: str
) -> None:
    """Scripts take 1 for a store that does not hold."""
    fill(opensearch, auditor, tmp_path / "a.log", without=3)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "indelible", "verify", "--limit", limit],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: what this prints cannot be written: No space left")


@pytest.mark.parametrize(
    ("heads", "key", "told"),
    [
        ("heads", None, "--heads needs the key"),
        ("heads", "heads", "has no key of the kind Ed25519"),
        ("nowhere", "key", "nowhere cannot be read: No such file"),
        ("empty", "key", "has no head in it"),
        ("half", "key", "has no head in it"),
        ("pipe", "key", "it is no regular file"),
        (".", "key", "cannot be read: Is a directory"),
    ],
)
def test_without_a_key_or_a_file_of_heads_there_is_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heads: str, key: str | None, told: str
) -> None:
    """Told before the cluster is asked."""
    monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", "https://127.0.0.1:1")
    make(tmp_path / "key")
    (tmp_path / "heads").write_text("x\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "half").write_text("x" * 40_000)
    os.mkfifo(tmp_path / "pipe")
    keys = () if key is None else ("--key", str(tmp_path / key))
    assert told in run("--heads", str(tmp_path / heads), *keys, code=2).output


def test_a_key_that_only_the_lifecycle_may_read_leaves_heads_unchecked(tmp_path: Path) -> None:
    settings = LifecycleSettings(signing_key_file=tmp_path / "gone")
    evidence, why = gather_evidence(None, (), settings)
    assert (evidence, "gone cannot be read" in why) == (None, True)
    with pytest.raises(HeadError):
        gather_evidence(tmp_path / "heads", (), settings)
    key = make(tmp_path / "key")
    settings = LifecycleSettings(signing_key_file=tmp_path / "key")
    evidence, why = gather_evidence(None, (), settings)
    assert evidence is not None
    assert ([one.thumbprint() for one in evidence.keys], why) == ([key.thumbprint()], "")


@pytest.mark.opensearch
@pytest.mark.secured
def test_what_an_admin_writes_anew_holds_but_for_the_heads_that_were_carried_away(
    opensearch: Cluster, auditor: IndexSettings, tmp_path: Path
) -> None:
    """From the lifecycle's own sealing to the auditor's verdict."""
    heads, kept, public = tmp_path / "heads", tmp_path / "kept", tmp_path / "head.jwk"
    world = World(opensearch, auditor)
    public.write_text(describe_key(world.use_key(heads)))
    fill(opensearch, auditor, tmp_path / "a.log", at="2024-01-03T10:00:00Z")
    world.now = SEALABLE
    world.take_round()
    kept.write_bytes(heads.read_bytes())
    with_heads = ("--heads", str(kept), "--key", str(public))
    assert "1 signed head, 1 kept elsewhere\nholds: " in run(*with_heads, code=0).output
    world.signing_key = None
    for name in (world.partition, journal_name(auditor)):
        world.delete_by_hand(name)
    fill(opensearch, auditor, tmp_path / "b.log", at="2024-01-03T10:00:00Z")
    world.take_round(accept_journal=True)
    assert "not checked: no key is given (--key)\nholds: 0 errors" in run(code=0).output
    document = json.loads(run("--json", *with_heads, code=1).output)
    assert document["headsUnchecked"] is None
    told = {(one["kind"], one.get("headNumber")) for one in document["findings"]}
    assert told == {("rewritten", 1), ("head", 1), ("unsigned", None)}
    assert (document["summary"]["heads"], document["summary"]["keptHeads"]) == (1, 1)


@pytest.mark.opensearch
@pytest.mark.secured
def test_what_the_lifecycle_deletes_when_its_time_has_come_holds(
    opensearch: Cluster, auditor: IndexSettings, tmp_path: Path
) -> None:
    """By its own records; those of a journal that has gone since are kept all the same."""
    heads, key = tmp_path / "heads", tmp_path / "head.jwk"
    world = World(opensearch, auditor)
    key.write_text(describe_key(world.use_key(heads)))
    fill(opensearch, auditor, tmp_path / "a.log", at="2024-01-03T10:00:00Z")
    world.now = SEALABLE
    world.take_round()
    world.now = DELETABLE
    world.take_round()
    assert not world.exists(world.partition)
    with_heads = ("--heads", str(heads), "--key", str(key))
    assert "1 signed head, 1 kept elsewhere\nholds: 0 errors" in run(*with_heads, code=0).output
    world.delete_by_hand(journal_name(auditor))
    assert "error: head 1 (" in run(*with_heads, code=1).output
