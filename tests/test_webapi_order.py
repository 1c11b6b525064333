"""The order of events where something has no id: as OpenSearch sorts it, whichever way."""

import pytest
from msgspec import Raw

from webapi.apart import together
from webapi.order import reading_key, shortened, turned
from webapi.query import MOST_ID_CHARACTERS, Position, Query, list_search
from webapi.storage_answer import Hit, Hits, Total

TRUE_ID = "019cf0b9-4680-7000-8000-000000000000"
IDS = ("", "!", TRUE_ID, "b", None)
"""As OpenSearch 3.4.0 answers them, ascending; descending the last stays where it is."""


def hits(*ids: str | None) -> Hits:
    return Hits([Hit(Raw(b"{}"), ("org_a", 1, one)) for one in ids], Total(len(ids), "eq"))


@pytest.mark.parametrize("newest_first", [True, False])
def test_what_has_no_id_is_last_at_its_instant_either_way(*, newest_first: bool) -> None:
    wanted = [*IDS[:-1][:: -1 if newest_first else 1], None]
    groups = (hits(*wanted[::2]), hits(*wanted[1::2]))
    found = together(groups, len(IDS), newest_first=newest_first)
    assert [hit.sort[2] for hit in found.hits] == wanted
    assert reading_key(1, None, newest_first=True) < reading_key(1, "", newest_first=True)
    assert reading_key(2, None, newest_first=True) > reading_key(1, "b", newest_first=True)


@pytest.mark.parametrize("newest_first", [True, False])
def test_who_turns_around_at_what_has_no_id_misses_nothing_of_its_instant(
    *, newest_first: bool
) -> None:
    place = turned(Position(1, None), newest_first=newest_first)
    assert place.id is not None
    assert (place.id > TRUE_ID) is newest_first
    assert turned(Position(1, TRUE_ID), newest_first=newest_first) == Position(1, TRUE_ID)


@pytest.mark.parametrize("long_id", ["0" * 9000, TRUE_ID + "x" * 9000, "\x00" * 9000, "é" * 9000])
def test_a_long_id_is_shortened_with_the_same_events_behind_it(long_id: str) -> None:
    place = shortened(Position(1, long_id))
    assert place.id is not None
    assert len(place.id) == MOST_ID_CHARACTERS
    for other in (TRUE_ID, "f" * 36, "0" * 36):
        assert (other > place.id) == (other > long_id)
    # And what begins so is left out, or the next page, oldest first, would show it again.
    left_out = {"bool": {"must_not": {"prefix": {"id": place.id}}}}
    assert left_out in list_search(Query(organization_id="org_a", after=place)).filters


@pytest.mark.parametrize("event_id", [TRUE_ID, "", None])
def test_what_is_no_longer_than_an_id_stays(event_id: str | None) -> None:
    place = Position(1, event_id)
    assert shortened(place) == place
    assert not list_search(Query(organization_id="org_a", after=place)).filters
