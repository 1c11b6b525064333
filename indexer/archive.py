"""The archive: one snapshot of each partition, in a repository of the cluster.

A snapshot is named after the partition and the index that it was, `audit-events-2026.03-<uuid>`: so
what was taken once is found again, and a name that lived twice has two. Its metadata say what is in
it. Nothing here removes a snapshot: one that failed keeps its name, and the next attempt gets
another (`…-2`).
"""

import base64
import itertools
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Literal

from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.instant import format_unix_ns
from indexer.answer import read_error
from indexer.beat import Beat, pauses
from indexer.client import ask, read_reply, request, request_shape
from indexer.digest import Digest
from indexer.errors import ArchiveError, RefusedError
from indexer.live_index import find_index
from indexer.records import Seal
from indexer.settings import LifecycleSettings

State = Literal["SUCCESS", "PARTIAL", "FAILED", "IN_PROGRESS"]


def _no_beat() -> None:
    pass


class Content(Struct, frozen=True, rename="camel"):
    """What the metadata of a snapshot say of it (at most 1,024 bytes, so no organisations)."""

    index: str
    index_uuid: str
    events: int
    first: str | None
    last: str | None
    sha256: str
    policy: Mapping[str, int] = {}
    """The settings that it was sealed under."""

    def matches(self, digest: Digest | Seal) -> bool:
        """Whether these are the same events, byte for byte."""
        own = (self.events, self.first, self.last, self.sha256)
        return own == (digest.events, digest.first, digest.last, digest.sha256)


class Archived(Struct, frozen=True, rename="camel"):
    """One snapshot of one partition."""

    repository: str
    snapshot: str
    content: Content
    state: State
    started_at: str
    ended_at: str | None
    """None while it is under way."""

    @property
    def good(self) -> bool:
        """Whether all of it was written."""
        return self.state == "SUCCESS"


class _Metadata(Struct, frozen=True):
    indelible: Content | None = None


class _Snapshot(Struct, frozen=True):
    snapshot: str
    indices: list[str]
    state: str
    start_time_in_millis: int
    end_time_in_millis: int = 0
    metadata: _Metadata | None = None


class _Snapshots(Struct, frozen=True):
    snapshots: list[_Snapshot]


class _Repository(Struct, frozen=True):
    type: str
    settings: dict[str, str] = {}


def prepare_repository(client: OpenSearch, lifecycle: LifecycleSettings) -> str:
    """Have the repository, and see that every node can write it; return its name.

    Registered here is only one of a filesystem, whose directory `archive_path` names.

    Args:
        client: of the role `lifecycle`.
        lifecycle: which repository, and where.

    Raises:
        ArchiveError: there is none, another one has its name, or a node cannot use it.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    name, path = _repository_name(lifecycle), lifecycle.archive_path
    found = request_shape(client, "GET", f"/_snapshot/{name}", dict[str, _Repository])
    if found is None and path is None:
        raise ArchiveError(
            f"there is no snapshot repository {name}",
            hint=f"register it (PUT _snapshot/{name}), or set INDELIBLE_LIFECYCLE_ARCHIVE_PATH",
        )
    if found is None:
        body = {"type": "fs", "settings": {"location": str(path), "compress": "true"}}
        _use(client, "PUT", name, str(path), body)
        return name
    location = found[name].settings.get("location")
    if path is not None and location != str(path):
        where = location or f"a repository of type {found[name].type}"
        raise ArchiveError(
            f"the snapshot repository {name} is {where}, not {path}",
            hint="correct INDELIBLE_LIFECYCLE_ARCHIVE_PATH, or choose another"
            " INDELIBLE_LIFECYCLE_SNAPSHOT_REPOSITORY",
        )
    _use(client, "POST", f"{name}/_verify", location or name)
    return name


def find_repository(client: OpenSearch, lifecycle: LifecycleSettings) -> str:
    """The name of the repository that is set, which is there: to ask about it changes nothing.

    Raises:
        ArchiveError: none is set, or the cluster has none of that name.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    name = _repository_name(lifecycle)
    found = request_shape(client, "GET", "/_snapshot", dict[str, _Repository]) or {}
    if name in found:
        return name
    has = f"it has {', '.join(sorted(found))}" if found else "it has none at all"
    raise ArchiveError(
        f"the cluster has no snapshot repository {name}: {has}",
        hint="correct INDELIBLE_LIFECYCLE_SNAPSHOT_REPOSITORY; if nothing was copied yet,"
        " `indelible lifecycle run` registers a directory with its first copy, and another kind is"
        " yours to register (docs/operations.md, section Archive)",
    )


