"""All events that match, as a file that is sent while it is read.

    parameters → point in time → first page → (from here on, 200 is said) → pieces → summary

What goes wrong before the first page is an answer with a code. What goes wrong later ends the
connection without the end of its chunks (RFC 9112, section 7.1), and the file without its last
line: it never looks whole. Memory is that of two pages, whatever comes.

Each export is recorded twice where reads are recorded: `started` before its first byte, so that
none is unseen, and `complete` before its last one, or else `aborted`.
"""

import errno
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Final, cast

import structlog
from flask import Response, request

from audit_events.binding import request_facts
from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant
from webapi import parameters, values
from webapi.access import revocation_check
from webapi.answered import REFERENCE
from webapi.audit_log import PATH, blueprint
from webapi.auth import Reader
from webapi.completeness import vouch
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation
from webapi.errors import (
    ParameterError,
    ParametersError,
    StoppingError,
    TokenError,
    UnavailableError,
)
from webapi.export_file import (
    FORMATS,
    MEDIA_TYPES,
    PIECE_EVENTS,
    ExportCompleteness,
    ExportSummary,
    ExportTrailer,
    Format,
    Tally,
    compress,
    file_name,
    hold_last,
    write_csv,
    write_ndjson,
    write_zip,
)
from webapi.kinds import asks
from webapi.order import position_of
from webapi.parameters import Parameter
from webapi.parts import parts, reader
from webapi.query import Query
from webapi.reading import Reading
from webapi.request import read_filters, read_pairs
from webapi.request_reading import Pairs, RequestReading
from webapi.storage_answer import Hit
from webapi.sweep import Sweep
from webapi.trail import Read

BUSY_RETRY_SECONDS: Final = 30
SHAPES: Final = (ExportTrailer,)

FORMAT: Final = Parameter(
    name="format",
    read=values.choice_of(FORMATS),
    schema={"type": "string", "enum": list(FORMATS), "default": "ndjson"},
    description="`ndjson`: the events as they are stored, and a last line that says what is in it;"
    " `csv`: a table for spreadsheets; `zip`: `events.ndjson` and `manifest.json`.",
)
GZIP: Final = parameters.flag(
    "gzip", "A file that is packed (`.gz`). `Accept-Encoding: gzip` packs only the way to you."
)
BOM: Final = parameters.flag("bom", "Begin a CSV with the mark by which Excel knows UTF-8.")
AFTER: Final = Parameter(
    name="after",
    read=values.read_uuid,
    schema={"type": "string", "format": "uuid"},
    description="Only what follows the event with this id: goes on with a transfer that broke.",
)

Record = Callable[[int, Mapping[str, object]], None]
"""Records how an export stands: how many events, and what is said beside."""

_log = structlog.get_logger("webapi")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportQuestion:
    """What is to be exported, and as what."""

    query: Query
    format: Format
    gzip: bool = False
    bom: bool = False
    after: str | None = None


