"""The archive on a real node: what was sealed comes back as it was, or nobody says that it is."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from audit_events.instant import format_instant, parse_instant
from indexer.archive import Archived, find, list_archived, prepare_repository, take
from indexer.client import ask, request
from indexer.digest import Digest, digest_partition
from indexer.errors import AliasError, ArchiveError
from indexer.journal import Journal
from indexer.live_index import find_index
from indexer.records import RESTORED, read_records, read_seal
from indexer.repository import Repository
from indexer.restoration import Clients, restore
from indexer.settings import IndexSettings
from indexer.verification import Verification, clean_up, verify, verify_pattern
from tests.archive_node import (
    ArchiveNode,
    delete,
    hits,
    is_searched_in_place,
    lines,
    record,
    seal,
    store,
)
from webapi.query import Query, list_search
from webapi.storage import Storage

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def place(archive_node: ArchiveNode) -> ArchiveNode:
    return archive_node


@pytest.fixture
def index(place: ArchiveNode) -> Iterator[IndexSettings]:
    with place.cluster.own_prefix() as settings:
        yield settings


@pytest.fixture
def clients(place: ArchiveNode) -> Clients:
    return place.clients()


class Kept:
    """A partition that was sealed, recorded and archived."""

    def __init__(self, place: ArchiveNode, clients: Clients, index: IndexSettings) -> None:
        self.repository = prepare_repository(clients.lifecycle, place.lifecycle(index.prefix))
        self.lines = lines()
        self.name = store(place.cluster, index, self.lines)
        self.digest = seal(clients, self.name)
        self.uuid = uuid_of(clients, self.name)
        self.archived = take(
            clients.lifecycle,
            self.repository,
            self.name,
            self.digest,
            policy={"retentionDays": index.retention_days, "sealDays": index.seal_days},
        )
        self.journal = Journal(clients.lifecycle, index)
        record(clients, index, self.name, self.uuid, self.digest)


@pytest.fixture
def kept(place: ArchiveNode, clients: Clients, index: IndexSettings) -> Kept:
    return Kept(place, clients, index)


def uuid_of(clients: Clients, name: str) -> str:
    found = find_index(clients.lifecycle, name)
    assert found is not None
    return found.uuid


def bring_back(place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept) -> str:
    lifecycle = place.lifecycle(index.prefix)
    return restore(clients, kept.archived, kept.journal, index, lifecycle, now=NOW).index_uuid


def test_a_partition_comes_back_byte_for_byte_and_write_once(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    stored = hits(clients, kept.name)
    assert sorted(stored.values()) == sorted(kept.lines)
    delete(clients, kept.name)
    back = restore(
        clients, kept.archived, kept.journal, index, place.lifecycle(index.prefix), now=NOW
    )
    assert (back.name, back.events, back.new) == (kept.name, len(kept.lines), True)
    assert back.index_uuid != kept.uuid
    assert back.in_place == is_searched_in_place()
    assert hits(clients, kept.name) == stored
    assert digest_partition(clients.reader, kept.name) == kept.digest
    some = next(iter(stored))
    for method, path, body in (
        ("PUT", f"/{kept.name}/_create/new", lines(1)[0]),
        ("POST", f"/{kept.name}/_doc", lines(1)[0]),
        ("PUT", f"/{kept.name}/_doc/{some}", lines(1)[0]),
        ("POST", f"/{kept.name}/_update/{some}", b'{"doc":{"action":"x.y"}}'),
        ("DELETE", f"/{kept.name}/_doc/{some}", None),
        ("PUT", f"/{kept.name}/_settings", b'{"index.append_only.enabled":false}'),
    ):
        # With the admin certificate, which no role and no immutable index holds back.
        reply = ask(clients.owner, method, path, body=body)
        assert reply.status in {400, 403}, (path, reply.text)
    assert hits(clients, kept.name) == stored


def test_it_is_found_by_the_api_and_recorded_for_each_organisation(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    delete(clients, kept.name)
    uuid = bring_back(place, clients, index, kept)
    storage = Storage(clients.reader, index, timeout_seconds=10)
    storage.refresh([kept.name])
    found = storage.search(list_search(Query(organization_id="org_1")))
    shown = {bytes(hit.source) for hit in found.hits.hits}
    stored = {event for event in shown if b'"audit_log.' not in event}
    assert stored == {line for line in kept.lines if b'"organizationId":"org_1"' in line}
    events = kept.journal.read((RESTORED,), organization_id=None)
    counts = {event.organization_id: event.context["events"] for event in events if event.context}
    assert counts == {"org_0": 4, "org_1": 4, "org_2": 4, "_system": 12}
    restored = read_records(kept.journal).restored
    assert restored == {kept.name: parse_instant("2026-12-24")}
    assert {event.context["indexUuid"] for event in events if event.context} == {uuid}


def test_one_that_is_there_is_not_restored_over(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    with pytest.raises(ArchiveError, match="still there"):
        bring_back(place, clients, index, kept)
    delete(clients, kept.name)
    store(place.cluster, index, lines(3))
    with pytest.raises(ArchiveError, match="it takes events"):
        bring_back(place, clients, index, kept)
    seal(clients, kept.name)
    with pytest.raises(ArchiveError, match="other events"):
        bring_back(place, clients, index, kept)
    assert len(hits(clients, kept.name)) == 3


def test_an_alias_in_its_place_is_told(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    delete(clients, kept.name)
    other = f"indelible-{index.prefix}-other"
    reply = ask(
        clients.owner, "PUT", f"/{other}", body=b'{"aliases":{"%s":{}}}' % kept.name.encode()
    )
    assert reply.status == 200, reply.text
    with pytest.raises(AliasError, match=f"is an alias of {other}") as caught:
        bring_back(place, clients, index, kept)
    assert "remove the alias" in caught.value.hint


def test_a_crash_between_restore_and_record_is_mended_by_the_next_restore(
    place: ArchiveNode,
    clients: Clients,
    index: IndexSettings,
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delete(clients, kept.name)
    with monkeypatch.context() as patch:
        patch.setattr("indexer.restoration._record", crash)
        with pytest.raises(KeyboardInterrupt):
            bring_back(place, clients, index, kept)
    assert kept.journal.read((RESTORED,)) == []
    uuid = uuid_of(clients, kept.name)
    for _ in range(2):
        assert bring_back(place, clients, index, kept) == uuid
    assert len(kept.journal.read((RESTORED,))) == 1
    lifecycle, later = place.lifecycle(index.prefix), NOW + timedelta(days=9)
    again = restore(clients, kept.archived, kept.journal, index, lifecycle, now=later)
    assert again.until == format_instant(read_records(kept.journal).restored[kept.name])


def crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.secured
def test_only_the_admin_certificate_restores_what_is_immutable(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    delete(clients, kept.name)
    weak = clients._replace(owner=clients.lifecycle)
    with pytest.raises(ArchiveError, match="admin certificate") as caught:
        bring_back(place, weak, index, kept)
    assert "INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE" in caught.value.hint
    assert find_index(clients.lifecycle, kept.name) is None


def test_what_was_taken_is_verified(clients: Clients, index: IndexSettings, kept: Kept) -> None:
    told: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        told.append((done, total))

    for quick in (False, True):
        found = verify(clients, kept.archived, kept.journal, index, quick=quick, report=report)
        assert (found.name, found.events, found.problems) == (kept.name, 12, ())
    assert told[-1] == (12, 12)
    assert left_over(clients, index) == []


def left_over(clients: Clients, index: IndexSettings) -> list[str]:
    found = request(clients.lifecycle, "GET", f"/{verify_pattern(index)}")
    return list(msgspec.convert(found or {}, dict[str, object]))


def test_a_record_of_other_events_is_found(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    """Somebody replaced the partition and its snapshot, but cannot replace the journal."""
    name = store(place.cluster, index, lines(5), month="04")
    digest = seal(clients, name)
    forged = msgspec.structs.replace(digest, sha256="0" * 64)
    archived = take(clients.lifecycle, kept.repository, name, digest)
    record(clients, index, name, uuid_of(clients, name), forged)
    for quick in (False, True):
        found = verify(clients, archived, kept.journal, index, quick=quick)
        assert len(found.problems) == 1
        assert f"its sha256 is {digest.sha256}" in found.problems[0]
    delete(clients, name)
    with pytest.raises(ArchiveError, match="is not what was sealed: its sha256"):
        restore(clients, archived, kept.journal, index, place.lifecycle(index.prefix), now=NOW)
    assert find_index(clients.lifecycle, name) is None


def test_a_snapshot_that_the_journal_does_not_know_is_a_problem(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    name = store(place.cluster, index, lines(5), month="04")
    archived = take(clients.lifecycle, kept.repository, name, seal(clients, name))
    (problem,) = verify(clients, archived, kept.journal, index, quick=True).problems
    assert "the journal does not vouch for it" in problem


def test_metadata_that_do_not_fit_the_events_are_found(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    name = store(place.cluster, index, lines(5), month="04")
    forged = msgspec.structs.replace(seal(clients, name), sha256="0" * 64)
    archived = take(clients.lifecycle, kept.repository, name, forged)
    record(clients, index, name, uuid_of(clients, name), forged)
    (problem,) = verify(clients, archived, kept.journal, index).problems
    assert "holds other events" in problem
    delete(clients, name)
    with pytest.raises(ArchiveError, match="holds other events"):
        restore(clients, archived, kept.journal, index, place.lifecycle(index.prefix), now=NOW)
    assert find_index(clients.lifecycle, name) is None


def test_a_damaged_file_of_the_archive_is_found(
    place: ArchiveNode,
    clients: Clients,
    index: IndexSettings,
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a copy, as a disk that rots: every large file in turn has one of its bytes flipped."""
    monkeypatch.setattr("indexer.restoration.STUCK_SECONDS", 4.0)
    original = place.archive / kept.repository
    blobs = [path for path in original.rglob("__*") if path.is_file()]
    assert blobs
    for number, blob in enumerate(blobs):
        copy = f"{kept.repository}-copy{number}"
        archived = damage(place, clients, kept.archived, copy, blob.relative_to(original))
        found = verify(clients, archived, kept.journal, index)
        assert found.problems, blob.stat().st_size
        assert left_over(clients, index) == []


