"""A prefix with partitions of long ago and our executor, on a clock that a test sets."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from joserfc.jwk import OKPKey
from msgspec.structs import replace
from opensearchpy import Urllib3HttpConnection
from typing_extensions import override

from audit_events.event import Event
from indexer.beat import Beat
from indexer.client import QuietConnection, connect
from indexer.control import ControlDocument
from indexer.deletion import Deleter
from indexer.journal import Journal
from indexer.lease import Lease
from indexer.lifecycle import Access, Archive, Executor
from indexer.names import late_name, partition_name
from indexer.records import ACTIONS, Context, Seal, read_heads
from indexer.round import Round
from indexer.settings import ConnectionSettings, IndexSettings, LifecycleSettings
from tests.cluster import Cluster
from tests.lines import event_line

LEASE_SECONDS: Final = 60.0
PARTITION: Final = "2024.01"


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T00:00:00+00:00")


OPEN: Final = day("2024-02-05")
SEALABLE: Final = day("2024-02-08")
"""Seven days after the end of January: the first instant at which it is sealed."""
DELETABLE: Final = day("2024-03-02")
"""Thirty days after the end of January."""


class PowerCutError(BaseException):
    """The process ends here; nothing that is tested may catch it."""


class Wire(QuietConnection):
    """A connection of one executor; `cut` is asked before and after each request."""

    cut: Callable[[str, str, str], None] = staticmethod(lambda _moment, _method, _path: None)

    @override
    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        type(self).cut("before", method, url)
        answer = super().perform_request(method, url, *args, **kwargs)
        type(self).cut("after", method, url)
        return answer


class Shelf:
    """A repository of snapshots that outlives every process."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def take(self, name: str, seal: Seal, beat: Beat) -> Context:
        beat()
        if name not in self.names:
            self.names.append(name)
        return {"repository": "shelf", "snapshot": f"{name}-1", "events": seal.events}

    def has(self, name: str, seal: Seal) -> bool:
        del seal
        return name in self.names


def changes(method: str, path: str) -> bool:
    """Whether a request changes what is kept."""
    reads = ("_search", "_refresh", "_msearch")
    return method != "GET" and not path.endswith(reads)


