"""Counts of sealed indices are remembered, within bounds."""

from webapi.counts import REMEMBERED_SECONDS, Counts


def test_what_is_kept_is_found_under_its_question_alone() -> None:
    counts = Counts()
    counts.keep(b"a", {"u1": 1})
    counts.keep(b"a", {"u2": 2})
    assert counts.of(b"a") == {"u1": 1, "u2": 2}
    assert counts.of(b"b") == {}


def test_what_was_asked_longest_ago_goes_first() -> None:
    counts = Counts(most=3)
    counts.keep(b"a", {"u1": 1})
    counts.keep(b"b", {"u1": 1, "u2": 1})
    counts.of(b"a")
    counts.keep(b"c", {"u1": 1})
    assert (counts.of(b"b"), counts.of(b"a")) == ({}, {"u1": 1})


def test_a_question_larger_than_the_bound_is_not_kept() -> None:
    counts = Counts(most=1)
    counts.keep(b"a", {"u1": 1, "u2": 1})
    assert counts.of(b"a") == {}


def test_no_count_is_believed_for_good() -> None:
    now = [0.0]
    counts = Counts(clock=lambda: now[0])
    counts.keep(b"a", {"u1": 1})
    now[0] = REMEMBERED_SECONDS
    assert counts.of(b"a") == {}
    counts.keep(b"a", {"u1": 2})
    assert counts.of(b"a") == {"u1": 2}
