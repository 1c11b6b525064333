"""The checkpoint on the disk: what a crash at any step leaves behind, and what is made of it."""

import errno
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from agent.checkpoint import (
    FORMAT,
    SLOTS,
    VERSION,
    Checkpoint,
    SourceState,
    load,
    look,
    newest,
    save,
)
from agent.findings import find
from agent.identity import Place, fingerprint
from tests.power_cut import Disk, PowerCutError, put

PLACE = Place(
    path="/var/log/app.log",
    device=1,
    inode=2,
    head=fingerprint(b"head"),
    offset=400,
    anchor=fingerprint(b"anchor"),
    seen=1_700_000_000,
)


def numbered(generation: int) -> Checkpoint:
    """A checkpoint whose content says which generation it is."""
    return Checkpoint(
        generation,
        (msgspec.structs.replace(PLACE, offset=generation),),
        {"s": SourceState(seq=generation, hash="h", touched=1, missing=((0, 1),), path="/a")},
        forgotten="r",
        findings=(find("gap", "q", (3, generation + 3), "/a", 5),),
    )


def slot(directory: Path, generation: int) -> Path:
    return directory / SLOTS[generation % 2]


def test_an_empty_directory_is_generation_0(tmp_path: Path) -> None:
    assert load(tmp_path) == Checkpoint(0, (), {})


def test_what_was_saved_last_is_loaded(tmp_path: Path) -> None:
    for generation in range(1, 6):
        save(tmp_path, numbered(generation))
        assert load(tmp_path) == numbered(generation)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(SLOTS)


@contextmanager
def on(disk: Disk) -> Generator[None]:
    """Let the checkpoint's system calls go to a disk that loses power."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("agent.checkpoint.os", disk)
        yield


def cut_at(number: int) -> Callable[[int, str], None]:
    """The power goes just before that call."""

    def fault(call: int, name: str) -> None:
        if call == number:
            raise PowerCutError(name)

    return fault


SAVE = ("open", "write", "fsync", "close", "replace", "open", "fsync", "close")


def test_a_save_is_these_calls_and_no_other() -> None:
    """What follows cuts the power before each of them."""
    disk = Disk()
    with on(disk):
        save(Path("/state"), numbered(1))
    assert tuple(disk.calls) == SAVE


@pytest.mark.parametrize("saved", [0, 1, 2, 3])
@pytest.mark.parametrize("step", range(len(SAVE) + 1))
def test_whatever_a_power_cut_at_any_step_leaves_a_whole_generation_is_there(
    step: int, saved: int, tmp_path: Path
) -> None:
    """Un-synced content lost, torn or zeroed, un-synced renames done or not: every combination."""
    disk = Disk(cut_at(len(SAVE) * saved + step))
    with on(disk), suppress(PowerCutError):
        for generation in range(1, saved + 2):
            save(Path("/state"), numbered(generation))
    found: set[int] = set()
    for survivor in disk.survivors():
        put(tmp_path, survivor)
        loaded = load(tmp_path)
        found.add(loaded.generation)
        assert loaded == (numbered(loaded.generation) if loaded.generation else Checkpoint())
        # And the next save starts from whatever was left.
        save(tmp_path, numbered(loaded.generation + 1))
        assert load(tmp_path) == numbered(loaded.generation + 1)
    renamed, synced = step > SAVE.index("replace"), step > len(SAVE) - 2
    new = {saved + 1} if synced else {saved, saved + 1} if renamed else {saved}
    assert found == new, "what was saved is there, and nothing that was not"


def test_without_its_fsyncs_the_model_finds_a_torn_generation(tmp_path: Path) -> None:
    """The model can fail: this is what it is for."""

    class Careless(Disk):
        @override
        def fsync(self, descriptor: int) -> None:
            del descriptor

    disk = Careless()
    with on(disk):
        for generation in (1, 2, 3):
            save(Path("/state"), numbered(generation))
    found: set[int] = set()
    for survivor in islice(disk.survivors(), 500):
        put(tmp_path, survivor)
        found.add(load(tmp_path).generation)
    assert 0 in found


KINDS = ["none"] * 12 + ["short"] * 3 + ["full", "failing", "cut"]


def draw_fault(data: st.DataObject, name: str) -> int | None:
    """What happens at a call: mostly nothing."""
    kind = data.draw(st.sampled_from(KINDS))
    if kind == "cut":
        raise PowerCutError
    if kind == "full" and name in {"open", "write", "fsync"}:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if kind == "failing":
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return data.draw(st.integers(1, 200)) if kind == "short" and name == "write" else None


@pytest.mark.slow
@given(data=st.data())
def test_full_disks_failing_disks_short_writes_and_power_cuts_in_any_order(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a save confirmed is never lost, and what is loaded was saved, whole."""
    directory = tmp_path_factory.mktemp("state")
    disk = Disk(lambda _number, name: draw_fault(data, name))
    generation = 0
    for _ in range(data.draw(st.integers(1, 12))):
        try:
            with on(disk):
                save(Path("/state"), numbered(generation + 1))
        except OSError:
            continue
        except PowerCutError:
            survivors = list(islice(disk.survivors(), 300))
            put(directory, data.draw(st.sampled_from(survivors)))
            loaded = load(directory)
            assert generation <= loaded.generation <= generation + 1
            assert loaded == (numbered(loaded.generation) if loaded.generation else Checkpoint())
            disk.restart(directory)
            generation = loaded.generation
        else:
            generation += 1


