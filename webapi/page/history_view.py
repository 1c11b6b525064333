"""The life of one thing: its events in order, and what it was like at a moment.

Both are the API's own answers (`webapi.history`, `webapi.state`), put into words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from flask import url_for
from msgspec import UNSET

from audit_events.instant import format_instant
from webapi import history, state
from webapi.errors import ParameterProblem, ParametersError, TooLongError
from webapi.page import address, listing
from webapi.page.address import RANGES, TIME, Pair, State, first, quoted
from webapi.page.chips import LABELS, chips
from webapi.page.field_table import groups, telling
from webapi.page.incident_place import centred_on, divide
from webapi.page.listing import Listing
from webapi.page.listing_view import SIZES, exact, local, ways, wrong_view
from webapi.page.row import Row, affected, of_resource, thing
from webapi.parts import parts, reader
from webapi.query import Query
from webapi.state_fields import MAX_FIELDS
from webapi.subject import Subject
from webapi.values import OLDEST_FIRST

T = TypeVar("T")

TOO_LONG: Final = "history_too_long"
LIMITS: Final = (
    f"{state.MAX_EVENTS:,} events, {state.MAX_BYTES >> 20} MiB and {MAX_FIELDS:,} fields"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What was asked, and the answers.

    Args:
        subject: whose life.
        at: the moment of its state.
        found: a page of its events.
        told: its state; None where there is too much to read for it.
    """

    subject: Subject
    at: datetime
    found: Listing
    told: state.State | None

    @property
    def events(self) -> int:
        """How many events the answers are made of; the page's are among those of the state."""
        read = 0 if self.told is None else self.told.events + self.told.later_events
        return max(read, len(self.found.rows))


def look(asked: State) -> Life:
    """Ask for a page of events, and for the state.

    With a moment, the first page is the one that the moment is on.

    Raises:
        ParametersError: everything that is wrong with the question.
        UnavailableError, InternalError: the store does not answer as it should.
    """
    subject, query, question = _read(asked)
    if first(asked.pairs, "at") and query.after is None:
        query = centred_on(query, _behind(question.at))
    found = listing.look(query, backwards=bool(asked.newer))
    try:
        told = state.state_of(parts().reading, question)
    except TooLongError:
        told = None
    return Life(subject=subject, at=question.at, found=found, told=told)


def _read(asked: State) -> tuple[Subject, Query, state.StateQuestion]:
    """Read both questions, each from its own parameters; the problems of both are told at once."""
    organization_id, catalogue = reader().organization_id, parts().catalogue
    of_state = [pair for pair in asked.api if pair[0] in state.PARAMETERS]
    of_history = [pair for pair in asked.api if pair[0] != "at"]
    problems = [problem.of(name) for name, problem in asked.problems.items()]
    question = _tried(problems, lambda: state.read_question(organization_id, of_state, catalogue))
    events = _tried(
        problems,
        lambda: history.read_question(organization_id, of_history, parts().cursor_key, catalogue),
    )
    if problems or question is None or events is None:
        raise ParametersError(tuple({one.parameter: one for one in problems}.values()))
    return *events, question


def _tried(problems: list[ParameterProblem], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except ParametersError as error:
        problems += error.problems
        return None


def history_view(asked: State, life: Life, now: datetime) -> dict[str, object]:
    """Return what the template needs."""
    told, catalogue = life.told, parts().catalogue
    existence = None if told is None else told.existence
    by = UNSET if existence is None else existence.event or existence.until
    return {
        **_view(asked, (), now),
        "listing": life.found,
        "divided": _divided(asked, life),
        "named": name_of(life),
        "subject": life.subject,
        "told": told,
        "existence": existence,
        "existence_by": None if by is UNSET else telling(by, catalogue),
        "groups": [] if told is None else groups(told, catalogue),
        "limits": LIMITS,
        "shorter": [] if told is not None else _shorter(asked, life.at),
        "in_list": url_for("page.show_list") + address.link([*_zone(asked), *_of(life.subject)]),
    }


def refused_view(
    asked: State, problems: Sequence[ParameterProblem], now: datetime
) -> dict[str, object]:
    """Return the same where nothing could be asked."""
    return {**_view(asked, problems, now), "listing": None}


def _view(asked: State, problems: Sequence[ParameterProblem], now: datetime) -> dict[str, object]:
    pairs = asked.pairs
    at = first(pairs, "at")
    others = [pair for pair in pairs if pair[0] != "at"]

    def then(row: Row) -> str:
        return address.link([*others, ("at", row.timestamp)])

    return {
        "state": asked,
        "link": address.link,
        "without": address.without,
        "having": address.having,
        "carried": address.without(pairs),
        "at": address.instant_of(at),
        "bound": local(at, asked),
        "exact": exact(at),
        "chips": [one for one in chips(asked, parts().catalogue) if one.name in TIME],
        "sizes": SIZES,
        "limit": first(pairs, "limit") or SIZES[0],
        "chosen_order": first(pairs, "order") or OLDEST_FIRST,
        "labels": LABELS,
        **wrong_view(problems, pairs),
        "now": now,
        "zone": asked.zone,
        **ways(_zone(asked)),
        "then": then,
    }


def name_of(life: Life) -> str:
    """Return what the newest of the events that are shown calls the thing; empty without a name."""
    for row in sorted(life.found.rows, key=lambda row: row.instant, reverse=True):
        target, resource = (
            (None, None) if row.event is None else (row.event.target_user, row.event.resource)
        )
        name = ""
        if target is not None and life.subject.is_user and life.subject.is_id(target.id or ""):
            name = affected(target).name
        elif resource is not None:
            name = thing(resource).name
        if name and not life.subject.is_id(name):
            return name
    return ""


def _divided(asked: State, life: Life) -> int | None:
    """Return before which row the moment is; None where it is on another page, or none."""
    if not first(asked.pairs, "at"):
        return None
    found, behind = life.found, _behind(life.at)
    instants = [row.instant for row in found.rows]
    before, after = found.newer is not None, found.older is not None
    if (first(asked.pairs, "order") or OLDEST_FIRST) == OLDEST_FIRST:
        return divide(instants, behind, earlier=before, later=after)
    place = divide(instants[::-1], behind, earlier=after, later=before)
    return None if place is None else len(instants) - place


def _behind(at: datetime) -> datetime:
    """Return the first instant behind a moment, which is included in what it was like then."""
    last = datetime.max.replace(tzinfo=UTC)
    return at + state.RESOLUTION if at < last else last


def _shorter(asked: State, at: datetime) -> list[tuple[str, list[Pair]]]:
    """Return how far back from the moment may be read instead, and what asks for that."""
    rest = address.without(asked.pairs, *TIME)
    return [
        (name, [*rest, ("since", format_instant(at - length))])
        for name, (_, length) in RANGES.items()
    ]


def _of(subject: Subject) -> list[Pair]:
    """Return what asks the list for the events of a thing; of a user, in each way of naming it."""
    if subject.is_user:
        return [("q", f"target.id:{quoted(subject.id)} OR resource.id:{quoted(subject.id)}")]
    return of_resource(str(subject.resource_type), subject.id)


def _zone(asked: State) -> list[Pair]:
    return [pair for pair in asked.pairs if pair[0] == "zone"]
