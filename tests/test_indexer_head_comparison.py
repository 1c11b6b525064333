"""What a signed head says beside what is there: each thing that may differ, by name."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from indexer.head import Shares, root_of_shares
from indexer.head_comparison import (
    Life,
    Lives,
    differences,
    find_end,
    tell_contents,
    tell_end,
    tell_record,
    tell_unsigned,
)
from indexer.records import Seal
from indexer.settings import IndexSettings
from tests.test_indexer_head import HEAD, SHARES

SETTINGS = IndexSettings()
NOW = datetime(2028, 6, 1, tzinfo=UTC)
OF = (HEAD.partition, HEAD.index_uuid)
FEWER: Shares = {one: share for one, share in SHARES.items() if one}
EXCHANGED: Shares = {**SHARES, "org_a": SHARES["org_b"], "org_b": SHARES["org_a"]}


SEAL = Seal(
    HEAD.index_uuid, HEAD.events, HEAD.first, HEAD.last, HEAD.sha256, {}, SHARES, "as signed"
)
"""What the journal has of the same."""


def found(**fields: Any) -> Seal:
    return replace(SEAL, **fields)


ROOT = f"root {{}}, not {HEAD.root}"
DIFFERENCES: dict[str, tuple[Seal, list[str]]] = {
    "nothing": (found(), []),
    "a count": (found(events=14), ["events 14, not 15"]),
    "no event": (found(first=None), [f"first None, not {HEAD.first}"]),
    "the digest alone": (found(sha256="0" * 63 + "1"), [f"digest {'0' * 63}1, not {'0' * 64}"]),
    "an organisation is gone": (
        found(shares=FEWER),
        ["organizations 4, not 5", ROOT.format(root_of_shares(FEWER))],
    ),
    "two organisations exchanged": (
        found(shares=EXCHANGED), [ROOT.format(root_of_shares(EXCHANGED))],
    ),
    "a record without shares": (
        found(shares=None), ["organizations None, not 5", ROOT.format(None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENCES)
def test_what_differs_is_named(case: str) -> None:
    contents, expected = DIFFERENCES[case]
    assert differences(HEAD, contents) == expected
    told = tell_contents(HEAD, contents, HEAD.index_uuid), tell_record(HEAD, OF, contents)
    assert [one is not None for one in told] == [bool(expected)] * 2


def test_another_index_with_the_same_in_it_is_as_good() -> None:
    assert tell_contents(HEAD, SEAL, "another") is None
    told = tell_contents(HEAD, found(events=1), "another")
    assert told is not None
    assert "is another index than then and is not what head 1" in told.problem
    assert (told.kind, told.index, told.head_number) == ("head", HEAD.partition, 1)


def test_a_head_in_the_record_of_another_partition_is_told() -> None:
    told = tell_record(HEAD, ("audit-events-2026.11", "u"), SEAL)
    assert told is not None
    assert "it is of audit-events-2026.11/u" in told.problem


def life(deleted_at: str = "", **fields: Any) -> Life:
    deleted_at = deleted_at and f"{deleted_at}T00:00:00.000000Z"
    return Life(HEAD.sealed_at, deleted_at, **fields)


NAME, UUID = OF
ENDS: dict[str, tuple[Lives, bool, bool]] = {
    "it is there": ({OF: life()}, False, False),
    "the journal knows nothing of it": ({}, False, False),
    "when its time had come": ({OF: life("2027-11-01")}, True, False),
    "a day too early": ({OF: life("2027-10-31")}, True, True),
    "early, and it was said so": ({OF: life("2027-01-01", is_early_accepted=True)}, True, True),
    "in a year that is yet to come": ({OF: life("2099-01-01")}, True, False),
    "what was restored of it": ({OF: life(), (NAME, "r"): life("2028-01-01")}, True, False),
    "what was restored of it, early": (
        {OF: life(), (NAME, "r"): life("2027-01-01")}, True, True,
    ),
    "one of its name before it": ({OF: life(), (NAME, "b"): life("2026-01-01")}, False, False),
    "another partition": ({OF: life(), ("x", UUID): life("2027-01-01")}, False, False),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_a_deletion_is_right_when_its_retention_had_ended(case: str) -> None:
    lives, has_ended, is_early = ENDS[case]
    assert (find_end(HEAD, lives) is not None) == has_ended
    told = tell_end(HEAD, lives, SETTINGS, NOW)
    assert (told is not None) == is_early
    assert told is None or told.kind == "early"
    assert told is None or told.is_warning == (case == "early, and it was said so")


def test_a_deletion_at_a_time_to_come_is_not_believed() -> None:
    lives = {OF: life("2099-01-01")}
    told = tell_end(HEAD, lives, SETTINGS, datetime(2027, 1, 1, tzinfo=UTC))
    assert told is not None
    assert "deletion at 2027-01-01" in told.problem


def test_a_name_of_another_prefix_has_no_retention_that_we_know() -> None:
    foreign = replace(HEAD, partition="others-events-2026.10")
    lives = {("others-events-2026.10", HEAD.index_uuid): life("2026-12-01")}
    assert tell_end(foreign, lives, SETTINGS, NOW) is None


def test_what_no_head_vouches_for_is_told_at_once() -> None:
    lives = {
        OF: life(),
        ("b", "1"): life(),
        ("a", "1"): life(),
        ("gone", "1"): life("2027-01-01"),
        ("restored", "1"): Life(),
    }
    (told,) = tell_unsigned(lives, {OF})
    assert told.problem == "2 partitions were sealed and no head of them is there: a, b"
    assert told.is_warning
    assert list(tell_unsigned(lives, {*lives})) == []
