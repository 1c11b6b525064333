"""How many events there are: over time for the timeline, by action for the dropdown."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from msgspec import UNSET

from webapi.facet_counts import HISTOGRAM, MAX_VALUES, Facet, FacetQuestion, facets_of
from webapi.page.timeline import Timeline, timeline
from webapi.parts import parts
from webapi.query import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What stands around the list.

    Args:
        timeline: None where nothing matches.
        actions: events by action, whatever actions are chosen now.
        kinds: events of the list by colour.
        total: exact.
    """

    timeline: Timeline | None
    actions: Mapping[str, int]
    kinds: Mapping[str, int]
    total: int

    @property
    def uncatalogued(self) -> int:
        """Events of the list whose action has no colour."""
        return self.total - sum(self.kinds.values())


def count(query: Query, zone: tzinfo, now: datetime) -> Counted:
    """Count the events of a query.

    Raises:
        UnavailableError, InternalError: the store does not answer as it should.
    """
    if query.since is not None and query.until is None and query.since < now:
        # A range that ends now has its empty end too.
        query = replace(query, until=now)
    anything = replace(query, actions=(), categories=(), colours=())
    names = ("action", "colour", HISTOGRAM)
    found = facets_of(parts().reading, query, FacetQuestion(names=names, values=MAX_VALUES))
    actions = found.action
    if anything != query:
        question = FacetQuestion(names=("action",), values=MAX_VALUES)
        actions = facets_of(parts().reading, anything, question).action
    return Counted(
        timeline=None if found.histogram is UNSET else timeline(found.histogram, zone),
        actions=_by_value(actions),
        kinds=_by_value(found.colour),
        total=found.total,
    )


def _by_value(facet: object) -> dict[str, int]:
    if not isinstance(facet, Facet):
        return {}
    return {one.value: one.count for one in facet.values}
