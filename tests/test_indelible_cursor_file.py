"""The place of a stream: one process has it, and whatever fails it is whole."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from indelible.cursor_file import hold
from indelible.errors import CommandError
from indelible.stopping import StopAsked


def test_a_place_is_kept_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    with hold(path) as kept:
        assert kept.cursor is None
        kept.keep("a")
        kept.keep("b")
    assert path.read_text() == "b\n"
    with hold(path) as kept:
        assert (kept.cursor, kept.is_behind_cut) == ("b", False)
    assert {one.name for one in tmp_path.iterdir()} == {"cursor", "cursor.lock"}


def test_only_one_has_it(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    with hold(path), pytest.raises(CommandError, match=f"process {os.getpid()}"), hold(path):
        pass
    with hold(path) as kept:
        assert not kept.is_behind_cut, "who was refused signs nothing"


@pytest.mark.parametrize(
    ("error", "is_behind_cut"), [(BrokenPipeError(), True), (StopAsked(), False)]
)
def test_the_next_one_knows_whether_a_line_may_be_cut(
    tmp_path: Path, error: Exception, *, is_behind_cut: bool
) -> None:
    path = tmp_path / "cursor"
    with pytest.raises(type(error)), hold(path):
        raise error
    with hold(path) as kept:
        assert kept.is_behind_cut == is_behind_cut
    with hold(path) as kept:
        assert not kept.is_behind_cut


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "it holds no cursor"),
        (b'{"id":"1"}', "it holds no cursor"),
        (b"a\0", "it holds no cursor"),
        (b"a" * 6001, "it holds no cursor"),
    ],
)
def test_what_is_no_cursor_is_not_taken_for_none(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "cursor"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=said), hold(path):
        pass
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()]
)
def test_a_file_that_does_not_begin_or_end_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "cursor"
    make(path)
    with pytest.raises(CommandError, match="cannot be used for the cursor"), hold(path):
        pass


def test_a_lock_that_is_none_is_not_written_over(tmp_path: Path) -> None:
    """`--cursor-file uv` in a project."""
    lock = tmp_path / "uv.lock"
    lock.write_text("version = 1\n")
    with pytest.raises(CommandError, match="written over"), hold(tmp_path / "uv"):
        pass
    assert lock.read_text() == "version = 1\n"


def test_where_it_cannot_lie_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match="cannot be used for the cursor: No such file"),
        hold(tmp_path / "none" / "cursor"),
    ):
        pass


def test_a_disk_that_refuses_leaves_the_former_place(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    with hold(path) as kept:
        kept.keep("a")
        # Root writes into any directory, but not into one that has the name of a file.
        (tmp_path / "cursor.new").mkdir()
        with pytest.raises(CommandError, match="cannot be used for the cursor"):
            kept.keep("b")
        assert kept.cursor == "a"
    assert path.read_text() == "a\n"