def damage(
    place: ArchiveNode, clients: Clients, archived: Archived, copy: str, blob: Path
) -> Archived:
    """The same snapshot in a copy of its repository that lost a byte."""
    root = place.archive / copy
    shutil.copytree(place.archive / archived.repository, root)
    content = bytearray((root / blob).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (root / blob).write_bytes(content)
    owner = place.archive.stat()
    for path in (root, *root.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
    prepare_repository(clients.lifecycle, place.lifecycle(copy))
    (found,) = list_archived(clients.lifecycle, copy)
    return found


def test_what_a_killed_verification_left_goes_with_the_next(
    clients: Clients, index: IndexSettings, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("indexer.verification.compare", crash)
        patch.setattr("indexer.verification.remove", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            verify(clients, kept.archived, kept.journal, index)
    left = left_over(clients, index)
    assert len(left) == 1
    assert clean_up(clients.lifecycle, index) == left
    assert left_over(clients, index) == []
    assert verify(clients, kept.archived, kept.journal, index).problems == ()


def test_two_verifications_at_once_call_nothing_damaged(
    clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    """That of a timer and somebody's: what the first one reads, the second one removes."""
    second: list[Verification] = []

    def verify_again(done: int, _total: int) -> None:
        if done:
            clean_up(clients.lifecycle, index)
            second.append(verify(clients, kept.archived, kept.journal, index))

    with pytest.raises(ArchiveError, match="another verification"):
        verify(clients, kept.archived, kept.journal, index, report=verify_again)
    assert [one.problems for one in second] == [()]
    assert left_over(clients, index) == []


def test_taken_twice_it_is_one_snapshot_and_one_that_failed_is_replaced(
    place: ArchiveNode, clients: Clients, kept: Kept
) -> None:
    again = take(clients.lifecycle, kept.repository, kept.name, kept.digest)
    assert again == kept.archived
    assert list_archived(clients.lifecycle, kept.repository) == [kept.archived]
    other: Digest = msgspec.structs.replace(kept.digest, events=1)
    with pytest.raises(ArchiveError, match="other events"):
        take(clients.lifecycle, kept.repository, kept.name, other)
    del place


def test_the_executor_of_the_lifecycle_finds_its_copy(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    copies = Repository(clients.lifecycle, index, place.lifecycle(index.prefix))
    seal_ = read_seal(kept.journal, kept.name, kept.uuid)
    more = copies.take(kept.name, seal_, lambda: None)
    assert (more["snapshot"], more["sha256"]) == (kept.archived.snapshot, kept.digest.sha256)
    assert copies.has(kept.name, seal_)
    assert not copies.has(f"{index.prefix}-events-2026.04", seal_)
    # Another cluster's partition of that name would be no copy of ours.
    assert not copies.has(kept.name, msgspec.structs.replace(seal_, sha256="0" * 64))


def test_only_what_is_sealed_is_taken(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    name = store(place.cluster, index, lines(5), month="04")
    with pytest.raises(ArchiveError, match="not sealed"):
        take(clients.lifecycle, kept.repository, name, kept.digest)
    with pytest.raises(ArchiveError, match="there is no"):
        take(clients.lifecycle, kept.repository, f"{index.prefix}-events-2020.01", kept.digest)


def test_a_repository_that_cannot_be_used_is_said_with_its_path(
    place: ArchiveNode, clients: Clients, index: IndexSettings
) -> None:
    elsewhere = msgspec.structs.replace(
        place.lifecycle(index.prefix), archive_path=Path("/nonexistent/archive")
    )
    with pytest.raises(ArchiveError, match="/nonexistent/archive") as caught:
        prepare_repository(clients.lifecycle, elsewhere)
    assert "path.repo of opensearch.yml" in caught.value.hint
    unset = msgspec.structs.replace(elsewhere, archive_path=None)
    with pytest.raises(ArchiveError, match="there is no snapshot repository"):
        prepare_repository(clients.lifecycle, unset)
    with pytest.raises(ArchiveError, match="there is no snapshot repository"):
        list_archived(clients.lifecycle, f"{index.prefix}-none")


def test_a_directory_that_nobody_may_write_is_said_with_its_path(
    place: ArchiveNode, clients: Clients, index: IndexSettings
) -> None:
    lifecycle = place.lifecycle(index.prefix)
    prepare_repository(clients.lifecycle, lifecycle)
    assert lifecycle.archive_path is not None
    lifecycle.archive_path.chmod(0o500)
    with pytest.raises(ArchiveError, match=str(lifecycle.archive_path)) as caught:
        prepare_repository(clients.lifecycle, lifecycle)
    assert "can write it" in caught.value.hint
    lifecycle.archive_path.chmod(0o700)
    prepare_repository(clients.lifecycle, lifecycle)
    moved = msgspec.structs.replace(lifecycle, archive_path=place.archive / "moved")
    with pytest.raises(ArchiveError, match=r"not .*moved"):
        prepare_repository(clients.lifecycle, moved)


def test_a_full_disk_fails_the_snapshot_and_the_next_attempt_takes_another(
    place: ArchiveNode, clients: Clients, index: IndexSettings, kept: Kept
) -> None:
    """Directories in the way of its files fail as a full disk does: none of them is written."""
    name = store(place.cluster, index, lines(5), month="04")
    digest = seal(clients, name)
    root = place.archive / kept.repository
    modes = {path: path.stat().st_mode for path in (root, *root.rglob("*")) if path.is_dir()}
    for path in modes:
        path.chmod(0o500)
    with pytest.raises(ArchiveError) as caught:
        take(clients.lifecycle, kept.repository, name, digest)
    assert caught.value.hint
    for path, mode in modes.items():
        path.chmod(mode)
    good = take(clients.lifecycle, kept.repository, name, digest)
    assert good.good
    assert find(clients.lifecycle, kept.repository, name, digest) == good
