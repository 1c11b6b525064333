"""What every address of the API does with a question and its answer."""

import re
from collections.abc import Collection, Sequence

import msgspec
from flask import Response, request
from msgspec import Raw, Struct

from audit_events.binding import request_facts
from audit_events.event import UUID_PATTERN
from webapi.errors import MissingError
from webapi.parts import parts, reader
from webapi.storage_answer import Hit
from webapi.trail import Read


def present_actions(actions: Collection[str]) -> Collection[str]:
    """Return those of some uncatalogued actions that the reader's organisation has events of."""
    return parts().reading.present(reader().organization_id, actions)


def find_event(event_id: str) -> Hit:
    """Return one event of the reader's organisation; its id may be in any case (RFC 9562, 4).

    Raises:
        MissingError: there is none, or it is another organisation's: nobody can tell which.
        UnavailableError, InternalError: as `Storage.search`.
    """
    spelled = event_id.lower()
    if re.fullmatch(UUID_PATTERN, spelled, re.ASCII) is None:
        raise MissingError("event_not_found", "the id is not one of an event")
    found = parts().reading.event(reader().organization_id, spelled).hits.hits
    if not found:
        raise MissingError("event_not_found", "no event of your organisation has this id")
    return found[0]


def record_read(
    pairs: Sequence[tuple[str, str]], *, events: int, event_id: str | None = None
) -> None:
    """Record that the reader is about to get an answer, where reads are recorded.

    Args:
        pairs: what was asked for.
        events: how many events the answer holds.
        event_id: the one event that was asked for, if so.

    Raises:
        UnavailableError: it could not be recorded, so there must be no answer.
    """
    record = parts().record
    if record is not None:
        record(
            Read(
                reader=reader(),
                request=request_facts(),
                route=None if request.url_rule is None else request.url_rule.rule,
                asked=pairs,
                events=events,
                event_id=event_id,
            )
        )


def answer_json(body: Struct | Raw) -> Response:
    """Return an answer as JSON."""
    return Response(msgspec.json.encode(body), mimetype="application/json")
