"""`/history`: the life of one thing, event by event, with what each one changed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from flask import Response, request
from msgspec import Raw, Struct, field

from audit_events.catalogue import Catalogue
from webapi import parameters, values
from webapi.answered import StoredEvent
from webapi.answering import answer_json, record_read
from webapi.audit_log import PATH, blueprint
from webapi.cursor import next_cursor
from webapi.description import (
    QUESTION_CODES,
    Json,
    describe_parameter,
    operation,
    with_links,
)
from webapi.event_values import read_values
from webapi.field_changes import FieldChange, field_changes
from webapi.kinds import asks
from webapi.links import set_links
from webapi.parameters import Parameter
from webapi.parts import parts, reader
from webapi.query import Query
from webapi.request import read_page, read_pairs, read_window
from webapi.request_reading import Pairs, RequestReading
from webapi.storage_answer import Found
from webapi.subject import Part, Subject, is_applied
from webapi.subject_reading import read_subject


class HistoryEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of a thing.

    Args:
        event: as it was written.
        part: as what it names the thing: `target` (`targetUser`), `resource`, or both.
        applied: whether it succeeded; what failed or was denied changed nothing.
        changes: what differs between `previous` and `new` of its context, by path.
        more_changes: whether there are more of them than an answer tells.
    """

    event: StoredEvent
    part: Part | None = field(name="as")
    applied: bool
    changes: tuple[FieldChange, ...]
    more_changes: bool


class History(Struct, frozen=True, kw_only=True, rename="camel"):
    """One page of the life of a thing."""

    subject: Subject
    entries: list[HistoryEntry]
    total: int
    total_relation: str
    limit: int
    next_cursor: str | None


SHAPES: Final = (History,)
ORDER: Final = replace(
    parameters.ORDER,
    schema={**parameters.ORDER.schema, "default": values.OLDEST_FIRST},
    description="`asc` is oldest first; the id breaks ties.",
)
PARAMETERS: Final[Mapping[str, Parameter[object]]] = parameters.by_name(
    *parameters.SUBJECT,
    parameters.SINCE,
    parameters.UNTIL,
    parameters.AROUND,
    parameters.WINDOW,
    ORDER,
    parameters.LIMIT,
    parameters.CURSOR,
)


@blueprint.get("/history")
@asks("list")
def show_history() -> Response:
    """Answer one page of the events of a thing."""
    pairs = read_pairs(request.query_string)
    key = parts().cursor_key
    subject, query = read_question(reader().organization_id, pairs, key, parts().catalogue)
    history = history_of(subject, query, parts().reading.page(query), key)
    record_read(pairs, events=len(history.entries))
    return set_links(answer_json(history), pairs, query.limit, history.next_cursor)


def read_question(
    organization_id: str, pairs: Pairs, cursor_key: bytes, catalogue: Catalogue
) -> tuple[Subject, Query]:
    """Return what a request asks for.

    Raises:
        ParametersError: everything that is wrong.
    """
    reading = RequestReading(pairs, PARAMETERS)
    subject = read_subject(reading)
    query = Query(
        organization_id=organization_id,
        about=None if reading.problems else subject.clause(),
        newest_first=reading.single(ORDER) == values.NEWEST_FIRST,
        catalogue=catalogue,
    )
    query = read_page(reading, read_window(reading, query), cursor_key)
    reading.finish()
    return subject, query


def history_of(subject: Subject, query: Query, found: Found, cursor_key: bytes) -> History:
    """Cut a page out of an answer, and tell of each event what it changed."""
    return History(
        subject=subject,
        entries=[entry_of(subject, hit.source) for hit in found.hits.hits[: query.limit]],
        total=found.hits.total.value,
        total_relation=found.hits.total.relation,
        limit=query.limit,
        next_cursor=next_cursor(query, found, cursor_key),
    )


def entry_of(subject: Subject, source: Raw) -> HistoryEntry:
    """Return what one event tells of a thing."""
    event = read_values(source)
    found = field_changes(event.get("context"))
    return HistoryEntry(
        event=source,
        part=subject.part(event),
        applied=is_applied(event),
        changes=found.changes,
        more_changes=found.more,
    )


def describe(_catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe `/history`."""
    described = operation(
        "showHistory",
        "The events of one user or resource, oldest first, each with what it changed. Of a user:"
        " those whose `targetUser` it is, and those whose `resource` has its id and the type"
        " `member` or `user`. Of any other resource: those whose `resource` has its type and id.",
        "History",
        QUESTION_CODES,
        [describe_parameter(parameter) for parameter in PARAMETERS.values()],
    )
    return {f"{PATH}/history": with_links(described)}
