"""The credentials file: its mode, its errors, and that it never shows a password."""

import stat
from pathlib import Path

import pytest

from node.credentials import have_credentials, read_credentials
from node.errors import CredentialsError, NodeMissingError
from node.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, tmp_path, tmp_path / "cache", "node-1")


def test_they_are_made_once_and_for_the_owner_alone(layout: Layout) -> None:
    made = have_credentials(layout)
    assert stat.S_IMODE(layout.credentials.stat().st_mode) == 0o600
    assert have_credentials(layout) == made
    assert made.ca_file == layout.home / "authority/ca.pem"


def test_no_password_is_shown(layout: Layout) -> None:
    made = have_credentials(layout)
    assert not any(password in repr(made) for password in made.users.values())


def test_a_home_can_be_moved(layout: Layout, tmp_path: Path) -> None:
    have_credentials(layout)
    moved = tmp_path / "moved"
    moved.mkdir()
    layout.credentials.rename(moved / "credentials.json")
    assert read_credentials(moved / "credentials.json").ca_file == moved / "authority/ca.pem"


def test_before_the_first_start_there_is_no_node(layout: Layout) -> None:
    with pytest.raises(NodeMissingError, match="no node was ever started") as caught:
        read_credentials(layout.credentials)
    assert "indelible node start" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="without users"),
        pytest.param(b'{"users": []}', id="users of another shape"),
        pytest.param(b'{"users": {"a"', id="torn"),
        pytest.param(b"\xff", id="not text"),
    ],
)
def test_a_broken_file_is_named(layout: Layout, content: bytes) -> None:
    layout.credentials.write_bytes(content)
    with pytest.raises(CredentialsError, match="is not a credentials file"):
        read_credentials(layout.credentials)


def test_lost_credentials_of_existing_data_are_not_silently_replaced(layout: Layout) -> None:
    have_credentials(layout)
    layout.initialised.touch()
    layout.credentials.unlink()
    with pytest.raises(CredentialsError, match="is gone") as caught:
        have_credentials(layout)
    assert "--fresh" in caught.value.hint
    assert not layout.credentials.exists()
