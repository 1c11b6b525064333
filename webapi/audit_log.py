"""The documented endpoint and its siblings.

Whoever reaches a view of this blueprint has been verified by `access.admit`, which runs before
every one of them, and every search below is scoped to the organisation of their token.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from flask import Blueprint, Response, request
from msgspec import Raw, Struct

from audit_events.catalogue import Catalogue
from audit_events.catalogue_entry import Colour, Need, Severity
from webapi import route
from webapi.access import admit
from webapi.answering import answer_json, find_event, present_actions, record_read
from webapi.around_event import neighbours_of
from webapi.cursor import next_cursor
from webapi.highlights import Highlighter, add_highlights
from webapi.kinds import asks
from webapi.links import set_links
from webapi.parts import parts, reader
from webapi.query import Query
from webapi.request import read_pairs, read_query, refuse_parameters
from webapi.storage_answer import Found, Hit

PATH: Final = route.AUDIT_LOG

blueprint: Final = Blueprint("audit_log", __name__, url_prefix=PATH)
blueprint.before_request(admit)


class Page(Struct, frozen=True, rename="camel"):
    """One page of the list; events are the stored bytes, behind them `highlights` where asked."""

    events: list[Raw]
    total: int
    total_relation: str
    limit: int
    offset: int
    next_cursor: str | None


class CatalogueItem(Struct, frozen=True):
    """One known action, as dropdowns show it; `aliases` are ids that it had before."""

    action: str
    category: str
    colour: Colour
    title: str
    description: str
    severity: Severity
    needs: tuple[Need, ...]
    critical: bool
    aliases: tuple[str, ...]


class ActionList(Struct, frozen=True):
    """The catalogue, in its order."""

    actions: list[CatalogueItem]


@blueprint.get("")
@asks("list")
def list_events() -> Response:
    """Answer one page of the organisation's events."""
    pairs = read_pairs(request.query_string)
    query = read_query(
        reader().organization_id,
        pairs,
        present=present_actions,
        cursor_key=parts().cursor_key,
        catalogue=parts().catalogue,
    )
    page = page_of(query, parts().reading.page(query), parts().cursor_key)
    record_read(pairs, events=len(page.events))
    return set_links(answer_json(page), pairs, query.limit, page.next_cursor)


@blueprint.get("/actions")
@asks("list")
def list_actions() -> Response:
    """Answer the catalogue; it is the same for everybody, so nothing is recorded."""
    refuse_parameters(read_pairs(request.query_string))
    return answer_json(ActionList(list_items(parts().catalogue)))


@blueprint.get("/<event_id>")
@asks("list")
def show_event(event_id: str) -> Response:
    """Answer one event; another organisation's is as absent as one that never was.

    Headers `Link` name the events before and after it in the order of its source, where they are
    the organisation's own (relative, as those of `webapi.links`); so the event stays byte for byte
    what was written.
    """
    refuse_parameters(read_pairs(request.query_string))
    found = find_event(event_id)
    neighbours = neighbours_of(parts().reading, reader().organization_id, found)
    record_read((), events=1, event_id=found.sort[2])
    response = answer_json(found.source)
    for relation, other in (("prev", neighbours.previous), ("next", neighbours.next)):
        if other is not None:
            response.headers.add("Link", f'<{other}>; rel="{relation}"')
    return response


def list_items(catalogue: Catalogue) -> list[CatalogueItem]:
    """Return a catalogue as `/actions` answers it."""
    return [CatalogueItem(**msgspec.structs.asdict(entry)) for entry in catalogue.entries.values()]


def page_of(query: Query, found: Found, cursor_key: bytes) -> Page:
    """Cut a page out of an answer that may hold one event more than was asked for."""
    total = found.hits.total
    return Page(
        events=_events(query, found.hits.hits[: query.limit]),
        total=total.value,
        total_relation=total.relation,
        limit=query.limit,
        offset=query.offset,
        next_cursor=next_cursor(query, found, cursor_key),
    )


def _events(query: Query, hits: Sequence[Hit]) -> list[Raw]:
    whole = [hit.source for hit in hits]
    shown = whole if query.fields is None else list(map(query.fields.of, whole))
    if not query.highlight:
        return shown
    text = query.text
    highlighter = None if text is None else Highlighter(text.node, query.catalogue)
    return [
        add_highlights(event, highlighter, part) for event, part in zip(whole, shown, strict=True)
    ]
