"""Asking OpenSearch: a `ScopedSearch` goes out, whole events come back as the bytes they are.

What is an answer, and what is none, says `webapi.storage_answer`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout

from indexer.client import LEADERLESS_PARAMS, Reply, ask
from indexer.errors import NoAnswerError
from indexer.names import EXPAND_ALL, events_pattern, events_template, late_pattern, read_indices
from indexer.settings import IndexSettings
from webapi.errors import ForeignEventError, TooSlowError, UnavailableError
from webapi.listing import Listed
from webapi.patience import Patience
from webapi.preference import Preference
from webapi.query import ScopedSearch
from webapi.storage_answer import (
    Checkpoint,
    CountedReply,
    Found,
    ListedReply,
    PinnedReply,
    RefreshedReply,
    StatsReply,
    checkpoint_of,
    decode,
    read,
    refuse,
    refuse_unavailable,
    silent,
    split_multi,
    whole,
)

T = TypeVar("T")

SEARCH_PARAMS: Final = {
    "allow_partial_search_results": "false",
    "allow_no_indices": "true",
    **EXPAND_ALL,
}
"""Before the first event there is no index, and that is no error. A closed partition is one: left
out of the pattern, its events would be missing from the answer without a word. So would those of a
hidden one, which is searched as any other."""
LIST_PARAMS: Final = {**EXPAND_ALL, **LEADERLESS_PARAMS, "flat_settings": "true"}
LISTED: Final = "index.uuid,index.blocks.write,index.verified_before_close"
COUNT_PARAMS: Final = {
    "ignore_unavailable": "true",
    "expand_wildcards": "open,hidden",
    "filter_path": "indices.*.uuid,indices.*.primaries.docs.count"
    ",indices.*.total.refresh.external_total",
}
KEEP_PINNED: Final = "5m"
"""How long a point in time stays without being asked: a client that takes what was asked for more
slowly than that loses it."""
PIN_PARAMS: Final = {
    "keep_alive": KEEP_PINNED,
    "allow_partial_pit_creation": "false",
    **EXPAND_ALL,
}
PINNED_PARAMS: Final = {"allow_partial_search_results": "false"}
STATS_PARAMS: Final = {
    **EXPAND_ALL,
    "level": "shards",
    "filter_path": "indices.*.uuid,indices.*.shards.*.routing.primary"
    ",indices.*.shards.*.routing.node"
    ",indices.*.shards.*.seq_no.global_checkpoint"
    ",indices.*.shards.*.refresh.external_total"
    ",indices.*.shards.*.segments.index_writer_memory_in_bytes",
}
REFRESH_PARAMS: Final = {"realtime": "false", "refresh": "true"}
"""A question may ask for it, so a reader needs no right to `_refresh`."""
NO_DOCUMENT: Final = "-"
MAX_PATH_BYTES: Final = 3000
"""OpenSearch takes 4,096 for the whole line; more names than that go by `_msearch`."""


def fits_in_path(names: str) -> bool:
    """Tell whether a path has room for names, in which a letter may take up to twelve bytes."""
    return len(quote(names, safe=",*")) <= MAX_PATH_BYTES


class Storage:
    """The events of all organisations, of which a search sees one.

    Args:
        client: connected as the reader.
        index: names of the partitions.
        timeout_seconds: how long one search may take.
        told: is told of each question how many seconds it took, and whether it was answered.
    """

    def __init__(
        self,
        client: OpenSearch,
        index: IndexSettings,
        timeout_seconds: float,
        told: Callable[[float, bool], None] = lambda _seconds, _answered: None,
    ) -> None:
        self._told = told
        self._client = client
        self._index = index
        self._timeout_seconds = timeout_seconds
        self._patience = Patience()
        self._preference = Preference()

    def search(
        self, search: ScopedSearch, indices: Sequence[str] = (), *, copy: str | None = None
    ) -> Found:
        """Return the whole answer, of some indices (names and patterns) or of all.

        The organisation's own copies are asked (`webapi.preference`). With `copy` only those that
        lie there (`Checkpoint.copy`), and with an empty one the primaries.

        Raises:
            IndexGoneError: one of the names is none of an index, or has no such copy.
            UnavailableError: no answer, a late one, or one in part.
            InternalError: a refusal, or an answer that cannot be what was asked for.
        """
        names = ",".join(indices) or read_indices(self._index)

        def asking(preference: str) -> Found:
            params = {**SEARCH_PARAMS, "preference": preference}

            def asked(body: bytes) -> Found:
                if fits_in_path(names):
                    reply = self._ask("POST", f"/{names}/_search", params=params, body=body)
                else:
                    (reply,) = self._ask_multi([names.split(",")], params, body)
                return whole(reply, search.organization_id)

            return self._ask_scoped(search, asked)

        if copy is None:
            return self._ask_own(search.organization_id, asking)
        return self._patience.answer(lambda: asking(which(copy)))

    def search_apart(
        self, search: ScopedSearch, groups: Sequence[Sequence[str]]
    ) -> Sequence[Found]:
        """Return the whole answer of each group of indices by itself, asked for at once.

        An index that is asked by itself reads the question once; of several each does that twice,
        to find and to fetch.

        Raises:
            IndexGoneError, UnavailableError, InternalError: as `search`.
        """

        def asking(preference: str) -> Sequence[Found]:
            params = {**SEARCH_PARAMS, "preference": preference}

            def asked(body: bytes) -> Sequence[Found]:
                replies = self._ask_multi(groups, params, body)
                return [whole(reply, search.organization_id) for reply in replies]

            return self._ask_scoped(search, asked)

        return self._ask_own(search.organization_id, asking)

    def pin(self, organization_id: str, indices: Sequence[str]) -> str | None:
        """Open a point in time of some indices (names and patterns); None where none is there.

        It is of the copies that `search` asks, stays for `KEEP_PINNED` after each search of it, and
        has to be given up by `unpin`.

        Raises:
            IndexGoneError, UnavailableError, InternalError: as `search`.
        """
        path = f"/{','.join(indices)}/_search/point_in_time"
        return self._ask_own(organization_id, lambda preference: self._pin(path, preference))

    def _pin(self, path: str, preference: str) -> str | None:
        reply = self._ask("POST", path, params={**PIN_PARAMS, "preference": preference})
        if reply.status == HTTPStatus.BAD_REQUEST and "invalid id: [null]" in reply.text:
            # What OpenSearch makes of patterns without an index (tried on 3.4.0).
            return None
        refuse(reply)
        return decode(reply.text, PinnedReply, "a point in time").pit_id

    def search_pinned(self, search: ScopedSearch, pinned: str) -> Found:
        """Return the whole answer, as of a point in time.

        Raises:
            UnavailableError, InternalError: as `search`; the first also when it is gone.
        """

        def asked(body: bytes) -> Found:
            reply = self._ask("POST", "/_search", params=PINNED_PARAMS, body=body)
            return whole(reply, search.organization_id)

        place = {"id": pinned, "keep_alive": KEEP_PINNED}
        return self._ask_scoped(search, asked, {"pit": place})

    def unpin(self, pinned: str) -> None:
        """Give a point in time up; one that is gone already is no error.

        Raises:
            UnavailableError: no answer, so that it goes by itself after `KEEP_PINNED`.
        """
        body = msgspec.json.encode({"pit_id": [pinned]})
        self._ask("DELETE", "/_search/point_in_time", body=body)

    def list_indices(self) -> Mapping[str, Listed]:
        """Return what there is of partitions and indices of late events, by name.

        Raises:
            UnavailableError: no answer.
            InternalError: a refusal, or an answer that cannot be what was asked for.
        """
        path = f"/{events_pattern(self._index)},{late_pattern(self._index)}/_settings/{LISTED}"
        reply = self._ask("GET", path, params=LIST_PARAMS)
        rows = read(reply, dict[str, ListedReply], "the list of indices")
        return {name: row.settings for name, row in rows.items()}

    def contents(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return what stands for the documents of indices, by uuid, without those that do not say.

        Raises:
            UnavailableError: no answer.
            InternalError: a refusal, or an answer that cannot be what was asked for.
        """
        asked = ",".join(names)
        if not fits_in_path(asked):
            asked = f"{events_pattern(self._index)},{late_pattern(self._index)}"
        reply = self._ask("GET", f"/{asked}/_stats/docs,refresh", params=COUNT_PARAMS)
        rows = read(reply, CountedReply, "the list of sizes").indices.values()
        return {row.uuid: row.content for row in rows if row.content}

    def checkpoints(self, indices: Sequence[str]) -> Mapping[str, Checkpoint]:
        """Return how far the primaries of some indices (names and patterns) are, by name.

        Left out is one that has no primary, or is just changing it.

        Raises:
            IndexGoneError, UnavailableError, InternalError: as `search`; the last also for an index
                of several shards, each of which would count for itself.
        """
        names = ",".join(indices)
        if not fits_in_path(names):
            names = read_indices(self._index)
        reply = self._ask("GET", f"/{names}/_stats/refresh,segments", params=STATS_PARAMS)
        refuse(reply)
        found = decode(reply.text, StatsReply, "the answer about checkpoints").indices
        told = {name: checkpoint_of(name, of_index) for name, of_index in found.items()}
        return {name: one for name, one in told.items() if one is not None}

    def refresh(self, indices: Sequence[str], copy: str = "") -> Sequence[str]:
        """Return those of which all that they took can be found now, in a copy as of `search`.

        The others are gone, or have no copy there.

        Raises:
            IndexGoneError, UnavailableError, InternalError: as `search`.
        """
        params = {**REFRESH_PARAMS, "preference": which(copy)}
        body = {"docs": [{"_index": name, "_id": NO_DOCUMENT} for name in indices]}
        reply = self._ask("POST", "/_mget", params=params, body=msgspec.json.encode(body))
        refuse(reply)
        docs = decode(reply.text, RefreshedReply, "the answer to a refresh").docs
        if len(docs) != len(indices):
            raise silent("storage_incomplete")
        return [name for name, one in zip(indices, docs, strict=True) if not bytes(one.error)]

    def template_state(self) -> str:
        """Return `present`, `missing`, `unknown` (the reader may not look), `refused` (nor search).

        Raises:
            UnavailableError: OpenSearch does not answer.
        """
        path = f"/_index_template/{events_template(self._index)}"
        reply = self._ask("GET", path, params=LEADERLESS_PARAMS)
        if reply.status == HTTPStatus.OK:
            return "present"
        if reply.status == HTTPStatus.UNAUTHORIZED:
            return "refused"
        if reply.status == HTTPStatus.FORBIDDEN:
            return "unknown" if self._may_search() else "refused"
        refuse_unavailable(reply)
        if reply.status == HTTPStatus.NOT_FOUND:
            return "missing"
        # A proxy's page, a redirect: whatever answers there, it is not the store.
        raise silent()

    def _may_search(self) -> bool:
        """Tell whether the reader's role lets it ask for events, where it sees no template."""
        params = {**EXPAND_ALL, "allow_no_indices": "true", "size": "0"}
        reply = self._ask("POST", f"/{read_indices(self._index)}/_search", params=params)
        return reply.status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

    def _ask_scoped(
        self,
        search: ScopedSearch,
        asking: Callable[[bytes], T],
        more: Mapping[str, object] = MappingProxyType({}),
    ) -> T:
        """Ask, and once more for this organisation's alone where something is of others too.

        Whoever may write can store that. It would come first, wherever it is asked for.
        """
        try:
            return asking(msgspec.json.encode({**search.body(self._timeout_seconds), **more}))
        except ForeignEventError:
            alone = replace(search, alone=True)
            return asking(msgspec.json.encode({**alone.body(self._timeout_seconds), **more}))

    def _ask_own(self, organization_id: str, asking: Callable[[str], T]) -> T:
        """Ask an organisation's own copies, and hereafter any where one was too slow."""
        try:
            return self._patience.answer(lambda: asking(self._preference.of(organization_id)))
        except TooSlowError:
            self._preference.free(organization_id)
            raise

    def _ask_multi(
        self, groups: Sequence[Sequence[str]], params: Mapping[str, str], body: bytes
    ) -> Sequence[Reply]:
        headers = [msgspec.json.encode({"index": names, **params}) for names in groups]
        asked = b"".join(b"%b\n%b\n" % (header, body) for header in headers)
        return split_multi(self._ask("POST", "/_msearch", body=asked), len(groups))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        begin = time.perf_counter()
        try:
            reply = ask(self._client, method, path, params=params, body=body, safe=True)
        except NoAnswerError as error:
            self._told(time.perf_counter() - begin, False)  # noqa: FBT003  # as it is named
            raise explain_no_answer(error) from error
        self._told(time.perf_counter() - begin, True)  # noqa: FBT003  # as it is named
        return reply


def which(copy: str) -> str:
    """Return the `preference` for the copies on a node; without one for the primaries."""
    return f"_only_nodes:{copy}" if copy else "_primary"


def explain_no_answer(error: NoAnswerError) -> TooSlowError | UnavailableError:
    """Return what is answered where the cluster answered nothing: it took too long, or is away."""
    is_slow = isinstance(error.__cause__, ConnectionTimeout)
    return TooSlowError() if is_slow else silent()