def _repository_name(lifecycle: LifecycleSettings) -> str:
    if lifecycle.snapshot_repository is None:
        raise ArchiveError(
            "no repository is set, so nothing is archived",
            hint="set INDELIBLE_LIFECYCLE_SNAPSHOT_REPOSITORY, and for a directory"
            " INDELIBLE_LIFECYCLE_ARCHIVE_PATH (docs/operations.md, section Archive)",
        )
    return lifecycle.snapshot_repository


def _use(client: OpenSearch, method: str, path: str, where: str, body: object = None) -> None:
    """Register or verify a repository; both try to write there from every node."""
    try:
        request(client, method, f"/_snapshot/{path}", body=body)
    except RefusedError as error:
        if not error.error_type.startswith("repository_"):
            raise
        raise ArchiveError(
            f"the archive {where} cannot be used: {error}",
            hint=f"see that {where} lies below path.repo of opensearch.yml on every node, that the"
            " user of OpenSearch can write it, that it is the same directory on all of them, and"
            " that its disk has room",
        ) from error


def take(
    client: OpenSearch,
    repository: str,
    name: str,
    digest: Digest | Seal,
    *,
    policy: Mapping[str, int] | None = None,
    beat: Beat = _no_beat,
) -> Archived:
    """Have a good snapshot of a sealed partition; the one that is there already, if there is.

    Args:
        client: of the role `lifecycle`.
        repository: its name, see `prepare_repository`.
        name: of the partition.
        digest: what it holds.
        policy: the settings that it was sealed under, kept with it.
        beat: called while it is waited for.

    Raises:
        ArchiveError: the partition is not there or not sealed, or the snapshot failed.
        AliasError: it is an alias.
        RefusedError, NoAnswerError: see `indexer.client.request`; to ask again is right.
    """
    uuid = _sealed_uuid(client, name)
    taken = [one for one in list_archived(client, repository, name) if _is_of(one, uuid)]
    good = [one for one in taken if one.good]
    under_way = [one for one in taken if one.state == "IN_PROGRESS"]
    if good:
        return _checked(good[-1], digest)
    if under_way:
        snapshot = under_way[-1].snapshot
    else:
        snapshot = snapshot_name(name, uuid, {one.snapshot for one in taken})
        content = Content(
            name, uuid, digest.events, digest.first, digest.last, digest.sha256, policy or {}
        )
        _start(client, repository, snapshot, content)
    return _checked(_wait(client, repository, snapshot, beat), digest)


def find(client: OpenSearch, repository: str, name: str, digest: Digest | Seal) -> Archived | None:
    """The newest good snapshot of a partition that holds these events, None where there is none.

    The name is not enough: another cluster may have put its own partition of it there.

    Raises:
        ArchiveError: there is no such repository.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    taken = list_archived(client, repository, name)
    good = [one for one in taken if one.good and one.content.matches(digest)]
    return good[-1] if good else None


def list_archived(client: OpenSearch, repository: str, name: str = "*") -> list[Archived]:
    """All snapshots of partitions, also those that failed, oldest first.

    Args:
        client: of the role `lifecycle`.
        repository: its name.
        name: of one partition, or a pattern.

    Raises:
        ArchiveError: there is no such repository.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    path = f"/_snapshot/{repository}/{name}-*"
    reply = ask(client, "GET", path, params={"ignore_unavailable": "false"})
    if reply.status == HTTPStatus.NOT_FOUND:
        if read_error(reply.text).type == "snapshot_missing_exception":
            return []
        raise ArchiveError(
            f"there is no snapshot repository {repository}",
            hint="`indelible archive list` names the one that is set; see"
            " INDELIBLE_LIFECYCLE_SNAPSHOT_REPOSITORY",
        )
    found = read_reply(client, "GET", path, reply, _Snapshots).snapshots
    ours = [
        _archived(repository, one, content)
        for one in found
        if (content := _content(one)) and name in {"*", content.index}
    ]
    return sorted(ours, key=lambda one: (one.started_at, one.snapshot))


