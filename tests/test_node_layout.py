"""Where a node lies, and who may use a home."""

import os
from pathlib import Path

import pytest

from node import NodeConfig
from node.errors import HomeError, NodeError
from node.layout import (
    SHARED_STATE,
    User,
    check_home,
    choose_place,
    find_layout,
    reachable,
    step_down_user,
)
from tests.node_home import open_up

STRANGER = User("stranger", 54_321, 54_321)
ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="needs root, to be somebody else")


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A directory that everybody can enter, as pytest's own cannot be."""
    open_up(tmp_path)
    return tmp_path


def test_a_home_behind_a_closed_door_cannot_be_reached(open_path: Path) -> None:
    home = open_path / "closed" / "home"
    home.mkdir(parents=True)
    assert reachable(home, STRANGER)
    home.parent.chmod(0o700)
    assert not reachable(home, STRANGER)


def test_the_owner_and_the_group_have_their_own_doors(open_path: Path) -> None:
    stat = open_path.stat()
    owner = User("owner", stat.st_uid, 1)
    group = User("group", 54_321, stat.st_gid)
    home = open_path / "home"
    home.mkdir(mode=0o700)
    home.chmod(0o710)
    assert reachable(home, owner)
    assert reachable(home, group)
    assert not reachable(home, STRANGER)
    home.chmod(0o601)
    assert not reachable(home, group)


def test_the_place_is_the_home_where_the_server_can_reach_it(open_path: Path) -> None:
    assert choose_place(open_path, None) == open_path
    assert choose_place(open_path, STRANGER) == open_path


def test_the_place_is_shared_state_where_it_cannot(open_path: Path) -> None:
    open_path.chmod(0o700)
    place = choose_place(open_path, STRANGER)
    assert place.parent == SHARED_STATE
    assert place != choose_place(open_path / "other", STRANGER)
    assert choose_place(open_path, None) == open_path


def test_the_home_remembers_its_place(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    place = choose_place(tmp_path / "closed", STRANGER)
    (tmp_path / "closed" / "place").write_text(f"{place}\n")
    layout = find_layout(NodeConfig(tmp_path / "closed"))
    assert layout.data == place / "nodes/node-1/data"
    assert layout.credentials == tmp_path / "closed/credentials.json"
    assert layout.cache == tmp_path / "closed/cache"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty, as a torn write leaves it"),
        pytest.param("\n", id="blank"),
        pytest.param(".", id="the current directory"),
        pytest.param("/", id="the root"),
        pytest.param("/var/lib/indelible", id="the parent of all places"),
        pytest.param("/var/lib/indelible/0123456789abcdef", id="the place of another home"),
        pytest.param("/var/lib/indelible/../../../etc", id="a way out"),
    ],
)
def test_a_record_that_names_anything_but_the_homes_own_place_is_refused(
    tmp_path: Path, text: str
) -> None:
    """What is below a place gets removed: once, an empty record removed the current directory."""
    (tmp_path / "place").write_text(text)
    with pytest.raises(HomeError, match="does not name the place"):
        find_layout(NodeConfig(tmp_path))


@as_root
def test_root_steps_down_to_the_first_user_that_exists() -> None:
    user = step_down_user(("no-such-user", "root", "nobody"))
    assert user is not None
    assert user.name == "nobody"
    with pytest.raises(NodeError, match="no-such-user") as caught:
        step_down_user(("no-such-user",))
    assert "useradd" in caught.value.hint


@as_root
def test_a_home_of_somebody_else_is_refused_with_both_names(tmp_path: Path) -> None:
    os.chown(tmp_path, 54_321, 54_321)
    with pytest.raises(
        HomeError, match=r"belongs to uid 54321, and this is root \(uid 0\)"
    ) as caught:
        check_home(tmp_path)
    assert "INDELIBLE_HOME" in caught.value.hint


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.touch()
    with pytest.raises(HomeError):
        check_home(home)


def test_a_home_that_can_be_made_is_accepted(tmp_path: Path) -> None:
    check_home(tmp_path / "not" / "yet")