def test_a_write_that_takes_less_than_it_was_given_is_continued(tmp_path: Path) -> None:
    disk = Disk(lambda _number, name: 7 if name == "write" else None)
    with on(disk):
        save(Path("/state"), numbered(1))
    assert disk.calls.count("write") > 10
    put(tmp_path, {name: inode.data for name, inode in disk.names.items()})
    assert load(tmp_path) == numbered(1)


def whole_file(body: bytes) -> bytes:
    header = {
        "format": FORMAT, "version": VERSION, "generation": 2, "bytes": len(body),
        "sha256": sha256(body).hexdigest(),
    }  # fmt: skip
    return msgspec.json.encode(header) + b"\n" + body


def newer_version(data: bytes) -> bytes:
    return data.replace(b'"version":1', b'"version":2')


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="torn"),
        pytest.param(lambda data: data[:-1], id="last byte lost"),
        pytest.param(lambda data: b"\0" * len(data), id="zeroed"),
        pytest.param(lambda data: data[:0], id="empty"),
        pytest.param(newer_version, id="newer version"),
        pytest.param(lambda data: data.replace(b'"offset":2', b'"offset":9'), id="a bit flipped"),
        pytest.param(lambda data: b"[]\n" + data, id="no header"),
        pytest.param(lambda data: data.replace(b"indelible-", b"somebodys-"), id="another format"),
        pytest.param(lambda _: whole_file(b'{"files":7}'), id="digested well, and no checkpoint"),
        pytest.param(lambda data: data.replace(b"checkpoint", b"checkp\xffint"), id="no UTF-8"),
        pytest.param(lambda data: data.partition(b"\n")[0], id="header only"),
    ],
)
def test_a_damaged_generation_gives_way_to_the_one_before(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    damaged = damage(slot(tmp_path, 2).read_bytes())
    slot(tmp_path, 2).write_bytes(damaged)
    assert load(tmp_path) == numbered(1)
    assert slot(tmp_path, 2).with_name("checkpoint.0.json.refused").read_bytes() == damaged
    save(tmp_path, numbered(2))
    assert load(tmp_path) == numbered(2)


def test_a_deleted_generation_gives_way_to_the_one_before(tmp_path: Path) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    slot(tmp_path, 2).unlink()
    assert load(tmp_path) == numbered(1)


def test_a_bad_sector_gives_way_to_the_generation_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path == slot(tmp_path, 2):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert load(tmp_path) == numbered(1)


def test_both_of_a_newer_version_are_kept_for_the_way_back(tmp_path: Path) -> None:
    """A downgrade begins anew, and the upgrade after it may be told where to go on."""
    for generation in (1, 2):
        save(tmp_path, numbered(generation))
        newer = newer_version(slot(tmp_path, generation).read_bytes())
        slot(tmp_path, generation).write_bytes(newer)
    assert load(tmp_path) == Checkpoint()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"{name}.refused" for name in SLOTS]


def test_looking_changes_nothing_and_says_why_a_generation_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    slot(tmp_path, 2).write_bytes(b"\0" * 100)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    torn, whole = look(tmp_path)
    assert (torn.checkpoint, torn.problem) == (None, "torn: it holds nothing but zeros")
    assert (whole.checkpoint, whole.problem) == (numbered(1), "")
    assert whole.bytes == len(before[SLOTS[1]])
    assert abs(time.time() - whole.saved) < 60
    assert newest([torn, whole]) == numbered(1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_both_damaged_means_reading_again_and_no_crash_loop(tmp_path: Path) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    for generation in (1, 2):
        slot(tmp_path, generation).write_bytes(b"\0\0\0")
    assert load(tmp_path) == Checkpoint()
    assert load(tmp_path) == Checkpoint()


def test_an_unreadable_generation_is_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    slot(tmp_path, 1).mkdir()
    with pytest.raises(OSError, match=r"directory"):
        load(tmp_path)


def test_a_save_that_fails_keeps_both_generations(tmp_path: Path) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    (tmp_path / "checkpoint.new").mkdir()
    with pytest.raises(OSError, match=r"directory"):
        save(tmp_path, numbered(3))
    assert load(tmp_path) == numbered(2)
