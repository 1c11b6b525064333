"""An event that the file did not take goes where it was told to, or to its caller."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit_events.errors import SinkError
from audit_events.failure import EVENT_MARK, choose_handler, hand_over, write_to_stderr

_LINE = '{"action":"member.invited","name":"Zoë"}\n'.encode()


def _error(operation: str = "append to") -> SinkError:
    cause = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return SinkError(Path("/logs/audit.jsonl"), operation, cause, "free space")


class _Stderr(io.TextIOWrapper):
    """A stderr of ASCII, as under LC_ALL=C."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii")


def test_raise_has_no_handler() -> None:
    assert choose_handler("raise") is None


def test_stderr_gets_one_line_that_ends_in_the_event_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = _Stderr()
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = choose_handler("stderr")
    assert handler is not None
    hand_over(handler, _error(), _LINE)
    written = stderr.buffer.getvalue()  # type: ignore[attr-defined]  # it stands on a BytesIO
    said, event = written.split(EVENT_MARK)
    assert event == _LINE, "byte for byte, whatever stderr's encoding"
    assert said == (
        b"audit_events: an event is not in the file: "
        b"cannot append to /logs/audit.jsonl: No space left on device; free space."
    )


def test_of_a_failed_sync_is_said_that_the_line_may_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = _Stderr()
    monkeypatch.setattr(sys, "stderr", stderr)
    write_to_stderr(_error("sync"), _LINE)
    written: bytes = stderr.buffer.getvalue()  # type: ignore[attr-defined]  # as above
    assert written.startswith(b"audit_events: an event may not be on the disk: cannot sync /logs")


def test_a_callable_gets_the_error_and_the_line() -> None:
    got: list[tuple[SinkError, bytes]] = []
    error = _error()

    def keep(*pair: object) -> None:
        got.append(pair)  # type: ignore[arg-type]  # the test looks at what came

    handler = choose_handler(keep)
    assert handler is not None
    hand_over(handler, error, _LINE)
    assert got == [(error, _LINE)]


def _refuse(_error: SinkError, _line: bytes) -> None:
    raise ValueError("the queue is full too")


def test_a_callable_that_fails_raises_the_sink_error_after_all() -> None:
    with pytest.raises(SinkError, match="No space") as caught:
        hand_over(_refuse, _error(), _LINE)
    assert caught.value.__notes__ == ["on_error failed too: ValueError: the queue is full too"]


async def _take(_error: SinkError, _line: bytes) -> None:
    raise AssertionError("nobody awaits it")


def test_a_handler_that_would_have_to_be_awaited_took_nothing() -> None:
    made = _take(_error(), _LINE)
    with pytest.raises(SinkError, match="No space") as caught:
        hand_over(lambda _error, _line: made, _error(), _LINE)
    assert "not awaited" in caught.value.__notes__[0]
    made.close()


@pytest.mark.parametrize("stderr", [None, "closed", "full"])
def test_without_a_stderr_the_sink_error_is_raised(
    stderr: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stderr is None:
        monkeypatch.setattr(sys, "stderr", None)
    elif stderr == "closed":
        closed = _Stderr()
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
    else:
        monkeypatch.setattr(sys, "stderr", Path("/dev/full").open("w"))  # noqa: SIM115  # closed below
    try:
        with pytest.raises(SinkError, match="No space"):
            hand_over(write_to_stderr, _error(), _LINE)
    finally:
        if stderr == "full":
            with pytest.raises(OSError, match="No space"):
                sys.stderr.close()


def test_a_process_that_was_started_without_stderr_raises() -> None:
    code = f"""
import errno, os, pathlib
from audit_events.errors import SinkError
from audit_events.failure import hand_over, write_to_stderr
try:
    error = SinkError(pathlib.Path("/x"), "open", OSError(28, "full"), "")
    hand_over(write_to_stderr, error, {_LINE!r})
except SinkError:
    print("raised")
"""
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout == b"raised\n"
