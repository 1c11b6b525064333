"""The lists of an incident: who and what took part, and what of it was never there before.

Names that the page of events does not tell are looked up.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from audit_events.instant import format_instant
from webapi.aggregation import Number, Terms, instant_of
from webapi.incident_search import SHARD_PAIRS, FoundComparison, FoundWindow, PairBucket, Window
from webapi.incident_shapes import (
    ActorParticipant,
    Before,
    Participant,
    ParticipantList,
    ResourceParticipant,
    TargetParticipant,
    ValueParticipant,
)
from webapi.names import newest, newest_resources, people_of, resources_of
from webapi.participants import AnyKey, Dimension, Resource, ResourceBucket, TimedBucket
from webapi.people import ACTOR, TARGET, Key, Part, Person, known
from webapi.query import EARLIEST
from webapi.reading import Reading
from webapi.storage_answer import Hit

P = TypeVar("P", bound=Participant)


class ParticipantLists:
    """What the answers to both searches say of who and what took part.

    Args:
        reading: looks names up.
        window: which.
        values: how many of each are listed.
        hits: events of the window whose names are known.
        counted: the answer over the window.
        compared: the answer over the days before.
        before: whether those are enough.
    """

    def __init__(
        self,
        reading: Reading,
        window: Window,
        values: int,
        *,
        hits: Sequence[Hit],
        counted: FoundWindow,
        compared: FoundComparison,
        before: Before,
    ) -> None:
        self._reading = reading
        self._window = window
        self._values = values
        self._hits = hits
        self._counted = counted
        self._compared = compared
        self._before = before

    def actors(self) -> ParticipantList[ActorParticipant]:
        """Return the actors, each with the addresses and user agents they used."""
        listed = self._listed("actor")
        people = self._people(ACTOR, listed)
        here, before = self._compared.here.pairs.buckets, self._compared.any.pairs.buckets
        nothing = PairBucket("", 0)
        rows: list[ActorParticipant] = []
        for key in listed:
            used, earlier = here.get(key, nothing), before.get(key, nothing)
            person = known(key, people)
            rows.append(
                ActorParticipant(
                    type=person.type,
                    id=person.id,
                    email=person.email,
                    name=person.name,
                    ip_addresses=self._pairs("ip", used.ip, earlier.ip),
                    user_agents=self._pairs("userAgent", used.user_agent, earlier.user_agent),
                    **self._took("actor", key),
                )
            )
        return self._list("actor", rows)

    def targets(self) -> ParticipantList[TargetParticipant]:
        """Return the people affected."""
        listed = self._listed("target")
        people = self._people(TARGET, listed)
        rows = [
            TargetParticipant(
                id=person.id, email=person.email, name=person.name, **self._took("target", key)
            )
            for key in listed
            for person in [known(key, people)]
        ]
        return self._list("target", rows)

    def resources(self) -> ParticipantList[ResourceParticipant]:
        """Return the resources affected."""
        listed = self._listed("resource")
        names = self._resource_names(listed)
        rows = [
            ResourceParticipant(
                type=key[0], id=key[1], name=names.get(key), **self._took("resource", key)
            )
            for key in listed
        ]
        return self._list("resource", rows)

    def used(self, dimension: Dimension) -> ParticipantList[ValueParticipant]:
        """Return the addresses or user agents."""
        rows = [
            ValueParticipant(value=key, **self._took(dimension, key))
            for key in islice(self._counted.of(dimension).buckets, self._values)
            if isinstance(key, str)
        ]
        return self._list(dimension, rows)

    def _listed(self, dimension: Dimension) -> list[Any]:
        """Return the keys of those with most events."""
        return list(islice(self._counted.of(dimension).buckets, self._values))

    def _list(self, dimension: Dimension, rows: list[P]) -> ParticipantList[P]:
        found = self._counted.of(dimension)
        others = sum(bucket.doc_count for bucket in islice(found.buckets.values(), len(rows), None))
        return ParticipantList(rows, others + found.other_count, found.relation)

    def _took(self, dimension: Dimension, key: AnyKey) -> dict[str, Any]:
        bucket = self._counted.of(dimension).buckets[key]
        return self._seen(bucket, self._compared.any.of(dimension).count(key))

    def _seen(self, bucket: TimedBucket | ResourceBucket, before: int | None) -> dict[str, Any]:
        known_before = self._before.enough and before is not None
        return {
            "count": bucket.doc_count,
            "count_before": before,
            "first_at": _instant(bucket.first),
            "last_at": _instant(bucket.last),
            "first_seen": before == 0 if known_before else None,
        }

    def _pairs(
        self, dimension: Dimension, here: Terms[TimedBucket], before: Terms[TimedBucket]
    ) -> list[ValueParticipant]:
        """Return what one actor used; of what was not looked for before, nothing is said."""
        looked_for = set(islice(self._counted.of(dimension).buckets, SHARD_PAIRS))
        earlier = {bucket.key: bucket.doc_count for bucket in before.buckets}
        return [
            ValueParticipant(
                value=bucket.key,
                **self._seen(
                    bucket, earlier.get(bucket.key, 0) if bucket.key in looked_for else None
                ),
            )
            for bucket in here.buckets
        ]

    def _people(self, part: Part, keys: Iterable[Key]) -> Mapping[Key, Person]:
        found = people_of(part, reversed(self._hits))
        missing = [key for key in keys if key not in found]
        return {**newest(self._reading, self._window.query, part, missing), **found}

    def _resource_names(self, keys: Iterable[Resource]) -> Mapping[Resource, str]:
        found = resources_of(reversed(self._hits))
        missing = [key for key in keys if key not in found]
        return {**newest_resources(self._reading, self._window.query, missing), **found}


def _instant(found: Number) -> str:
    return format_instant(instant_of(found) or EARLIEST)
