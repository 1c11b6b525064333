"""The checkpoint: how far each file and each source is settled, kept so that no crash tears it.

Two files, `checkpoint.0.json` and `checkpoint.1.json`, take turns. Generation n goes to the file
n modulo 2 by way of `checkpoint.new`: written whole, fsynced, renamed over the older of the two,
directory fsynced. The first line is a header (format, version, generation, length and SHA-256 of
the rest), the rest one JSON document. What a crash leaves behind, step by step:

    while `checkpoint.new` is written   both generations as they were; the torn file is not read
    after its fsync, before the rename  the same
    after the rename, before the        either the old or the new name is found, both whole: the
      directory's fsync                 content was on the disk before the name could point to it
    after that                          generation n, and n-1 in the other file

So the newest generation that is whole counts; at most what was settled since is sent again, and
409 makes that harmless. A save that fails is no different from a crash at that step: the next one
writes all of it again, so pages that an fsync reported as lost are never taken for written.

A file that is torn, zeroed, unreadable for its disk, or of a newer version (after a downgrade) is
set aside under `.refused` with a loud log entry, and the other one is used; with none left,
everything is read again from the start: never skipped, and never a reason not to start.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from agent.findings import Finding
from agent.identity import Place
from indexer.bulk import StoredEvent

FORMAT: Final = "indelible-checkpoint"
VERSION: Final = 1
SLOTS: Final = ("checkpoint.0.json", "checkpoint.1.json")
_NEW: Final = "checkpoint.new"
_REFUSED: Final = ".refused"

_log = structlog.get_logger("agent")


class SourceState(Struct, frozen=True, rename="camel", omit_defaults=True):
    """How far one emitting process is settled.

    `hash` is the one that event `seq` carries. `missing`: ranges [first, last] below `seq` that
    were not seen yet and are not told as a gap yet; `path` and `offset` say where the first of
    them was noticed. `told`: ranges that were told. `touched`: Unix second of the last event.
    """

    seq: int
    hash: str
    touched: int
    missing: tuple[tuple[int, int], ...] = ()
    told: tuple[tuple[int, int], ...] = ()
    path: str = ""
    offset: int = 0


class PulseState(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What one source said of itself: how often it speaks while it lives, and whether it ended.

    `seq` is that of its last event, `heard` the Unix second in which that was settled.
    """

    seq: int
    heard: int
    interval_seconds: float = 0
    service: str = ""
    host: str = ""
    path: str = ""
    is_closed: bool = False
    is_silent: bool = False


class BacklogState(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is told of a backlog (`agent.backlog`).

    `id`: of the one that is told and not cleared, if any. `settled`: Unix second until which all
    that was written is stored; 0 where nobody knows.
    """

    id: str = ""
    settled: int = 0


class Checkpoint(Struct, frozen=True, rename="camel"):
    """All that outlives the process: one place a file, one state a source.

    `forgotten`: the newest id of a source that is no longer here (`agent.sources`). `findings`:
    what the trail does not tell yet. `pulses`: sources with a heartbeat (`agent.silence`).
    `witnessed`: a stored event of each partition (`agent.witness`). `backlog`: what is told of it.
    """

    generation: int = 0
    files: tuple[Place, ...] = ()
    sources: dict[str, SourceState] = {}
    forgotten: str = ""
    findings: tuple[Finding, ...] = ()
    pulses: dict[str, PulseState] = {}
    witnessed: dict[str, StoredEvent] = {}
    backlog: BacklogState = BacklogState()


class Slot(Struct, frozen=True):
    """One of the two files as it is: `checkpoint` is None where `problem` says why."""

    path: Path
    saved: float
    """Unix seconds."""
    bytes: int
    checkpoint: Checkpoint | None
    problem: str = ""


class _Header(Struct, frozen=True):
    format: str
    version: int
    generation: int
    bytes: int
    sha256: str


class _RefusedError(Exception):
    """This file of the two cannot be used, and why."""


def save(directory: Path, checkpoint: Checkpoint) -> int:
    """Make the checkpoint durable under its generation, which must be one more than the last.

    Returns:
        How many bytes it takes.

    Raises:
        OSError: it is not durable; both former generations are still there.
    """
    body = msgspec.json.encode(checkpoint)
    header = _Header(FORMAT, VERSION, checkpoint.generation, len(body), sha256(body).hexdigest())
    new = directory / _NEW
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        _write(descriptor, msgspec.json.encode(header) + b"\n" + body)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(new, directory / SLOTS[checkpoint.generation % 2])  # noqa: PTH105  # one style of calls, for the crash test
    _sync_directory(directory)
    return len(body)


def load(directory: Path) -> Checkpoint:
    """The newest generation that is whole, an empty one (generation 0) if there is none.

    Raises:
        OSError: the files are there and this user may not read them; starting anew would hide that.
    """
    slots = look(directory)
    for slot in slots:
        if slot.checkpoint is None:
            _log.error(
                "checkpoint_refused",
                path=str(slot.path),
                reason=slot.problem,
                hint="the other generation is used; lines sent since are sent again, harmlessly",
            )
            with suppress(OSError):
                slot.path.replace(slot.path.with_name(slot.path.name + _REFUSED))
    return newest(slots)


def look(directory: Path) -> list[Slot]:
    """Both files, as far as they are there; nothing is changed.

    Raises:
        OSError: this user may not read them.
    """
    slots: list[Slot] = []
    for name in SLOTS:
        with suppress(FileNotFoundError):
            slots.append(_look_at(directory / name))
    return slots


def newest(slots: Iterable[Slot]) -> Checkpoint:
    """The generation that counts."""
    whole = [slot.checkpoint for slot in slots if slot.checkpoint is not None]
    return max(whole, key=lambda one: one.generation, default=Checkpoint())


def _look_at(path: Path) -> Slot:
    saved = path.stat().st_mtime
    data = b""
    try:
        data = path.read_bytes()
        return Slot(path, saved, len(data), _decode(data))
    except _RefusedError as refused:
        return Slot(path, saved, len(data), None, str(refused))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # A bad sector is as good as torn.
        return Slot(path, saved, 0, None, f"cannot be read: {error.strerror}")


def _decode(data: bytes) -> Checkpoint:
    first, _, body = data.partition(b"\n")
    try:
        header = msgspec.json.decode(first, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _RefusedError(_describe_garbage(data)) from None
    if header.format != FORMAT:
        raise _RefusedError(f"its format is {header.format!r}")
    if header.version != VERSION:
        raise _RefusedError(
            f"written by another version of the agent ({header.version}, this one reads {VERSION})"
        )
    if len(body) != header.bytes or sha256(body).hexdigest() != header.sha256:
        raise _RefusedError("torn: its content does not have the digest that it states")
    try:
        return msgspec.json.decode(body, type=Checkpoint)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _RefusedError(f"not a checkpoint: {error}") from None


def _describe_garbage(data: bytes) -> str:
    if not data:
        return "torn: it is empty"
    if not data.strip(b"\0"):
        return "torn: it holds nothing but zeros"
    return "torn, or no checkpoint at all"


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
