"""The list of indices: how old it may be, and when an index is sealed."""

from indexer.settings import IndexSettings
from webapi.listing import FEW, SETTLED_REFRESHES, Listed, Listing

NAME = "audit-events-2026.02"
BLOCKED = Listed("u1", write="true")


class World:
    """A cluster's list, and a clock."""

    def __init__(self, rows: dict[str, Listed]) -> None:
        self.rows = rows
        self.now = 100.0
        self.listing = Listing(lambda: self.rows, IndexSettings(), lambda: self.now)

    def sealed(self) -> bool:
        return self.listing.renew()[0].sealed


def test_a_write_block_is_a_seal_when_all_that_was_written_can_be_found() -> None:
    world = World({NAME: BLOCKED})
    assert not world.sealed()
    world.now += SETTLED_REFRESHES - 1
    assert not world.sealed()
    world.now += 1
    assert world.sealed()


def test_a_block_that_goes_and_comes_back_begins_anew() -> None:
    world = World({NAME: BLOCKED})
    world.sealed()
    world.now += SETTLED_REFRESHES
    world.rows = {NAME: Listed("u1")}
    assert not world.sealed()
    world.rows = {NAME: BLOCKED}
    assert not world.sealed()


def test_a_restored_index_is_another_one() -> None:
    world = World({NAME: BLOCKED})
    world.sealed()
    world.now += SETTLED_REFRESHES
    world.rows = {NAME: Listed("u2", write="true")}
    assert not world.sealed()


def test_a_closed_index_is_asked_so_that_it_refuses() -> None:
    world = World({NAME: Listed("u1", write="true", closed="true")})
    world.sealed()
    world.now += SETTLED_REFRESHES
    assert not world.sealed()


def test_a_short_list_is_looked_at_with_each_question() -> None:
    world = World({NAME: BLOCKED})
    first, renewal = world.listing.current()
    assert renewal is None, "the first one was just made"
    world.rows = {}
    again, renewal = world.listing.current()
    assert again == first
    assert renewal is not None
    assert renewal.result() == ()


def test_a_long_list_is_looked_at_after_the_refresh_interval() -> None:
    world = World({f"audit-events-2026.02.{n:02}": Listed(f"u{n}") for n in range(FEW + 1)})
    world.listing.current()
    world.now += 0.9
    assert world.listing.current()[1] is None
    world.now += 0.1
    assert world.listing.current()[1] is not None
