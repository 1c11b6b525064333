"""An archive unpacks to what was packed, forwards, in bounded memory, and to its first damage."""

import gzip
import os
import random
import tracemalloc
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agent.content
from agent.content import PACKED_BYTES, READ_STEPS, STEP_BYTES, STEP_CALLS, Unpacked

LINES = b"".join(
    b'{"id":"%08d","pad":"%s"}\n' % (n, os.urandom(9).hex().encode()) for n in range(9000)
)


@contextmanager
def unpacked(path: Path) -> Generator[Unpacked]:
    content = Unpacked(os.open(path, os.O_RDONLY))
    try:
        yield content
    finally:
        content.close()


def read_all(content: Unpacked, length: int = 50_000) -> bytes:
    found = bytearray()
    while (data := content.pread(length, len(found))) or content.is_behind:
        found += data
    return bytes(found)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gzip.compress(LINES), id="one member"),
        pytest.param(gzip.compress(LINES[:70]) + gzip.compress(LINES[70:]), id="two members"),
        pytest.param(
            b"".join(gzip.compress(LINES[at : at + 997]) for at in range(0, len(LINES), 997)),
            id="hundreds of members",
        ),
        pytest.param(gzip.compress(LINES) + bytes(100_000), id="filled up with zeros"),
        pytest.param(gzip.compress(b"") + gzip.compress(LINES), id="an empty member first"),
    ],
)
def test_it_unpacks_to_what_was_packed(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(packed)
    with unpacked(path) as content:
        assert read_all(content) == LINES
        assert content.is_over
        assert not content.problem
        assert content.size(path.stat().st_size) == len(LINES)


@given(offsets=st.lists(st.integers(0, len(LINES) + 10), max_size=6), length=st.integers(1, 3000))
@pytest.mark.slow
def test_any_offset_can_be_asked_for_also_an_earlier_one(
    offsets: list[int], length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("content") / "x.gz"
    path.write_bytes(gzip.compress(LINES, 1))
    with unpacked(path) as content:
        for offset in offsets:
            assert content.pread(length, offset) == LINES[offset : offset + length]


def test_an_archive_that_grows_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    packed = gzip.compress(LINES)
    path.touch()
    found = b""
    with unpacked(path) as content:
        for start in range(0, len(packed), 1777):
            assert not content.is_over
            with path.open("ab") as file:
                file.write(packed[start : start + 1777])
            found += content.pread(len(LINES), len(found))
        assert found == LINES
        content.pread(1, len(LINES))
        assert content.is_over


@pytest.mark.parametrize("at", [0.001, 0.3, 0.7, 0.999])
def test_a_cut_archive_gives_all_that_is_there(tmp_path: Path, at: float) -> None:
    path = tmp_path / "x.gz"
    packed = gzip.compress(LINES)
    path.write_bytes(packed[: int(len(packed) * at)])
    with unpacked(path) as content:
        found = read_all(content)
        assert LINES.startswith(found)
        assert len(found) > len(LINES) * (at - 0.3)
        assert not content.is_over, "it may go on"
        assert not content.problem


@pytest.mark.parametrize(
    ("damage", "least"),
    [
        pytest.param(
            lambda packed: packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:],
            len(LINES), id="checksum",
        ),
        pytest.param(lambda packed: packed + b"rubbish", len(LINES), id="rubbish behind it"),
        pytest.param(
            lambda packed: packed + b"\x1f\x8b\x09rubbish", len(LINES),
            id="a second member that is none",
        ),
        pytest.param(
            lambda packed: packed[: len(packed) // 2] + bytes(5000) + packed[len(packed) // 2 :],
            len(LINES) // 3, id="zeros in it",
        ),
        pytest.param(lambda packed: packed[:2] + b"\x07" + packed[3:], 0, id="another method"),
    ],
)  # fmt: skip
def test_a_damaged_archive_gives_all_before_the_damage_and_says_so(
    tmp_path: Path, damage: Callable[[bytes], bytes], least: int
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(damage(gzip.compress(LINES)))
    with unpacked(path) as content:
        found = read_all(content)
        assert found[:least] == LINES[:least]
        assert content.is_over
        assert content.problem
        assert content.pread(10, 0) == found[:10], "and can still be read"


@pytest.mark.slow
def test_what_an_archive_unpacks_to_needs_no_memory(tmp_path: Path) -> None:
    """A bomb: 200 MB in 200 kB; and one member a byte costs no more."""
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(200_000_000), 9))
    with unpacked(path) as content:
        tracemalloc.start()
        while not content.advance(199_999_950):
            pass
        assert content.pread(100, 199_999_950) == bytes(50)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * (STEP_BYTES + PACKED_BYTES)


def test_random_bytes_behind_the_magic_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    rng = random.Random(1)  # noqa: S311  # the same ones each time
    for _ in range(200):
        path.write_bytes(b"\x1f\x8b" + rng.randbytes(rng.randrange(3000)))
        with unpacked(path) as content:
            read_all(content)


class Work:
    """Counts what is unpacked; each inflater of a content is made by it."""

    def __init__(self) -> None:
        self.calls = self.given = 0

    def begin(self) -> "CountedInflate":
        return CountedInflate(self)


class CountedInflate:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._inflate = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    @property
    def unconsumed_tail(self) -> bytes:
        return self._inflate.unconsumed_tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        found = self._inflate.decompress(data, max_length)
        self._work.calls += 1
        self._work.given += len(found)
        return found


EMPTY_BLOCKS = b"\0\0\0\xff\xff" * 200_000
"""Of deflate, stored ones: input without output."""


def wrong_checksum(packed: bytes) -> bytes:
    return packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]


