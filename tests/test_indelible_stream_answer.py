"""What ends `indelible stream`, and what it waits for."""

from pathlib import Path

import click
import msgspec
import pytest

from indelible.errors import CommandError
from indelible.stream_answer import Answer, Trouble, read_answer
from webapi.errors import (
    LimitError,
    ParameterError,
    ParametersError,
    ProblemError,
    ScopeError,
    TokenError,
    UnavailableError,
)
from webapi.problems import Problem
from webapi.stream import StreamPage

URL = "https://audit.example/api/stream"
PLACE = Path("/var/lib/siem.cursor")


NO_CURSORS = [b'""', b'"a b"', b'"a\\nb"', '"ä"'.encode(), b'"%b"' % (b"a" * 6001), b'"\\ud800"']


def page_with(cursor: bytes, event: bytes = b"{}") -> bytes:
    return b'{"events":[%b],"cursor":%b,"more":true}' % (event, cursor)


def answer_of(error: ProblemError) -> Answer:
    """What the API answers, without the frame of a request."""
    problem = Problem(
        type="urn:x",
        title="x",
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id="r_1",
        errors=error.problems if isinstance(error, ParametersError) else None,
    )
    body = msgspec.json.encode(problem)
    return Answer(error.status, body, error.headers.get("Retry-After"))


def test_a_page_is_read_and_its_events_stay_as_they_are() -> None:
    body = b'{"events":[{"id": "1",  "n":1.0}],"cursor":"c","more":true}'
    page = read_answer(Answer(200, body), URL, None)
    assert isinstance(page, StreamPage)
    assert [bytes(event) for event in page.events] == [b'{"id": "1",  "n":1.0}']
    assert (page.cursor, page.more) == ("c", True)


@pytest.mark.parametrize(
    ("answer", "seconds", "is_limit", "said"),
    [
        (answer_of(LimitError("stream", 60, 7)), 7, True, "429: your organisation may ask 60"),
        (answer_of(UnavailableError("storage_timeout", "slow")), 5, False, "504: slow"),
        (Answer(502, b"<html>Bad Gateway</html>"), None, False, "the API answers 502"),
        (answer_of(ProblemError("internal_error", "\x1b[2J")), None, False, r"500: \u001b[2J"),
    ],
)
def test_what_passes_is_waited_for(
    answer: Answer, seconds: float | None, said: str, *, is_limit: bool
) -> None:
    found = read_answer(answer, URL, None)
    assert isinstance(found, Trouble)
    assert (found.retry_after_seconds, found.is_limit) == (seconds, is_limit)
    assert said in found.why


@pytest.mark.parametrize(
    ("answer", "said", "hint"),
    [
        (answer_of(TokenError("token_expired", "it ended")), "token is refused: it ended", "TOKEN"),
        (answer_of(ScopeError("stream")), "may not read this: it needs", "the scope `stream`"),
        (answer_of(ProblemError("route_not_found", "look")), f"{URL} answers 404", "STREAM_URL"),
        (Answer(302, b""), f"{URL} answers 302", "STREAM_URL"),
        (Answer(404, b"<html>nginx</html>"), f"{URL} answers 404", "STREAM_URL"),
        (Answer(200, b"<html>Sign in</html>"), "is no page", "STREAM_URL"),
        (Answer(200, b"[]"), "is no page", "STREAM_URL"),
        (Answer(200, page_with(b'"a"', b"[" * 100_000)), "is no page", "STREAM_URL"),
        (Answer(404, b'{"a":' + b"[" * 100_000), f"{URL} answers 404", "STREAM_URL"),
        *[(Answer(200, page_with(one)), "is no page", "STREAM_URL") for one in NO_CURSORS],
        (answer_of(ProblemError("request_malformed", "odd")), "refuses the question: odd", "r_1"),
    ],
)
def test_what_does_not_pass_ends_it_with_the_next_step(
    answer: Answer, said: str, hint: str
) -> None:
    with pytest.raises(CommandError) as raised:
        read_answer(answer, URL, None)
    assert said in str(raised.value)
    assert hint in raised.value.hint


@pytest.mark.parametrize(("path", "named"), [(PLACE, f"cursor in {PLACE} is"), (None, "cursor is")])
def test_a_cursor_that_is_refused_is_named(path: Path | None, named: str) -> None:
    refused = ParametersError((ParameterError("invalid", "is not a cursor").of("after"),))
    with pytest.raises(CommandError, match="refused") as raised:
        read_answer(answer_of(refused), URL, path)
    assert f"the {named}" in str(raised.value)
    assert "--start" in raised.value.hint


def test_an_option_that_is_wrong_is_named_as_here() -> None:
    wrong = ParameterError("unknown_value", "no action", nearest=("member.invited",)).of("action")
    with pytest.raises(click.UsageError, match=r"--action: no action \(nearest: member.invited\)"):
        read_answer(answer_of(ParametersError((wrong,))), URL, None)
