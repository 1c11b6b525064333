"""Random events of two organisations in all kinds of indices, and the same events as plain dicts.

The plain model answers questions by looking at every event; it shares no code with the API.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

import msgspec

from audit_events.catalogue import CATALOGUE
from audit_events.envelope import decode_envelope
from audit_events.instant import format_instant, parse_instant
from indexer.client import ask
from indexer.names import journal_name, late_name, partition_name
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.event_ids import create_action
from tests.webapi_api import write_events
from webapi.query import Query
from webapi.reading import Reading
from webapi.storage import Storage

Event = dict[str, Any]
MICROSECOND: Final = timedelta(microseconds=1)
MIDDLE: Final = parse_instant("2026-03-01T00:00:00Z")
"""Where a month ends, days begin as partitions, and the clocks of some places change that month."""
ORGANIZATIONS: Final = ("org_a", "org_b")
ACTIONS: Final = (
    "member.invited", "member.role_changed", "app.created", "app.deleted", "zebra.danced",
)  # fmt: skip
ADDRESSES: Final = ("203.0.113.7", "203.0.113.80", "2001:db8::1", "198.51.100.4")
AGENTS: Final = ("Mozilla/5.0 (X11)", "curl/8.5.0", "Pipeline/1")


class World:
    """A prefix on the cluster, filled with random events; `events` has them as dicts."""

    def __init__(self, cluster: Cluster, index: IndexSettings, directory: Path) -> None:
        self.index = index
        self.events: list[Event] = []
        self.admin = cluster.admin()
        self.reader = cluster.client("reader")
        self.storage = Storage(self.reader, index, 10)
        self.reading = Reading(self.storage, index, settled_refreshes=0, trusted_seconds=0)
        self._directory = directory
        self._files = 0

    def fill(self, chance: random.Random, moments: Sequence[datetime]) -> None:
        """Store one random event of one of the organisations at each moment."""
        fields = [{**random_fields(chance), "at": format_instant(at)} for at in moments]
        events = [without_result(line) for line in self.write(fields)]
        self.store([(self.home(chance, one), one) for one in events])

    def write(self, fields: Sequence[dict[str, object]]) -> list[bytes]:
        """Return lines as an application writes them."""
        self._files += 1
        path = self._directory / f"{self._files}.log"
        return write_events(path, fields, format_instant(MIDDLE))

    def home(self, chance: random.Random, line: bytes) -> str:
        """Return the index of an event: months before the middle, then days, some late."""
        timestamp = decode_envelope(line).timestamp
        days = parse_instant(timestamp) >= MIDDLE
        settings = msgspec.structs.replace(self.index, partition="day" if days else "month")
        names = [partition_name(timestamp, settings)] * 8
        return chance.choice([*names, late_name(timestamp, self.index), journal_name(self.index)])

    def store(self, placed: Sequence[tuple[str, bytes]]) -> None:
        """Create events in indices, searchable at once."""
        body = b"".join(
            b"%b\n%b\n" % (create_action(name, decode_envelope(line).id), line)
            for name, line in placed
        )
        reply = ask(self.admin, "POST", "/_bulk", params={"refresh": "true"}, body=body)
        assert '"errors":false' in reply.text, reply.text
        self.events += [json.loads(line) for _, line in placed]

    def seal_some(self, chance: random.Random) -> None:
        """Seal about half of the partitions."""
        for name in sorted(self.storage.list_indices()):
            if chance.random() < 0.5:
                assert ask(self.admin, "PUT", f"/{name}/_block/write").status == 200


def without_result(line: bytes) -> bytes:
    """Return the line of an emitter that does not say what is the default."""
    return line.replace(b'"result":"success",', b"")


def random_fields(chance: random.Random) -> dict[str, object]:
    """Return what an application says of one event; the organisations have all but names alike.

    Some know of a person no more than the email that others give with an id.
    """
    organization = chance.choice(ORGANIZATIONS)
    number = chance.randrange(6)
    actors: list[dict[str, object]] = [
        {"type": "system"},
        {"type": "user", "email": f"{number}@Company.com"},
        {"type": "api_key", "id": f"key_{number}"},
        {"type": "user", "id": f"u_{number}", "email": f"{number}@company.com",
         "name": f"{organization} {number}"},
    ]  # fmt: skip
    fields: dict[str, object] = {
        "organization_id": organization,
        "action": chance.choice(ACTIONS),
        "actor": chance.choice([*actors, actors[-1], actors[-1]]),
    }
    if chance.random() < 0.7:
        fields["ip_address"] = chance.choice(ADDRESSES)
    if chance.random() < 0.5:
        fields["user_agent"] = chance.choice(AGENTS)
    if chance.random() < 0.5:
        fields["resource"] = {
            "type": chance.choice(("app", "domain")),
            "id": str(chance.randrange(4)),
            "name": f"{organization} thing",
        }
    if chance.random() < 0.4:
        fields["target_user"] = chance.choice(
            [
                {"id": f"t_{number}", "email": "tina@x.example", "name": f"{organization} target"},
                {"email": "Tina@x.example"},
            ]
        )
    if chance.random() < 0.4:
        fields["result"] = chance.choice(("success", "failure", "denied"))
    return fields


@dataclass(frozen=True, slots=True)
class Question:
    """A query, which events it is about, and which ones its filters alone would be about."""

    query: Query
    matches: Callable[[Event], bool]
    like: Callable[[Event], bool] = lambda _event: True

    def of(self, events: Sequence[Event]) -> list[Event]:
        """Return the events, oldest first."""
        found = [event for event in events if self.matches(event)]
        return sorted(found, key=lambda event: (event["timestamp"], event["id"]))


def question(organization: str, since: datetime | None, until: datetime | None) -> Question:
    """Return the question for all events of an organisation in a window."""
    first = "" if since is None else format_instant(since)
    last = "9999" if until is None else format_instant(until)
    return Question(
        Query(organization_id=organization, since=since, until=until),
        lambda event: (
            event["organizationId"] == organization and first <= event["timestamp"] < last
        ),
    )


def narrowed(chance: random.Random, whole: Question) -> Question:
    """Return the question with a random filter."""
    address = chance.choice(ADDRESSES)
    number = chance.randrange(6)
    options: list[tuple[dict[str, Any], Callable[[Event], bool]]] = [
        ({}, lambda _event: True),
        ({"actions": ("member.*",)}, lambda event: event["action"].startswith("member.")),
        ({"actions": ("app.created", "zebra.danced")},
         lambda event: event["action"] in {"app.created", "zebra.danced"}),
        ({"colours": ("green",)}, lambda event: colour(event) == "green"),
        ({"results": ("success",)}, lambda event: event.get("result", "success") == "success"),
        ({"equal": {"actorId": (f"u_{number}",)}},
         lambda event: event["actor"].get("id") == f"u_{number}"),
        ({"equal": {"ip": ("203.0.113.0/24", address)}},
         lambda event: "ipAddress" in event and within(event["ipAddress"], address)),
        ({"equal": {"resourceType": ("app",)}},
         lambda event: event.get("resource", {}).get("type") == "app"),
    ]  # fmt: skip
    more, matches = chance.choice(options)
    return Question(
        replace(whole.query, **more),
        lambda event: whole.matches(event) and matches(event),
        matches,
    )


def within(address: str, other: str) -> bool:
    """Tell whether an address is in the block that questions ask for, or the other one."""
    block = ip_network("203.0.113.0/24")
    return address == other or ip_address(address) in block


def colour(event: Event) -> str:
    """Return the colour of an event's action."""
    return CATALOGUE[event["action"]].colour if event["action"] in CATALOGUE else "uncatalogued"


def instant(event: Event) -> datetime:
    """Return when an event happened."""
    return datetime.fromisoformat(event["timestamp"]).astimezone(UTC)
