"""`/heads`: what proves to an organisation that its exports are complete, whoever made them.

A head says what a sealed partition held, signed by a key that this process does not have; it comes
with the organisation's own share, and a path of hashes that leads from one to the other. The key
that checks it is not answered here: a server that lies would hand out its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Final

import msgspec
from flask import Response, request

from audit_events.catalogue import Catalogue
from audit_events.instant import format_instant
from indexer.head import OrganizationHeads
from webapi import parameters, values
from webapi.answering import answer_json, record_read
from webapi.audit_log import PATH, blueprint
from webapi.auth import Reader
from webapi.description import QUESTION_CODES, Json, describe_parameter, operation
from webapi.errors import MissingError, UnavailableError
from webapi.export import BUSY_RETRY_SECONDS
from webapi.export_file import file_name
from webapi.head_reading import HeadPart, HeadQuestion, HeadReading
from webapi.kinds import asks
from webapi.parameters import Parameter
from webapi.parts import parts, reader
from webapi.request import read_pairs, refuse_parameters
from webapi.request_reading import Pairs, RequestReading

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 100


class HeadPage(OrganizationHeads, frozen=True, rename="camel"):
    """Some of an organisation's heads, by number.

    Args:
        next_after: `after` of the next page; null where there is no more.
    """

    next_after: int | None


SHAPES: Final = (HeadPage,)

SINCE: Final = replace(
    parameters.SINCE,
    description="Heads of partitions that can hold events from this instant on; a date is its first"
    " instant in UTC.",
)
UNTIL: Final = replace(
    parameters.UNTIL,
    description="Heads of partitions that can hold events before this instant; a date is its first"
    " instant in UTC.",
)
AFTER: Final = Parameter(
    name="after",
    read=values.integer_between(0, None),
    schema={"type": "integer", "minimum": 0},
    description="Only heads with a higher `number`: `nextAfter` of the answer before, or the last"
    " number that you keep.",
)
LIMIT: Final = parameters.number(
    "limit",
    "Most heads of one page; where there are many organisations a page ends sooner.",
    least=1,
    most=MAX_LIMIT,
    default=DEFAULT_LIMIT,
)
PARAMETERS: Final[Mapping[str, Parameter[object]]] = parameters.by_name(SINCE, UNTIL, AFTER, LIMIT)


@blueprint.get("/heads")
@asks("search")
def show_heads() -> Response:
    """Answer the signed heads, and the organisation's share of each."""
    pairs = read_pairs(request.query_string)
    question = read_question(reader().organization_id, pairs)
    heads, next_after = parts().head_reading.page(question)
    record_read(pairs, events=0)
    return answer_json(HeadPage(question.organization_id, tuple(heads), next_after))


def read_question(organization_id: str, pairs: Pairs) -> HeadQuestion:
    """Return what a request asks for.

    Raises:
        ParametersError: everything that is wrong.
    """
    reading = RequestReading(pairs, PARAMETERS)
    since, until = reading.single(SINCE), reading.single(UNTIL)
    reading.refuse_unless_before(since, until)
    question = HeadQuestion(
        organization_id=organization_id,
        after=reading.single(AFTER) or 0,
        since=since,
        until=until,
        limit=reading.single(LIMIT) or DEFAULT_LIMIT,
    )
    reading.finish()
    return question


def answer_document(who: Reader, pairs: Pairs) -> Response:
    """Return all heads as one file; it is for the request that is under way.

    Raises:
        ParametersError: it takes no parameters.
        MissingError: there are none yet.
        UnavailableError: they cannot be read, it cannot be recorded, or exports are under way.
        InternalError: as `HeadReading.page`.
    """
    refuse_parameters(pairs)
    ours = parts()
    if not ours.exports.begin(who.organization_id):
        raise UnavailableError(
            "export_busy", "one of them has to end first", retry_after_seconds=BUSY_RETRY_SECONDS
        )
    pages = read_pages(ours.head_reading, who.organization_id)
    try:
        begun = _begin(pages)
        record_read((), events=0)
    except BaseException:
        ours.exports.end(who.organization_id)
        raise
    document = write_document(who.organization_id, begun)
    response = Response(document, mimetype="application/json")
    as_of = format_instant(datetime.now(UTC))
    name = file_name(who.organization_id, as_of, "json", what="audit-log-heads")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.call_on_close(partial(ours.exports.end, who.organization_id))
    return response


def _begin(pages: Iterator[HeadPart]) -> Iterator[HeadPart]:
    """Have the first page read, so that what is wrong is told before anything is sent."""
    first = next(pages)
    if not first.heads:
        reason = "a partition gets one when it is sealed, if the operator has set a key"
        raise MissingError("heads_not_found", reason)
    return chain([first], pages)


def write_document(organization_id: str, pages: Iterator[HeadPart]) -> Iterator[bytes]:
    """Yield all pages as one document, which has its end only where it is whole."""
    yield b'{"organizationId":%b,"heads":[' % msgspec.json.encode(organization_id)
    between = b""
    for page in pages:
        for head in page.heads:
            yield between + msgspec.json.encode(head)
            between = b","
    yield b"]}\n"


def read_pages(reading: HeadReading, organization_id: str) -> Iterator[HeadPart]:
    """Yield all heads of an organisation, a page at a time.

    Raises:
        UnavailableError, InternalError: as `HeadReading.page`.
    """
    question = HeadQuestion(organization_id=organization_id, limit=MAX_LIMIT)
    while True:
        page = reading.page(question)
        yield page
        if page.next_after is None:
            return
        question = msgspec.structs.replace(question, after=page.next_after)


def describe(_catalogue: Catalogue) -> Mapping[str, Json]:
    """Describe `/heads`."""
    described = operation(
        "showHeads",
        "The signed heads of sealed partitions by `number`, each with your organisation's share of"
        " it (null where it has no events there) and the hashes that lead from one to the other."
        " Keep them elsewhere: with them and the operator's public key `indelible validate` proves"
        " that an export is complete and unaltered. What was sealed without a key has no head; that"
        " of a deleted partition stays.",
        "HeadPage",
        QUESTION_CODES,
        [describe_parameter(parameter) for parameter in PARAMETERS.values()],
    )
    return {f"{PATH}/heads": described}
