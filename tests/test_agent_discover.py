"""Which files globs match, where to watch for them, and what is an archive."""

import gzip
from pathlib import Path

import pytest

from agent.discover import base_directory, is_compressed, may_match, scan
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
    assert is_compressed(gzip.compress(b"x"))
    assert not is_compressed(event_line(0))
