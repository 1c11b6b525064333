"""Hashes on the way."""

from pathlib import Path

import pytest

from agent.chain import Links
from agent.chunk import Span, by_source
from agent.sources import Sources
from audit_events import open_log
from audit_events.chain import HASH_KEY
from audit_events.envelope import Columns, read_columns
from audit_events.event import HASH_CHARACTERS


def emit(path: Path, count: int) -> list[bytes]:
    log = open_log(path, service="s")
    for number in range(count):
        log.info(
            "member.invited", organization_id="o", actor={"type": "system"}, context={"n": number}
        )
    return path.read_bytes().splitlines()


def columns_of(lines: list[bytes]) -> Columns:
    columns = read_columns(lines)
    assert columns is not None
    return columns


def broken(links: Links, lines: list[bytes]) -> list[int]:
    return links.find_broken(lines, by_source(columns_of(lines)))


@pytest.mark.parametrize("at_once", [1, 2, 3, 12])
@pytest.mark.parametrize("row", [0, 1, 5, 11])
def test_the_line_that_was_altered_is_found_once_however_lines_are_read(
    tmp_path: Path, at_once: int, row: int
) -> None:
    lines = emit(tmp_path / "x.log", 12)
    lines[row] = lines[row].replace(b'"n":%d}' % row, b'"n":%d}' % (row + 1))
    links = Links(Sources({}, 0.0))
    found = [
        start + one
        for start in range(0, 12, at_once)
        for one in broken(links, lines[start : start + at_once])
    ]
    assert found == [row]


def test_a_line_without_a_canonical_form_is_found_and_ends_nothing(tmp_path: Path) -> None:
    """Whoever may write one log must not end the agent, which ships those of all."""
    lines = emit(tmp_path / "x.log", 3)
    start = lines[1].index(HASH_KEY) + 1
    end = start + len('"hash":"",') + HASH_CHARACTERS
    lines[1] = b"{" + lines[1][start:end] + lines[1][1:start] + lines[1][end:]
    lines[1] = lines[1].replace(b'"n":1}', b'"n":1e400}')
    assert broken(Links(Sources({}, 0.0)), lines) == [1]


def test_hashes_are_verified_across_a_restart(tmp_path: Path) -> None:
    lines = emit(tmp_path / "x.log", 6)
    columns = columns_of(lines)
    sources = Sources({}, 0.0)
    assert broken(Links(sources), lines[:3]) == []
    one = Span(columns.source_ids[2], 0, columns.hashes[2])
    one.last = 2
    sources.settle(one, 0.0, 0)
    restarted = Links(Sources(sources.states(), 0.0))
    assert broken(restarted, [lines[3].replace(b'"n":3', b'"n":5'), *lines[4:]]) == [0]


def test_sources_that_share_a_file_are_verified_each(tmp_path: Path) -> None:
    files = [emit(tmp_path / f"{number}.log", 5) for number in range(3)]
    lines = [line for together in zip(*files, strict=True) for line in together]
    assert broken(Links(Sources({}, 0.0)), lines) == []
    lines[7] = lines[7].replace(b'"n":2', b'"n":9')
    assert broken(Links(Sources({}, 0.0)), lines) == [7]


def test_another_spelling_of_an_event_is_accepted(tmp_path: Path) -> None:
    """An emitter in another language may write the keys in another order."""
    lines = emit(tmp_path / "x.log", 3)
    lines[1] = lines[1].replace(b'{"action":"member.invited",', b'{ "action": "member.invited",')
    assert broken(Links(Sources({}, 0.0)), lines) == []


def test_an_event_whose_predecessor_was_not_read_is_not_accused(tmp_path: Path) -> None:
    lines = emit(tmp_path / "x.log", 4)
    links = Links(Sources({}, 0.0))
    assert broken(links, lines[:1]) == []
    assert broken(links, lines[2:3]) == []
    assert broken(links, [lines[3].replace(b'"n":3', b'"n":4')]) == [0]
