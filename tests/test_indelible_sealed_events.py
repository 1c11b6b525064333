"""Events by hash: their order, each once, and a disk that is full."""

import hashlib
import random
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from audit_events.chain import encode_hash
from indelible.event_place import Place
from indelible.sealed_events import ROWS_AT_ONCE, Sealed, SealedEvents
from indexer.span import Span
from indexer.tree import Tree

SPAN = Span(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 2, 1, tzinfo=UTC))


def place(ns: int, event_id: str = "a", ingested: int = 0) -> Place:
    return Place("org_a", ns, event_id, ingested)


def leaf(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def root(*leaves: bytes) -> str:
    tree = Tree()
    for one in leaves:
        tree.add_hash(one)
    return encode_hash(tree.root())


def test_any_number_comes_out_in_the_order_of_the_tree_however_it_came() -> None:
    count = ROWS_AT_ONCE * 3 + 1
    numbers = list(range(count)) * 2
    random.Random(1).shuffle(numbers)  # noqa: S311  # the same order each time
    events = SealedEvents()
    for number in numbers:
        # Three events share an instant: there their ids decide.
        events.add(place(number // 3, f"{number % 3}"), leaf(number))
    whole = Sealed("org_a", SPAN, count, root(*map(leaf, reversed(range(count)))))
    assert events.count("org_a", SPAN).events == count
    assert events.take_out(whole)
    assert events.count("org_a", SPAN).events == 0
    events.close()


def test_an_id_is_compared_as_bytes_and_one_that_stands_twice_twice() -> None:
    events = SealedEvents()
    ids = ["B", "a", "é", "\U0001f600", "￿", "\0"]
    for number, event_id in enumerate(ids):
        events.add(place(0, event_id), leaf(number))
    ordered = sorted(range(len(ids)), key=lambda at: ids[at].encode(), reverse=True)
    expected = Sealed("org_a", SPAN, len(ids), root(*map(leaf, ordered)))
    events.add(place(0, "a"), leaf(99))
    assert not events.take_out(expected)
    assert events.count("org_a", SPAN).events == len(ids) + 1
    events.close()


@pytest.mark.parametrize(("late", "is_found"), [(5, True), (1, True), (0, False)])
def test_what_was_ingested_last_is_left(late: int, *, is_found: bool) -> None:
    events = SealedEvents()
    for number in range(3):
        events.add(place(number, ingested=1), leaf(number))
    events.add(place(9, ingested=late), leaf(9))
    sealed = Sealed("org_a", SPAN, 3, root(leaf(2), leaf(1), leaf(0)))
    assert events.take_out(sealed) is is_found
    assert events.count("org_a", SPAN).events == (1 if is_found else 4)
    events.close()


def test_another_organisation_and_another_time_are_not_counted() -> None:
    events = SealedEvents()
    events.add(Place("org_b", 0, "a", 0), leaf(0))
    events.add(place(31 * 86_400 * 10**9), leaf(1))
    events.add(place(-1), leaf(2))
    assert events.count("org_a", SPAN).events == 0
    events.close()


_FULL = """
import resource
from indelible.errors import CommandError
from indelible.event_place import Place
from indelible.sealed_events import SealedEvents
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
events = SealedEvents()
events._database.execute("PRAGMA cache_size = -100")
try:
    for number in range(100_000):
        events.add(Place("org_a", number, str(number), 0), b"x" * 32)
except CommandError as error:
    print(error, "next:", error.hint)
"""


def test_a_disk_that_is_full_is_told_with_the_next_step() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL], capture_output=True, text=True, check=False
    )
    assert "cannot be put into a temporary file: " in done.stdout, done.stderr
    assert "TMPDIR" in done.stdout
