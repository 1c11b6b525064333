"""Erasing a node removes what `node` made, and nothing else, whatever the home says."""

from pathlib import Path

import pytest

import node
from node.errors import HomeError


def _keep(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / "kept.txt"
    kept.write_text("not node's")
    return kept


def test_what_node_did_not_make_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.layout.step_down_user", lambda: None)  # the place is the home
    kept = [_keep(tmp_path), _keep(tmp_path / "cache"), _keep(tmp_path / "events")]
    for name in ("nodes/node-1/data", "server-0123", "java-25", "authority"):
        (tmp_path / name).mkdir(parents=True)
    node.erase(node.NodeConfig(tmp_path))
    assert all(path.exists() for path in kept)
    assert {one.name for one in tmp_path.iterdir()} == {"kept.txt", "cache", "events", "lock"}


@pytest.mark.parametrize("text", ["", ".", "/", "..", "work"])
def test_a_torn_record_erases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """An empty record reads as the current directory; a second start once tore it."""
    working = _keep(tmp_path / "work")
    inside = _keep(tmp_path / "work" / "nodes")
    monkeypatch.chdir(working.parent)
    home = tmp_path / "home"
    home.mkdir()
    (home / "place").write_text(text)
    with pytest.raises(HomeError):
        node.erase(node.NodeConfig(home))
    assert working.exists()
    assert inside.exists()


def test_a_home_that_is_not_there_is_erased_already(tmp_path: Path) -> None:
    node.erase(node.NodeConfig(tmp_path / "home"))
    assert list(tmp_path.iterdir()) == []
