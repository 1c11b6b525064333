"""The addresses of the page."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

from audit_events.instant import parse_instant
from webapi.answering import answer_json, find_event, record_read
from webapi.completeness import judge_window
from webapi.errors import CODES, ParameterError, ParametersError, ProblemError
from webapi.export import answer_export
from webapi.heads import answer_document
from webapi.kinds import asks
from webapi.order import instant_at, position_of
from webapi.page import (
    address,
    assets,
    counting,
    document,
    history_view,
    incident_view,
    listing,
    refusal,
)  # fmt: skip
from webapi.page.address import State
from webapi.page.completeness_view import Whole, shown_window, whole_view
from webapi.page.listing_view import event_view, list_view, refused_view
from webapi.page.news import AFTER, count_news, news_address
from webapi.page.row import (
    affected,
    alike,
    askable,
    device,
    of_resource,
    of_user,
    read_row,
    thing,
    who,
)  # fmt: skip
from webapi.parts import parts, reader
from webapi.request import read_pairs, refuse_parameters
from webapi.sign_in.session import require_reader
from webapi.values import OLDEST_FIRST

PATH: Final = "/settings/access-control/audit-log"

blueprint: Final = Blueprint("page", __name__, url_prefix=PATH, template_folder="templates")
blueprint.record_once(document.prepare)

_WORDS: Final = {
    "who": who, "affected": affected, "thing": thing, "device": device, "alike": alike,
    "askable": askable, "of_resource": of_resource, "of_user": of_user,
}  # fmt: skip


@blueprint.before_request
def _know_the_reader() -> None:
    if request.endpoint != "page.show_asset":
        require_reader()


@blueprint.errorhandler(ProblemError)
def _refuse(error: ProblemError) -> Response:
    return refusal.respond(error)


@blueprint.get("/static/<version>/<name>")
def show_asset(version: str, name: str) -> Response:
    """Answer a stylesheet, script or icon; they say nothing of anybody."""
    return assets.respond(version, name)


@blueprint.get("")
@asks("list")
def show_list() -> Response | WerkzeugResponse:
    """Show one page of the organisation's events."""
    now = datetime.now(UTC)
    pairs = read_pairs(request.query_string)
    settled = address.settle(pairs, now, parts().catalogue)
    if settled != pairs:
        return redirect(PATH + address.link(settled), HTTPStatus.SEE_OTHER)
    state = address.read_state(pairs, now)
    try:
        query = listing.read(state.api)
    except ParametersError as error:
        return _wrong(state, error, now)
    if state.problems:
        return _wrong(state, None, now)
    found = listing.look(query, backwards=bool(state.newer))
    if state.newer and found.newer is None:
        # The top is reached: the first page, which may hold more than what was left above.
        return redirect(PATH + address.link(address.without(pairs)), HTTPStatus.SEE_OTHER)
    counted = counting.count(query, state.zone, now)
    since, until = shown_window(found, query, newest_first=query.newest_first != bool(state.newer))
    record_read(state.api, events=len(found.rows))
    news = news_address(state, query, found, now)
    view = {
        **list_view(state, found, counted, now),
        "news": news and url_for("page.show_news") + news,
        "incident": incident_view.address_of(state, query, now),
        "whole": look_at_window(since, until),
        **_WORDS,
    }
    return document.render("list.html", reader(), view)


def _wrong(state: State, error: ParametersError | None, now: datetime) -> Response:
    view, status = refused_view(state, error, now)
    return document.render("list.html", reader(), {**view, **_WORDS}, status)


@blueprint.get("/incident")
@asks("incident")
def show_incident() -> Response | WerkzeugResponse:
    """Show what happened around a moment, or between two."""
    now = datetime.now(UTC)
    pairs = read_pairs(request.query_string)
    state = address.read_state(pairs, now)
    try:
        looked = incident_view.look(state)
    except ParametersError as error:
        return _wrong(state, error, now)
    if state.problems:
        return _wrong(state, None, now)
    record_read(state.api, events=len(looked.incident.events))
    view = {
        **list_view(state, None, None, now),
        **incident_view.incident_view(state, looked),
        "whole": look_at_window(
            parse_instant(looked.incident.since), parse_instant(looked.incident.until)
        ),
        **_WORDS,
    }
    return document.render("incident.html", reader(), view)


def look_at_window(since: datetime | None, until: datetime | None) -> Whole | None:
    """Return what is known of how complete a window is; None where that does not come soon.

    The rows of the page are there already: they neither wait nor fail for what is said beside them.
    """
    view = parts().completeness_reading.glance()
    return None if view is None else whole_view(judge_window(view, since, until))


@blueprint.get("/history")
@asks("search")
def show_history() -> Response | WerkzeugResponse:
    """Show the life of one thing, and what it was like at a moment."""
    now = datetime.now(UTC)
    pairs = read_pairs(request.query_string)
    settled = address.settle_moment(pairs)
    if settled != pairs:
        there = url_for("page.show_history") + address.link(settled)
        return redirect(there, HTTPStatus.SEE_OTHER)
    state = address.read_state(pairs, now, OLDEST_FIRST)
    try:
        life = history_view.look(state)
    except ParametersError as error:
        view = {**history_view.refused_view(state, error.problems, now), **_WORDS}
        return document.render("history.html", reader(), view, error.status)
    record_read(state.api, events=life.events)
    view = {**history_view.history_view(state, life, now), **_WORDS}
    status = HTTPStatus.OK if life.told is not None else CODES[history_view.TOO_LONG].status
    return document.render("history.html", reader(), view, status)


@blueprint.get("/export")
@asks("export")
def export_events() -> Response:
    """Answer all events that the list shows, as a file."""
    return answer_export(reader(), read_pairs(request.query_string))


@blueprint.get("/heads")
@asks("search")
def download_heads() -> Response:
    """Answer all signed heads, and the organisation's share of each, as a file."""
    return answer_document(reader(), read_pairs(request.query_string))


@blueprint.get("/news")
@asks("list")
def show_news() -> Response:
    """Answer how many events came since; asked by the page while somebody looks at it."""
    try:
        return answer_json(count_news(read_pairs(request.query_string)))
    except ParameterError as error:
        raise ParametersError((error.of(AFTER),)) from None


@blueprint.get("/<event_id>")
@asks("list")
def show_event(event_id: str) -> Response:
    """Show one event; another organisation's is as absent as one that never was."""
    now = datetime.now(UTC)
    pairs = read_pairs(request.query_string)
    refuse_parameters([pair for pair in pairs if pair[0] != "zone"])
    state = address.read_state(pairs, now)
    if state.problems:
        raise ParametersError(tuple(one.of(name) for name, one in state.problems.items()))
    found = find_event(event_id)
    record_read((), events=1, event_id=found.sort[2])
    row = read_row(bytes(found.source), parts().catalogue, instant_at(position_of(found)))
    view = {**event_view(state, row, now), **_WORDS}
    return document.render("event.html", reader(), view)
