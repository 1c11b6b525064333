"""What the template of the list prints out: the state, the answer, and what is wrong."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from flask import url_for

from audit_events.instant import format_instant
from webapi.errors import CODES, ParameterProblem, ParametersError
from webapi.page import address
from webapi.page.address import DAYS, OWN, RANGES, TIME, Pair, State, first
from webapi.page.chips import KINDS, LABELS, chips
from webapi.page.counting import Counted
from webapi.page.listing import Listing
from webapi.page.menu import menu
from webapi.page.moment import clock, read_moment
from webapi.page.relaxing import relaxations
from webapi.page.row import MARKS, Row
from webapi.parts import parts
from webapi.search_fields import SEARCH_FIELDS
from webapi.values import DEFAULT_WINDOW, NEWEST_FIRST, RESULTS, shown

SIZES: Final = ("50", "100", "200")
SHOWN: Final = frozenset(
    {"q", "action", "category", "colour", "result", "cursor", "newer", "offset"}
)
"""Parameters for which the form has a control; the others it carries along unseen."""


def list_view(
    state: State, found: Listing | None, counted: Counted | None, now: datetime
) -> dict[str, object]:
    """Return what the template of the list needs."""
    active = chips(state, parts().catalogue)
    empty = found is not None and not found.rows
    return {
        **form_view(state, counted),
        "counted": counted,
        "news": "",
        "incident": "",
        "whole": None,
        "exported": [pair for pair in state.fixed if pair[0] not in {"limit", "zone"}],
        "untimed": address.without(state.pairs, *TIME),
        "listing": found,
        "chips": active,
        "meant": read_moment(first(state.pairs, "q")) if empty else None,
        "relaxations": relaxations(active, now) if empty and active else [],
        "now": now,
        "zone": state.zone,
        **ways(state.pairs),
    }


def refused_view(
    state: State, error: ParametersError | None, now: datetime
) -> tuple[dict[str, object], int]:
    """Return the same where nothing could be asked, and the status of the answer."""
    problems = list(error.problems) if error else []
    problems += [problem.of(name) for name, problem in state.problems.items()]
    view = {**list_view(state, None, None, now), **wrong_view(problems, state.pairs)}
    return view, CODES["parameters_invalid"].status


def ways(pairs: Sequence[Pair]) -> dict[str, object]:
    """Return the ways from a row: to it alone, around it, before it, and to what is like it.

    `then` is a way of histories alone.
    """
    path = url_for("page.show_list")
    zone = _zone(pairs)

    def alone(event_id: str) -> str:
        there = url_for("page.show_event", event_id=event_id)
        return there + address.link(zone) if zone else there

    def around(row: Row) -> str:
        moment = [("around", row.timestamp), ("window", DEFAULT_WINDOW)]
        asked = address.link([*zone, *moment])
        return f"{url_for('page.show_incident')}{asked}#e-{row.id}"

    def history(wanted: Sequence[Pair]) -> str:
        return url_for("page.show_history") + address.link([*zone, *wanted])

    def narrowed(wanted: Sequence[Pair]) -> str:
        words = [text for name, text in wanted if name == "q"]
        if words:
            # What is searched for already stays.
            return path + address.link(address.with_words(address.without(pairs), words))
        others = address.without(pairs, *(name for name, _ in wanted))
        return path + address.link([*others, *wanted])

    return {
        "alone": alone,
        "around": around,
        "narrowed": narrowed,
        "history": history,
        "then": None,
        "origin": None,
    }


def _zone(pairs: Iterable[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair[0] == "zone"]


def event_view(state: State, row: Row, now: datetime) -> dict[str, object]:
    """Return what the template of one event needs."""
    return {
        "row": row,
        "state": state,
        "now": now,
        "zone": state.zone,
        "link": address.link,
        "without": address.without,
        **wrong_view((), state.pairs),
        **ways(state.pairs),
    }


def form_view(state: State, counted: Counted | None) -> dict[str, object]:
    """Return what the form shows of the state."""
    pairs = state.pairs
    chosen = {name: [text for key, text in pairs if key == name] for name in SHOWN}
    return {
        "state": state,
        "link": address.link,
        "without": address.without,
        "having": address.having,
        "menu": menu(
            parts().catalogue,
            chosen["action"],
            chosen["category"],
            None if counted is None else counted.actions,
        ),
        "chosen": chosen,
        "q": first(pairs, "q"),
        "bounds": {name: local(first(pairs, name), state) for name in ("since", "until")},
        "exact": {name: exact(first(pairs, name)) for name in ("since", "until")},
        "carried": [pair for pair in pairs if pair[0] not in SHOWN],
        "ranges": {key: title for key, (title, _) in RANGES.items()},
        "days": DAYS,
        "results": RESULTS,
        "kinds_words": KINDS,
        "marks": {kind: sign for kind, (sign, _) in MARKS.items()},
        "labels": LABELS,
        "sizes": SIZES,
        "limit": first(pairs, "limit") or SIZES[0],
        "chosen_order": first(pairs, "order") or NEWEST_FIRST,
        "search_fields": SEARCH_FIELDS,
        **wrong_view((), pairs),
    }


def wrong_view(problems: Sequence[ParameterProblem], pairs: Sequence[Pair]) -> dict[str, object]:
    """Return what pages show of what is wrong with their parameters, and how to mend it."""

    def instead(problem: ParameterProblem, text: str) -> str:
        wrong = wrong_pairs((problem,), pairs)
        kept = [pair for pair in address.without(pairs) if pair not in wrong]
        return address.link([*kept, (problem.parameter, text)])

    by_name = {one.parameter: one for one in problems}
    return {
        "problems": problems,
        "wrong": {**dict.fromkeys([*LABELS, *OWN]), **by_name},
        "wrong_pairs": wrong_pairs(problems, pairs),
        "instead": instead,
    }


def wrong_pairs(problems: Iterable[ParameterProblem], pairs: Sequence[Pair]) -> set[Pair]:
    """Return what cannot be taken: the values that a problem names, else all of its parameter."""
    found: set[Pair] = set()
    for problem in problems:
        given = [pair for pair in pairs if pair[0] == problem.parameter]
        named = [pair for pair in given if shown(pair[1]) in problem.reason]
        found.update(named or given)
    return found


def local(text: str, state: State) -> str:
    """Return a moment as `datetime-local` takes it."""
    instant = address.instant_of(text)
    return "" if instant is None else clock(instant, state.zone).replace(" ", "T")


def exact(text: str) -> str:
    """Return a moment as scripts read it, however the URL spells it; empty where it names none."""
    instant = address.instant_of(text)
    return "" if instant is None else format_instant(instant)
