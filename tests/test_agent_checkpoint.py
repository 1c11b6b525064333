"""The checkpoint on the disk: what a crash at any step leaves behind, and what is made of it."""

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.checkpoint import SLOTS, Checkpoint, SourceState, load, save
from agent.identity import Place, fingerprint

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
        {"s": SourceState(seq=generation, hash="h", touched=1, missing=((0, 1),))},
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


class CrashError(Exception):
    """The machine stops here."""


STEPS = ("open", "write", "fsync", "close", "replace", "open", "fsync", "close")


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the system call number `step` of the checkpoint, and all after it, not happen."""
    done: list[str] = []

    def guard(name: str) -> None:
        real = getattr(os, name)

        def call(*arguments: object, **options: object) -> object:
            if len(done) >= step:
                raise CrashError(name)
            done.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(os, name, call)

    for name in set(STEPS):
        guard(name)
    return done


@pytest.mark.parametrize("step", range(len(STEPS) + 1))
@pytest.mark.parametrize("torn", [None, 0, 10, 200], ids=lambda torn: f"torn at {torn}")
def test_a_crash_at_any_step_leaves_a_whole_generation(
    step: int, torn: int | None, tmp_path: Path
) -> None:
    """What was not fsynced is there, cut, or empty; the rename happened or not."""
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    with pytest.MonkeyPatch.context() as patched:
        done = crash_at(step, patched)
        try:
            save(tmp_path, numbered(3))
        except CrashError:
            pass
        else:
            assert tuple(done) == STEPS
    new = tmp_path / "checkpoint.new"
    if torn is not None and "fsync" not in done and new.exists():
        os.truncate(new, min(torn, new.stat().st_size))
    renamed = "replace" in done
    assert load(tmp_path) == numbered(3 if renamed else 2)
    # And the next save starts from whatever was left.
    save(tmp_path, numbered(4))
    assert load(tmp_path) == numbered(4)


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_crash_in_the_very_first_save_leaves_nothing_or_all_of_it(
    step: int, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        done = crash_at(step, patched)
        with pytest.raises(CrashError):
            save(tmp_path, numbered(1))
    assert load(tmp_path) == (numbered(1) if "replace" in done else Checkpoint())


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
        pytest.param(lambda data: b"[]\n" + data, id="another format"),
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
    assert (tmp_path / "checkpoint.refused.json").read_bytes() == damaged
    save(tmp_path, numbered(2))
    assert load(tmp_path) == numbered(2)


def test_a_deleted_generation_gives_way_to_the_one_before(tmp_path: Path) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    slot(tmp_path, 2).unlink()
    assert load(tmp_path) == numbered(1)


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
