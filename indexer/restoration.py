"""Bringing a partition back from the archive: under its own name, for a while, write-once again.

OpenSearch 3.2 to 3.4 cannot copy an index with an index sort back from a snapshot (OpenSearch
#20073, mended in 3.5.0). There it is searched where it lies instead, as a searchable snapshot,
which needs a node of the role `warm`; its bytes are the same.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.event import SYSTEM_ORGANIZATION, Resource
from audit_events.instant import format_instant, parse_instant
from indexer.archive import Archived
from indexer.beat import Beat
from indexer.client import NOT_READY, ask, request, request_shape
from indexer.digest import Digest, Report, digest_partition
from indexer.errors import ArchiveError, DigestError, JournalError, RefusedError
from indexer.ism import AUTO_MANAGE
from indexer.journal import PARTITION, Journal, Key, person
from indexer.live_index import LiveIndex, find_index
from indexer.records import (
    RESTORED,
    is_told,
    read_records,
    read_seal,
    read_sealed_uuids,
)
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.version import read_version

ISM_PLUGIN: Final = "opensearch-index-management"
STUCK_SECONDS: Final = 20.0
"""A shard that no node has begun to restore for so long, none will."""
POLL_SECONDS: Final = 0.2
BROKEN_FROM: Final = (3, 2)
MENDED_IN: Final = (3, 5)


class Clients(NamedTuple):
    """Who does what: each may only do its own."""

    lifecycle: OpenSearch
    reader: OpenSearch
    owner: OpenSearch
    """Who may restore under a name that `immutable_indices` covers: the admin certificate there,
    else `lifecycle`."""


class Restored(Struct, frozen=True, rename="camel"):
    """A partition that is back."""

    name: str
    index_uuid: str
    snapshot: str
    events: int
    until: str
    """Until when it stays."""
    in_place: bool
    """Whether it is searched in the repository, which therefore has to stay."""
    new: bool
    """False when it was back already."""


class _Plugin(Struct, frozen=True):
    name: str


class _NodeInfo(Struct, frozen=True):
    version: str
    roles: list[str]
    plugins: list[_Plugin] = []


class _Nodes(Struct, frozen=True):
    nodes: dict[str, _NodeInfo]


class _Health(Struct, frozen=True):
    status: str
    initializing_shards: int
    unassigned_shards: int


def no_report(_done: int, _total: int) -> None:
    """Tell nobody."""


def restore(
    clients: Clients,
    archived: Archived,
    journal: Journal,
    settings: IndexSettings,
    lifecycle: LifecycleSettings,
    *,
    now: datetime,
    by: str | None = None,
    report: Report = no_report,
) -> Restored:
    """Bring a partition back under its own name, and record it.

    Done again, after a crash or by mistake, it finds what is there and does what is missing.

    Args:
        clients: who does what.
        archived: a good snapshot.
        journal: where it is recorded.
        settings: how many copies it has.
        lifecycle: for how long it stays.
        now: when it is restored.
        by: who has it done; the log's own record says so, as each organisation's is for its users.
        report: told how many events were read, when it is compared.

    Raises:
        ArchiveError: an index of this name holds something else, the snapshot cannot be restored,
            or what came of it is not what was taken.
        AliasError: an alias has its name.
        DigestError, JournalError, RefusedError, NoAnswerError: see there; to ask again is right.
    """
    name = archived.content.index
    _check_sealed(journal, archived)
    present = find_index(clients.lifecycle, name)
    if present is not None:
        _check_back(present, archived)
    means = find_means(clients.lifecycle)
    if present is None:
        bring(clients.owner, archived, name, settings, means)
        try:
            await_readable(clients, name, lambda: report(0, archived.content.events))
            digest = compare(clients, archived, name, report)
        except (ArchiveError, DigestError):
            # This call has made it, and it does not hold what it should.
            remove(clients.owner, name)
            raise
    else:
        digest = compare(clients, archived, name, report)
    uuid = _check_write_once(clients, name)
    until = now + timedelta(days=lifecycle.restored_days)
    _record(journal, archived, digest, uuid, until, by=by)
    # One that was back already goes when the first restore said.
    until = read_records(journal).restored.get(name, until)
    return Restored(
        name=name,
        index_uuid=uuid,
        snapshot=archived.snapshot,
        events=digest.events,
        until=format_instant(until),
        in_place=means.in_place,
        new=present is None,
    )


def _check_sealed(journal: Journal, archived: Archived) -> None:
    """What the journal knows it has to agree with; that of a new cluster knows nothing yet."""
    content = archived.content
    if content.index_uuid not in read_sealed_uuids(journal, content.index):
        return
    problems = compare_seal(journal, archived)
    if problems:
        raise ArchiveError(
            f"the snapshot {archived.snapshot} is not what was sealed: {problems[0]}",
            hint="somebody replaced it: bring the repository back from a copy of it elsewhere",
        )


def _check_back(present: LiveIndex, archived: Archived) -> None:
    name = archived.content.index
    if present.uuid == archived.content.index_uuid:
        raise ArchiveError(
            f"{name} is still there: it is the partition that the snapshot was taken of",
            hint="nothing has to be restored",
        )
    if not present.is_sealed:
        raise ArchiveError(
            f"there is another {name}, and it takes events",
            hint=f"`indelible archive verify {name}` reads the snapshot without restoring it",
        )


def compare(clients: Clients, archived: Archived, name: str, report: Report) -> Digest:
    """Digest what was restored, and see that it is what was sealed.

    Raises:
        ArchiveError: it is not.
        DigestError, RefusedError, NoAnswerError: it could not be read.
    """
    # Without a refresh: what was just restored shows all that it has, and has no writes to show.
    digest = digest_partition(clients.reader, name, report=report)
    if not archived.content.matches(digest):
        raise ArchiveError(
            f"{name} holds other events than the snapshot {archived.snapshot} says:"
            f" {digest.events:,} with the digest {digest.sha256[:16]}…, not"
            f" {archived.content.events:,} with {archived.content.sha256[:16]}…",
            hint="`indelible archive verify` compares the snapshot with the journal",
        )
    return digest


def compare_seal(journal: Journal, archived: Archived) -> Sequence[str]:
    """Where a snapshot says something else of itself than was recorded when it was sealed.

    Raises:
        RefusedError, NoAnswerError: see `Journal.read`.
    """
    content = archived.content
    try:
        seal = read_seal(journal, content.index, content.index_uuid)
    except JournalError as error:
        return [f"the journal does not vouch for it: {error}"]
    pairs = (
        ("events", seal.events, content.events),
        ("first", seal.first, content.first),
        ("last", seal.last, content.last),
        ("sha256", seal.sha256, content.sha256),
    )
    return [
        f"its {what} is {found}, and the journal recorded {recorded} at the sealing"
        for what, recorded, found in pairs
        if recorded != found
    ]


def _check_write_once(clients: Clients, name: str) -> str:
    found = find_index(clients.lifecycle, name)
    if found is None or not found.is_write_once:
        raise ArchiveError(
            f"{name} is back, but not write-once",
            hint="delete it with the admin certificate, and restore it again",
        )
    return found.uuid


def _record(
    journal: Journal,
    archived: Archived,
    digest: Digest,
    uuid: str,
    until: datetime,
    *,
    by: str | None,
) -> None:
    """Each organisation is told its own count; then comes the record that counts."""
    name = archived.content.index
    key = Key(f"{name}/{uuid}", parse_instant(archived.ended_at or archived.started_at))
    own: dict[str, object] = {
        "indexUuid": uuid,
        "until": format_instant(until),
        "repository": archived.repository,
        "snapshot": archived.snapshot,
        "sha256": digest.sha256,
    }
    resource = Resource(type=PARTITION, id=name)
    totals = {"first": digest.first, "last": digest.last}
    counts = {one: count for one, count in digest.organizations.items() if is_told(one)}
    for organization_id, events in [*counts.items(), (SYSTEM_ORGANIZATION, digest.events)]:
        is_own = organization_id == SYSTEM_ORGANIZATION
        more = totals if is_own else {}
        journal.record(
            RESTORED,
            organization_id=organization_id,
            key=key,
            context={**own, "events": events, **more},
            actor=person(by if is_own else None),
            resource=resource,
        )


class Means(Struct, frozen=True):
    """How this cluster restores."""

    in_place: bool
    """An index with a sort has to be searched in the repository."""
    ism: bool
    """The plugin would put it under the policy, and delete it by the age of its events."""


def find_means(client: OpenSearch) -> Means:
    """How this cluster restores.

    Raises:
        ArchiveError: not at all: it would have to search in the repository, and no node can.
    """
    params = {"filter_path": "nodes.*.version,nodes.*.roles,nodes.*.plugins.name"}
    nodes = request_shape(client, "GET", "/_nodes", _Nodes, params=params)
    found = list(nodes.nodes.values()) if nodes else []
    broken = [one.version for one in found if BROKEN_FROM <= read_version(one.version) < MENDED_IN]
    if broken and not any("warm" in one.roles for one in found):
        raise ArchiveError(
            f"OpenSearch {broken[0]} cannot restore an index that is sorted (OpenSearch #20073)",
            hint="upgrade to 3.5.0 or newer, or add a node of the role warm alone; the snapshots"
            " themselves are good (docs/operations.md, section Archive)",
        )
    names = {plugin.name for one in found for plugin in one.plugins}
    return Means(in_place=bool(broken), ism=ISM_PLUGIN in names)


def bring(
    client: OpenSearch, archived: Archived, target: str, settings: IndexSettings, means: Means
) -> None:
    """Begin to restore a snapshot under the name `target`.

    Raises:
        ArchiveError: this user may not, the name is taken, or the snapshot is not there.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    body = _restore_body(archived.content.index, target, settings, means)
    path = f"/_snapshot/{archived.repository}/{archived.snapshot}/_restore"
    try:
        answer = request(client, "POST", path, body=body, params={"wait_for_completion": "false"})
    except RefusedError as error:
        if "immutable" in str(error):
            raise ArchiveError(
                f"{target} can only be restored with the admin certificate: {error}",
                hint="set INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE and …_ADMIN_KEY_FILE",
            ) from error
        if error.error_type.startswith(("snapshot_", "repository_")):
            raise ArchiveError(
                f"the snapshot {archived.snapshot} cannot be restored: {error}",
                hint="`indelible archive list` shows what is there",
            ) from error
        raise
    if answer is None:
        raise ArchiveError(
            f"the snapshot {archived.snapshot} is not in {archived.repository}",
            hint="`indelible archive list` shows what is there",
        )