def snapshot_name(name: str, uuid: str, taken: Collection[str]) -> str:
    """The name of a new snapshot: lower case, as OpenSearch wants it, and still the whole uuid.

    None of the earlier attempts, `taken`, has it: people remove those that failed as they please.
    """
    try:
        text = base64.urlsafe_b64decode(uuid + "=" * (-len(uuid) % 4)).hex()
    except ValueError:
        text = uuid.encode().hex()
    ends = itertools.chain(("",), (f"-{attempt}" for attempt in itertools.count(2)))
    return next(one for end in ends if (one := f"{name}-{text}{end}") not in taken)


def _sealed_uuid(client: OpenSearch, name: str) -> str:
    index = find_index(client, name)
    if index is None:
        raise ArchiveError(f"there is no {name} to archive", hint="indelible indices status")
    if not index.is_sealed:
        raise ArchiveError(
            f"{name} is not sealed, so a snapshot would not hold all of it",
            hint="`indelible lifecycle run --once` seals what is due",
        )
    return index.uuid


def _is_of(archived: Archived, uuid: str) -> bool:
    return archived.content.index_uuid == uuid


def _checked(archived: Archived, digest: Digest | Seal) -> Archived:
    if not archived.good:
        raise ArchiveError(
            f"the snapshot {archived.snapshot} in {archived.repository} is {archived.state}",
            hint="look into the log of the cluster; the next attempt takes another one",
        )
    if not archived.content.matches(digest):
        raise ArchiveError(
            f"the snapshot {archived.snapshot} in {archived.repository} holds other events than"
            f" {archived.content.index} does",
            hint="a sealed partition never changes: find out who changed it, and keep the snapshot",
        )
    return archived


def _start(client: OpenSearch, repository: str, snapshot: str, content: Content) -> None:
    body = {
        "indices": content.index,
        "include_global_state": False,
        "metadata": {"indelible": content},
    }
    params = {"wait_for_completion": "false"}
    path = f"/_snapshot/{repository}/{snapshot}"
    try:
        request(client, "PUT", path, params=params, body=body)
    except RefusedError as error:
        if error.error_type == "invalid_snapshot_name_exception":
            # Another process was quicker; its snapshot is as good as ours.
            return
        if error.error_type.startswith(("repository_", "snapshot_")):
            raise ArchiveError(
                f"no snapshot of {content.index} can be taken in {repository}: {error}",
                hint="see that it is not registered as readonly, that its disk has room, and that"
                f" every node can write it: POST _snapshot/{repository}/_verify tries",
            ) from error
        raise


def _wait(client: OpenSearch, repository: str, snapshot: str, beat: Beat) -> Archived:
    path = f"/_snapshot/{repository}/{snapshot}"
    waits = pauses(beat)
    while True:
        found = request_shape(client, "GET", path, _Snapshots)
        one = found.snapshots[0] if found and found.snapshots else None
        content = _content(one) if one else None
        if one is None or content is None:
            raise ArchiveError(
                f"the snapshot {snapshot} is not in {repository}",
                hint="look into the log of the cluster",
            )
        if one.state != "IN_PROGRESS":
            return _archived(repository, one, content)
        next(waits)


_is_ours = re.compile(r".+-[0-9a-f]+(-[0-9]+)?", re.ASCII).fullmatch


def _content(one: _Snapshot) -> Content | None:
    """What it says of itself, None for one that is not ours."""
    content = one.metadata.indelible if one.metadata else None
    if content is None or not _is_ours(one.snapshot) or one.indices not in ([content.index], []):
        return None
    return content


def _archived(repository: str, one: _Snapshot, content: Content) -> Archived:
    known: dict[str, State] = {
        "SUCCESS": "SUCCESS",
        "PARTIAL": "PARTIAL",
        "IN_PROGRESS": "IN_PROGRESS",
    }
    ended = one.end_time_in_millis
    state = known.get(one.state, "FAILED")
    if state == "SUCCESS" and not one.indices:
        state = "FAILED"
    return Archived(
        repository=repository,
        snapshot=one.snapshot,
        content=content,
        state=state,
        started_at=format_unix_ns(one.start_time_in_millis * 1_000_000),
        ended_at=format_unix_ns(ended * 1_000_000) if ended else None,
    )
