"""Events by organisation and time, any number of them in a bounded memory: hashes, not lines.

They lie in a database of SQLite without a name: in memory as long as they are few, else in a file
that nobody else sees and that is gone with the process.
"""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from audit_events.chain import encode_hash
from audit_events.instant import format_unix_ns
from indelible.errors import CommandError
from indelible.event_place import Place, unix_ns
from indexer.span import Span
from indexer.tree import Tree

CACHE_KIB: Final = 64 << 10
"""What SQLite holds in memory: some 700,000 events."""
ROWS_AT_ONCE: Final = 1000
# In the order of the digest. The leaf belongs to the key: of an id that was altered both stay.
_TABLE: Final = (
    "CREATE TABLE event (organization INTEGER, ns INTEGER, id BLOB, leaf BLOB, ingested INTEGER,"
    " PRIMARY KEY (organization, ns DESC, id DESC, leaf)) WITHOUT ROWID"
)
_SETUP: Final = (
    f"PRAGMA cache_size = -{CACHE_KIB}",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA temp_store = FILE",
    _TABLE,
    "BEGIN",
)
_ADD: Final = "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?)"
_COUNT: Final = (
    "SELECT count(*), count(*) FILTER (WHERE ingested <= ?), min(ingested), max(ingested)"
    " FROM event WHERE organization = ? AND ns >= ? AND ns < ?"
)
_YOUNGEST_OF_OLDEST: Final = (
    "SELECT ingested, ns, id, leaf FROM event WHERE organization = ? AND ns >= ? AND ns < ?"
    " ORDER BY ingested DESC, ns DESC, id DESC, leaf DESC LIMIT 1 OFFSET ?"
)
_LEAVES_OF_OLDEST: Final = (
    "SELECT leaf FROM event WHERE organization = ? AND ns >= ? AND ns < ?"
    " AND (ingested, ns, id, leaf) <= (?, ?, ?, ?) ORDER BY ns DESC, id DESC, leaf"
)
_REMOVE_OLDEST: Final = (
    "DELETE FROM event WHERE organization = ? AND ns >= ? AND ns < ?"
    " AND (ingested, ns, id, leaf) <= (?, ?, ?, ?)"
)


class Sealed(NamedTuple):
    """What a head vouches for: whose events, of which time, how many, and what they come to."""

    organization_id: str
    span: Span
    events: int
    root: str


class Rest(NamedTuple):
    """How many events of a time are there; the instants are canonical, empty without an event."""

    events: int
    before: int
    """Of these, how many say that they were ingested at the given instant or before."""
    first_ingested: str
    last_ingested: str


class SealedEvents:
    """Takes events in any order; each once, however often it comes.

    All its methods raise `CommandError` where there is no room for the file.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, bytes, bytes, int]] = []
        self._numbers: dict[str, int] = {}
        self._database = sqlite3.connect("", isolation_level=None)
        for statement in _SETUP:
            self._database.execute(statement)

    def add(self, place: Place, leaf: bytes) -> None:
        """Take an event by its place and the hash of its line."""
        whose, ns, event_id, ingested = msgspec.structs.astuple(place)
        number = self._numbers.setdefault(whose, len(self._numbers))
        self._rows.append((number, ns, event_id.encode(), leaf, ingested))
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def take_out(self, sealed: Sealed) -> bool:
        """Take out the events that a head vouches for; False, and nothing, where they are not all.

        What came when a partition was sealed already lies elsewhere (`indexer.late`). So where more
        are there than were sealed, those that were ingested last do not belong to it.
        """
        found = self.count(sealed.organization_id, sealed.span).events
        if found < sealed.events or not sealed.events:
            return False
        window = self._window(sealed.organization_id, sealed.span)
        with _with_room():
            offset = found - sealed.events
            last = self._database.execute(_YOUNGEST_OF_OLDEST, (*window, offset)).fetchone()
            tree = Tree()
            for (leaf,) in self._database.execute(_LEAVES_OF_OLDEST, (*window, *last)):
                tree.add_hash(leaf)
            is_whole = encode_hash(tree.root()) == sealed.root
            if is_whole:
                self._database.execute(_REMOVE_OLDEST, (*window, *last))
        return is_whole

    def count(self, organization_id: str, span: Span, before_ns: int = 0) -> Rest:
        """Say what is there of a time.

        Args:
            organization_id: whose events.
            span: of which time.
            before_ns: until when events were ingested that are counted apart.
        """
        self._flush()
        with _with_room():
            parameters = (before_ns, *self._window(organization_id, span))
            events, old, first, last = self._database.execute(_COUNT, parameters).fetchone()
        if not events:
            return Rest(0, 0, "", "")
        return Rest(events, old, format_unix_ns(first), format_unix_ns(last))

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _window(self, organization_id: str, span: Span) -> tuple[int, int, int]:
        number = self._numbers.get(organization_id, -1)
        return number, unix_ns(span.start), unix_ns(span.end)

    def _flush(self) -> None:
        with _with_room():
            self._database.executemany(_ADD, self._rows)
        self._rows.clear()


@contextmanager
def _with_room() -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise CommandError(
            f"the hashes of the events cannot be put into a temporary file: {error}",
            hint="they take about 110 bytes an event; make room, or set TMPDIR to where there is",
        ) from error
