"""`indelible archive` as an operator uses it, on a real node."""

import getpass
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from indelible.archive import choose, command, describe_restored, describe_verified
from indelible.errors import CommandError
from indexer.archive import Archived, Content, State, prepare_repository, take
from indexer.client import request
from indexer.digest import Digest
from indexer.errors import ArchiveError, NoAnswerError
from indexer.journal import Journal
from indexer.live_index import find_index
from indexer.records import RESTORED, Subject, record_archived
from indexer.restoration import Restored
from indexer.settings import IndexSettings
from indexer.span import span_of
from indexer.verification import MAX_PROBLEMS, VERIFIED, Verification, record_verified
from tests.archive_node import ArchiveNode, delete, hits, lines, record, seal, store
from tests.cluster import Cluster


def archived(
    snapshot: str, state: State = "SUCCESS", index: str = "audit-events-2026.03", uuid: str = "u"
) -> Archived:
    content = Content(index, uuid, 1, None, None, "0" * 64)
    return Archived("archive", snapshot, content, state, "t", "t")


def test_the_newest_good_snapshot_is_meant_unless_one_is_named() -> None:
    some = [archived("a-1"), archived("a-2"), archived("a-3", "FAILED"), archived("b", index="b")]
    assert choose(some, "audit-events-2026.03", None, "archive").snapshot == "a-2"
    assert choose(some, "audit-events-2026.03", "a-1", "archive").snapshot == "a-1"
    for name, snapshot in (("c", None), ("audit-events-2026.03", "a-3"), ("b", "a-1")):
        with pytest.raises(CommandError, match="no good snapshot"):
            choose(some, name, snapshot, "archive")


def test_a_snapshot_of_what_was_sealed_here_comes_before_another_clusters() -> None:
    some = [archived("a-1"), archived("b-1", uuid="v")]
    assert choose(some, "audit-events-2026.03", None, "archive", {"u"}).snapshot == "a-1"
    assert choose(some, "audit-events-2026.03", "b-1", "archive", {"u"}).snapshot == "b-1"
    assert choose(some, "audit-events-2026.03", None, "archive", {"w"}).snapshot == "b-1"


def test_what_came_of_it_is_said() -> None:
    good = Verification("audit-events-2026.03", "s", 1200, ())
    assert describe_verified(good, quick=False).endswith("1,200 events, as they were sealed")
    bad = Verification("audit-events-2026.03", "s", 1200, ("it is FAILED", "it is gone"))
    assert describe_verified(bad, quick=True).count("damaged  audit-events-2026.03: ") == 2
    back = Restored("n", "u", "s", 3, "2026-12-24T00:00:00.000000Z", in_place=True, new=True)
    said = describe_restored(back)
    assert "n is back: 3 events as they were sealed, at least until 2026-12-24" in said
    assert "has to stay where it is" in said


