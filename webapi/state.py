"""`/state`: what the events of one thing say it was like at a moment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from flask import Response, request
from msgspec import Struct

from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant
from webapi import parameters
from webapi.answered import Moment
from webapi.answering import answer_json, record_read
from webapi.audit_log import PATH, blueprint
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation
from webapi.errors import ParameterError, TooLongError
from webapi.event_values import is_event, read_values
from webapi.kinds import asks
from webapi.order import position_of
from webapi.parameters import Parameter
from webapi.parts import parts, reader
from webapi.query import TOTAL_CAP, Query
from webapi.reading import Reading
from webapi.request import read_pairs
from webapi.request_reading import Pairs, RequestReading
from webapi.state_fields import MAX_FIELDS, FieldState, TooManyFieldsError, Values
from webapi.state_fold import Existence, TogetherState, fold
from webapi.storage_answer import Hit, Total
from webapi.subject import Subject
from webapi.subject_reading import read_subject

MAX_EVENTS: Final = TOTAL_CAP
"""At or before the moment."""
MAX_LATER_EVENTS: Final = 1000
MAX_BYTES: Final = 32 << 20
"""Of all events together."""
PAGE_EVENTS: Final = 500
"""Of one search."""
RESOLUTION: Final = timedelta(microseconds=1)


class State(Struct, frozen=True, kw_only=True, rename="camel"):
    """What events say of a thing at a moment.

    Args:
        subject: who or what, with what its events call it.
        at: the moment.
        since: events before it were left out; None where none were.
        existence: whether there was such a thing.
        fields: of the thing alone, by path.
        together: of the thing and another one together, such as a member's role in a workspace.
        events: how many events at or before the moment name it, what failed or was denied too.
        later_events: how many of the events after the moment were looked at.
        more_later_events: whether there are more; what only they tell is not told.
    """

    subject: Subject
    at: Moment
    since: Moment | None
    existence: Existence
    fields: list[FieldState]
    together: list[TogetherState]
    events: int
    later_events: int
    more_later_events: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StateQuestion:
    """What is asked.

    Args:
        subject: who or what.
        at: the moment, included.
        since: leave out events before it.
        query: for the events of the subject, in the order of time.
    """

    subject: Subject
    at: datetime
    since: datetime | None
    query: Query


SHAPES: Final = (State,)
PARAMETERS: Final[Mapping[str, Parameter[object]]] = parameters.by_name(
    *parameters.SUBJECT, parameters.AT, parameters.SINCE
)


@blueprint.get("/state")
@asks("search")
def show_state() -> Response:
    """Answer what a thing was like at a moment."""
    pairs = read_pairs(request.query_string)
    question = read_question(reader().organization_id, pairs, parts().catalogue)
    state = state_of(parts().reading, question)
    record_read(pairs, events=state.events + state.later_events)
    return answer_json(state)


def read_question(organization_id: str, pairs: Pairs, catalogue: Catalogue) -> StateQuestion:
    """Return what a request asks for.

    Raises:
        ParametersError: everything that is wrong.
    """
    reading = RequestReading(pairs, PARAMETERS)
    subject = read_subject(reading)
    at = reading.single(parameters.AT) or datetime.now(UTC)
    since = reading.single(parameters.SINCE)
    if since is not None and since > at:
        reading.refuse("since", ParameterError("conflict", "must not be after `at`"))
    reading.finish()
    query = Query(
        organization_id=organization_id,
        about=subject.clause(),
        newest_first=False,
        limit=PAGE_EVENTS,
        catalogue=catalogue,
    )
    return StateQuestion(subject=subject, at=at, since=since, query=query)


def state_of(reading: Reading, question: StateQuestion) -> State:
    """Read the events of a thing and fold them.

    Raises:
        TooLongError: more events or fields than are folded.
    """
    subject, at, since, query = question.subject, question.at, question.since, question.query
    behind = at + RESOLUTION if at < datetime.max.replace(tzinfo=UTC) else None
    life = _Life(reading)
    later = life.read_later(replace(query, since=behind)) if behind is not None else ()
    try:
        folded = fold(
            subject,
            life.read(replace(query, since=since, until=behind)),
            later,
            query.catalogue,
            whole=since is None,
        )
    except TooManyFieldsError:
        detail = f"its events name more than {MAX_FIELDS} fields; narrow with `since`"
        raise TooLongError("history_too_long", detail) from None
    return State(
        subject=folded.subject,
        at=format_instant(at),
        since=None if since is None else format_instant(since),
        existence=folded.existence,
        fields=folded.fields,
        together=folded.together,
        events=life.events,
        later_events=life.later_events,
        more_later_events=life.more_later_events or folded.cut,
    )


class _Life:
    """The events of a thing, read page by page as they are folded, and counted."""

    def __init__(self, reading: Reading) -> None:
        self.events = 0
        self.later_events = 0
        self.more_later_events = False
        self._reading = reading
        self._bytes = 0

    def read(self, query: Query) -> Iterator[Values]:
        """Yield all events of a query; more than are folded are refused."""
        for hits, total in self._pages(query):
            self.events += len(hits)
            if total.relation != "eq":
                raise _too_long(f"more than {MAX_EVENTS} events")
            if self._bytes > MAX_BYTES:
                raise _too_long(f"more than {MAX_BYTES >> 20} MiB of events")
            yield from filter(is_event, (read_values(hit.source) for hit in hits))

    def read_later(self, query: Query) -> Iterator[Values]:
        """Yield the first events of a query, as many as are looked at."""
        for hits, _ in self._pages(query):
            for hit in hits:
                if self.later_events == MAX_LATER_EVENTS or self._bytes > MAX_BYTES:
                    self.more_later_events = True
                    return
                self.later_events += 1
                yield from filter(is_event, [read_values(hit.source)])

    def _pages(self, query: Query) -> Iterator[tuple[list[Hit], Total]]:
        while True:
            found = self._reading.page(query)
            hits = found.hits.hits[: query.limit]
            self._bytes += sum(len(memoryview(hit.source)) for hit in hits)
            yield hits, found.hits.total
            if len(found.hits.hits) <= query.limit:
                return
            query = replace(query, after=position_of(hits[-1]))


def _too_long(what: str) -> TooLongError:
    detail = f"{what} name it up to `at`; leave out old ones with `since`, or page through /history"
    return TooLongError("history_too_long", detail)


def describe(_catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe `/state`."""
    described = operation(
        "showState",
        "What one user or resource was like at a moment, as the `previous` and `new` of its events"
        " tell: each field with its value and the event that set it, or how far it is unknown."
        f" Folds up to {MAX_EVENTS} events before the moment, and looks at {MAX_LATER_EVENTS}"
        " behind it.",
        "State",
        (*QUESTION_CODES, "history_too_long"),
        [describe_parameter(parameter) for parameter in PARAMETERS.values()],
    )
    return {f"{PATH}/state": described}
