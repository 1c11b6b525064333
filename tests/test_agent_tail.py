"""Bytes in, whole lines out: nothing torn, nothing beyond the limit in memory."""

import os
import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.chunk import Chunk, OverLong, Part
from agent.content import Plain
from agent.identity import ANCHOR_BYTES, fingerprint
from agent.tail import Tail, TruncatedError

LIMIT = 40


@contextmanager
def tail_of(path: Path, *, limit: int = LIMIT) -> Generator[Tail]:
    descriptor = os.open(path, os.O_RDONLY)
    status = os.fstat(descriptor)
    tail = Tail(Plain(descriptor), str(path), status.st_dev, status.st_ino, max_line_bytes=limit)
    try:
        yield tail
    finally:
        tail.close()


Found = list[tuple[int, bytes | tuple[int, str]]]


def lines_of(chunk: Chunk | None) -> Found:
    """Each line with its offset; of one that is too long its length and digest."""
    found: Found = []
    for piece in chunk.pieces if chunk else ():
        if isinstance(piece, OverLong):
            found.append((piece.offset, (piece.length, piece.sha256)))
            continue
        offset = piece.offset
        for line in piece.lines:
            found.append((offset, line))
            offset += len(line) + 1
    return found


def read_all(tail: Tail, read_bytes: int = 1 << 20) -> Found:
    found: Found = []
    while (chunk := tail.read(read_bytes)) is not None:
        found += lines_of(chunk)
    return found


def expected_of(data: bytes, limit: int = LIMIT) -> Found:
    offset, found = 0, Found()
    for line in data.split(b"\n")[:-1]:
        too_long = (len(line), sha256(line).hexdigest())
        found.append((offset, line if len(line) <= limit else too_long))
        offset += len(line) + 1
    return found


