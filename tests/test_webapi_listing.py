"""The list of indices: how old it may be, and when an index is steady."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexer.settings import IndexSettings
from webapi.errors import InternalError, UnavailableError
from webapi.listing import (
    FEW,
    FEW_GROWING,
    REFRESHED_AT_ONCE,
    SETTLED_REFRESHES,
    Listed,
    Listing,
    still_holds,
)
from webapi.timeline import Index

NAME = "audit-events-2026.02"
BLOCKED = Listed("u1", write="true")


class World:
    """A cluster's list, and a clock."""

    def __init__(self, rows: dict[str, Listed]) -> None:
        self.rows = rows
        self.documents: dict[str, str] = {}
        self.now = 100.0
        self.count: Callable[[Sequence[str]], Mapping[str, str]] = lambda _: self.documents
        self.refreshed: list[str] = []
        self.refresh: Callable[[Sequence[str]], Sequence[str]] = lambda names: names
        self.listing = Listing(
            lambda: self.rows,
            self.tell,
            self.let_be_found,
            IndexSettings(),
            lambda: self.now,
        )

    def tell(self, names: Sequence[str]) -> Mapping[str, str]:
        return self.count(names)

    def let_be_found(self, names: Sequence[str]) -> Sequence[str]:
        ended = self.refresh(names)
        self.refreshed += ended
        return ended

    def steady(self) -> str:
        return self.listing.renew()[0].steady


def test_a_write_block_is_a_seal_when_all_that_was_written_can_be_found() -> None:
    world = World({NAME: BLOCKED})
    assert not world.steady()
    world.now += SETTLED_REFRESHES - 1
    assert not world.steady()
    world.now += 1
    assert world.steady() == "u1"


def test_what_is_sealed_is_refreshed_once() -> None:
    world = World({NAME: BLOCKED})
    world.steady()
    world.now += SETTLED_REFRESHES - 1
    world.steady()
    assert world.refreshed == []
    world.now += 1
    assert [world.steady(), world.steady()] == ["u1", "u1"]
    assert world.refreshed == [NAME]


def test_of_very_many_sealed_indices_each_list_refreshes_some() -> None:
    """A new worker asks for none that takes longer than it waits."""
    names = [f"audit-events-{number // 12 + 2000}.{number % 12 + 1:02}" for number in range(250)]
    world = World({name: Listed(name, write="true") for name in names})
    world.listing.renew()
    world.now += SETTLED_REFRESHES
    steady = [sum(bool(one.steady) for one in world.listing.renew()) for _ in range(3)]
    assert steady == [REFRESHED_AT_ONCE, 250, 250]
    assert sorted(world.refreshed) == names


def test_what_could_not_be_refreshed_is_not_sealed_until_it_is() -> None:
    world = World({NAME: BLOCKED})
    world.steady()
    world.now += SETTLED_REFRESHES
    good = world.refresh
    asked: list[Sequence[str]] = []

    def refuse(names: Sequence[str]) -> Sequence[str]:
        asked.append(names)
        raise UnavailableError("storage_unavailable", "no answer")

    world.refresh = refuse
    assert [world.steady(), world.steady()] == ["", ""]
    assert len(asked) == 1, "what does not answer is left in peace"
    world.now += SETTLED_REFRESHES
    world.refresh = good
    assert world.steady() == "u1"


def test_one_that_cannot_be_refreshed_holds_up_no_other() -> None:
    """It has lost its primary, for days perhaps: it is tried again, but not by each list."""
    names = [f"audit-events-2026.0{month}" for month in range(1, 4)]
    world = World({name: Listed(name, write="true") for name in names})
    asked: list[Sequence[str]] = []

    def refresh(some: Sequence[str]) -> Sequence[str]:
        asked.append(some)
        return [name for name in some if name != names[0]]

    world.refresh = refresh
    world.listing.renew()
    world.now += SETTLED_REFRESHES
    for _ in range(2):
        assert [one.name for one in world.listing.renew() if one.steady] == names[1:]
    assert asked == [names]
    world.now += SETTLED_REFRESHES
    world.refresh = lambda some: some
    assert [one.name for one in world.listing.renew() if one.steady] == names


def test_a_block_that_goes_and_comes_back_begins_anew() -> None:
    world = World({NAME: BLOCKED})
    world.steady()
    world.now += SETTLED_REFRESHES
    world.rows = {NAME: Listed("u1")}
    assert not world.steady()
    world.rows = {NAME: BLOCKED}
    assert not world.steady()


def test_a_restored_index_is_another_one() -> None:
    world = World({NAME: BLOCKED})
    world.steady()
    world.now += SETTLED_REFRESHES
    world.rows = {NAME: Listed("u2", write="true")}
    assert not world.steady()


def test_a_closed_index_is_asked_so_that_it_refuses() -> None:
    world = World({NAME: Listed("u1", write="true", closed="true")})
    world.steady()
    world.now += SETTLED_REFRESHES
    assert not world.steady()


def test_a_short_list_is_believed_for_a_moment() -> None:
    world = World({NAME: BLOCKED})
    first, renewal = world.listing.current()
    assert renewal is None, "the first one was just made"
    world.rows = {}
    world.now += 0.24
    assert world.listing.current() == (first, None)
    world.now += 0.02
    again, renewal = world.listing.current()
    assert again == first
    assert renewal is not None
    assert renewal.result() == ()


