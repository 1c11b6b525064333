"""What a row of signed heads tells by itself: of the journal, and of a file kept elsewhere. Pure.

Each head is numbered and names the one before it, so that none can be left out, exchanged or added
in between without its key. What stands at the end of a row nothing vouches for but what was kept.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Final

from joserfc.jwk import OKPKey
from msgspec import Struct

from indexer.errors import HeadError
from indexer.head import Head, check, head_hash, named_key, read_unchecked
from indexer.names import some_of
from indexer.store_findings import Finding, Kind

JOURNAL: Final = "the journal"


class Refused(Struct, frozen=True):
    """A line that is no head, or none that a known key signed."""

    place: str
    """Where in its origin."""
    key_id: str
    """The key that it names; "" where it names none."""
    number: int | None
    """The one that it claims: it is not missing, but refused."""


class Row(Struct, frozen=True):
    """Heads of one origin."""

    origin: str
    """What it is called: the journal, or a file."""
    heads: dict[str, Head] = {}
    """What each one says, by how it was signed; in their order."""
    refused: tuple[Refused, ...] = ()
    key_ids: tuple[str, ...] = ()
    """The keys that they were checked with."""
    is_cut: bool = False
    """Whether the last line is a part of one."""


def read_row(origin: str, lines: Iterable[tuple[str, str]], keys: Sequence[OKPKey]) -> Row:
    """Check the signature of each line; what is there twice counts once, and empty lines not.

    Args:
        origin: what the row is called.
        lines: where each one stands, and it with its end, which the last one lacks if it was cut.
        keys: any of them may have signed.
    """
    heads: dict[str, Head] = {}
    others: list[tuple[str, str]] = []
    is_cut = False
    for place, line in lines:
        signed = line.strip()
        if not signed or signed in heads:
            continue
        try:
            heads[signed] = check(signed, keys)
        except HeadError:
            is_cut = not line.endswith("\n")
            if not is_cut:
                others.append((place, signed))
    # A crash tears a line, and the whole one is appended behind it.
    whole = sorted(heads)
    refused = [_refuse(*one) for one in others if not _is_begun(one[1], whole)]
    key_ids = tuple(key.thumbprint() for key in keys)
    return Row(origin, heads, tuple(refused), key_ids, is_cut)


def _is_begun(text: str, ordered: Sequence[str]) -> bool:
    """Whether one of these begins with it."""
    after = bisect_left(ordered, text)
    return after < len(ordered) and ordered[after].startswith(text)


def _refuse(place: str, signed: str) -> Refused:
    claimed = read_unchecked(signed)
    return Refused(place, named_key(signed), claimed.number if claimed else None)


def examine(recorded: Row, kept: Row | None, *, settled: str) -> Iterator[Finding]:
    """What does not hold of the heads of the journal, and of those that were kept elsewhere.

    Args:
        recorded: those of the journal.
        kept: those of a file that was carried elsewhere.
        settled: an instant; a head that was signed after it need not be in the journal yet.
    """
    rows = [recorded] if kept is None else [kept, recorded]
    for row in rows:
        yield from _tell_refused(row)
    if kept is not None:
        yield from _tell_rewritten(recorded, kept, settled)
    heads = {**recorded.heads, **(kept.heads if kept else {})}
    yield from _tell_forks(heads)
    yield from _tell_holes(rows)
    if kept is not None:
        yield from _tell_unkept(recorded, kept)


def _tell_refused(row: Row) -> Iterator[Finding]:
    by_key = sorted(row.refused, key=lambda one: one.key_id)
    for key_id, some in groupby(by_key, key=lambda one: one.key_id):
        where = f"{row.origin}, {some_of([one.place for one in some])}: "
        if not key_id:
            problem = f"{where}no signed head"
            hint = "whoever wrote this there wrote it by hand, or it is another file"
        elif key_id in row.key_ids:
            problem = f"{where}no head that the key {key_id} signed, though it says so"
            hint = "it was altered after it was signed: compare it with other copies"
        else:
            problem = f"{where}signed by {key_id}, which is no key that was given"
            hint = (
                "if it was once the key of this log, give it with `--key`, too; else it is forged"
            )
        yield Finding("signature", problem, hint)
    if row.is_cut:
        problem = f"the last line of {row.origin} is a part of one"
        hint = "it was copied while it was written: copy it again"
        yield Finding("cut", problem, hint, is_warning=True)


def _tell_rewritten(recorded: Row, kept: Row, settled: str) -> Iterator[Finding]:
    lost = [one for signed, one in kept.heads.items() if signed not in recorded.heads]
    lost = [one for one in lost if one.sealed_at < settled]
    hint = (
        "the journal was rewritten, or another one put in its place (`audit_log.journal_accepted`"
        " says who went on with one), or these are heads of another log"
    )
    if len(lost) > 1 and len(lost) == len(kept.heads):
        problem = f"none of the {len(lost):,} heads of {kept.origin} is in the journal"
        yield Finding("rewritten", problem, hint)
        return
    for one in lost:
        problem = f"{name_of_head(one)} is in {kept.origin}, and not in the journal"
        yield of_head("rewritten", problem, hint, one)


def _tell_forks(heads: dict[str, Head]) -> Iterator[Finding]:
    """Two of one number, and one that does not name the one before."""
    by_number: dict[int, list[tuple[str, Head]]] = {}
    for signed, one in sorted(heads.items(), key=lambda item: item[1].number):
        by_number.setdefault(one.number, []).append((signed, one))
    hint = (
        "the lifecycle went on from a journal that was rewritten or is another one, or somebody"
        " else has the key. The one that was kept first is the true one"
    )
    for number, some in by_number.items():
        if len(some) > 1:
            names = " and ".join(name_of_head(one) for _, one in some)
            problem = f"there are {len(some)} heads of the number {number}: {names}"
            yield of_head("fork", problem, hint, some[-1][1])
        before = by_number.get(number - 1, [])
        # Where the one before is missing, that is told alone.
        known = {head_hash(signed) for signed, _ in before} if number > 1 else {None}
        for _, one in some if known else ():
            if one.previous not in known:
                problem = f"{name_of_head(one)} does not name the head before it that is there"
                yield of_head("fork", problem, hint, one)


def _tell_holes(rows: Sequence[Row]) -> Iterator[Finding]:
    where = " and ".join(row.origin for row in rows)
    for first, last in _gaps(rows):
        problem = f"{_range(first, last)} not in {where}, though head {last + 1} is there"
        hint = (
            "it was signed, and is gone from the journal: look for it in other copies, and in the"
            " log of the lifecycle (`partition_head_signed`)"
        )
        yield Finding("hole", problem, hint, head_number=first)


def _tell_unkept(recorded: Row, kept: Row) -> Iterator[Finding]:
    """What was left out of the file, and the journal shows to have been there."""
    there = [one.number for one in recorded.heads.values()]
    for first, last in _gaps([kept]):
        if any(first <= number <= last for number in there):
            problem = f"{_range(first, last)} not in {kept.origin}, and in the journal"
            hint = (
                "what was kept begins later, or somebody removed it there; the heads around it"
                " vouch for it. Carry the whole `heads_file` away again"
            )
            yield Finding("unkept", problem, hint, is_warning=True, head_number=first)


def _gaps(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """The first and last number of each gap, from 1 to the highest that is signed."""
    signed = {0, *(one.number for row in rows for one in row.heads.values())}
    refused = {one.number for row in rows for one in row.refused if one.number is not None}
    numbers = signed | {number for number in refused if number < max(signed)}
    for before, after in pairwise(sorted(numbers)):
        if after > before + 1:
            yield before + 1, after - 1


def _range(first: int, last: int) -> str:
    return f"head {first} is" if first == last else f"heads {first} to {last} are"


def of_head(
    kind: Kind, problem: str, hint: str, head: Head, *, is_warning: bool = False
) -> Finding:
    """A finding with the head that it is about, and its partition."""
    return Finding(kind, problem, hint, is_warning, index=head.partition, head_number=head.number)


def name_of_head(head: Head) -> str:
    """A head by its number, and what it is of."""
    return f"head {head.number} ({head.partition}, sealed at {head.sealed_at})"
