"""What OpenSearch answers to aggregations, and the counts that are made of it. Pure.

`terms` asks every shard for its most frequent values. Where a shard has more different ones than it
tells of, a count may be too low; OpenSearch says so, and so does the `relation` here.
"""

from datetime import datetime, timedelta
from typing import Final, Generic, Literal, TypeVar

from msgspec import Struct

from webapi.query import EARLIEST

SHARD_VALUES: Final = 500
"""So many values each shard tells of: with fewer different ones every count is exact."""

Relation = Literal["eq", "gte"]
B = TypeVar("B")


class Terms(Struct, Generic[B], frozen=True):
    """The answer of a `terms` aggregation; without an index there is none, so all is optional."""

    buckets: list[B] = []
    sum_other_doc_count: int = 0
    doc_count_error_upper_bound: int = 0

    @property
    def relation(self) -> Relation:
        """Whether counts are exact, or may be too low."""
        return "gte" if self.doc_count_error_upper_bound else "eq"


class TermBucket(Struct, frozen=True):
    """The events with one value."""

    key: str
    doc_count: int


class Counted(Struct, frozen=True):
    """How many events one filter has."""

    doc_count: int = 0


class Filters(Struct, frozen=True):
    """The answer of a `filters` aggregation."""

    buckets: dict[str, Counted] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How many events each of them has."""
        return {name: one.doc_count for name, one in self.buckets.items()}


class Number(Struct, frozen=True):
    """The answer of `min` or `max`; of times it is in milliseconds."""

    value: float | None = None


def terms(field: str, size: int, **more: object) -> dict[str, object]:
    """Return the aggregation that counts the most frequent values of a field."""
    return {"terms": {"field": field, "size": size, "shard_size": max(size, SHARD_VALUES), **more}}


def instant_of(found: Number) -> datetime | None:
    """Return the time that `min` or `max` answered, to the millisecond, rounded down."""
    return None if found.value is None else EARLIEST + timedelta(milliseconds=int(found.value))
