"""A sealing in parts: each fits in an event, and none of another attempt is taken for one."""

from collections.abc import Sequence

import msgspec
import pytest

from audit_events.canonical import canonical
from audit_events.chain import encode_hash
from audit_events.event import MAX_LINE_BYTES
from indexer.digest import Digest
from indexer.errors import JournalError
from indexer.head import Share, Shares
from indexer.seal_parts import (
    PART_ORGANIZATIONS,
    SealPart,
    count_events,
    cut,
    join,
    read_shares,
    split,
)

NAME = "audit-events-2025.01"
HEAD_BYTES = 1024
"""One is 700 to 900 bytes long."""
EVENT_BYTES = 2048
"""What an event has besides the context of a sealing: 900 bytes and a long policy."""


def digest_of(shares: Shares) -> Digest:
    return Digest(sum(one.events for one in shares.values()), None, None, "a" * 64, shares)


def share(number: int) -> Share:
    return Share(number, encode_hash(number.to_bytes(32)))


def many(organizations: int, *, spelled: str = "org_{:06}") -> dict[str | None, Share]:
    return {spelled.format(number): share(number) for number in range(organizations)}


def read(contexts: Sequence[dict[str, object]]) -> list[SealPart]:
    stored = msgspec.json.decode(canonical(list(contexts)))
    return msgspec.convert(stored, list[SealPart])


def test_the_largest_part_is_far_from_the_most_that_a_line_may_have() -> None:
    ids = "\x1f" * 13 + "{:03}"
    worst: dict[str | None, Share] = {
        ids.format(number): Share(2**31 - 1, share(number).root) for number in range(999)
    }
    worst[None] = Share(2**31 - 1, share(0).root)
    contexts = split("u" * 22, digest_of(worst))
    longest = max(len(canonical(one)) for one in contexts)
    assert longest + HEAD_BYTES + EVENT_BYTES < 52 * 1024 < MAX_LINE_BYTES
    assert longest > 40 * 1024, "this is not the worst case"


def test_what_was_split_is_joined_again_in_whatever_order_it_is_read() -> None:
    table: tuple[Shares, ...] = (
        {},
        many(1),
        many(10_000),
        {**many(601), None: share(7)},
        {None: share(1)},
    )
    for shares in table:
        contexts = split("u", digest_of(shares))
        parts = join(NAME, "u", list(reversed(read(contexts))))
        assert read_shares(NAME, parts) == shares
        assert count_events(parts) == {
            one: own.events for one, own in shares.items() if one is not None
        }
        assert [part.part for part in parts] == list(range(1, len(parts) + 1))
        assert all(len(part.organizations) <= PART_ORGANIZATIONS for part in parts)


def test_one_id_that_is_too_long_for_a_part_has_one_of_its_own() -> None:
    shares: Shares = {"a": share(1), "b" * 30_000: share(2), "c": share(3)}
    assert [len(part) for part in cut(shares)] == [1, 1, 1]


def old(part: int, parts: int, *ids: str) -> SealPart:
    """As the versions wrote it that knew no trees."""
    text = {
        "indexUuid": "u",
        "events": 9,
        "first": None,
        "last": None,
        "sha256": "a" * 64,
        "part": part,
        "parts": parts,
        "organizations": [{"id": one, "events": 3} for one in ids],
        "policy": {"retentionDays": 400},
    }
    return msgspec.convert(text, SealPart)


def test_what_was_sealed_before_there_were_trees_is_read_and_has_no_shares() -> None:
    parts = join(NAME, "u", [old(2, 2, "c"), old(1, 2, "a", "b")])
    assert count_events(parts) == {"a": 3, "b": 3, "c": 3}
    assert read_shares(NAME, parts) is None
    assert parts[0].head == ""


class OldCount(msgspec.Struct):
    id: str
    events: int


class OldPart(msgspec.Struct, rename="camel"):
    """What versions read of a part that knew no trees."""

    index_uuid: str
    events: int
    sha256: str
    parts: int
    part: int
    organizations: tuple[OldCount, ...]


def test_a_version_that_knows_no_trees_reads_what_is_recorded_now() -> None:
    """The way back: it deletes by these counts, and tells each organisation its own."""
    contexts = split("u", digest_of({**many(601), None: share(7)}))
    contexts[0]["head"] = "a.b.c"
    parts = msgspec.convert(msgspec.json.decode(canonical(contexts)), list[OldPart])
    assert [one.part for one in parts] == [1, 2, 3]
    assert {one.parts for one in parts} == {3}
    counts = {one.id: one.events for part in parts for one in part.organizations}
    assert counts == {one: own.events for one, own in many(601).items()}


def test_what_an_attempt_left_that_was_cut_off_is_of_no_sealing() -> None:
    """A crash in the middle of it, and then another version, or other events."""
    shares = many(601)
    left = [old(2, 2, "org_000500"), *read(split("u", digest_of(many(602)))[1:])]
    parts = join(NAME, "u", [*left, *read(split("u", digest_of(shares)))])
    assert read_shares(NAME, parts) == shares
    of_other = read(split("another", digest_of(many(3))))
    assert read_shares(NAME, join(NAME, "another", [*left, *of_other])) == many(3)


def test_a_second_record_of_a_part_vouches_for_nothing() -> None:
    ours = read(split("u", digest_of(many(601))))
    forged = msgspec.structs.replace
    for second in (
        forged(ours[1], events=1),
        forged(ours[0], root=encode_hash(bytes(32))),
        forged(ours[0], root=""),
    ):
        with pytest.raises(JournalError, match="recorded twice"):
            join(NAME, "u", [*ours, second])


def test_a_sealing_of_which_a_part_is_missing_is_not_recorded() -> None:
    ours = read(split("u", digest_of(many(601))))
    for some in ([], ours[1:], ours[:2], [ours[0], ours[2]]):
        with pytest.raises(JournalError, match="not recorded whole"):
            join(NAME, "u", some)


def test_shares_that_do_not_come_to_the_root_are_an_error() -> None:
    (part,) = read(split("u", digest_of(many(3))))
    replace = msgspec.structs.replace
    one, *rest = part.organizations
    for forged in (
        replace(part, organizations=tuple(rest)),
        replace(part, organizations=(replace(one, events=5), *rest)),
        replace(part, organizations=(replace(one, root=""), *rest)),
        replace(part, unplaced=share(1)),
    ):
        with pytest.raises(JournalError, match="do not come to its root"):
            read_shares(NAME, [forged])
