"""Who acted and who was affected: told apart by an id, else an email, else (actors) the type. Pure.

`system` needs no id, and an application may know no more of somebody than an email. So a person has
a key of one of these kinds, and each event counts for exactly one actor, and one target at most.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

from msgspec import Struct

from webapi.aggregation import Relation, TermBucket, Terms, terms
from webapi.query import Clause

B = TypeVar("B", bound=TermBucket)


class Part(NamedTuple):
    """A part of the event that is a person: where it stands, and what tells people apart."""

    field: str
    kinds: tuple[str, ...]

    def absent(self, kind: str) -> list[Clause]:
        """Return what an event must not have for a key of this kind: the kinds before it."""
        before = self.kinds[: self.kinds.index(kind)]
        return [{"exists": {"field": f"{self.field}.{one}"}} for one in before]


ACTOR: Final = Part("actor", ("id", "email", "type"))
TARGET: Final = Part("targetUser", ("id", "email"))


class Key(NamedTuple):
    """What tells a person from the others of the organisation; emails are in lower case."""

    kind: str
    value: str


class Person(Struct, frozen=True, omit_defaults=True):
    """What an event says of a person."""

    type: str | None = None
    id: str | None = None
    email: str | None = None
    name: str | None = None

    def key(self, part: Part) -> Key | None:
        """Return the key; None where nothing tells who it is."""
        for kind in part.kinds:
            value: str | None = getattr(self, kind)
            if value is not None:
                return Key(kind, value.lower() if kind == "email" else value)
        return None


class KindAnswer(Struct, Generic[B], frozen=True):
    """The answer for one kind of key."""

    values: Terms[B] = Terms()


class PeopleAnswer(Struct, Generic[B], frozen=True):
    """The answer to `people_aggregation`."""

    id: KindAnswer[B] = KindAnswer()
    email: KindAnswer[B] = KindAnswer()
    type: KindAnswer[B] = KindAnswer()

    @property
    def terms(self) -> dict[str, Terms[B]]:
        """The values of each kind of key."""
        return {"id": self.id.values, "email": self.email.values, "type": self.type.values}

    @property
    def buckets(self) -> dict[Key, B]:
        """The people that it tells of, those with most events first."""
        found = [
            (Key(kind, bucket.key), bucket)
            for kind, answer in self.terms.items()
            for bucket in answer.buckets
        ]
        return dict(sorted(found, key=lambda one: -one[1].doc_count))

    @property
    def count(self) -> int:
        """How many events have such a person at all."""
        return sum(
            answer.sum_other_doc_count + sum(bucket.doc_count for bucket in answer.buckets)
            for answer in self.terms.values()
        )

    @property
    def relation(self) -> Relation:
        """Whether counts are exact, or may be too low."""
        exact = all(answer.relation == "eq" for answer in self.terms.values())
        return "eq" if exact else "gte"


def people_aggregation(
    part: Part,
    size: int,
    inner: Mapping[str, object] | None = None,
    only: Iterable[Key] | None = None,
) -> dict[str, object]:
    """Return the aggregation that counts the events of people.

    Args:
        part: actors or targets.
        size: how many people of each kind of key.
        inner: aggregations of the events of each.
        only: these people, and no others.
    """
    wanted = None if only is None else list(only)
    kinds: dict[str, object] = {}
    for kind in part.kinds:
        more: dict[str, object] = {}
        if wanted is not None:
            values = [key.value for key in wanted if key.kind == kind]
            if not values:
                continue
            more["include"] = values
        values_of = terms(f"{part.field}.{kind}", size, **more)
        if inner:
            values_of["aggs"] = inner
        scope = {"bool": {"must_not": part.absent(kind)}}
        kinds[kind] = {"filter": scope, "aggs": {"values": values_of}}
    return {"filter": {"match_all": {}}, "aggs": kinds}


def known(key: Key, people: Mapping[Key, Person]) -> Person:
    """Return what is known of somebody: the key at least."""
    return people.get(key) or Person(**{key.kind: key.value})