@dataclass
class World:
    """One prefix.

    Args:
        cluster: where it lies.
        index: seals after 7 days, deletes after 30.
    """

    cluster: Cluster
    index: IndexSettings
    lifecycle: LifecycleSettings = field(
        default_factory=lambda: LifecycleSettings(mode="worm", lease_seconds=LEASE_SECONDS)
    )
    now: datetime = OPEN
    monotonic: float = 0.0
    archive: Archive | None = None
    signing_key: OKPKey | None = None
    may_delete: bool = True
    accept_shorter_retention: bool = False
    _runs: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    def __post_init__(self) -> None:
        self.index = replace(self.index, seal_days=7, retention_days=30)

    def use_shelf(self) -> Shelf:
        """Have a repository from now on."""
        self.archive = shelf = Shelf()
        self.lifecycle = replace(self.lifecycle, snapshot_repository="shelf")
        return shelf

    def use_key(self, heads_file: Path | None = None) -> OKPKey:
        """Sign from now on, with a new key."""
        self.signing_key = key = OKPKey.generate_key("Ed25519")
        self.lifecycle = replace(self.lifecycle, heads_file=heads_file)
        return key

    @property
    def partition(self) -> str:
        return partition_name("2024-01-01T00:00:00.000000Z", self.index)

    @property
    def late(self) -> str:
        return late_name("2024-01-01T00:00:00.000000Z", self.index)

    def store(
        self, *timestamps: str, name: str | None = None, organization_id: str = "org_1"
    ) -> list[str]:
        """Put events where they belong, or into `name`, as the writer; returns their ids."""
        with self.cluster.client("writer") as writer:
            ids: list[str] = []
            for timestamp in timestamps:
                line = event_line({"organizationId": organization_id}, timestamp=timestamp)
                event_id = str(msgspec.json.decode(line)["id"])
                target = name or partition_name(timestamp, self.index)
                body = b'{"create":{"_id":"%b"}}\n%b\n' % (event_id.encode(), line)
                answer = writer.bulk(index=target, body=body)
                assert not answer["errors"], answer
                ids.append(event_id)
        return ids

    def fill(self) -> None:
        """January, with events of two organisations, in more than one segment."""
        self.store("2024-01-03T10:00:00.000000Z", "2024-01-31T23:59:59.999999Z")
        with self.cluster.admin() as admin:
            admin.indices.refresh(index=self.partition)
        self.store("2024-01-04T10:00:00.000000Z", organization_id="org_2")

    def make_deletable(self) -> None:
        """January, sealed, and past its retention by now."""
        self.fill()
        self.now = SEALABLE
        self.take_round()
        self.now = DELETABLE

    @contextmanager
    def executor(self, wire: type[Urllib3HttpConnection] = QuietConnection) -> Generator[Executor]:
        """One process's executor; it has the lease only while `attempt` works."""
        connection = self.cluster.connection()
        admin = connection
        if self.cluster.secured:
            admin = ConnectionSettings(
                url=self.cluster.url,
                ca_file=self.cluster.ca_file,
                client_cert_file=self.cluster.credentials.admin_cert_file,
                client_key_file=self.cluster.credentials.admin_key_file,
            )
        with (
            connect(connection, role="lifecycle", connection_class=wire) as lifecycle,
            connect(connection, role="reader", connection_class=wire) as reader,
            connect(admin, role="lifecycle", connection_class=wire) as deleter,
        ):
            lease = Lease(
                ControlDocument(lifecycle, self.index),
                holder=f"process {next(self._runs)}",
                lease_seconds=LEASE_SECONDS,
                clock=lambda: self.monotonic,
            )
            who = Deleter(deleter if self.may_delete else lifecycle)
            yield Executor(
                Access(lifecycle, reader, who),
                self.index,
                self.lifecycle,
                lease=lease,
                archive=self.archive,
                signing_key=self.signing_key,
                accept_shorter_retention=self.accept_shorter_retention,
                operator="ann",
                clock=lambda: self.now,
            )

    def take_round(
        self, wire: type[Urllib3HttpConnection] = QuietConnection, *, accept_journal: bool = False
    ) -> Round:
        """One process takes the lease, waiting for a dead one's, takes a round, gives it back."""
        with self.executor(wire) as executor:
            if not executor.lease.take():
                self.monotonic += LEASE_SECONDS
                assert executor.lease.take()
            found = executor.take_round(accept_journal=accept_journal)
            executor.lease.release()
            return found

    def attempt(self, wire: type[Urllib3HttpConnection]) -> None:
        """A round that may be cut."""
        with suppress(PowerCutError):
            self.take_round(wire)

    def journal(self) -> list[Event]:
        """Everything that is recorded, of all organisations."""
        with self.cluster.client("lifecycle") as client:
            found = Journal(client, self.index)
            return found.read(ACTIONS, organization_id=None, with_organizations=True)

    def heads(self) -> list[str]:
        """Every head that is recorded, as it was signed."""
        with self.cluster.client("lifecycle") as client:
            return [one.head for one in read_heads(Journal(client, self.index))]

    def deleting(self) -> str | None:
        """What the control document says is being deleted."""
        with self.cluster.client("lifecycle") as client:
            found = ControlDocument(client, self.index).read()
        assert found is not None
        return found[0].deleting

    def told(self) -> list[tuple[str, str, str]]:
        """Action, organisation and partition of everything that is recorded, sorted."""
        return sorted(
            (
                event.action.removeprefix("audit_log."),
                event.organization_id,
                event.resource.id if event.resource else "",
            )
            for event in self.journal()
        )

    def exists(self, name: str) -> bool:
        with self.cluster.admin() as admin:
            return bool(admin.indices.exists(index=name))

    def delete_by_hand(self, name: str) -> None:
        with self.cluster.admin() as admin:
            admin.indices.delete(index=name)
