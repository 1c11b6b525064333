"""The timeline's drawing."""

from datetime import UTC

from webapi.histogram import ColourCounts, Histogram, TimeBucket
from webapi.page.timeline import HEIGHT, LEAST, Piece, timeline

BUCKETS = [
    TimeBucket(
        "2026-03-15T09:00:00.000000Z",
        "2026-03-15T09:01:00.000000Z",
        4,
        ColourCounts(green=1, red=2, uncatalogued=1),
    ),
    TimeBucket("2026-03-15T09:01:00.000000Z", "2026-03-15T09:02:00.000000Z", 0, ColourCounts()),
    TimeBucket(
        "2026-03-15T09:02:00.000000Z",
        "2026-03-15T09:03:00.000000Z",
        1000,
        ColourCounts(green=1, blue=999),
    ),
]


def test_kinds_are_stacked_from_the_ground_up() -> None:
    drawn = timeline(Histogram("1m", BUCKETS[:1]), UTC)
    assert drawn is not None
    assert drawn.bars[0].pieces == [
        Piece("green", 75, 25),
        Piece("red", 25, 50),
        Piece("none", 0, 25),
    ]
    assert drawn.bars[0].words == "2026-03-15 09:00:00: 4 events"


def test_what_is_little_beside_much_is_seen_all_the_same() -> None:
    drawn = timeline(Histogram("1m", BUCKETS), UTC)
    assert drawn is not None
    assert drawn.bars[1].pieces == []
    assert {piece.height for piece in drawn.bars[0].pieces} == {LEAST}
    assert all(piece.top >= 0 for bar in drawn.bars for piece in bar.pieces)
    assert sum(piece.height for piece in drawn.bars[2].pieces) <= HEIGHT + LEAST


def test_the_drawing_is_said_in_words() -> None:
    drawn = timeline(Histogram("1m", BUCKETS), UTC)
    assert drawn is not None
    assert drawn.summary == (
        "Events from 2026-03-15 09:00:00 to 2026-03-15 09:03:00 UTC;"
        " most at 2026-03-15 09:02:00: 1,000 events."
    )


def test_nothing_is_not_drawn() -> None:
    assert timeline(Histogram("1m", []), UTC) is None
    assert timeline(Histogram("1m", BUCKETS[1:2]), UTC) is None