@pytest.fixture
def operator(
    archive_node: ArchiveNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[IndexSettings]:
    """The environment of somebody who looks after this cluster."""
    cluster = archive_node.cluster
    with cluster.own_prefix() as index:
        monkeypatch.setenv("INDELIBLE_HOME", str(tmp_path))
        monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", cluster.url)
        monkeypatch.setenv("INDELIBLE_OPENSEARCH_CA_FILE", str(cluster.ca_file))
        for role in ("reader", "lifecycle"):
            variable = f"INDELIBLE_OPENSEARCH_{role.upper()}"
            monkeypatch.setenv(f"{variable}_USERNAME", f"audit_{role}")
            monkeypatch.setenv(f"{variable}_PASSWORD", cluster.credentials.users[f"audit_{role}"])
        lifecycle = archive_node.lifecycle(index.prefix)
        own = {
            "SNAPSHOT_REPOSITORY": lifecycle.snapshot_repository,
            "ARCHIVE_PATH": lifecycle.archive_path,
            "ADMIN_CERT_FILE": cluster.credentials.admin_cert_file,
            "ADMIN_KEY_FILE": cluster.credentials.admin_key_file,
        }
        for name, value in own.items():
            monkeypatch.setenv(f"INDELIBLE_LIFECYCLE_{name}", str(value))
        monkeypatch.setenv("INDELIBLE_INDEX_PREFIX", index.prefix)
        monkeypatch.setenv("INDELIBLE_INDEX_REPLICAS", "0")
        monkeypatch.setenv("COLUMNS", "200")
        yield index


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def archive(place: ArchiveNode, index: IndexSettings) -> tuple[str, Digest]:
    """Have one partition sealed, recorded and archived."""
    clients = place.clients()
    name = store(place.cluster, index, lines())
    digest = seal(clients, name)
    found = find_index(clients.lifecycle, name)
    assert found is not None
    repository = prepare_repository(clients.lifecycle, place.lifecycle(index.prefix))
    take(clients.lifecycle, repository, name, digest)
    record(clients, index, name, found.uuid, digest)
    return name, digest


@pytest.mark.opensearch
@pytest.mark.slow
def test_a_partition_is_listed_verified_and_restored(
    archive_node: ArchiveNode, operator: IndexSettings
) -> None:
    clients = archive_node.clients()
    prepare_repository(clients.lifecycle, archive_node.lifecycle(operator.prefix))
    assert "no snapshot in" in run("list").output
    assert "no snapshot in" in run("verify", "--all").output
    name, digest = archive(archive_node, operator)
    assert f"ok       {name}: 12 events, as they were sealed" in run("verify", name).output
    (told,) = Journal(clients.lifecycle, operator).read((VERIFIED,))
    assert (told.actor.name, told.result) == (getpass.getuser(), "success")
    assert told.context == {
        "everything": False,
        "quick": False,
        "snapshots": 1,
        "events": 12,
        "damaged": 0,
        "problems": [],
    }
    delete(clients, name)
    assert f"{name} is back: 12 events" in run("restore", name).output
    restored = Journal(clients.lifecycle, operator).read((RESTORED,), organization_id=None)
    own = {event.actor.name for event in restored if event.organization_id == "_system"}
    assert own == {getpass.getuser()}
    theirs = {event.actor.type for event in restored if event.organization_id != "_system"}
    assert theirs == {"system"}, "an operator's name is nothing for tenants"
    assert len(hits(clients, name)) == 12
    (row,) = json.loads(run("list", "--json").output)["snapshots"]
    expected = (name, "SUCCESS", 12, digest.sha256)
    assert (row["partition"], row["state"], row["events"], row["sha256"]) == expected
    assert f"until {row['restoredUntil'][:10]}" in run("list").output
    assert json.loads(run("restore", name, "--json").output)["restored"][0]["new"] is False
    delete(clients, name)
    assert "back until" not in run("list").output, "the journal outlives a cluster"


@pytest.mark.opensearch
def test_asking_for_a_mistyped_repository_names_those_that_exist_and_registers_none(
    archive_node: ArchiveNode, operator: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = archive_node.clients().lifecycle
    there = prepare_repository(client, archive_node.lifecycle(operator.prefix))
    before = request(client, "GET", "/_snapshot")
    monkeypatch.setenv("INDELIBLE_LIFECYCLE_SNAPSHOT_REPOSITORY", "nosuch")
    asked = (["list"], ["verify", "--all"], ["restore", f"{operator.prefix}-events-2026.03"])
    for arguments in asked:
        with pytest.raises(ArchiveError, match="no snapshot repository nosuch") as caught:
            CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert there in str(caught.value)
        assert "INDELIBLE_LIFECYCLE_SNAPSHOT_REPOSITORY" in caught.value.hint
    assert request(client, "GET", "/_snapshot") == before


@pytest.mark.opensearch
@pytest.mark.slow
def test_a_snapshot_that_lost_its_files_is_told(
    archive_node: ArchiveNode, operator: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.restoration.STUCK_SECONDS", 4.0)
    archive(archive_node, operator)
    directory = archive_node.lifecycle(operator.prefix).archive_path
    assert directory is not None
    for blob in directory.rglob("__*"):
        blob.unlink()
    report = json.loads(run("verify", "--all", "--json", code=1).output)
    assert report["ok"] is False
    assert report["verified"][0]["problems"]


@pytest.mark.opensearch
@pytest.mark.slow
def test_a_copy_that_was_recorded_and_is_gone_is_told(
    archive_node: ArchiveNode, operator: IndexSettings
) -> None:
    clients = archive_node.clients()
    name, digest = archive(archive_node, operator)
    (row,) = json.loads(run("list", "--json").output)["snapshots"]
    span = span_of(name, operator)
    assert span is not None
    for number, repository in enumerate((operator.prefix, "of-another-year")):
        more = {"repository": repository, "snapshot": row["snapshot"], "events": digest.events}
        subject = Subject(name, f"index {number}", span)
        record_archived(Journal(clients.lifecycle, operator), subject, more=more)
    assert "damaged" not in run("verify", "--all", "--quick").output
    request(clients.owner, "DELETE", f"/_snapshot/{operator.prefix}/{row['snapshot']}")
    output = run("verify", "--all", "--quick", code=1).output
    assert output.count(f"damaged  {name}: it was recorded as copied") == 1
    report = json.loads(run("verify", "--all", "--quick", "--json", code=1).output)
    assert report["ok"] is False
    assert [one["snapshot"] for one in report["verified"]] == [row["snapshot"]]
    told = Journal(clients.lifecycle, operator).read((VERIFIED,))
    assert [one.result for one in told] == ["success", "failure", "failure"]
    problem = {
        "partition": name,
        "snapshot": row["snapshot"],
        "problem": f"it was recorded as copied, and {operator.prefix} has no good snapshot of that"
        " name",
    }
    assert (told[-1].context or {})["problems"] == [problem]


@pytest.mark.opensearch
def test_whatever_was_found_fits_into_its_record(opensearch: Cluster, index: IndexSettings) -> None:
    found = [
        Verification("n" * 255, "s" * 255, 7, ("\x1f" * 5000, "\x1f" * 5000)) for _ in range(500)
    ]
    with opensearch.client("lifecycle") as client:
        journal = Journal(client, index)
        record_verified(journal, "archive", found, by=None, everything=True, quick=True)
        (told,) = journal.read((VERIFIED,))
    context = told.context or {}
    assert (context["snapshots"], context["events"], context["damaged"]) == (500, 3500, 500)
    kept = {"partition": "n" * 255, "snapshot": "s" * 255, "problem": "\x1f" * 300}
    assert context["problems"] == [kept] * MAX_PROBLEMS
    assert told.actor.type == "system"


@pytest.mark.opensearch
@pytest.mark.slow
def test_what_was_found_is_told_though_it_cannot_be_recorded(
    archive_node: ArchiveNode, operator: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = archive(archive_node, operator)

    def go_away(*_: object, **__: object) -> None:
        raise NoAnswerError("https://os", "timed out")

    monkeypatch.setattr(Journal, "record", go_away)
    result = CliRunner().invoke(command, ["verify", "--quick", name])
    assert isinstance(result.exception, CommandError)
    assert str(result.exception).startswith("what was found is not recorded: no answer")
    assert result.output.startswith(f"ok       {name}: 12 events")


@pytest.mark.opensearch
@pytest.mark.slow
def test_another_clusters_partition_of_the_same_name_is_not_brought_back_for_ours(
    archive_node: ArchiveNode, operator: IndexSettings
) -> None:
    clients = archive_node.clients()
    name, digest = archive(archive_node, operator)
    delete(clients, name)
    store(archive_node.cluster, operator, lines(5))
    foreign = take(clients.lifecycle, operator.prefix, name, seal(clients, name))
    delete(clients, name)
    (ours, _) = json.loads(run("list", "--json").output)["snapshots"]
    assert f"ok       {name}: 12 events" in run("verify", name, "--quick").output
    assert f"{name} is back: 12 events" in run("restore", name).output
    assert json.loads(run("list", "--json").output)["snapshots"][0]["sha256"] == digest.sha256
    delete(clients, name)
    request(clients.owner, "DELETE", f"/_snapshot/{operator.prefix}/{ours['snapshot']}")
    with pytest.raises(CommandError, match=f"{foreign.snapshot}, is of another cluster"):
        run("restore", name)
    assert (
        f"{name} is back: 5 events" in run("restore", name, "--snapshot", foreign.snapshot).output
    )