class Export:
    """An export under way. For one thread; has to be closed.

    Args:
        question: what it is.
        asked: the same as it was asked, for the summary.
        sweep: where the events come from; closed with the export.
        as_of: the moment before it was opened.
        completeness: what was known then of the time that it is of.
        record: told when it starts, and how it ends.
        check: raises `TokenError` once nothing more may be sent.
        release: called once, when it ends.

    Raises:
        UnavailableError, InternalError: there is no first page, or it cannot be recorded.
    """

    def __init__(
        self,
        question: ExportQuestion,
        *,
        asked: Pairs,
        sweep: Sweep,
        as_of: str,
        completeness: ExportCompleteness,
        record: Record,
        check: Callable[[], object],
        release: Callable[[], None],
    ) -> None:
        self._question = question
        self._asked = asked
        self._sweep = sweep
        self._as_of = as_of
        self._completeness = completeness
        self._record = record
        self._release = release
        self._id = str(uuid.uuid4())
        self._tally = Tally()
        self._is_open = True
        try:
            self._hits = _begun(_checked(sweep.hits(), check))
            self._tell("started")
        except BaseException:
            self._end()
            raise

    def pieces(self) -> Iterator[bytes]:
        """Yield the file.

        Raises:
            UnavailableError, InternalError: it cannot be whole; nothing more must be sent.
            ConnectionResetError: likewise, as this process stops, or the token was revoked.
        """
        question, hits, tally = self._question, self._hits, self._tally
        if question.format == "csv":
            pieces = write_csv(hits, tally, bom=question.bom)
        elif question.format == "zip":
            pieces = write_zip(hits, tally, self.summary)
        else:
            pieces = write_ndjson(hits, tally, self.summary)
        if question.gzip:
            pieces = compress(pieces)
        return self._while_allowed(hold_last(pieces, self._complete))

    def summary(self) -> ExportSummary:
        """Return what was written so far."""
        filters: dict[str, list[str]] = {}
        for name, text in self._asked:
            filters.setdefault(name, []).append(text)
        return ExportSummary(
            events=self._tally.events,
            first=self._tally.first,
            last=self._tally.last,
            organization_id=self._question.query.organization_id,
            filters=filters,
            as_of=self._as_of,
            format=self._question.format,
            sha256=self._tally.sha256,
            completeness=self._completeness,
        )

    def close(self) -> None:
        """End it, wherever it stands; again does nothing."""
        if not self._is_open:
            return
        self._end()
        try:
            self._tell("aborted")
        except UnavailableError as error:
            _log.error("an aborted export is not recorded", cause=str(error.__cause__ or error))

    def _while_allowed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except StoppingError:
            cause = "this process stops"
        except TokenError as error:
            cause = error.detail
        else:
            return
        _log.warning("export cut", export=self._id, events=self._tally.events, cause=cause)
        # As if the client had gone: a server ends the connection without the end of its chunks, and
        # calls it no fault of ours.
        raise ConnectionResetError(errno.ECONNRESET, cause)

    def _complete(self) -> None:
        summary = self.summary()
        told = {"first": summary.first, "last": summary.last, "sha256": summary.sha256}
        self._tell("complete", {name: text for name, text in told.items() if text is not None})
        self._end()

    def _end(self) -> None:
        self._is_open = False
        self._release()
        self._sweep.close()

    def _tell(self, state: str, more: Mapping[str, object] | None = None) -> None:
        facts = {
            "export": self._id,
            "state": state,
            "format": self._question.format,
            "asOf": self._as_of,
        }
        self._record(self._tally.events, {**facts, **(more or {})})


@blueprint.get("/export")
@asks("export")
def export_events() -> Response:
    """Answer all events that match, as a file."""
    return answer_export(reader(), read_pairs(request.query_string))


def answer_export(who: Reader, pairs: Pairs) -> Response:
    """Return the answer to somebody who may export; it is for the request that is under way.

    Raises:
        ParametersError: what is wrong with `pairs`.
        UnavailableError: no events come, it cannot be recorded, or too many exports are under way.
        InternalError: as `Storage.search`.
    """
    ours = parts()
    question = read_export(who.organization_id, pairs, ours.reading, ours.catalogue)
    as_of = format_instant(datetime.now(UTC))
    packed = question.format != "zip" and not question.gzip and _takes_gzip()
    response = Response(mimetype="application/octet-stream")
    response.headers["Content-Type"] = (
        "application/gzip" if question.gzip else MEDIA_TYPES[question.format]
    )
    name = file_name(who.organization_id, as_of, question.format, gzip=question.gzip)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Vary"] = "Accept-Encoding"
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    if request.method == "HEAD":
        # Nobody knows how long the file would be, and 0 is not what GET would send (RFC 9110, 8.6).
        response.automatically_set_content_length = False
    else:
        sent = replace(question, gzip=question.gzip or packed)
        export = _open(who, sent, pairs, as_of)
        response.response = export.pieces()
        response.call_on_close(export.close)
    return response


