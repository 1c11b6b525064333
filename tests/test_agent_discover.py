"""Which files globs match, where to watch for them, and what is an archive."""

import bz2
import glob
import gzip
import lzma
from pathlib import Path

import pytest

from agent.discover import (
    archive_kind,
    base_directory,
    find_unmatched,
    list_files,
    may_match,
    scan,
)
from tests.agent_world import event_line


def test_globs(tmp_path: Path) -> None:
    for name in ("a.log", "x/b.log", "x/y/c.log", "x/y/d.txt", "state/e.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = scan([f"{tmp_path}/**/*.log", f"{tmp_path}/a.*"], f"{tmp_path}/state")
    assert sorted(Path(path).name for path in found) == ["a.log", "b.log", "c.log"]


def test_of_the_agents_own_directory_its_trail_alone_is_found(tmp_path: Path) -> None:
    """Whatever the globs say, and whatever the directory is called."""
    state = tmp_path / "state[1]*"
    (state / "events").mkdir(parents=True)
    for name in ("dead-letter.jsonl", "events/agent.log", "events/agent.log.1", "events/x.log"):
        (state / name).touch()
    found = sorted(scan([f"{tmp_path}/**"], str(state)))
    assert found == [f"{state}/events/agent.log", f"{state}/events/agent.log.1"]
    assert sorted(scan([], str(state))) == found


def test_globs_that_match_no_file_are_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for name in ("a.log", "x/y/b.log", "state/c.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "to_nowhere.txt").symlink_to(tmp_path / "nowhere")
    right = [f"{tmp_path}/a.log", f"{tmp_path}/**/b.log"]
    wrong = [
        f"{tmp_path}/*.lgo",
        "/nowhere/*.log",
        f"{tmp_path}/x",
        f"{tmp_path}/*.txt",
        f"{state}/*.jsonl",
    ]
    assert find_unmatched([*right, *wrong], str(state)) == tuple(wrong)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/var/log/app/*.log", ("/var/log/app", False)),
        ("/var/log/app/x.log", ("/var/log/app", False)),
        ("/srv/*/log/*.log", ("/srv", True)),
        ("/srv/**/*.log", ("/srv", True)),
        ("/*.log", ("/", False)),
        ("/*/x.log", ("/", True)),
    ],
)
def test_the_directory_to_watch(pattern: str, expected: tuple[str, bool]) -> None:
    assert base_directory(pattern) == expected


def test_names_that_may_match() -> None:
    assert may_match("/x/y/a.log", ["/x/**/*.log"])
    assert not may_match("/x/y/a.txt", ["/x/**/*.log"])
    assert may_match("/x/y/anything", ["/x/**"])


def test_archives_are_known_by_their_first_bytes() -> None:
    assert archive_kind(gzip.compress(b"x")) == "gzip"
    assert archive_kind(bz2.compress(b"x")) == "bzip2"
    assert archive_kind(lzma.compress(b"x")) == "xz"
    assert archive_kind(event_line(0)) == ""
    assert archive_kind(b"") == ""


def test_the_files_of_a_directory_that_is_not_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert list_files(str(tmp_path)) == {(tmp_path / "a").stat().st_ino: str(tmp_path / "a")}
    assert list_files(str(tmp_path / "none")) == {}


def test_two_stars_follow_no_link_below(tmp_path: Path) -> None:
    """Two links to where they stand are 2^40 directories: the agent would never look again."""
    (tmp_path / "real" / "x[1]").mkdir(parents=True)
    (tmp_path / "base").symlink_to("real")
    for name in ("p", "q"):
        (tmp_path / "real" / name).symlink_to(".")
    for name in ("a.log", "x[1]/b.log", ".hidden"):
        (tmp_path / "real" / name).touch()
    (tmp_path / "real" / "x[1]" / "link.log").symlink_to("b.log")
    base, state = f"{tmp_path}/base", f"{tmp_path}/state"
    names = ("a.log", "x[1]/b.log", "x[1]/link.log")
    everything = sorted(f"{base}/{name}" for name in names)
    for pattern in (f"{base}/**", f"{base}/**/*.log", f"{base}/**/**/*"):
        assert sorted(scan([pattern], state)) == everything
    assert find_unmatched([f"{base}/**/c.log"], state) == (f"{base}/**/c.log",)


@pytest.mark.parametrize(
    "pattern",
    [
        "*.log",
        "*",
        ".*",
        "a?.log",
        "[ab]*",
        "[!.]*",
        "exact.log",
        "nothing.log",
        "*/",
        "x/*.log",
        "*/*",
    ],
)
def test_a_glob_matches_what_the_library_says(tmp_path: Path, pattern: str) -> None:
    for name in (
        "a1.log",
        "b.log",
        ".hidden.log",
        "exact.log",
        "x/c.log",
        "x/.d.log",
        "[ab]",
        "é.log",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "to_nowhere.log").symlink_to(tmp_path / "nowhere")
    matched = glob.glob(f"{tmp_path}/{pattern}")  # noqa: PTH207  # what is compared with
    files = [path for path in matched if Path(path).is_file()]
    assert sorted(scan([f"{tmp_path}/{pattern}"], f"{tmp_path}/state")) == sorted(files)


def test_a_glob_in_no_directory_matches_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert scan([f"{tmp_path}/gone/*.log", f"{tmp_path}/file/*.log"], f"{tmp_path}/state") == {}
