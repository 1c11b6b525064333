"""Is a directory a home of Indelible? Only one that says so is written to, and emptied by --fresh.

The folders of a home have names that others use too (`agent`, `web`, `node`): a directory that
merely has such folders, a source checkout say, is somebody's work. So a home carries a marker,
written while it is empty, or while all that lies in it is what another command of ours or an
application left there.
"""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from indelible.errors import ForeignHomeError

MARKER: Final = ".indelible-home"
TEXT: Final = """\
This directory is a home of Indelible. `indelible up --fresh` deletes what earlier runs left in its
folders agent, events, example, heads, logs, node and web. Without this file it deletes nothing.
"""
NODE_NAMES: Final = (
    *("archive", "authority", "cache", "credentials.json", "initialised", "lock", "nodes", "place"),
    *("java-*", "server-*", ".server-*", ".credentials.json.*", ".place.*"),
)
"""What `node` makes in its home, and what of it a kill leaves half done."""
SHOWN_NAMES: Final = 5
PLACE_NAME: Final = re.compile(r"[0-9a-f]{16}")
"""Where a node that runs as another user lies: below root's default home (`node.layout`)."""


def claim(home: Path) -> None:
    """Make a directory a home, if it is not there, is empty, or has nothing but what is ours.

    Raises:
        ForeignHomeError: it has something else, or cannot be had; nothing was written.
    """
    try:
        if is_home(home):
            return
        foreign = find_foreign(home) if home.exists() else []
        if foreign:
            raise _refuse(home, foreign)
        home.mkdir(parents=True, exist_ok=True)
        (home / MARKER).write_text(TEXT, "utf-8")
    except OSError as error:
        raise unusable_home(home, error) from error


def unusable_home(home: Path, error: OSError) -> ForeignHomeError:
    """The error where the system refuses a directory as a home, or this user."""
    return ForeignHomeError(
        f"{home} cannot be used as the home: {error.strerror}",
        hint="choose another directory: INDELIBLE_HOME; or run as the user whose home it is",
    )


def is_home(directory: Path) -> bool:
    """Tell whether a directory carries the marker."""
    marker = directory / MARKER
    return marker.is_file() and not marker.is_symlink()


def find_foreign(directory: Path) -> list[str]:
    """Return the names in a directory without the marker that nothing of ours explains."""
    return sorted(path.name for path in directory.iterdir() if not _is_ours(path))


def _is_ours(path: Path) -> bool:
    judge = _as_node if PLACE_NAME.fullmatch(path.name) else JUDGES.get(path.name)
    return judge is not None and path.is_dir() and not path.is_symlink() and judge(path)


def _as_node(directory: Path) -> bool:
    names = [path.name for path in directory.iterdir()]
    return all(any(fnmatchcase(name, known) for known in NODE_NAMES) for name in names)


def _as_agent(directory: Path) -> bool:
    return (directory / "agent.lock").is_file()


def _as_events(directory: Path) -> bool:
    return all(fnmatchcase(path.name, "*.log*") and path.is_file() for path in directory.iterdir())


JUDGES: Final[Mapping[str, Callable[[Path], bool]]] = {
    "agent": _as_agent,
    "events": _as_events,
    # A file system of its own has it from the beginning.
    "lost+found": Path.is_dir,
    "node": _as_node,
}
"""What may lie in a directory before `up` runs in it, and how it is told from somebody else's."""


def _refuse(home: Path, foreign: list[str]) -> ForeignHomeError:
    shown = ", ".join(foreign[:SHOWN_NAMES]) + (", …" if len(foreign) > SHOWN_NAMES else "")
    return ForeignHomeError(
        f"{home} is not a home of Indelible: it is not empty and has no file {MARKER} ({shown})",
        hint=(
            "set INDELIBLE_HOME to a new directory; only if Indelible may write to this one, and"
            f" --fresh may delete its folders, make the file: touch {home / MARKER}"
        ),
    )
