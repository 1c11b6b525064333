"""Scenarios 19 and 20: lines that no index takes. The file goes on, and each of them is accounted.

A real agent process and a real node; what is buried is held against the file, byte by byte.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from indexer.settings import IndexSettings
from tests.agent_process import MEGABYTE, AgentHome, memory_of
from tests.cluster import Cluster
from tests.waiting import wait_until

pytestmark = pytest.mark.opensearch

NAME: Final = "app.events"
LIMIT: Final = 65_536
PIECE: Final = bytes(MEGABYTE)


@pytest.fixture
def home(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[AgentHome]:
    with closing(AgentHome(tmp_path, opensearch, index)) as one:
        yield one


def _append(home: AgentHome, content: bytes) -> int:
    """Append what no application logs; returns where it begins."""
    path = home.directory / NAME
    with path.open("ab") as file:
        file.write(content)
    return path.stat().st_size - len(content)


def _unsent(home: AgentHome) -> bytes:
    """A good line that is in none of the files that are followed."""
    [one] = home.emit(1, "aside.txt")
    return home.written.pop(one)


def _buried_at(home: AgentHome) -> dict[int, dict[str, Any]]:
    records = home.buried()
    found = {int(record["offset"]): record for record in records}
    assert len(found) == len(records), "buried twice"
    assert {record["path"] for record in records} <= {str(home.directory / NAME)}
    return found


def _content_of(record: dict[str, Any]) -> bytes:
    if "lineBase64" in record:
        return base64.b64decode(record["lineBase64"])
    return str(record["line"]).encode()


def test_lines_beyond_the_limit_are_buried_by_digest_and_the_file_goes_on(home: AgentHome) -> None:
    """Scenario 19: 200 kB and 20 MB, events by all other rules, between good ones."""
    lines: dict[int, bytes] = {}
    home.emit(100, NAME)
    for size in (LIMIT, 200_000, 20 * MEGABYTE):
        line = _unsent(home).replace(b'"pad":""', b'"pad":"' + b"x" * size + b'"')
        lines[_append(home, line + b"\n")] = line
        home.emit(100, NAME)
    process = home.start("--once")
    with memory_of(process) as samples:
        process.communicate(timeout=120)
    assert process.returncode == 0, home.said()
    records = _buried_at(home)
    assert records.keys() == lines.keys()
    for offset, line in lines.items():
        assert records[offset]["bytes"] == len(line)
        assert records[offset]["sha256"] == hashlib.sha256(line).hexdigest()
        assert "longer than" in records[offset]["reason"]
    assert max(samples) < 130 * MEGABYTE
    home.check()


def test_a_line_just_within_the_limit_is_stored(home: AgentHome) -> None:
    line = _unsent(home)
    # Three texts, as one of that length cannot be indexed.
    first = b'"pad":["' + (b"x" * 20_000 + b'","') * 2
    rest = b"x" * (LIMIT - len(line) - len(first) + len(b'"pad":""') - len(b'"]')) + b'"]'
    line = line.replace(b'"pad":""', first + rest)
    assert len(line) == LIMIT
    home.note(line)
    _append(home, line + b"\n")
    home.once()
    home.check()


@pytest.mark.slow
def test_a_gigabyte_without_a_newline_blinds_nothing_and_takes_no_memory(home: AgentHome) -> None:
    """Scenario 19: while it has no end, other files go on; then it is buried, and its file too."""
    home.emit(100, NAME)
    start = (home.directory / NAME).stat().st_size
    size = 1 << 30
    with (home.directory / NAME).open("r+b") as file:
        file.truncate(start + size)
    process = home.start(INDELIBLE_AGENT_BATCH_EVENTS="5000")
    with memory_of(process) as samples:
        ids = home.emit(100, "other.events")
        wait_until(lambda: home.places().get("other.events"), home.said)
        assert home.stored().keys() >= set(ids)
        # The half line is not settled: killed now, the agent would begin with it again.
        assert home.places()[NAME] == start
        _append(home, b"\n")
        home.emit(100, NAME)
        home.await_settled(120)
    assert max(samples) < 130 * MEGABYTE
    home.kill(process)
    digest = hashlib.sha256()
    for _ in range(size // len(PIECE)):
        digest.update(PIECE)
    record = _buried_at(home)[start]
    assert (record["bytes"], record["sha256"]) == (size, digest.hexdigest())
    home.check()


ODD_LINES: Final[list[tuple[str, Callable[[bytes], bytes]]]] = [
    ("NUL in a text", lambda line: line.replace(b"o1", b"o\0")),
    ("NULs, as a crash of the machine leaves them", lambda _: bytes(4096)),
    ("NULs before an event", lambda line: bytes(100) + line),
    ("invalid UTF-8", lambda line: line.replace(b"o1", b"o\xff")),
    ("a surrogate", lambda line: line.replace(b'"pad":""', b'"pad":"\xed\xa0\x80"')),
    ("half a character", lambda line: line.replace(b'"pad":""', b'"pad":"\xc3"')),
    ("CRLF", lambda line: line + b"\r"),
    ("BOM", lambda line: b"\xef\xbb\xbf" + line),
    ("no id", lambda line: line.replace(b'","id":"', b'","no":"').replace(b'"id":"u', b'"di":"u')),
    ("no timestamp", lambda line: line.replace(b'"timestamp":', b'"time":')),
    ("no hash", lambda line: line.replace(b'"hash":', b'"digest":')),
    ("half an event", lambda line: line[: len(line) // 2]),
    ("two events on a line", lambda line: line + line),
    ("a list", lambda line: b"[" + line + b"]"),
    ("an empty object", lambda _: b"{}"),
    ("null", lambda _: b"null"),
    ("blanks", lambda _: b"   "),
    ("an empty line of another system", lambda _: b"\r"),
    ("brackets without end", lambda _: b"[" * 60_000),
    ("nested", lambda line: line.replace(b'"pad":""', b'"pad":' + b"[" * 9000 + b"]" * 9000)),
    ("a number beyond JSON", lambda line: line.replace(b'"seq":', b'"seq":9999999999999999999')),
    ("an access log", lambda _: b'203.0.113.9 - - [23/Nov/2026:09:30:00] "GET / HTTP/1.1" 200 5'),
    ("syslog", lambda _: b"<34>1 2026-11-23T09:30:00Z web-1 su - ID47 - 'su root' failed"),
    ("logfmt", lambda _: b"level=info msg=hello"),
    ("a bulk action", lambda _: b'{"create":{"_index":"audit-x","_id":"1"}}'),
]


def test_odd_lines_are_buried_with_their_reason_and_everything_else_is_stored(
    home: AgentHome,
) -> None:
    """Scenario 20: each of them stands between good lines; what is buried is what was written."""
    spoilt: dict[int, bytes] = {}
    for _, spoil in ODD_LINES:
        home.emit(3, NAME)
        line = spoil(_unsent(home))
        spoilt[_append(home, line + b"\n")] = line
    home.emit(3, NAME)
    home.once()
    records = _buried_at(home)
    names = dict(zip(spoilt, (name for name, _ in ODD_LINES), strict=True))
    missed = [names[offset] for offset in spoilt.keys() - records.keys()]
    assert missed == []
    assert records.keys() == spoilt.keys()
    for offset, line in spoilt.items():
        assert _content_of(records[offset]) == line
        assert records[offset]["reason"].strip()
    assert home.stored().keys() == home.written.keys()


def test_lines_with_a_key_twice_or_another_id_end_in_exactly_one_place(home: AgentHome) -> None:
    """Scenario 20: whichever of the two values counts, nothing is stored that the line is not."""
    odd: list[bytes] = []
    for old, new in (
        (b'"organizationId":"o1"', b'"organizationId":"o1","organizationId":"o2"'),
        (b'"schemaVersion":1', b'"id":"no id","schemaVersion":1'),
        (b'"schemaVersion":1', b'"ingestedAt":"2020-01-01T00:00:00.000000Z","schemaVersion":1'),
        (b'"schemaVersion":1', b'"schemaVersion":1,"schemaVersion":1'),
    ):
        line = _unsent(home).replace(old, new, 1)
        odd.append(line)
        _append(home, line + b"\n")
        home.emit(3, NAME)
    home.once()
    buried = {_content_of(record) for record in _buried_at(home).values()}
    assert buried == set(odd)
    home.check(buried=home.buried_ids())


def test_empty_lines_are_no_lines(home: AgentHome) -> None:
    home.emit(2, NAME)
    _append(home, b"\n\n\n")
    home.emit(2, NAME)
    home.once()
    assert home.buried() == []
    home.check()