@given(
    pieces=st.lists(st.text("aé😀\n", max_size=60).map(str.encode), max_size=12),
    read_bytes=st.integers(1, 70),
)
def test_any_pace_of_writing_and_reading_gives_the_same_lines(
    pieces: list[bytes], read_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Lines, characters and over-long lines split anywhere between two reads stay whole."""
    path = tmp_path_factory.mktemp("tail") / "x.log"
    path.touch()
    found: Found = []
    with tail_of(path) as tail:
        for piece in pieces:
            with path.open("ab") as file:
                file.write(piece)
            found += read_all(tail, read_bytes)
        data = b"".join(pieces)
        assert found == expected_of(data)
        rest = data.rpartition(b"\n")[2]
        assert tail.pending == len(data) - len(rest)
        # What nobody completes is handed out once, as it is.
        assert [one[0] for one in lines_of(tail.finish())] == (
            [tail.position - len(rest)] * bool(rest)
        )
        assert tail.finish() is None


@given(
    lines=st.lists(
        st.binary(min_size=1, max_size=900).map(lambda b: b.replace(b"\n", b"-")),
        min_size=1,
        max_size=30,
    ),
    read_bytes=st.integers(50, 4000),
)
def test_the_anchor_of_each_line_end_is_what_stands_before_it(
    lines: list[bytes], read_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = b"".join(line + b"\n" for line in lines)
    path = tmp_path_factory.mktemp("tail") / "x.log"
    path.write_bytes(data)
    with tail_of(path, limit=1000) as tail:
        while (chunk := tail.read(read_bytes)) is not None:
            for offset, line in lines_of(chunk):
                end = offset + len(line) + 1
                assert chunk.anchor(end) == data[max(0, end - ANCHOR_BYTES) : end]


@pytest.mark.parametrize("most_bytes", [1, 7, ANCHOR_BYTES + 1])
def test_a_file_system_that_gives_less_than_it_was_asked_for_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    data = b"".join(b"%030d\n" % number for number in range(100))
    path = tmp_path / "x.log"
    path.write_bytes(data)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, most_bytes), at))
    with tail_of(path) as tail:
        assert read_all(tail, 2000) == expected_of(data)
        assert not tail.has_more


def test_a_file_that_is_filled_anew_between_two_calls_makes_no_line_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of what was read is no longer there when it is asked for what follows."""
    path = tmp_path / "x.log"
    path.write_bytes(b"old 1\nold")
    pread = os.pread

    def pread_then_refill(descriptor: int, length: int, offset: int) -> bytes:
        found = pread(descriptor, length, offset)
        monkeypatch.setattr(os, "pread", pread)
        path.write_bytes(b"new one\nnew two\n")
        return found

    monkeypatch.setattr(os, "pread", pread_then_refill)
    with tail_of(path) as tail:
        assert lines_of(tail.read()) == [(0, b"old 1")]
        with pytest.raises(TruncatedError):
            tail.read()


def test_settled_moves_over_the_longest_settled_prefix_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\ntwo\nthree\n")
    with tail_of(path) as tail:
        chunk = tail.read()
        assert chunk is not None
        parts: list[Part] = []
        for end in (4, 8, 14):
            part = Part(tail)
            part.end, part.anchor = end, chunk.anchor(end)
            tail.parts.append(part)
            parts.append(part)
        parts[1].settled = True
        assert tail.advance() == []
        assert tail.place().offset == 0
        parts[0].settled = True
        assert tail.advance() == parts[:2]
        assert tail.place().offset == 8
        assert tail.place().anchor == fingerprint(b"one\ntwo\n")
        parts[2].settled = True
        tail.advance()
        assert tail.is_settled
        assert tail.place().offset == 14


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(b"", id="emptied"),
        pytest.param(b"one\n", id="shorter"),
        pytest.param(b"one\ntw0\n", id="as long"),
        pytest.param(b"one\ntw0\nand more of it\n", id="grown past the offset"),
    ],
)
def test_other_content_under_the_same_descriptor_is_noticed(change: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\ntwo\n")
    with tail_of(path) as tail:
        read_all(tail)
        path.write_bytes(change)
        with pytest.raises(TruncatedError):
            tail.read()


def test_other_content_with_the_same_first_4_kb_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    head = b"the same first line\n" * 250
    path.write_bytes(head + b"one\n" * 100)
    with tail_of(path) as tail:
        read_all(tail)
        path.write_bytes(head + b"two\n" * 500)
        with pytest.raises(TruncatedError):
            tail.read()


@pytest.mark.parametrize(
    "megabytes", [pytest.param(48), pytest.param(1024, marks=pytest.mark.slow)]
)
def test_a_huge_line_without_a_newline_costs_no_memory_and_stops_nothing(
    megabytes: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.log"
    length = megabytes << 20
    with path.open("wb") as file:
        file.write(b"before\n")
        file.truncate(7 + length)
        file.seek(0, os.SEEK_END)
        file.write(b"\nafter\n")
    with tail_of(path, limit=65_536) as tail:
        tracemalloc.start()
        try:
            found = read_all(tail)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 6 << 20
        assert [one[0] for one in found] == [0, 7, 8 + length]
        assert found[0][1] == b"before"
        assert found[1][1] == (length, zeros_digest(length))
        assert found[2][1] == b"after"


def zeros_digest(length: int) -> str:
    digest, block = sha256(), bytes(1 << 20)
    for _ in range(length >> 20):
        digest.update(block)
    return digest.hexdigest()


def test_the_checkpoint_never_stands_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """A half line that was handed out is settled, and yet nothing may be skipped by it."""
    path = tmp_path / "x.log"
    path.write_bytes(b"one\nha")
    with tail_of(path) as tail:
        for chunk in (tail.read(), tail.finish()):
            assert chunk is not None
            part = Part(tail)
            part.end, part.is_torn, part.settled = chunk.end, chunk.is_torn, True
            part.anchor = chunk.anchor(part.end)
            tail.parts.append(part)
        tail.advance()
        assert tail.settled == 6
        assert tail.place().offset == 4
        assert tail.place().finished == 6
        assert not tail.has_half_line


@pytest.mark.parametrize(
    ("half", "after"),
    [
        pytest.param(b"ha", b"two\n", id="another line, longer"),
        pytest.param(b"half", b"tw\n", id="another line, shorter"),
        pytest.param(b"half", b"two\n", id="another line, as long"),
        pytest.param(b"half", b"two\n" * 30, id="many lines"),
        pytest.param(b"x" * (LIMIT + 5), b"two\n", id="of a line beyond the limit"),
        pytest.param(b"x" * (LIMIT + 5), b"two\n" * 30, id="of a line beyond the limit, many"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"one\n", b"one\n" * 700], ids=["0", "4", "2800"])
def test_a_half_line_that_was_cut_off_again_leaves_nothing_behind(
    tmp_path: Path, half: bytes, after: bytes, before: bytes
) -> None:
    """A writer takes back what a full disk let it write of a line; the next line stands there."""
    path = tmp_path / "x.log"
    path.write_bytes(before + half)
    with tail_of(path) as tail:
        read_all(tail)
        os.truncate(path, len(before))
        with path.open("ab") as file:
            file.write(after)
        assert read_all(tail) == expected_of(before + after)[before.count(b"\n") :]
        assert not tail.has_half_line


def test_a_half_line_that_was_replaced_by_another_half_is_read_as_that(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\nha")
    with tail_of(path) as tail:
        read_all(tail)
        os.truncate(path, 4)
        read_all(tail)
        assert (tail.position, tail.has_half_line) == (4, False)
        with path.open("ab") as file:
            file.write(b"tw")
        read_all(tail)
        with path.open("ab") as file:
            file.write(b"o\n")
        assert read_all(tail) == [(4, b"two")]


def test_a_half_line_that_was_given_up_is_read_whole_when_it_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"one\nha")
    with tail_of(path) as tail:
        read_all(tail)
        assert lines_of(tail.finish()) == [(4, b"ha")]
        with path.open("ab") as file:
            file.write(b"lf\n")
        assert read_all(tail) == [(4, b"half")]


def test_it_says_whether_there_is_more_to_read(tmp_path: Path) -> None:
    """Also where a half line was replaced: how far the position moved would not tell."""
    path = tmp_path / "x.log"
    path.write_bytes(b"one\nha")
    with tail_of(path) as tail:
        read_all(tail)
        assert not tail.has_more
        os.truncate(path, 4)
        with path.open("ab") as file:
            file.write(b"two\nthree\nfour\n")
        assert lines_of(tail.read(6)) == [(4, b"two")]
        assert tail.has_more