def read_export(
    organization_id: str, pairs: Pairs, reading: Reading, catalogue: Catalogue
) -> ExportQuestion:
    """Return what a request wants exported.

    Raises:
        ParametersError: everything that is wrong.
        UnavailableError, InternalError: as `Storage.search`.
    """
    request_reading = RequestReading(pairs, parameters_of(catalogue))
    present = partial(reading.present, organization_id)
    query = read_filters(request_reading, organization_id, present=present, catalogue=catalogue)
    order = request_reading.single(parameters.ORDER)
    question = ExportQuestion(
        query=replace(query, newest_first=order in {None, values.NEWEST_FIRST}),
        format=cast("Format", request_reading.single(FORMAT) or "ndjson"),
        gzip=request_reading.single(GZIP) or False,
        bom=request_reading.single(BOM) or False,
        after=request_reading.single(AFTER),
    )
    if question.bom and question.format != "csv":
        request_reading.refuse("bom", ParameterError("conflict", "goes with `format=csv` alone"))
    if question.gzip and question.format == "zip":
        request_reading.refuse("gzip", ParameterError("conflict", "a zip is packed already"))
    request_reading.finish()
    return question if question.after is None else _behind(question, question.after, reading)


def parameters_of(catalogue: Catalogue) -> Mapping[str, Parameter[object]]:
    """Return all parameters of an export."""
    return parameters.by_name(
        *parameters.filters_of(catalogue).values(), parameters.ORDER, FORMAT, GZIP, BOM, AFTER
    )


def describe(catalogue: Catalogue) -> Mapping[str, Json]:
    """Return the paths of this module for the OpenAPI description."""
    described = operation(
        "exportEvents",
        "All events that match, as a file, in the order of the list and as of one moment. A"
        " transfer that broke has no last line (`ndjson`), no manifest (`zip`), and not the end of"
        " its chunks; go on with `after`.",
        None,
        (*QUESTION_CODES, "export_busy"),
        [describe_parameter(parameter) for parameter in parameters_of(catalogue).values()],
    )
    answer = cast("dict[str, dict[str, Json]]", described["get"])["responses"]["200"]
    # Of bytes openapi-generator's Java makes a File, of a text what it takes for JSON; and Python's
    # reads a text wherever there is a `text/…`, which bytes would break.
    text: Json = {"schema": {"type": "string"}}
    file: Json = {"schema": {"type": "string", "format": "binary"}}
    answer["description"] = (
        f"The file. The last line of NDJSON is an `ExportTrailer` ({REFERENCE}ExportTrailer)."
    )
    answer["content"] = {
        "application/x-ndjson": file,
        "text/csv": text,
        "application/zip": file,
        "application/gzip": file,
    }
    return {f"{PATH}/export": described}


def _behind(question: ExportQuestion, event_id: str, reading: Reading) -> ExportQuestion:
    found = reading.event(question.query.organization_id, event_id).hits.hits
    if not found:
        error = ParameterError("unknown_value", "no event of your organisation has this id")
        raise ParametersError((error.of(AFTER.name),))
    return replace(question, query=replace(question.query, after=position_of(found[0])))


def _open(who: Reader, question: ExportQuestion, pairs: Pairs, as_of: str) -> Export:
    ours, facts = parts(), request_facts()

    def record(events: int, export: Mapping[str, object]) -> None:
        if ours.record is not None:
            read = Read(reader=who, request=facts, asked=pairs, events=events, export=export)
            ours.record(read)

    if not ours.exports.begin(who.organization_id):
        raise UnavailableError(
            "export_busy", "one of them has to end first", retry_after_seconds=BUSY_RETRY_SECONDS
        )
    try:
        completeness = vouch(ours.completeness_reading.glance(None), question.query)
        sweep = ours.reading.sweep(question.query)
    except BaseException:
        ours.exports.end(who.organization_id)
        raise
    return Export(
        question,
        asked=pairs,
        sweep=sweep,
        as_of=as_of,
        completeness=completeness,
        record=record,
        check=revocation_check(),
        release=partial(ours.exports.end, who.organization_id),
    )


def _takes_gzip() -> bool:
    return request.accept_encodings.quality("gzip") > 0


def _checked(hits: Iterator[Hit], check: Callable[[], object]) -> Iterator[Hit]:
    """Check now and then; not behind the last event, when it is recorded that all were sent."""
    for number, hit in enumerate(hits):
        if number % PIECE_EVENTS == 0:
            check()
        yield hit


def _begun(hits: Iterator[Hit]) -> Iterator[Hit]:
    """Have the first event fetched, so that what is wrong is told before anything is sent."""
    first: Sequence[Hit] = [hit for hit in (next(hits, None),) if hit is not None]
    return chain(first, hits)
