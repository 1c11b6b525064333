"""The list: one page of events, as the API would answer it, and the ways to its neighbours."""

from dataclasses import dataclass, replace

from webapi.answering import present_actions
from webapi.cursor import write_cursor
from webapi.order import instant_at, position_of, turned
from webapi.page.row import Row, read_row
from webapi.parts import parts, reader
from webapi.query import Position, Query
from webapi.request import read_query
from webapi.request_reading import Pairs
from webapi.storage_answer import Total


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of the list.

    Args:
        rows: in the order in which they are shown.
        total: of all that matches, up to the API's cap.
        newer: cursor of what comes before the first row; None where there is nothing.
        older: cursor of what comes behind the last.
    """

    rows: list[Row]
    total: Total
    newer: str | None
    older: str | None


def read(pairs: Pairs) -> Query:
    """Read the parameters as the API does, for the organisation of the reader.

    Raises:
        ParametersError: everything that is wrong.
    """
    return read_query(
        reader().organization_id,
        pairs,
        present=present_actions,
        cursor_key=parts().cursor_key,
        catalogue=parts().catalogue,
    )


def look(query: Query, *, backwards: bool = False) -> Listing:
    """Ask for one page.

    Args:
        query: what is asked.
        backwards: the query reads against the order of the page, from a row upwards.

    Raises:
        UnavailableError, InternalError: the store does not answer as it should.
    """
    found = parts().reading.page(replace(query, identified=backwards))
    hits = found.hits.hits[: query.limit]
    more = len(found.hits.hits) > query.limit
    before = query.after is not None or query.offset > 0
    if backwards:
        hits = hits[::-1]
        query = replace(query, newest_first=not query.newest_first)
        more, before = before, more
    return Listing(
        rows=[
            read_row(bytes(hit.source), parts().catalogue, instant_at(position_of(hit)))
            for hit in hits
        ],
        total=found.hits.total,
        newer=cursor_before(query, position_of(hits[0])) if hits and before else None,
        older=write_cursor(parts().cursor_key, query, position_of(hits[-1]))
        if hits and more
        else None,
    )


def cursor_before(query: Query, position: Position) -> str:
    """Return the cursor that reads on from a position against the order of a query."""
    backwards = replace(query, newest_first=not query.newest_first)
    place = turned(position, newest_first=backwards.newest_first)
    return write_cursor(parts().cursor_key, backwards, place)
