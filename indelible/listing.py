"""Tables of the storage: what has to be copied from one is whole, however narrow the terminal."""

from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDTH_OF_A_PIPE: Final = 200
GAP: Final = 2
"""Blanks behind each column."""
NUMBERS: Final = {"events", "size"}
WORDS: Final = {"why", "state"}
"""Columns that are folded where there is no room."""


def open_console() -> Console:
    """The terminal, or a wide one where none is; what is printed is no mark-up."""
    console = Console(markup=False, highlight=False)
    if console.is_terminal:
        return console
    return Console(markup=False, highlight=False, width=WIDTH_OF_A_PIPE)


def print_table(console: Console, table: Table) -> None:
    """Print a table whole: a terminal that is too narrow for it folds the lines itself.

    Rich would cut the columns that are not to be folded, and half a date looks like another one.
    """
    options = console.options.update(max_width=WIDTH_OF_A_PIPE)
    least = 0
    for column in table.columns:
        sizes = [Measurement.get(console, options, one) for one in (column.header, *column.cells)]
        least += max(one.maximum if column.no_wrap else one.minimum for one in sizes) + GAP
    width = console.width
    console.width = max(width, least)
    console.print(table)
    console.width = width


def new_table(name: str, *columns: str, caption: str | None = None) -> Table:
    """A table whose first column names things; only words are folded, and nothing is cut."""
    table = Table(
        box=None, padding=(0, GAP, 0, 0), pad_edge=False, caption=caption, caption_justify="left"
    )
    for column in (name, *columns):
        table.add_column(
            column,
            justify="right" if column in NUMBERS else "left",
            overflow="fold",
            no_wrap=column not in WORDS,
        )
    return table
