"""Which indices there are, and which are sealed: listed once in a while, never relied on for long.

A sealed index is one with a write block that was seen for so long that all that was written before
it can be found by now (a refresh makes it so, every `refresh_interval_seconds`).
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from msgspec import Struct

from indexer.settings import IndexSettings
from indexer.span import span_of
from webapi.timeline import Index

FEW: Final = 40
"""So many are listed in a millisecond or two: then each question looks, and none is surprised."""
SETTLED_REFRESHES: Final = 10


class Listed(
    Struct,
    frozen=True,
    rename={
        "write": "index.blocks.write",
        "uuid": "index.uuid",
        "closed": "index.verified_before_close",
    },
):
    """Settings of one index, flat; booleans are texts."""

    uuid: str
    write: str = "false"
    closed: str = "false"


Fetch = Callable[[], Mapping[str, Listed]]


class Listing:
    """The indices of one prefix. Thread-safe.

    Args:
        fetch: asks the cluster for all of them.
        settings: what their names mean, and how often they refresh.
        clock: seconds.
        settled_refreshes: for how many refresh intervals a write block has to be seen.
    """

    def __init__(
        self,
        fetch: Fetch,
        settings: IndexSettings,
        clock: Callable[[], float] = time.monotonic,
        settled_refreshes: int = SETTLED_REFRESHES,
    ) -> None:
        self._fetch = fetch
        self._settings = settings
        self._clock = clock
        self._settled_seconds = settled_refreshes * settings.refresh_interval_seconds
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="listing")
        self._blocked: dict[str, float] = {}
        self._found: tuple[Index, ...] | None = None
        self._at = 0.0

    def current(self) -> tuple[tuple[Index, ...], "Future[tuple[Index, ...]] | None"]:
        """Return what is known, and where that is no longer sure what it is now, to come.

        The answer to a question that was asked by the first counts only if the second is the same.
        """
        found, age = self._found, self._clock() - self._at
        if found is None:
            return self.renew(), None
        if len(found) > FEW and age < self._settings.refresh_interval_seconds:
            return found, None
        return found, self._pool.submit(self.renew)

    def renew(self) -> tuple[Index, ...]:
        """List anew.

        Raises:
            UnavailableError, InternalError: as `Storage.list_indices`.
        """
        asked_at = self._clock()
        rows = self._fetch()
        with self._lock:
            found = tuple(self._index(name, row, asked_at) for name, row in sorted(rows.items()))
            there = {row.uuid for row in rows.values()}
            self._blocked = {one: at for one, at in self._blocked.items() if one in there}
            if asked_at >= self._at:
                self._found, self._at = found, asked_at
        return found

    def _index(self, name: str, row: Listed, now: float) -> Index:
        sealed = False
        if row.write == "true":
            since = self._blocked.setdefault(row.uuid, now)
            # A closed one is asked, and refuses: its events must not be missing without a word.
            sealed = now - since >= self._settled_seconds and row.closed != "true"
        else:
            self._blocked.pop(row.uuid, None)
        return Index(name, row.uuid, span_of(name, self._settings), sealed)
