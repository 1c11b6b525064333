"""The help of a group with whole sentences: click ends what it says of a subcommand in `...`."""

import inspect

import click
from typing_extensions import override


class WholeHelpGroup(click.Group):
    """A click group whose help has the whole first paragraph of each subcommand."""

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
