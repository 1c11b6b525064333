"""Commands whose exit code 1 is a verdict: what keeps them from one is another code."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import click

from indelible.cli import describe, give_output_up, is_of_output

EXIT_WRONG: Final = 1
EXIT_UNKNOWN: Final = 2


@contextmanager
def saying_what_keeps_it(ctx: click.Context) -> Generator[None]:
    """End with another code than where something is wrong, if nobody can say, or was told."""
    try:
        yield
        sys.stdout.flush()
    except Exception as error:
        if isinstance(error, OSError) and is_of_output(error):
            give_output_up(error)
        else:
            described = describe(error)
            if described is None:
                raise
            click.echo(described[0], err=True)
        ctx.exit(EXIT_UNKNOWN)
