"""What an answer of `/stream` means to who reads on: a page, trouble that passes, or the end."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from audit_events.envelope import UNREADABLE
from indelible.errors import CommandError
from indelible.question import usage
from indelible.stream_settings import TOKEN_VARIABLE
from indelible.terminal import plain
from indexer.backoff import retry_after_seconds
from webapi.errors import ROUTING_CODES, ParametersError
from webapi.problems import Problem
from webapi.stream import AFTER, MAX_CURSOR_CHARACTERS, StreamPage

NOT_THE_API: Final = (
    "set INDELIBLE_STREAM_URL to where its page is found, such as https://audit.example"
)
is_cursor: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_CURSOR_CHARACTERS}}}").fullmatch
"""Whether a text may be one, as the API writes them."""


class Answer(Struct, frozen=True):
    """What came over HTTP.

    Args:
        status: of HTTP.
        body: as it came.
        retry_after: the header, None without it.
    """

    status: int
    body: bytes
    retry_after: str | None = None


class Trouble(Struct, frozen=True):
    """Why there is no page now; asking again may help.

    Args:
        why: for the operator.
        retry_after_seconds: what the API asks for, None where it does not.
        is_limit: whether it only answers no more often than that.
    """

    why: str
    retry_after_seconds: float | None = None
    is_limit: bool = False


def read_answer(answer: Answer, url: str, cursor_path: Path | None) -> StreamPage | Trouble:
    """Return the page, or why there is none now.

    Args:
        answer: to a question.
        url: that was asked.
        cursor_path: the file of the cursor, for who reads what is wrong.

    Raises:
        CommandError: asking again would not help: token, cursor or address are refused.
        click.UsageError: naming each option that is wrong.
    """
    if answer.status == HTTPStatus.OK:
        page = _read_page(answer.body)
        if page is None:
            raise CommandError(f"what {url} answers is no page", hint=NOT_THE_API)
        return page
    problem = _read_problem(answer.body)
    is_limit = answer.status == HTTPStatus.TOO_MANY_REQUESTS
    if is_limit or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        why = f"the API answers {answer.status}" + (f": {plain(problem.detail)}" if problem else "")
        return Trouble(why, retry_after_seconds(answer.retry_after), is_limit)
    if problem is None or problem.code in ROUTING_CODES:
        raise CommandError(f"{url} answers {answer.status}: that is not it", hint=NOT_THE_API)
    raise _refusal(problem, cursor_path)


def _read_page(body: bytes) -> StreamPage | None:
    """Return a page; None for what a proxy says, also where it spelled one anew.

    It is one event a line, and the cursor is kept in a file.
    """
    try:
        page = msgspec.json.decode(body, type=StreamPage)
    except UNREADABLE:
        return None
    return page if is_cursor(page.cursor) else None


def _read_problem(body: bytes) -> Problem | None:
    """Return what the API says of an error; None for what a proxy before it says."""
    try:
        return msgspec.json.decode(body, type=Problem)
    except UNREADABLE:
        return None


def _refusal(problem: Problem, cursor_path: Path | None) -> Exception:
    detail = plain(problem.detail)
    errors = problem.errors or ()
    if any(one.parameter == AFTER.name for one in errors):
        return CommandError(
            f"the cursor{f' in {cursor_path}' if cursor_path else ''} is refused: {detail}",
            hint="ask with the filters and the organisation of before; where they are, the API's"
            " key was changed: move the file away, and name where to begin by --start",
        )
    if errors:
        return click.UsageError(usage(ParametersError(errors)))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return CommandError(
            f"the token is refused: {detail}",
            hint=f"put one that holds into {TOKEN_VARIABLE}, or into the file that"
            f" {TOKEN_VARIABLE}_FILE names, and start again",
        )
    if problem.status == HTTPStatus.FORBIDDEN:
        return CommandError(
            f"the token may not read this: {detail}",
            hint="have an owner make an API token with the scope `stream`",
        )
    return CommandError(
        f"the API refuses the question: {detail}", hint=f"look in its log for {problem.request_id}"
    )
