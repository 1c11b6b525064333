"""Files of `NAME=value` lines, as systemd has them."""

from pathlib import Path

import pytest

from indelible.environment_file import read
from indexer.errors import SettingsError


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        pytest.param("A=b", {"A": "b"}, id="plain"),
        pytest.param("A=", {"A": ""}, id="empty"),
        pytest.param("A=b c=d #e", {"A": "b c=d #e"}, id="everything behind the first ="),
        pytest.param("  A=b  ", {"A": "b"}, id="white space around it"),
        pytest.param('A="b c"', {"A": "b c"}, id="double quotes"),
        pytest.param("A='b \"c'", {"A": 'b "c'}, id="single quotes"),
        pytest.param("# A=b\n; c\n\nD=e", {"D": "e"}, id="comments"),
        pytest.param("A=b\nA=c", {"A": "c"}, id="the last one counts"),
    ],
)
def test_assignments(line: str, variables: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.write_text(line)
    assert read(path) == variables


def test_all_mistakes_are_told_and_no_value_is(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.write_text("A=b\nexport PASSWORD=hidden\nhidden\nB='hidden\n1=2\n")
    with pytest.raises(SettingsError) as caught:
        read(path)
    assert caught.value.problems == tuple(
        f"{path}: line {number} is no NAME=value" for number in (2, 3, 4, 5)
    )
    assert "hidden" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read(tmp_path / "none")
