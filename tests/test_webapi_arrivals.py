"""Places in the order of arrival: what is read behind one, and which one comes next."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from webapi.arrivals import (
    STRETCHES_AT_ONCE,
    WHOLE,
    Place,
    Stretch,
    holds_back,
    marks_behind,
    portions,
    stretches_of,
)
from webapi.settlement import Settled
from webapi.storage_answer import Checkpoint, Hit
from webapi.timeline import Index

OPEN = Index("e-2026.03", "open-uuid")
BLOCKED = Index("e-2026.02", "blocked-uuid", blocked=True)
SEALED = Index("e-2026.01", "sealed-uuid", steady="sealed-uuid", blocked=True)
LISTED = (OPEN, BLOCKED, SEALED)
FOUND = {
    "e-2026.03": Checkpoint("open-uuid", 9),
    "e-2026.02": Checkpoint("blocked-uuid", 4),
    "journal": Checkpoint("journal-uuid", 2),
}
SETTLED = {"open-uuid": 7, "blocked-uuid": 4, "journal-uuid": -1}


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        pytest.param(
            Place(),
            [
                Stretch("e-2026.01", "sealed-u", -1, WHOLE),
                Stretch("e-2026.02", "blocked-", -1, 4),
                Stretch("e-2026.03", "open-uui", -1, 7),
            ],
            id="everything, up to what is settled",
        ),
        pytest.param(
            Place(read={"open-uui": 5, "blocked-": 4}, done=frozenset({"sealed-u"})),
            [Stretch("e-2026.03", "open-uui", 5, 7)],
            id="what is new",
        ),
        pytest.param(
            Place(read={"open-uui": 9, "blocked-": 4}, done=frozenset({"sealed-u"})),
            [],
            id="ahead of what is settled here: another process saw more",
        ),
        pytest.param(
            Place(done=frozenset({"sealed-u", "blocked-", "open-uui"})),
            [Stretch("e-2026.03", "open-uui", -1, 7)],
            id="done, and written again: read anew, so that nothing is missed",
        ),
    ],
)
def test_what_is_read_behind_a_place(place: Place, wanted: list[Stretch]) -> None:
    assert stretches_of(place, LISTED, FOUND, Settled(SETTLED, frozenset())) == wanted


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        pytest.param(
            {"open-uui": 5, "blocked-": 4},
            [
                Stretch("e-2026.01", "sealed-u", -1, WHOLE),
                Stretch("e-2026.02", "blocked-", -1, 4),
                Stretch("e-2026.03", "open-uui", -1, 5),
            ],
            id="up to what was there",
        ),
        pytest.param(
            {"sealed-u": 3, "open-uui": 9},
            [
                Stretch("e-2026.01", "sealed-u", -1, 3),
                Stretch("e-2026.03", "open-uui", -1, 7),
            ],
            id="one was sealed meanwhile, and one was made",
        ),
    ],
)
def test_what_is_read_since_an_instant_was_there(
    there: dict[str, int], wanted: list[Stretch]
) -> None:
    place = Place(since="2026-03-15T00:00:00.000000Z", there=there)
    assert stretches_of(place, LISTED, FOUND, Settled(SETTLED, frozenset())) == wanted


@pytest.mark.parametrize(
    ("place", "recent", "wanted"),
    [
        pytest.param(Place(), set(), True, id="nothing was seen yet"),
        pytest.param(
            Place(), {"open-uuid", "blocked-uuid", "journal-uuid"}, False, id="all was seen lately"
        ),
        pytest.param(Place(), {"open-uuid", "journal-uuid"}, True, id="one was not"),
        pytest.param(
            Place(read={"open-uui": 9, "blocked-": 4, "journal-": 2}),
            set(),
            False,
            id="read to its end: nothing to wait for",
        ),
        pytest.param(
            Place(read={"open-uui": 8, "blocked-": 4, "journal-": 2}), set(), True, id="one is left"
        ),
        pytest.param(
            Place(read={"journal-": 2}, done=frozenset({"blocked-"})),
            {"open-uuid"},
            False,
            id="done, and can get no more",
        ),
        pytest.param(
            Place(read={"blocked-": 4, "journal-": 2}, done=frozenset({"open-uui"})),
            set(),
            True,
            id="done, and written again",
        ),
    ],
)
def test_what_nobody_can_tell_yet_is_no_end(
    place: Place, recent: set[str], *, wanted: bool
) -> None:
    settled = Settled(SETTLED, frozenset(recent))
    assert holds_back(place, LISTED, FOUND, settled) is wanted


@pytest.mark.parametrize("name", ["e-2026.03", "e-2026.02"])
def test_what_does_not_say_how_far_it_is_holds_back(name: str) -> None:
    """Its primary changes: whoever fetches and stops would stop too soon."""
    place = Place(read={"open-uui": 9, "blocked-": 4, "journal-": 2})
    settled = Settled(SETTLED, frozenset(SETTLED))
    assert not holds_back(place, LISTED, FOUND, settled)
    told = {one: number for one, number in FOUND.items() if one != name}
    assert holds_back(place, LISTED, told, settled)


def test_each_is_read_in_the_copy_of_which_it_is_known_how_far_it_is() -> None:
    """Even where another one is the primary by now, for the node that is asked."""
    settled = Settled(SETTLED, frozenset(), {"open-uuid": "node-a", "blocked-uuid": "node-b"})
    found = {**FOUND, "e-2026.03": Checkpoint("open-uuid", 9, copy="node-c")}
    stretches = stretches_of(Place(), LISTED, found, settled)
    asked = [(some[0].copy, [one.name for one in some]) for some in portions(stretches)]
    assert asked == [("", ["e-2026.01"]), ("node-b", ["e-2026.02"]), ("node-a", ["e-2026.03"])]


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_not_too_many_are_asked_for_at_once(count: int) -> None:
    stretches = [Stretch(str(number), str(number), -1, WHOLE) for number in range(count)]
    asked = portions(stretches)
    assert [one for some in asked for one in some] == stretches
    assert all(0 < len(some) <= STRETCHES_AT_ONCE for some in asked)


def hit(number: int, name: str) -> Hit:
    return Hit(source=Raw(b"{}"), sort=("org", number, name))


def test_a_page_that_is_not_full_ends_what_was_asked() -> None:
    asked = [Stretch("a", "a", 3, 9), Stretch("b", "b", -1, WHOLE)]
    assert marks_behind(asked, [], is_full=False) == {"a": 9, "b": WHOLE}


numbers = st.dictionaries(
    st.sampled_from("abc"), st.sets(st.integers(0, 12), max_size=8), min_size=1
)


@pytest.mark.slow
@given(numbers, st.integers(1, 5), st.integers(0, 12))
def test_pages_hold_each_event_once_whatever_their_size(
    written: dict[str, set[int]], size: int, bound: int
) -> None:
    """A model: indices as sets of numbers, of which gaps are other organisations' events."""
    read = dict.fromkeys(written, -1)
    seen: list[tuple[int, str]] = []
    while True:
        asked = [Stretch(name, name, read[name], bound) for name in written]
        hits = sorted(
            (number, name)
            for name, there in written.items()
            for number in there
            if read[name] < number <= bound
        )[:size]
        seen += hits
        full = len(hits) == size
        behind = marks_behind(asked, [hit(*one) for one in hits], is_full=full)
        assert all(behind[name] >= read[name] for name in written)
        read |= behind
        if not full:
            break
    assert sorted(seen) == sorted(
        (number, name) for name, there in written.items() for number in there if number <= bound
    )
    assert set(read.values()) == {bound}


def test_a_place_of_two_years_of_days_fits_into_an_address() -> None:
    done = frozenset(f"{number:08}" for number in range(400))
    place = Place(read={f"r{number:07}": 10**6 for number in range(20)}, done=done)
    text = msgspec.msgpack.encode(place)
    assert msgspec.msgpack.decode(text, type=Place) == place
    assert len(text) * 4 / 3 < 6000