def test_a_question_at_a_stop_is_answered_by_a_list_of_its_own(
    days: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter ends all pools while threads still answer: no fault, and no number then."""

    def refuse(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    days.listing.current()
    days.rows = {NAME: Listed("new")} | days.rows
    days.now += 10
    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    found, renewal = days.listing.current()
    assert renewal is None
    assert "new" in {one.uuid for one in found}
    assert not any(one.steady for one in found)


def test_a_long_list_is_looked_at_after_the_refresh_interval() -> None:
    world = World({f"audit-events-2026.02.{n:02}": Listed(f"u{n}") for n in range(FEW + 1)})
    world.listing.current()
    world.now += 0.9
    assert world.listing.current()[1] is None
    world.now += 0.1
    assert world.listing.current()[1] is not None


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> World:
    """More partitions that take events than each question asks in any case."""
    monkeypatch.setattr("webapi.listing.PATIENCE_SECONDS", 60.0)
    world = World({f"audit-events-2026.02.{n:02}": Listed(f"u{n}") for n in range(FEW_GROWING + 1)})
    world.documents = {f"u{n}": "7.1" for n in range(FEW_GROWING + 1)}
    return world


@pytest.mark.parametrize(
    "more", [pytest.param("8.1", id="a document"), pytest.param("7.2", id="a late refresh")]
)
def test_an_index_that_has_no_more_documents_than_before_is_quiet(days: World, more: str) -> None:
    assert days.steady() == ""
    days.now += SETTLED_REFRESHES
    quiet = days.steady()
    assert quiet.startswith("u0")
    days.documents = {**days.documents, "u0": more}
    assert days.steady() == ""
    days.now += SETTLED_REFRESHES - 1
    assert days.steady() == ""
    days.now += 1
    assert days.steady() not in ("", quiet), "what was counted before is not true any more"


def test_a_list_that_tells_of_a_quiet_one_is_looked_at_with_each_question(days: World) -> None:
    """Events of a quiet one are not looked for, so it has to be quiet now."""
    days.steady()
    assert days.listing.current()[1] is None
    days.now += SETTLED_REFRESHES
    assert days.steady()
    assert days.listing.current()[1] is not None


def test_one_that_is_sealed_is_the_same_whatever_it_was_before(days: World) -> None:
    days.steady()
    days.now += SETTLED_REFRESHES
    days.rows = {**days.rows, "audit-events-2026.02.00": BLOCKED}
    assert days.steady() == "", "what was written right before the block may not be found yet"


def test_one_that_nobody_counts_is_not_steady(days: World) -> None:
    """Its shard is nowhere: it is asked, and the answer is an error, never a silent half."""
    days.documents = {"u1": "7.1"}
    days.steady()
    days.now += SETTLED_REFRESHES
    assert [bool(one.steady) for one in days.listing.renew()] == [False, True, False, False]


def test_a_few_are_not_counted(days: World) -> None:
    days.rows.popitem()
    days.count = lambda _: pytest.fail("they are asked in any case")
    assert days.steady() == ""


@pytest.mark.parametrize(
    "error", [UnavailableError("storage_timeout", ""), InternalError("refused")], ids=repr
)
def test_numbers_that_are_refused_are_done_without_for_a_while(
    days: World, error: Exception
) -> None:
    asked: list[Sequence[str]] = []

    def refuse(names: Sequence[str]) -> Mapping[str, str]:
        asked.append(names)
        raise error

    days.count = refuse
    for _ in range(2):
        assert days.steady() == ""
    assert len(asked) == 1
    days.now += SETTLED_REFRESHES
    days.steady()
    assert len(asked) == 2


def test_an_answer_does_not_wait_for_numbers_that_do_not_come(
    days: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapi.listing.PATIENCE_SECONDS", 0.01)
    come = threading.Event()

    def stall(_: Sequence[str]) -> Mapping[str, str]:
        come.wait(30)
        return {}

    days.count = stall
    assert days.steady() == ""
    assert not come.is_set()
    come.set()


LISTED = Index("a", "u1")
QUIET = Index("a", "u1", steady="u1/7")


@pytest.mark.parametrize(
    ("listed", "renewed", "holds"),
    [
        pytest.param([LISTED], [LISTED], True, id="the same"),
        pytest.param([QUIET], [QUIET], True, id="as quiet as before"),
        pytest.param([LISTED], [QUIET], True, id="it became quiet"),
        pytest.param([QUIET], [LISTED], False, id="it took an event"),
        pytest.param([QUIET], [Index("a", "u1", steady="u1/8")], False, id="it took one long ago"),
        pytest.param([QUIET], [Index("a", "u1", steady="u1")], False, id="it was sealed"),
        pytest.param([LISTED], [], False, id="it went"),
        pytest.param([], [LISTED], False, id="it came"),
        pytest.param([LISTED], [Index("a", "u2")], False, id="another one has its name"),
    ],
)
def test_an_answer_counts_while_nothing_it_rests_on_changed(
    listed: list[Index],
    renewed: list[Index],
    holds: bool,  # noqa: FBT001  # a case
) -> None:
    assert still_holds(listed, renewed) is holds
