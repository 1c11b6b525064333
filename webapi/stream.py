"""Polling for machines: what arrived since the last time, each event at least once.

    GET …/stream?start=now            → a cursor, at once
    GET …/stream?after=CURSOR&wait=30s → what arrived behind it, as soon as there is something

A place is kept by whoever reads, in a cursor that only this service can write; it never expires,
and stays good behind the last event. The order is that of `webapi.arrivals`.
"""

import hmac
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec
from flask import Response, request
from msgspec import Struct

from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant
from webapi import parameters, values
from webapi.access import prove
from webapi.answered import StoredEvent
from webapi.answering import answer_json, present_actions, record_read
from webapi.arrivals import Arrivals, Arrived, Place
from webapi.audit_log import PATH, blueprint
from webapi.cursor import open_payload, seal_payload
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation
from webapi.errors import ParameterError
from webapi.kinds import asks
from webapi.parameters import Parameter
from webapi.parts import parts, reader
from webapi.query import Query
from webapi.request import read_filters, read_pairs
from webapi.request_reading import Pairs, RequestReading
from webapi.running import Running
from webapi.storage_answer import Hit
from webapi.trail import VIEWED

DEFAULT_LIMIT: Final = 200
MAX_LIMIT: Final = 1000
MAX_WAIT_SECONDS: Final = 30
LOOK_SECONDS: Final = 1.0
MAX_CURSOR_CHARACTERS: Final = 6000
"""Of the 8,190 that gunicorn takes for a request line; enough for some 600 indices."""
NOW: Final = "now"
BEGINNING: Final = "beginning"
_PURPOSE: Final = b"stream 1"
"""Keeps a cursor of the stream apart from one of the list, and names the format's version."""

Start = datetime | str


class StreamPage(Struct, frozen=True):
    """Events in the order of their arrival, and where the next page begins.

    Args:
        events: as they are stored.
        cursor: for the next request, whether there were events or not.
        more: whether to ask again: for the next page, or, where there are no events, in a second or
            with `wait`, as this process does not know yet how far the partitions are.
    """

    events: list[StoredEvent]
    cursor: str
    more: bool


SHAPES: Final = (StreamPage,)


class _Seen(Struct, frozen=True):
    """What tells whether somebody only reads of his own reading."""

    class Actor(Struct, frozen=True):
        """Who did it."""

        id: str | None = None

    action: str = ""
    actor: Actor = Actor()


def read_start(text: str) -> Start:
    """Read `now`, `beginning` or an instant."""
    if text in {NOW, BEGINNING}:
        return text
    try:
        return values.read_instant(text)
    except ParameterError as error:
        reason = f"expected now, beginning or an instant; {error.reason}"
        raise ParameterError("invalid", reason, nearest=(NOW, BEGINNING)) from None


def read_cursor_text(text: str) -> str:
    """Read what may be a cursor; `read_stream` says whether it is one."""
    if len(text) > MAX_CURSOR_CHARACTERS:
        raise ParameterError("invalid", f"expected at most {MAX_CURSOR_CHARACTERS} characters")
    return text


def read_wait(text: str) -> float:
    """Read how long to wait: `0s` to `30s`."""
    if text in {"0", "0s"}:
        return 0.0
    reason = f"expected 0s to {MAX_WAIT_SECONDS}s"
    try:
        seconds = values.read_duration(text).total_seconds()
    except ParameterError as error:
        raise ParameterError(error.code, reason) from None
    if seconds > MAX_WAIT_SECONDS:
        raise ParameterError("out_of_range", reason)
    return seconds


AFTER: Final = Parameter(
    name="after",
    read=read_cursor_text,
    schema={"type": "string", "maxLength": MAX_CURSOR_CHARACTERS},
    description="`cursor` of the answer before, with the same filters.",
)
START: Final = Parameter(
    name="start",
    read=read_start,
    schema={"type": "string", "examples": [NOW, BEGINNING, "2026-03-15T09:00:00Z"]},
    description="Where to begin without `after`: behind all there is (`now`, as without it), before"
    " all (`beginning`), or with what was shipped since an instant (`ingestedAt`).",
)
LIMIT: Final = parameters.number(
    "limit", "Most events of one page.", least=1, most=MAX_LIMIT, default=DEFAULT_LIMIT
)
WAIT: Final = Parameter(
    name="wait",
    read=read_wait,
    schema={"type": "string", "pattern": "^(0|[0-9]{1,2}s)$", "default": "0s", "examples": ["30s"]},
    description=f"How long to wait for an event, at most {MAX_WAIT_SECONDS}s. The answer comes as"
    " soon as there is one; and at once where too many wait already.",
)


