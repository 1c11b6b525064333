"""Which indices there are, and which are steady: listed once in a while, never relied on for long.

What was counted in a steady index holds for as long as it is that. It is

    sealed      it has a write block, and its primary was refreshed on top of that, or
    quiet       it has as many documents as before, and no copy was refreshed since,

and that was seen for so long that all that was written before can be found by now, on every copy
(a refresh makes it so, every `refresh_interval_seconds`; one that comes later, on a node that is
overloaded, begins the time anew). An index only ever takes documents more,
so one that is quiet with the same number is the same. The numbers are a help and no more: what
nobody could tell soon enough is not steady, and is asked.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from msgspec import Struct

from indexer.settings import IndexSettings
from indexer.span import span_of
from webapi.errors import IndexGoneError, InternalError, UnavailableError
from webapi.timeline import Index

T = TypeVar("T")

FEW: Final = 40
"""So many are listed in a millisecond or two."""
TRUSTED_SECONDS: Final = 0.25
"""A list of a few is believed for so long, much less than an event takes until it can be found."""
SETTLED_REFRESHES: Final = 10
FEW_GROWING: Final = 3
"""So many that take documents are asked by each question, whether they are quiet or not."""
REFRESHED_AT_ONCE: Final = 200
"""Takes 0.1 s where nothing is left to refresh (400: 0.17 s)."""
PATIENCE_SECONDS: Final = 0.5
"""How long an answer waits for the numbers of documents, which it can do without."""


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
Refresh = Callable[[Sequence[str]], Sequence[str]]
Contents = Callable[[Sequence[str]], Mapping[str, str]]
"""What stands for the documents that some indices have, and for those that can be found, by uuid;
without those of which it is not known."""


class Listing:
    """The indices of one prefix. Thread-safe.

    Args:
        fetch: asks the cluster for all of them.
        contents: asks it what stands for their documents.
        refresh: has it let all be found that some indices took; returns those where it could.
        settings: what their names mean, and how often they refresh.
        clock: seconds.
        settled_refreshes: for how many refresh intervals an index has to stay as it is.
        trusted_seconds: for how long a list of a few is believed.
    """

    def __init__(
        self,
        fetch: Fetch,
        contents: Contents,
        refresh: Refresh,
        settings: IndexSettings,
        clock: Callable[[], float] = time.monotonic,
        *,
        settled_refreshes: int = SETTLED_REFRESHES,
        trusted_seconds: float = TRUSTED_SECONDS,
    ) -> None:
        self._fetch = fetch
        self._contents = contents
        self._refresh = refresh
        self._trusted_seconds = trusted_seconds
        self._settings = settings
        self._clock = clock
        self._settled_seconds = settled_refreshes * settings.refresh_interval_seconds
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="listing")
        self._counting = ThreadPoolExecutor(max_workers=4, thread_name_prefix="counting")
        self._since: dict[str, float] = {}
        self._found: tuple[Index, ...] | None = None
        self._at = 0.0
        self._refreshed: frozenset[str] = frozenset()
        self._unasked_until = self._unrefreshed_until = -float("inf")

    def current(self) -> tuple[tuple[Index, ...], "Future[tuple[Index, ...]] | None"]:
        """Return what is known, and where that is no longer sure what it is now, to come.

        The answer to a question that was asked by the first counts only if it `still_holds` by the
        second.
        """
        found, age = self._found, self._clock() - self._at
        if found is None:
            return self.renew(), None
        if age < self._believed_seconds(found):
            return found, None
        try:
            return found, self._pool.submit(self.renew)
        except RuntimeError:
            # At a stop the interpreter ends all pools before the threads that still answer.
            return self.renew(), None

    def renew(self) -> tuple[Index, ...]:
        """List anew.

        Raises:
            UnavailableError, InternalError: as `Storage.list_indices`.
        """
        asked_at = self._clock()
        rows = self._fetch()
        contents = self._contents_of(
            [name for name, row in rows.items() if may_grow(row)], asked_at
        )
        states = {name: state_of(row, contents) for name, row in rows.items()}
        settled = self._settled({one for one in states.values() if one}, asked_at)
        sealed = {
            row.uuid: name
            for name, row in rows.items()
            if row.write == "true" and row.uuid in settled
        }
        steady = settled - (sealed.keys() - self._refresh_sealed(sealed, asked_at))
        found = tuple(
            Index(
                name,
                row.uuid,
                span_of(name, self._settings),
                states[name] if states[name] in steady else "",
                row.write == "true",
            )
            for name, row in sorted(rows.items())
        )
        with self._lock:
            if asked_at >= self._at:
                self._found, self._at = found, asked_at
        return found

    def _believed_seconds(self, found: Sequence[Index]) -> float:
        interval = self._settings.refresh_interval_seconds
        if len(found) > FEW:
            return interval
        # That one is quiet has to be true at this moment, as events of it are not looked for.
        quiet = any(one.steady != one.uuid for one in found if one.steady)
        return 0.0 if quiet else min(interval, self._trusted_seconds)

    def _settled(self, states: Collection[str], asked_at: float) -> set[str]:
        """Return those of the states of now that have been so for long enough."""
        seen_at = self._clock()
        with self._lock:
            self._since = {one: self._since.get(one, seen_at) for one in states}
            # From when it was seen so to when it was asked again: that it was the same, in between.
            return {
                one
                for one, since in self._since.items()
                if max(0.0, asked_at - since) >= self._settled_seconds
            }

    def _refresh_sealed(self, sealed: Mapping[str, str], now: float) -> frozenset[str]:
        """Return those of some sealed indices, names by uuid, that were refreshed since the seal.

        A refresh may come later than one waits for it, and what was counted before is remembered.
        Of very many each list has some refreshed.
        """
        refreshed = self._refreshed & sealed.keys()
        left = [uuid for uuid in sealed if uuid not in refreshed][:REFRESHED_AT_ONCE]
        if left and now >= self._unrefreshed_until:
            names = {sealed[uuid]: uuid for uuid in left}
            ended = self._soon(self._refresh, list(names), now) or ()
            refreshed |= {names[name] for name in ended}
            if len(ended) < len(left):
                # One that has lost its primary may stay so for days, and holds up no other.
                self._unrefreshed_until = now + self._settled_seconds
        self._refreshed = refreshed
        return refreshed

    def _contents_of(self, names: Sequence[str], now: float) -> Mapping[str, str]:
        if len(names) <= FEW_GROWING:
            return {}
        return self._soon(self._contents, names, now) or {}

    def _soon(
        self, asking: Callable[[Sequence[str]], T], names: Sequence[str], now: float
    ) -> T | None:
        """Return the answer to what one can do without; None where it does not come soon."""
        if now < self._unasked_until:
            return None
        try:
            return self._counting.submit(asking, names).result(PATIENCE_SECONDS)
        except RuntimeError:
            # The interpreter ends all pools at a stop.
            return None
        except (TimeoutError, IndexGoneError, UnavailableError, InternalError):
            self._unasked_until = now + self._settled_seconds
            return None


def may_grow(row: Listed) -> bool:
    """Tell whether an index takes documents, as far as its settings say."""
    return row.write != "true" and row.closed != "true"


def state_of(row: Listed, contents: Mapping[str, str]) -> str:
    """Return what stands for all that an index holds; empty where nobody can tell.

    A closed one is asked, and refuses: its events must not be missing without a word.
    """
    if row.closed == "true":
        return ""
    if row.write == "true":
        return row.uuid
    content = contents.get(row.uuid)
    return "" if content is None else f"{row.uuid}/{content}"


def still_holds(listed: Sequence[Index], renewed: Sequence[Index]) -> bool:
    """Tell whether what was answered by a list is right by a newer one.

    That an index became steady meanwhile makes no answer wrong.
    """
    if len(listed) != len(renewed):
        return False
    return all(
        (old.name, old.uuid) == (new.name, new.uuid) and old.steady in ("", new.steady)
        for old, new in zip(listed, renewed, strict=True)
    )
