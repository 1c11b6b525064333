"""Whose events there are: which organisation is meant, and what it has where nothing was found."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from opensearchpy import OpenSearch
from rich.text import Text

from indelible.errors import CommandError
from indelible.event_table import second
from indelible.quantity import counted
from indelible.question import asking
from indelible.terminal import plain
from indexer.client import request_shape
from indexer.names import read_indices
from indexer.settings import IndexSettings
from webapi.aggregation import Number, instant_of
from webapi.query import ScopedSearch
from webapi.reading import Reading
from webapi.storage import SEARCH_PARAMS

MAX_ORGANIZATIONS: Final = 50
"""So many are named to somebody who has to name one."""
MAX_NAMED: Final = 5
"""So many organisations are named to somebody who asked for one without events."""
_ENDS: Final = {
    "oldest": {"min": {"field": "timestamp"}},
    "newest": {"max": {"field": "timestamp"}},
}


class Names(Struct, frozen=True):
    """The buckets of a terms aggregation."""

    class Bucket(Struct, frozen=True):
        """One organisation."""

        key: str

    buckets: list[Bucket]


class OrganizationsAnswer(Struct, frozen=True):
    """Which organisations have events."""

    class Aggregations(Struct, frozen=True):
        """The one that was asked for."""

        organizations: Names = Names([])

    aggregations: Aggregations = Aggregations()


class Extent(Struct, frozen=True):
    """How many events an organisation has, and from when to when."""

    events: int
    oldest: datetime | None = None
    newest: datetime | None = None


class _Ends(Struct, frozen=True):
    oldest: Number = Number()
    newest: Number = Number()


def only_organization(client: OpenSearch, index: IndexSettings) -> str:
    """Return the organisation, where there is but one; the log's own (`_…`) do not count.

    Raises:
        CommandError: there is none, or there are several.
    """
    names = organizations(client, index)
    if len(names) == 1:
        return names[0]
    if not names:
        raise CommandError(
            "there are no events yet",
            hint="start what emits them (`indelible up`), or name one with --organization",
        )
    listed = ", ".join(names[:MAX_ORGANIZATIONS])
    more = " and more" if len(names) > MAX_ORGANIZATIONS else ""
    raise CommandError(
        f"there are events of several organisations: {listed}{more}",
        hint=f"name one, such as --organization {names[0]}",
    )


def organizations(client: OpenSearch, index: IndexSettings) -> list[str]:
    """Return those with most events, one more than are named; without the log's own."""
    terms = {"field": "organizationId", "size": MAX_ORGANIZATIONS + 1, "exclude": "_.*"}
    body = {"size": 0, "aggs": {"organizations": {"terms": terms}}}
    path = f"/{read_indices(index)}/_search"
    answer = request_shape(
        client, "POST", path, OrganizationsAnswer, params=SEARCH_PARAMS, body=body, safe=True
    )
    if answer is None:
        return []
    return [bucket.key for bucket in answer.aggregations.organizations.buckets]


def extent_of(reading: Reading, organization: str) -> Extent:
    """Return what an organisation has.

    Raises:
        UnavailableError, InternalError: the store does not answer as it should.
    """
    rest = {"size": 0, "track_total_hits": True, "aggs": _ENDS}
    found = reading.over(ScopedSearch(organization_id=organization, rest=rest), None, None)
    at = found.aggregated(_Ends)
    return Extent(found.hits.total.value, instant_of(at.oldest), instant_of(at.newest))


def what_there_is(
    reading: Reading, client: OpenSearch, index: IndexSettings, organization: str
) -> Text:
    """Return the line below a question that found nothing.

    Raises:
        CommandError: as `asking`.
    """
    with asking():
        extent = extent_of(reading, organization)
        others = [] if extent.events else organizations(client, index)
    return Text(describe(organization, extent, others), "dim")


def describe(organization: str, extent: Extent, others: Sequence[str]) -> str:
    """Say what there is, so that a slip of the pen is not taken for an answer. Pure.

    Args:
        organization: whose events were asked for.
        extent: what it has.
        others: who has events, where it has none.
    """
    name = plain(organization)
    if extent.oldest is not None and extent.newest is not None:
        events = counted(extent.events, "event")
        return f"{name} has {events}, {second(extent.oldest)} to {second(extent.newest)}."
    if not others:
        return "No organisation has an event yet."
    named = ", ".join(plain(one) for one in others[:MAX_NAMED])
    rest = len(others) - MAX_NAMED
    count = "many" if len(others) > MAX_ORGANIZATIONS else rest
    more = f" and {count} more" if rest > 0 else ""
    return f"{name} has no event at all; there are some of {named}{more}."