def _restore_body(name: str, target: str, settings: IndexSettings, means: Means) -> object:
    own: dict[str, object] = {
        "index.number_of_replicas": 0 if means.in_place else settings.replicas,
        "index.blocks.write": True,
        "index.append_only.enabled": True,
    }
    body: dict[str, object] = {
        "indices": name,
        "include_global_state": False,
        "include_aliases": False,
        "partial": False,
        "index_settings": own | ({AUTO_MANAGE: False} if means.ism else {}),
    }
    if target != name:
        body |= {"rename_pattern": "^.*$", "rename_replacement": target}
    if means.in_place:
        body["storage_type"] = "remote_snapshot"
    return body


def await_readable(clients: Clients, name: str, beat: Beat) -> None:
    """Wait until all of it can be read; OpenSearch says nothing when it gives up on a shard.

    Raises:
        ArchiveError: no node begins to restore it.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    stuck_since: float | None = None
    while not _is_readable(clients, name):
        health = request_shape(clients.lifecycle, "GET", f"/_cluster/health/{name}", _Health)
        if health is None or health.initializing_shards:
            stuck_since = None
        elif stuck_since is None:
            stuck_since = time.monotonic()
        elif time.monotonic() > stuck_since + STUCK_SECONDS:
            raise ArchiveError(
                f"{name} cannot be restored: no node could read the snapshot, or has room for it",
                hint="the log of the cluster has the cause; `indelible archive verify` checks"
                " the snapshot",
            )
        beat()
        time.sleep(POLL_SECONDS)


def _is_readable(clients: Clients, name: str) -> bool:
    """Whether a search is answered: that comes a moment after the index is called green."""
    params = {"size": "0", "allow_partial_search_results": "false"}
    reply = ask(clients.reader, "GET", f"/{name}/_search", params=params)
    if reply.status in NOT_READY:
        return False
    found = request_shape(clients.lifecycle, "GET", f"/_cluster/health/{name}", _Health)
    return found is not None and found.status in {"green", "yellow"}


def remove(client: OpenSearch, name: str) -> None:
    """Delete an index, if it is there."""
    request(client, "DELETE", f"/{name}")