@pytest.mark.parametrize(
    ("packed", "length"),
    [
        pytest.param(gzip.compress(b"") * 50_000 + gzip.compress(b"x"), 1, id="empty members"),
        pytest.param(gzip.compress(b"x") * 20_000, 20_000, id="members of a byte"),
        pytest.param(
            gzip.compress(b"")[:10] + EMPTY_BLOCKS + gzip.compress(b"x" * 5)[10:], 5,
            id="empty blocks",
        ),
        pytest.param(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 1_000_000, 0, id="an endless name"),
        pytest.param(gzip.compress(b"x") + bytes(1_000_000), 1, id="zeros behind it"),
        pytest.param(wrong_checksum(gzip.compress(bytes(50_000_000))), 50_000_000,
                     id="a bomb with a wrong checksum"),
        pytest.param(wrong_checksum(gzip.compress(b"") * 20_000 + gzip.compress(b"x")), 1,
                     id="empty members and a wrong checksum"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_no_call_works_on_more_than_a_bounded_amount(
    tmp_path: Path, packed: bytes, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read stood the whole agent still for a minute, and the watchdog ended it, for ever."""
    work = Work()
    monkeypatch.setattr(agent.content, "_new_inflate", work.begin)
    monkeypatch.setattr(agent.content, "_DamagedError", zlib.error)
    path = tmp_path / "x.gz"
    path.write_bytes(packed)
    with unpacked(path) as content:
        found, fetched = 0, 0
        read_file = os.pread

        def pread(descriptor: int, length: int, offset: int) -> bytes:
            nonlocal fetched
            data = read_file(descriptor, length, offset)
            fetched += len(data)
            return data

        monkeypatch.setattr(os, "pread", pread)
        is_more = True
        while is_more:
            work.calls = work.given = fetched = 0
            data = content.pread(1 << 18, found)
            found += len(data)
            is_more = bool(data) or content.is_behind
            assert work.calls <= READ_STEPS * STEP_CALLS
            assert work.given <= READ_STEPS * STEP_BYTES
            assert fetched <= READ_STEPS * PACKED_BYTES
            assert len(data) <= 1 << 18
    assert found == length
