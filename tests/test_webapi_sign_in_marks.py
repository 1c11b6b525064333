"""What is remembered once: one of many is first, whoever else asks at the same moment."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from webapi.sign_in.marks import Marks

NAME = "a" * 32
RACER = """
import sys, time
from pathlib import Path
from webapi.sign_in.marks import Marks
marks = Marks(Path(sys.argv[1]), 600)
print("ready", flush=True)
sys.stdin.readline()
print(sum(marks.put(f"{number:032d}") for number in range(200)))
"""


def test_the_first_is_told_apart(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "used", 60)
    assert not marks.has(NAME)
    assert marks.put(NAME)
    assert marks.has(NAME)
    assert not marks.put(NAME)


def test_of_many_threads_one_is_first(tmp_path: Path) -> None:
    marks = Marks(tmp_path, 60)
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: marks.put(NAME), range(64))) == 1


def test_of_two_processes_one_is_first(tmp_path: Path) -> None:
    """Two workers that are handed the same tickets at once, two hundred times."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path)],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    counts = [int(racer.communicate("go\n")[0]) for racer in racers]
    assert sum(counts) == 200


def test_old_marks_go_and_young_ones_stay(tmp_path: Path) -> None:
    marks = Marks(tmp_path, 60)
    marks.put(NAME)
    marks.put("b" * 32)
    long_ago = time.time() - 61
    os.utime(tmp_path / NAME, (long_ago, long_ago))
    marks.put("c" * 32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b" * 32, "c" * 32]


@pytest.mark.parametrize("name", ["", "short", "../" + NAME, "a" * 65, "a/" + NAME, NAME + "\n"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        Marks(tmp_path, 60).put(name)


def test_what_cannot_be_told_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "used").write_text("a file where the directory should be")
    marks = Marks(tmp_path / "used", 60)
    with pytest.raises(OSError, match="directory"):
        marks.has(NAME)
    with pytest.raises(OSError, match="exists"):
        marks.put(NAME)
