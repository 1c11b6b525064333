"""Chains in whatever order their events come: the same is found as in order, and nothing else."""

import random
import uuid
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.canonical import canonical
from audit_events.chain import decode_hash, encode_hash, follows, genesis, link
from indexer.chain_runs import Break, ChainRuns, Flaw, Missing, StoredEvent

SOURCES = tuple(str(uuid.UUID(int=number, version=4)) for number in range(1, 4))


def chained(source_id: str, count: int, **more: object) -> list[StoredEvent]:
    """Events of one source, as an emitter chains them."""
    previous, events = genesis(source_id), list[StoredEvent]()
    for seq in range(count):
        event_id = str(uuid.uuid4())
        timestamp = f"2026-03-15T09:{seq // 60:02}:{seq % 60:02}.000000Z"
        members: dict[str, object] = {
            "id": event_id,
            "timestamp": timestamp,
            "source": {"id": source_id, "seq": seq},
            **more,
        }
        previous = link(previous, canonical(members))
        text = encode_hash(previous)
        line = canonical({**members, "hash": text})
        events.append(StoredEvent("i", source_id, seq, event_id, timestamp, text, line))
    return events


def altered(event: StoredEvent) -> StoredEvent:
    line = event.line.replace(b"2026", b"2025")
    return msgspec.structs.replace(event, line=line)


def taken(parts: Iterable[Sequence[StoredEvent]], runs: ChainRuns | None = None) -> list[Flaw]:
    runs = runs or ChainRuns()
    found = [flaw for part in parts for flaw in runs.take(part)]
    return [*found, *runs.missing()]


def told(flaws: Sequence[Flaw]) -> set[tuple[str, str, int, int]]:
    return {
        ("missing", flaw.source_id, flaw.first, flaw.last)
        if isinstance(flaw, Missing)
        else (flaw.kind, flaw.event.source_id, flaw.event.seq, flaw.event.seq)
        for flaw in flaws
    }


@given(st.randoms(use_true_random=False), st.integers(1, 9))
def test_whatever_the_order_what_is_whole_holds(chance: random.Random, size: int) -> None:
    events = [one for source in SOURCES for one in chained(source, 12)]
    chance.shuffle(events)
    runs = ChainRuns()
    assert taken([events[at : at + size] for at in range(0, len(events), size)], runs) == []
    assert (runs.sources, list(runs.beginnings())) == (3, [])


@given(st.randoms(use_true_random=False), st.integers(1, 9), st.integers(1, 10))
def test_whatever_the_order_one_flaw_is_found_where_it_is(
    chance: random.Random, size: int, seq: int
) -> None:
    source = SOURCES[0]
    for flaw in ("missing", "altered", "twice"):
        own = chained(source, 12)
        if flaw == "missing":
            del own[seq]
        elif flaw == "altered":
            own[seq] = altered(own[seq])
        else:
            own.append(own[seq])
        events = [*own, *chained(SOURCES[1], 12)]
        chance.shuffle(events)
        found = taken(events[at : at + size] for at in range(0, len(events), size))
        assert told(found) == {(flaw, source, seq, seq)}, flaw
        assert len(found) == 1


def test_what_is_missing_says_what_stands_around_it() -> None:
    events = chained(SOURCES[0], 9)
    (gap,) = taken([[*events[:2], *events[5:]]])
    assert isinstance(gap, Missing)
    assert (gap.first, gap.last, gap.since) == (2, 4, events[1].timestamp)
    assert gap.after == events[5]


def test_a_source_may_begin_late_and_its_beginning_may_come_last() -> None:
    events = chained(SOURCES[0], 9)
    runs = ChainRuns()
    assert taken([events[6:], events[3:6]], runs) == []
    assert list(runs.beginnings()) == [events[3]]
    assert taken([events[:3]], runs) == []
    assert list(runs.beginnings()) == []


def test_a_wrong_beginning_shows_once_it_is_there() -> None:
    events = chained(SOURCES[0], 9)
    runs = ChainRuns()
    assert taken([events[3:]], runs) == []
    events[2] = chained(SOURCES[0], 9, other=1)[2]
    assert told(taken([events[:3]], runs)) == {("altered", SOURCES[0], seq, seq) for seq in (2, 3)}


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_in_one_place_the_one_that_the_next_follows_is_the_true_one(order: int) -> None:
    """Whoever slips one in can see to it that it follows from the one before."""
    events = chained(SOURCES[0], 6)
    members = msgspec.json.decode(events[2].line)
    del members["hash"]
    members["action"] = "forged"
    text = encode_hash(link(decode_hash(events[1].hash), canonical(members)))
    forged = msgspec.structs.replace(
        events[2], id="forged", hash=text, line=canonical({**members, "hash": text})
    )
    (found,) = taken([[*events[:2], *(events[2], forged)[::order], *events[3:]]])
    assert isinstance(found, Break)
    assert (found.kind, found.event.id) == ("twice", "forged")


def test_many_in_one_place_are_not_held_each_against_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the writer's password can store them: a few hundred took minutes."""
    held: list[bytes] = []

    def counted(previous: bytes, line: bytes) -> bool:
        held.append(line)
        return follows(previous, line)

    monkeypatch.setattr("indexer.chain_runs.follows", counted)
    first, second = chained(SOURCES[0], 2)
    found = taken([[first] * 200 + [altered(second)] * 200])
    assert told(found) == {
        ("twice", SOURCES[0], 0, 0), ("twice", SOURCES[0], 1, 1), ("altered", SOURCES[0], 1, 1)
    }  # fmt: skip
    assert len(found) == 2 * 199 + 1
    assert len(held) < 3 * 400


def test_without_room_a_gap_is_told_at_once_and_once() -> None:
    events = chained(SOURCES[0], 10)
    runs = ChainRuns(heads_bytes=len(events[4].line))
    parts = [events[:2], events[4:5], events[7:]]
    found = [list(runs.take(part)) for part in parts]
    assert [told(one) for one in found] == [set(), set(), {("missing", SOURCES[0], 5, 6)}]
    assert told(runs.missing()) == {("missing", SOURCES[0], 2, 3)}
    # What was filled makes room again.
    assert list(runs.take(events[2:4])) == runs.missing() == []


def test_the_source_that_is_quiet_longest_is_forgotten_with_its_gap_told() -> None:
    first, second, third = (chained(source, 6) for source in SOURCES)
    runs = ChainRuns(sources_limit=2)
    parts = [first[:2], first[3:4], second, third]
    assert told(taken(parts, runs)) == {("missing", SOURCES[0], 2, 2)}
    assert (runs.sources, runs.forgotten) == (3, 1)
    assert taken([first[4:]], runs) == []
