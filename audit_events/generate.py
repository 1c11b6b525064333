"""Writes what is made of a catalogue.

    python -m audit_events.generate actions.toml --python members/actions.py
    python -m audit_events.generate actions.toml --python members/actions.py --check

The module has a class `Action` with our constants and the file's, so that an editor completes
them. `--check` writes nothing and says what is not current, for the tests of an application.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audit_events.action_module import render_actions, render_entries
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_file import read_catalogue, read_examples
from audit_events.errors import CatalogueError
from audit_events.event_page import render_page

OWN_FILE: Final = Path(__file__).with_name("catalogue.toml")
EXIT_STALE: Final = 1
EXIT_WRONG: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 1 for what is not current, 2 for a wrong catalogue."""
    parser = argparse.ArgumentParser(
        prog="python -m audit_events.generate", description="Write what is made of a catalogue."
    )
    parser.add_argument("catalogue", type=Path, help="TOML file, or a directory of them")
    parser.add_argument("--python", type=Path, metavar="FILE", help="the module with `Action`")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the page of all actions")
    parser.add_argument("--entries", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a file is not current"
    )
    asked = parser.parse_args(arguments)
    try:
        made = render(
            asked.catalogue, python=asked.python, markdown=asked.markdown, entries=asked.entries
        )
    except CatalogueError as error:
        lines = [*(f"error: {problem}" for problem in error.problems), f"next: {error.hint}"]
        sys.stderr.write("\n".join(lines) + "\n")
        return EXIT_WRONG
    if not made:
        parser.error("nothing to write; say --python FILE or --markdown FILE")
    return _check(made) if asked.check else _write(made)


def render(
    path: Path, *, python: Path | None, markdown: Path | None, entries: Path | None
) -> dict[Path, str]:
    """Return what should stand in each file that is asked for.

    Raises:
        CatalogueError: the catalogue is wrong.
    """
    ours = path.exists() and path.samefile(OWN_FILE)
    own = Catalogue(()) if ours else CATALOGUE
    catalogue = read_catalogue(path, own)
    new = tuple(entry for entry in catalogue.entries.values() if entry.action not in own)
    made: dict[Path, str] = {}
    source = f"{path.name} by `python -m audit_events.generate`"
    if python is not None:
        base = "" if ours else "audit_events.actions"
        made[python] = render_actions(new, source=source, taken=own, base=base)
    if markdown is not None:
        made[markdown] = render_page(
            new, read_examples(path), title="The catalogue of actions", source=source
        )
    if entries is not None:
        made[entries] = render_entries(new, source=source)
    return made


def _check(made: dict[Path, str]) -> int:
    stale = [
        path
        for path, text in made.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        sys.stderr.write(f"error: {path} is not current\nnext: run this without --check\n")
    return EXIT_STALE if stale else 0


def _write(made: dict[Path, str]) -> int:
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
