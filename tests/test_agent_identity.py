"""When a file is the content that a checkpoint speaks of."""

import pytest

from agent.identity import ANCHOR_BYTES, HEAD_BYTES, NOTHING, Place, agrees, continues, fingerprint

HEAD = b"a" * HEAD_BYTES
ANCHOR = b"b" * ANCHOR_BYTES


def place(head: bytes, offset: int, anchor: bytes) -> Place:
    return Place("/x", 1, 2, fingerprint(head), offset, fingerprint(anchor), 0)


@pytest.mark.parametrize(
    ("known", "size", "head", "anchor", "expected"),
    [
        pytest.param(place(HEAD, 5000, ANCHOR), 5000, HEAD, ANCHOR, True, id="as it was"),
        pytest.param(place(HEAD, 5000, ANCHOR), 9000, HEAD, ANCHOR, True, id="grown"),
        pytest.param(place(HEAD, 5000, ANCHOR), 4999, HEAD, ANCHOR, False, id="truncated"),
        pytest.param(place(HEAD, 5000, ANCHOR), 0, b"", b"", False, id="emptied"),
        pytest.param(
            place(HEAD, 5000, ANCHOR), 9000, HEAD, b"c" * ANCHOR_BYTES, False,
            id="truncated and grown past the offset, with the same head",
        ),
        pytest.param(
            place(HEAD, 5000, ANCHOR), 9000, b"z" + HEAD[1:], ANCHOR, False,
            id="inode reused by another file",
        ),
        pytest.param(
            place(b"short\n", 6, b"short\n"), 6, b"short\n", b"short\n", True,
            id="shorter than any fingerprint",
        ),
        pytest.param(
            place(b"short\n", 6, b"short\n"), 3000, b"short\n" + HEAD, b"short\n", True,
            id="short then, longer than a fingerprint now",
        ),
        pytest.param(
            place(b"short\n", 6, b"short\n"), 6, b"other\n", b"other\n", False,
            id="short and other",
        ),
        pytest.param(
            place(b"one\nha", 4, b"one\n"), 8, b"one\ntwo\n", b"one\n", True,
            id="its half line was taken back",
        ),
        pytest.param(
            place(b"one\nha", 4, b"one\n"), 8, b"six\ntwo\n", b"six\n", False,
            id="another one, whose half line was taken back",
        ),
        pytest.param(
            place(b"ha", 0, b""), 4, b"two\n", b"", False, id="nothing but a half line was known"
        ),
        pytest.param(place(b"", 0, b""), 0, b"", b"", True, id="empty and empty still"),
        pytest.param(place(b"", 0, b""), 10, b"0123456789", b"", True, id="empty then"),
        pytest.param(
            place(HEAD, 5000, ANCHOR), 5000, HEAD, ANCHOR[:-1], False, id="anchor cut by a race"
        ),
    ],
)  # fmt: skip
def test_continues(known: Place, size: int, head: bytes, anchor: bytes, *, expected: bool) -> None:
    assert continues(known, size, head, anchor) is expected


def test_a_fingerprint_speaks_of_a_prefix() -> None:
    assert agrees(fingerprint(b"abc"), b"abcdef")
    assert not agrees(fingerprint(b"abc"), b"ab")
    assert agrees(NOTHING, b"anything")
    assert fingerprint(b"") == NOTHING
