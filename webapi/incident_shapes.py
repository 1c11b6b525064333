"""What `/incident` answers."""

from typing import Generic, TypeVar

from msgspec import Struct

from webapi.aggregation import Relation
from webapi.answered import Moment, StoredEvent
from webapi.histogram import Histogram

P = TypeVar("P", bound="Participant")


class IncidentEvent(Struct, frozen=True, rename="camel"):
    """An event as it was written, and how far from the origin, with its sign."""

    distance_milliseconds: float
    event: StoredEvent


class Participant(Struct, frozen=True, rename="camel", kw_only=True):
    """Somebody or something that took part.

    Args:
        count: events of the window and the filters.
        count_before: events of the days before, whatever the filters are.
        first_at: when the first of the window was, to the millisecond, rounded down.
        last_at: when the last one was.
        first_seen: not once in the days before; null where they are too short to say.
    """

    count: int
    count_before: int | None
    first_at: Moment
    last_at: Moment
    first_seen: bool | None


class ValueParticipant(Participant, frozen=True, rename="camel", kw_only=True):
    """An address or a user agent."""

    value: str


class ActorParticipant(Participant, frozen=True, rename="camel", kw_only=True):
    """An actor, with the addresses and user agents they used: `first_seen` is theirs with it."""

    type: str | None
    id: str | None
    email: str | None
    name: str | None
    ip_addresses: list[ValueParticipant]
    user_agents: list[ValueParticipant]


class TargetParticipant(Participant, frozen=True, rename="camel", kw_only=True):
    """A person affected."""

    id: str | None
    email: str | None
    name: str | None


class ResourceParticipant(Participant, frozen=True, rename="camel", kw_only=True):
    """A resource affected."""

    type: str
    id: str
    name: str | None


class ParticipantList(Struct, Generic[P], frozen=True, rename="camel"):
    """Those with most events; `other_count` events are of others that are not listed."""

    values: list[P]
    other_count: int
    relation: Relation


class Before(Struct, frozen=True, rename="camel", kw_only=True):
    """The days before, which the window is compared with.

    Args:
        since: where they begin.
        until: where they end: with the beginning of the window.
        total: how many events of the filters they have.
        covered_days: how many of the days have a history: from the organisation's first event on.
        enough: whether they are long enough to say what is new or unusual.
    """

    since: Moment
    until: Moment
    total: int
    covered_days: float
    enough: bool


class Unusual(Struct, frozen=True, rename="camel", kw_only=True):
    """One value that the window has more of than the days before let expect.

    Args:
        value: the action, the address, the id of the resource, or what tells the actor apart.
        kind: of a resource its type, of an actor what `value` is: `id`, `email` or `type`.
        count: events of the window and the filters.
        count_before: events of the days before and the filters.
        expected: how many its share before leads to expect.
        per_hour: its rate in the window.
        per_hour_before: its rate in the days before.
        never_before: there was none.
        chance: how likely so many are by chance.
    """

    value: str
    kind: str | None
    count: int
    count_before: int
    expected: float
    per_hour: float
    per_hour_before: float
    never_before: bool
    chance: float


class UnusualLists(Struct, frozen=True, rename="camel", kw_only=True):
    """What is unusual, the least likely first."""

    actions: list[Unusual]
    actors: list[Unusual]
    ip_addresses: list[Unusual]
    resources: list[Unusual]


class Incident(Struct, frozen=True, rename="camel", kw_only=True):
    """A page of the events of a window, and what the whole window is made of.

    Args:
        origin: distances are from here: `around`, else `since`.
        since: first instant of the window, included.
        until: last instant, not included.
        total: how many events the window has, exactly.
        total_relation: always `eq`.
        limit: events of a page.
        next_cursor: of the page that follows.
        events: oldest first.
        histogram: counts over the window.
        actors: who acted.
        targets: who was affected.
        resources: what was affected.
        ip_addresses: from where.
        user_agents: with what.
        before: the days that the window is compared with.
        unusual: null where those are too short to say.
    """

    origin: Moment
    since: Moment
    until: Moment
    total: int
    total_relation: Relation = "eq"
    limit: int
    next_cursor: str | None
    events: list[IncidentEvent]
    histogram: Histogram
    actors: ParticipantList[ActorParticipant]
    targets: ParticipantList[TargetParticipant]
    resources: ParticipantList[ResourceParticipant]
    ip_addresses: ParticipantList[ValueParticipant]
    user_agents: ParticipantList[ValueParticipant]
    before: Before
    unusual: UnusualLists | None

    def find_actor(self, unusual: Unusual) -> ActorParticipant | None:
        """Return what else is known of an unusual actor; None where they are not listed.

        One who is told apart by the email alone is not the one who has an id and that email.
        """
        if unusual.kind == "id":
            return next((one for one in self.actors.values if one.id == unusual.value), None)
        email = unusual.value.casefold()
        return next(
            (
                one
                for one in self.actors.values
                if one.id is None and (one.email or "").casefold() == email
            ),
            None,
        )

    def find_resource(self, unusual: Unusual) -> ResourceParticipant | None:
        """Return what else is known of an unusual resource; None where it is not listed."""
        key = (unusual.kind, unusual.value)
        return next((one for one in self.resources.values if (one.type, one.id) == key), None)