class StreamQuestion(Struct, frozen=True):
    """What somebody reads on, and from where; no place: from the start."""

    query: Query
    place: Place | None
    start: Start
    wait_seconds: float


@blueprint.get("/stream")
@asks("stream")
def stream_events() -> Response:
    """Answer what arrived behind a cursor."""
    pairs = read_pairs(request.query_string)
    ours, who = parts(), reader()
    key = stream_key(ours.cursor_key)
    question = read_stream(
        who.organization_id,
        pairs,
        present=present_actions,
        key=key,
        catalogue=ours.catalogue,
    )
    arrived = await_arrival(ours.arrivals, question, waiters=ours.waiters)
    if question.wait_seconds:
        prove()  # else whose token ended, or was revoked, meanwhile would get what came since
    if not all(_is_own_reading(hit, who.subject) for hit in arrived.hits):
        # Else the record of each page would be the next page.
        record_read([one for one in pairs if one[0] != AFTER.name], events=len(arrived.hits))
    cursor = seal_payload(key, question.query, msgspec.msgpack.encode(arrived.place))
    return answer_json(StreamPage([hit.source for hit in arrived.hits], cursor, arrived.more))


def read_stream(
    organization_id: str,
    pairs: Pairs,
    *,
    present: Callable[[Collection[str]], Collection[str]],
    key: bytes,
    catalogue: Catalogue,
) -> StreamQuestion:
    """Return what a request asks for.

    Raises:
        ParametersError: everything that is wrong.
    """
    reading = RequestReading(pairs, parameters_of(catalogue))
    query = read_filters(reading, organization_id, present=present, catalogue=catalogue)
    query = replace(query, limit=reading.single(LIMIT) or DEFAULT_LIMIT)
    start, text = reading.single(START), reading.single(AFTER)
    wait = reading.single(WAIT) or 0.0
    place: Place | None = None
    if text is not None and reading.given(START):
        reading.refuse("start", ParameterError("conflict", "goes without `after`"))
    elif text is not None and not reading.problems:
        try:
            payload = open_payload(key, query, text, MAX_CURSOR_CHARACTERS)
            place = msgspec.msgpack.decode(payload, type=Place)
        except ParameterError as error:
            reading.refuse("after", error)
    reading.finish()
    return StreamQuestion(query, place, NOW if start is None else start, wait)


def await_arrival(
    arrivals: Arrivals,
    question: StreamQuestion,
    *,
    waiters: Running,
) -> Arrived:
    """Return the first page that has an event, or after the wait one that has none.

    Waiting costs a thread, so only some may, and of one organisation half of these; others are
    answered at once.
    """
    if question.place is None and question.start == NOW:
        return Arrived([], arrivals.now(), more=False)
    place = question.place or begin(arrivals, question.start)
    until = time.monotonic() + question.wait_seconds
    arrived = arrivals.page(question.query, place)
    whose = question.query.organization_id
    if arrived.hits or time.monotonic() >= until or not waiters.begin(whose):
        return arrived
    try:
        while not arrived.hits and (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK_SECONDS, left))
            arrived = arrivals.page(question.query, arrived.place)
    finally:
        waiters.end(whose)
    return arrived


def begin(arrivals: Arrivals, start: Start) -> Place:
    """Return the place where all is still to be read, or all since an instant."""
    return arrivals.since(format_instant(start)) if isinstance(start, datetime) else Place()


def stream_key(cursor_key: bytes) -> bytes:
    """Return what signs cursors of the stream, which are none of the list."""
    return hmac.digest(cursor_key, _PURPOSE, "sha256")


def parameters_of(catalogue: Catalogue) -> Mapping[str, Parameter[object]]:
    """Return all parameters of the stream."""
    return parameters.by_name(*parameters.filters_of(catalogue).values(), AFTER, START, LIMIT, WAIT)


def describe(catalogue: Catalogue) -> Mapping[str, Json]:
    """Return the paths of this module for the OpenAPI description."""
    return {
        f"{PATH}/stream": operation(
            "streamEvents",
            "What arrived behind a cursor, in the order of its arrival: late events too, each at"
            " least once (tell them apart by `id`). Take `cursor` to the next request. All that was"
            " there has been read only when `more` is false: true and no events means ask again, in"
            " a second or with `wait`.",
            "StreamPage",
            QUESTION_CODES,
            [describe_parameter(parameter) for parameter in parameters_of(catalogue).values()],
        )
    }


def _is_own_reading(hit: Hit, subject: str) -> bool:
    try:
        seen = msgspec.json.decode(hit.source, type=_Seen)
    except msgspec.ValidationError:
        return False
    return seen.action == VIEWED and seen.actor.id == subject
