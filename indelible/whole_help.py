"""Help where click says less: whole sentences, examples, and what was meant by a wrong name."""

import difflib
import inspect
from collections.abc import Sequence

import click
from typing_extensions import override


class WholeHelpGroup(click.Group):
    """A click group whose help has the whole first paragraph of each subcommand, not `...`."""

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, first_paragraph(one)) for name, one in commands if one is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def first_paragraph(command: click.Command) -> str:
    """Return what the help of a command begins with, on one line."""
    return " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())


def examples(*lines: str) -> str:
    """Return the end of a command's help: lines to copy, which are not folded."""
    return "\n  ".join(("\b\nExamples:", *(f"indelible {line}" for line in lines)))


def refuse_unknown(
    ctx: click.Context, name: str, known: Sequence[str], otherwise: str = ""
) -> None:
    """Refuse the name of no subcommand with what was meant, where the group imports them late.

    click itself tells the near ones of what is imported.

    Args:
        ctx: of the group.
        name: as it was typed.
        known: the subcommands.
        otherwise: what is said where none is near; without it, click has the word.

    Raises:
        click.UsageError: the name is none, and there is something to say.
    """
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else otherwise
    if name not in known and hint:
        ctx.fail(f"No such command {name!r}. {hint}")
