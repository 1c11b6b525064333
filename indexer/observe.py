"""What the cluster shows of each partition, in a few requests however many there are.

Two requests name all indices by pattern (their settings, and `_cat/indices`); the first and last
timestamps are two searches of one hit for each open index, `SEARCHES` of them in a request.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec
from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.instant import format_unix_ns, parse_instant
from indexer.client import WRONG_SHAPE, ask, read_reply, refusal, request_shape
from indexer.names import EXPAND_ALL, events_pattern, index_kind, late_pattern
from indexer.plan import Observed
from indexer.settings import IndexSettings
from indexer.span import span_of

SEARCHES: Final = 200
"""How many searches go in one request."""
COLUMNS: Final = "index,health,status,docs.count,pri.store.size,pri.segments.count"
SETTINGS: Final = "index.uuid,index.blocks.write,index.blocks.read_only"


class Sealed(Struct, frozen=True):
    """What the journal says of the sealing of an index."""

    uuid: str
    """Which index the digest was computed of."""
    at: datetime | None = None
    """When that was recorded."""
    retention_days: int | None = None
    """The retention of that time; None where a foreign record has none."""


class Records(Struct, frozen=True, kw_only=True):
    """What the journal says of indices, by name."""

    sealed: Mapping[str, Sealed] = {}
    """Those whose digest is recorded."""
    archived: Collection[str] = ()
    """Those of which a good snapshot is recorded."""
    restored: Mapping[str, datetime] = {}
    """Those that were brought back, each with the instant until which it stays."""
    restored_as: Mapping[str, str] = {}
    """Of the same ones, the uuid of the index that was brought back."""
    ended: Collection[str] = ()
    """Those of which some index is recorded as deleted or as missing."""
    finished: Collection[str] = ()
    """Those of which the last one that is known is."""


def observe(
    lifecycle_client: OpenSearch,
    reader_client: OpenSearch | None,
    settings: IndexSettings,
    records: Records = Records(),  # noqa: B008  # frozen
) -> list[Observed]:
    """Every partition and index of late events, and those that the journal alone knows, by name.

    Args:
        lifecycle_client: of the role `lifecycle`.
        reader_client: of the role `reader`, to ask for timestamps; None leaves them out.
        settings: how events are laid into indices.
        records: what the journal says.

    Raises:
        RefusedError: the cluster refused, or is no OpenSearch.
        NoAnswerError: it did not answer.
    """
    live = _live(lifecycle_client, settings)
    readable = [name for name, row in live.items() if row.status == "open"]
    ends = {} if reader_client is None else _ends(reader_client, readable)
    there = [_observed(row, ends.get(name), settings, records) for name, row in live.items()]
    lost = records.sealed.keys() - live.keys() - set(records.finished)
    return sorted([*there, *(_lost(name, settings, records) for name in lost)], key=_name)


class _Row(
    Struct,
    frozen=True,
    rename={"docs": "docs.count", "size": "pri.store.size", "segments": "pri.segments.count"},
):
    index: str
    status: str
    health: str | None = None
    docs: str | None = None
    size: str | None = None
    segments: str | None = None
    uuid: str | None = None
    blocked: bool = False


class _Settings(Struct):
    settings: dict[str, str] = {}


def _live(client: OpenSearch, settings: IndexSettings) -> dict[str, _Row]:
    patterns = f"{events_pattern(settings)},{late_pattern(settings)}"
    found = request_shape(
        client,
        "GET",
        f"/{patterns}/_settings/{SETTINGS}",
        dict[str, _Settings],
        params={**EXPAND_ALL, "flat_settings": "true"},
    )
    params = {**EXPAND_ALL, "format": "json", "bytes": "b", "h": COLUMNS}
    rows = request_shape(client, "GET", f"/_cat/indices/{patterns}", list[_Row], params=params)
    # One that was made or deleted between the two is seen the next time.
    return {
        row.index: msgspec.structs.replace(
            row,
            uuid=found[row.index].settings.get("index.uuid"),
            blocked=_blocked(found[row.index].settings),
        )
        for row in rows or []
        if found is not None and row.index in found
    }


def _blocked(settings: Mapping[str, str]) -> bool:
    return "true" in (
        settings.get("index.blocks.write"),
        settings.get("index.blocks.read_only"),
    )


_Ends = tuple[datetime | None, datetime | None]


def _observed(row: _Row, ends: _Ends | None, settings: IndexSettings, records: Records) -> Observed:
    first, last = ends or (None, None)
    name = row.index
    sealed = records.sealed.get(name)
    recorded = None if sealed is None else sealed.uuid
    restored = records.restored_as.get(name)
    is_back = restored is not None and restored == row.uuid
    return Observed(
        name=name,
        kind=index_kind(name, settings) or "events",
        span=span_of(name, settings),
        uuid=row.uuid,
        open=row.status == "open",
        red=row.health == "red",
        blocked=row.blocked,
        segments=None if row.segments is None else int(row.segments),
        events=None if row.docs is None else int(row.docs),
        size_bytes=None if row.size is None else int(row.size),
        first=first,
        last=last,
        # A digest is of one index; that of a restored one was checked against it.
        sealed_record=recorded is not None and (recorded == row.uuid or is_back),
        sealed_at=None if sealed is None or recorded != row.uuid else sealed.at,
        sealed_retention_days=_promised_days(name, settings, records),
        replaced=(restored or recorded) not in (None, row.uuid) and name not in records.finished,
        returned=name in records.ended and not is_back,
        archived=name in records.archived,
        restored_until=records.restored.get(name),
    )


def _lost(name: str, settings: IndexSettings, records: Records) -> Observed:
    return Observed(
        name=name,
        kind=index_kind(name, settings) or "events",
        span=span_of(name, settings),
        exists=False,
        open=False,
        sealed_record=True,
        sealed_retention_days=_promised_days(name, settings, records),
        archived=name in records.archived,
        restored_until=records.restored.get(name),
    )


def _promised_days(name: str, settings: IndexSettings, records: Records) -> int | None:
    """The longest retention under which it was sealed.

    Late events are sealed right before they go, so theirs is that of the partitions of their month.
    """
    span = span_of(name, settings)
    names = {name}
    if span is not None and index_kind(name, settings) == "late":
        spans = ((one, span_of(one, settings)) for one in records.sealed)
        names |= {one for one, its in spans if its and its.meets(span.start, span.end)}
    sealed = (records.sealed[one].retention_days for one in names if one in records.sealed)
    return max((days for days in sealed if days is not None), default=None)


class _Hit(Struct):
    sort: tuple[int]
    """Nanoseconds, however the document itself spells its instant."""


class _Hits(Struct):
    hits: list[_Hit]


class _Found(Struct):
    hits: _Hits | None = None
    """None where this one search failed."""


class _Answers(Struct):
    responses: list[_Found]


def _ends(client: OpenSearch, names: list[str]) -> dict[str, _Ends]:
    """The first and last timestamp of each index; None of one that cannot say, or is empty."""
    searches = iter([(name, order) for name in names for order in ("asc", "desc")])
    found: dict[tuple[str, str], datetime | None] = {}
    while some := list(islice(searches, SEARCHES)):
        found |= zip(some, _search(client, some), strict=True)
    return {name: (found[name, "asc"], found[name, "desc"]) for name in names}


def _search(client: OpenSearch, searches: list[tuple[str, str]]) -> Iterator[datetime | None]:
    lines: list[object] = []
    for name, order in searches:
        lines += [
            {"index": name, "ignore_unavailable": True},
            {
                "size": 1,
                "_source": False,
                # OpenSearch 3.4.0 sorts for ever, deaf to timeouts and to being cancelled, where no
                # document has the field: somebody else's index can be of such alone.
                "query": {"exists": {"field": "timestamp"}},
                "sort": [{"timestamp": order}],
                "track_total_hits": False,
            },
        ]
    body = msgspec.json.Encoder().encode_lines(lines)
    reply = ask(client, "POST", "/_msearch", body=body, safe=True)
    responses = read_reply(client, "POST", "/_msearch", reply, _Answers).responses
    if len(responses) != len(searches):
        raise refusal(client, "POST", "/_msearch", reply, WRONG_SHAPE)
    for answer in responses:
        hits = answer.hits.hits if answer.hits is not None else []
        yield parse_instant(format_unix_ns(hits[0].sort[0])) if hits else None


def _name(observed: Observed) -> str:
    return observed.name
