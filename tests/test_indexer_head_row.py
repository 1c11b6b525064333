"""What a row of heads tells by itself: a table of what can be done to one."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey
from msgspec.structs import replace

from indexer.head import Head, head_hash, named_key, read_unchecked, sign
from indexer.head_row import JOURNAL, Row, examine, name_of_head, read_row
from tests.test_indexer_head import HEAD

KEY, FOREIGN = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
SETTLED = "2026-12-31T00:00:00.000000Z"


def head(number: int, previous: str | None, **fields: object) -> Head:
    name = f"audit-events-2026.{number:02}"
    return replace(HEAD, number=number, previous=previous, partition=name, **fields)


def chain(count: int, key: OKPKey = KEY, **fields: object) -> list[str]:
    """So many heads, each of which names the one before."""
    signed: list[str] = []
    for number in range(1, count + 1):
        previous = head_hash(signed[-1]) if signed else None
        signed.append(sign(head(number, previous, **fields), key))
    return signed


def row(origin: str, signed: Sequence[str], end: str = "\n") -> Row:
    lines = [(f"line {number}", f"{one}\n") for number, one in enumerate(signed, 1)]
    if lines:
        lines[-1] = (lines[-1][0], lines[-1][1].rstrip("\n") + end)
    return read_row(origin, lines, [KEY])


FIVE = chain(5)
OTHER = chain(5, index_uuid="another")
"""What somebody signed who has the key."""
FORGED = chain(5, FOREIGN)
ALONE = sign(head(3, "x" * 43), KEY)
PAYLOAD = jws.serialize_compact(
    {"alg": "Ed25519", "kid": KEY.thumbprint(), "typ": "JWT"}, b"{}", KEY, algorithms=["Ed25519"]
)

Told = list[tuple[str, int | None]]

CASES: dict[str, tuple[list[str], list[str] | None, Told]] = {
    "nothing at all": ([], None, []),
    "a whole journal": (FIVE, None, []),
    "a whole journal, and all of it kept": (FIVE, FIVE, []),
    "the order of the lines is nothing": (FIVE[::-1], [*FIVE[3:], *FIVE[:3]], []),
    "a line that is there twice": ([*FIVE, FIVE[2]], [*FIVE, FIVE[0]], []),
    "younger heads than were carried away": (FIVE, FIVE[:2], []),
    "one was removed from the journal": ([*FIVE[:2], *FIVE[3:]], None, [("hole", 3)]),
    "the first was removed from the journal": (FIVE[1:], None, [("hole", 1)]),
    "some were removed from the journal": ([FIVE[0], FIVE[4]], None, [("hole", 2)]),
    "the last was removed from the journal": (FIVE[:4], FIVE, [("rewritten", 5)]),
    "one was removed from the journal, and was kept": (
        [*FIVE[:2], *FIVE[3:]], FIVE, [("rewritten", 3)],
    ),
    "one was removed from the file": (FIVE, [*FIVE[:2], *FIVE[3:]], [("unkept", 3)]),
    "the file begins later": (FIVE, FIVE[3:], [("unkept", 1)]),
    "one was removed from both": (
        [*FIVE[:2], *FIVE[3:]], [*FIVE[:2], *FIVE[3:]], [("hole", 3)],
    ),
    "of a gap in the file the journal has a part": (
        [FIVE[0], *FIVE[2:]], [FIVE[0], *FIVE[3:]], [("hole", 2), ("unkept", 2)],
    ),
    "all was removed from the journal": ([], FIVE, [("rewritten", None)]),
    "the only one was removed from the journal": ([], FIVE[:1], [("rewritten", 1)]),
    "the file of another log": (FIVE, OTHER[:1], [("rewritten", 1), ("fork", 1)]),
    "all was signed anew with the stolen key": (
        OTHER, FIVE, [("rewritten", None), *[("fork", number) for number in range(1, 6)]],
    ),
    "the youngest were signed anew with the stolen key": (
        [*FIVE[:4], OTHER[4]], FIVE, [("rewritten", 5), ("fork", 5), ("fork", 5)],
    ),
    "one was signed that names no head before it": (
        [*FIVE[:2], ALONE], None, [("fork", 3)],
    ),
    "a second that is the first": ([FIVE[0], sign(head(2, None), KEY)], None, [("fork", 2)]),
    "a first that names one before": ([sign(head(1, "x" * 43), KEY)], None, [("fork", 1)]),
    "all was signed anew with another key": (
        FORGED, FIVE, [("signature", None), ("rewritten", None)],
    ),
    "one of the journal was signed with another key": (
        [*FIVE[:4], FORGED[4]], FIVE[:4], [("signature", None)],
    ),
    "one in the middle of the journal was signed with another key": (
        [*FIVE[:2], FORGED[2], *FIVE[3:]], None, [("signature", None)],
    ),
    "the last of the journal was signed with another key, far ahead": (
        [*FIVE[:2], sign(head(9, None), FOREIGN)], None, [("signature", None)],
    ),
    "the key is not the one": (FORGED, FORGED, [("signature", None), ("signature", None)]),
    "an altered line": (
        [FIVE[0]], [FIVE[0], FIVE[1][:-9] + FIVE[1][-9:].swapcase()], [("signature", None)],
    ),
    "what is no head, in the file": (FIVE, [*FIVE, "head", "a.b.c"], [("signature", None)]),
    "a line that a crash tore, and the whole one behind it": (
        FIVE, [*FIVE[:2], FIVE[2][:300], *FIVE[2:]], [],
    ),
    "a line that was torn, and is nowhere else": (
        FIVE, [*FIVE[:2], FIVE[2][:300], *FIVE[3:]], [("signature", None), ("unkept", 3)],
    ),
    "something else that the key signed": ([*FIVE, PAYLOAD], None, [("signature", None)]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_was_done_to_a_row_is_told(case: str) -> None:
    recorded, kept, expected = CASES[case]
    kept_row = None if kept is None else row("heads.jsonl", kept)
    found = list(examine(row(JOURNAL, recorded), kept_row, settled=SETTLED))
    assert [(one.kind, one.head_number) for one in found] == expected
    assert all(one.problem and one.next for one in found)
    assert all(one.is_warning == (one.kind == "unkept") for one in found)


def test_a_half_last_line_is_a_copy_that_was_made_meanwhile() -> None:
    kept = row("heads.jsonl", [*FIVE[:3], FIVE[3][:200]], end="")
    (one,) = examine(row(JOURNAL, FIVE), kept, settled=SETTLED)
    assert (one.kind, one.is_warning) == ("cut", True)
    whole = row("heads.jsonl", FIVE, end="")
    assert list(examine(row(JOURNAL, FIVE), whole, settled=SETTLED)) == []


def test_a_head_of_just_now_need_not_be_in_the_journal_yet() -> None:
    now = chain(1, sealed_at=SETTLED)
    assert list(examine(row(JOURNAL, []), row("heads.jsonl", now), settled=SETTLED)) == []


def test_each_key_that_was_ever_used_is_known() -> None:
    """As after a rotation: the next head is signed by another key, and names the last one."""
    signed = chain(2)
    signed.append(sign(head(3, head_hash(signed[-1])), FOREIGN))
    lines = [("", f"{one}\n") for one in signed]
    found = read_row(JOURNAL, lines, [FOREIGN, KEY])
    assert list(examine(found, None, settled=SETTLED)) == []
    (one,) = examine(read_row(JOURNAL, lines, [FOREIGN]), None, settled=SETTLED)
    assert KEY.thumbprint() in one.problem


def test_where_and_which_is_said() -> None:
    kept = row("heads.jsonl", ["x", *FIVE[:1], "y", *FIVE[2:]])
    told = [one.problem for one in examine(row(JOURNAL, FIVE[1:]), kept, settled=SETTLED)]
    assert told == [
        "heads.jsonl, line 1, line 3: no signed head",
        f"{name_of_head(head(1, None))} is in heads.jsonl, and not in the journal",
        "head 2 is not in heads.jsonl, and in the journal",
    ]
    (hole,) = examine(row(JOURNAL, FIVE[3:]), None, settled=SETTLED)
    assert hole.problem == "heads 1 to 3 are not in the journal, though head 4 is there"


def test_whose_signature_is_wrong_is_said() -> None:
    altered = FIVE[0][:-9] + FIVE[0][-9:].swapcase()
    found = row(JOURNAL, ["x", altered, *FORGED[:2], PAYLOAD])
    told = [one.problem for one in examine(found, None, settled=SETTLED)]
    mine, foreign = KEY.thumbprint(), FOREIGN.thumbprint()
    assert set(told) == {
        "the journal, line 1: no signed head",
        f"the journal, line 2, line 5: no head that the key {mine} signed, though it says so",
        f"the journal, line 3, line 4: signed by {foreign}, which is no key that was given",
    }


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        (FORGED[0], (FOREIGN.thumbprint(), 1)),
        (PAYLOAD, (KEY.thumbprint(), None)),
        ("", ("", None)),
        ("é", ("", None)),
        ("e30.e30.", ("", None)),
        ("bnVsbA.e30.x", ("", None)),
        ("eyJraWQiOjF9.e30.x", ("", None)),
        ("a" * 300_000, ("", None)),
        ("[" * 1000 + ".x.y", ("", None)),
    ],
)
def test_what_an_unchecked_head_says(signed: str, said: tuple[str, int | None]) -> None:
    found = read_unchecked(signed)
    assert (named_key(signed), found and found.number) == said


def test_heads_are_linked_here_as_the_lifecycle_does() -> None:
    heads = [read_unchecked(one) for one in FIVE]
    assert [one and one.previous for one in heads[1:]] == [head_hash(a) for a, _ in pairwise(FIVE)]
