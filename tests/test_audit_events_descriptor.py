"""What the system says of a descriptor is no news; what a signal handler throws meanwhile is."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_events.descriptor import close_all
from audit_events.torn import blank


class _ThrownError(BaseException):
    """What a signal handler throws."""


def failing(real: Callable[[int], None], errors: list[BaseException]) -> Callable[[int], None]:
    """Do it, and then throw one error after the other."""

    def close(descriptor: int) -> None:
        real(descriptor)
        if errors:
            raise errors.pop()

    return close


def open_two(path: Path) -> list[int]:
    return [os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2)]


@pytest.mark.parametrize("thrown", [TimeoutError(), _ThrownError()])
def test_what_a_handler_throws_while_they_are_closed_comes_out_when_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thrown: BaseException
) -> None:
    descriptors = open_two(tmp_path / "a")
    known = list(descriptors)
    monkeypatch.setattr("os.close", failing(os.close, [thrown]))
    with pytest.raises(type(thrown)):
        close_all(descriptors)
    monkeypatch.undo()
    assert descriptors == []
    for one in known:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(one)


def test_an_error_of_the_system_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptors = open_two(tmp_path / "a")
    monkeypatch.setattr("os.close", failing(os.close, [OSError(errno.EIO, "I/O error")]))
    close_all(descriptors)
    assert descriptors == []


def test_what_a_handler_throws_while_a_piece_is_blanked_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"torn")
    descriptors = open_two(path)
    monkeypatch.setattr("os.close", failing(os.close, [TimeoutError()]))
    with pytest.raises(TimeoutError):
        blank(descriptors[0], 0, b"torn")
    monkeypatch.undo()
    blank(descriptors[0], 0, b"\n\n\n\n")
    close_all(descriptors)
    assert path.read_bytes() == b"\n\n\n\n"
