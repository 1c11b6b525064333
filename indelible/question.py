"""A question as options of the command line, read by the API's own parameters."""

import re
import shlex
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any, Final, TypeVar

import click
from typing_extensions import override

from audit_events.catalogue import CATALOGUE, Catalogue
from indelible.errors import CommandError
from indelible.moment import Moment
from indexer.errors import NoAnswerError, RefusedError
from webapi.errors import InternalError, ParametersError, TooLongError, UnavailableError
from webapi.query import Query
from webapi.reading import Reading
from webapi.request import read_query
from webapi.route import ACTIONS

F = TypeVar("F", bound=Callable[..., Any])
Pairs = Sequence[tuple[str, str]]

OPTIONS: Final = {
    "q": "TEXT",
    "action": "--action",
    "actorEmail": "--actor",
    "actorId": "--actor",
    "since": "--since",
    "until": "--until",
    "around": "--around",
    "window": "--window",
    "limit": "--limit",
    "start": "--start",
    "resourceType": "TYPE",
    "resourceId": "ID",
    "targetUserId": "--user",
    "at": "--at",
}
"""How a parameter of the API is called here."""
_names_parameter: Final = re.compile(r"`(\w+)`").sub
_FILTERS: Final = (
    click.argument("text", required=False),
    click.option(
        "--action", multiple=True, help="Event type, or noun.*; may be given several times."
    ),
    click.option(
        "--actor",
        multiple=True,
        help="Email (what has an @) or id of who did it; several emails, or several ids, are"
        " alternatives.",
    ),
)
_DECLARED: Final = (
    *_FILTERS,
    click.option(
        "--since",
        type=Moment(),
        help="First instant, included: RFC 3339, a date (UTC), or how long ago, such as 2h.",
    ),
    click.option("--until", type=Moment(), help="Last instant, not included."),
    click.option("--around", type=Moment(), help="A moment; shows how far from it each event is."),
    click.option("--window", help="How far --around reaches to each side: 90s, 15m, 2h, 1d."),
    click.option("--organization", help="Whose events; needed where there are several."),
)
_SUBJECT: Final = (
    click.argument("resource_type", metavar="[TYPE", required=False),
    click.argument("resource_id", metavar="ID]", required=False),
    click.option("--user", help="A user (UUID), instead of TYPE and ID."),
)


class QuestionCommand(click.Command):
    """A command with TEXT, which says what to do where that was taken for options.

    It is not taken as TEXT there and then: a misspelt option would be a question nobody asked. Nor
    are several words, as what stands in no quotes has lost its own, and its `*`, to the shell.
    """

    allow_extra_args = True

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            text = next((one for one in given if one.startswith(name)), name)
            if text.startswith("--"):
                raise
            hint = f"{ctx.command_path} [OPTIONS] -- {shlex.quote(text)}"
            reason = f"{error.format_message()} A TEXT that begins with a minus goes behind --"
            raise click.UsageError(f"{reason}: {hint}", ctx) from None
        if rest:
            text = " ".join((ctx.params["text"], *rest))
            behind = "-- " if text.startswith("-") else ""
            hint = f"{ctx.command_path} [OPTIONS] {behind}{shlex.quote(text)}"
            ctx.fail(f"TEXT is one argument: put it in quotes: {hint}")
        return rest


def question_options(command: F) -> F:
    """Give a command TEXT and the options that say which events."""
    return _declare(_DECLARED, command)


def filter_options(command: F) -> F:
    """Give a command TEXT and the options that say which events, but for when and whose."""
    return _declare(_FILTERS, command)


def subject_options(command: F) -> F:
    """Give a command TYPE and ID of a thing, and the option that names a user instead."""
    return _declare(_SUBJECT, command)


def _declare(options: Sequence[Callable[[F], F]], command: F) -> F:
    return reduce(lambda given, option: option(given), reversed(options), command)


def given_pairs(**single: str | None) -> list[tuple[str, str]]:
    """Return the options that were given, as pairs of a query string, by the API's names."""
    return [(name, value) for name, value in single.items() if value is not None]


def asked_pairs(
    action: Sequence[str], actor: Sequence[str], /, **single: str | None
) -> list[tuple[str, str]]:
    """Return what the options say, as pairs of a query string; `single` by the API's names.

    Raises:
        click.UsageError: an email and an id, which are different parameters: both would have to
            match.
    """
    if len({"@" in one for one in actor}) > 1:
        asked = shlex.quote(f"actor:{','.join(actor)}")
        raise click.UsageError(
            f"--actor: expected emails or ids, not both; ask for either: {asked}"
        )
    pairs = given_pairs(**single)
    pairs += [("action", one) for one in action]
    pairs += [("actorEmail" if "@" in one else "actorId", one) for one in actor]
    return pairs


def read_question(
    reading: Reading, organization: str, pairs: Pairs, catalogue: Catalogue = CATALOGUE
) -> Query:
    """Read a question as the API does; for within `asking`."""
    present = partial(reading.present, organization)
    return read_query(organization, pairs, present=present, cursor_key=b"", catalogue=catalogue)


def check_question(pairs: Pairs, catalogue: Catalogue) -> None:
    """Read a question of nobody's events yet, taking each action for known; for within `asking`."""
    read_query("", pairs, present=set, cursor_key=b"", catalogue=catalogue)


@contextmanager
def asking() -> Generator[None]:
    """Tell what is wrong with a question, or with its answer, as an operator reads it.

    Raises:
        click.UsageError: naming each option that is wrong.
        CommandError: OpenSearch does not answer in whole.
        NoAnswerError, RefusedError: it does not answer, or refuses the reader.
    """
    try:
        yield
    except ParametersError as error:
        raise click.UsageError(usage(error)) from None
    except UnavailableError as error:
        if isinstance(error.__cause__, NoAnswerError):
            raise error.__cause__ from None
        raise CommandError(error.detail, hint="try again, or look at `indelible status`") from error
    except TooLongError as error:
        raise CommandError(
            as_here(error.detail), hint="leave out what is old with --since"
        ) from None
    except InternalError as error:
        if isinstance(error.__cause__, RefusedError):
            raise error.__cause__ from None
        raise CommandError(error.cause, hint="look at `indelible status`") from error


def usage(error: ParametersError) -> str:
    """Say what is wrong with each option, with the values that were perhaps meant."""
    lines: list[str] = []
    for problem in error.problems:
        line = f"{OPTIONS.get(problem.parameter, problem.parameter)}: {as_here(problem.reason)}"
        if problem.nearest:
            line += f" (nearest: {', '.join(problem.nearest)})"
        lines.append(line)
        if problem.hint:
            lines += [f"  {part}" for part in problem.hint.splitlines()]
    return "\n".join(lines)


def as_here(reason: str) -> str:
    """Say in words of the command line what the API says in its own."""
    reason = _names_parameter(lambda named: OPTIONS.get(named[1], named[0]), reason)
    return reason.replace(ACTIONS, "`indelible catalogue list`")
