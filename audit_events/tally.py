"""What was recorded although the catalogue says otherwise, counted for this process.

A log that is not strict loses nothing, and says here what somebody should look at: ids that nobody
knows, events that lack what their action needs, and old ids that are still in use.
"""

import os
import threading
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from audit_events.catalogue import Catalogue

MAX_NAMES: Final = 1_000
"""Ids that are made up at run time (`app_42.created`) must not fill the memory."""
OTHERS: Final = "…"
"""Under which everything beyond `MAX_NAMES` is counted."""


class Counts(Struct, frozen=True):
    """How many events of which action, since the process started.

    Args:
        unknown: of ids that the catalogue does not have.
        incomplete: of actions that succeeded without a part that they need.
        renamed: called by an old id, and recorded under the one of today.
    """

    unknown: Mapping[str, int]
    incomplete: Mapping[str, int]
    renamed: Mapping[str, int]


_unknown: Final[dict[str, int]] = {}
_incomplete: Final[dict[str, int]] = {}
_renamed: Final[dict[str, int]] = {}
_lock = threading.RLock()  # a signal handler may record in the middle of a count


def counts() -> Counts:
    """Return what was counted in this process; a forked one starts from nothing."""
    with _lock:
        return Counts(dict(_unknown), dict(_incomplete), dict(_renamed))


def note_unknown(action: str, catalogue: Catalogue) -> None:  # noqa: ARG001  # see below
    """Count an event of an action that `catalogue` does not have.

    The one place that every unknown action passes: a test's check stands in for it, and asks the
    catalogue for what is near.
    """
    _note(_unknown, action)


def note_incomplete(action: str) -> None:
    """Count an event that lacks a part which its action needs."""
    _note(_incomplete, action)


def note_renamed(alias: str) -> None:
    """Count a call by an old id."""
    _note(_renamed, alias)


def _note(counted: dict[str, int], name: str) -> None:
    with _lock:
        name = name if name in counted or len(counted) < MAX_NAMES else OTHERS
        counted[name] = counted.get(name, 0) + 1


def _forget() -> None:
    """Begin anew in a forked child, whatever thread of the parent held the lock."""
    global _lock  # noqa: PLW0603  # the parent's may be held for ever
    _lock = threading.RLock()
    for counted in (_unknown, _incomplete, _renamed):
        counted.clear()


os.register_at_fork(after_in_child=_forget)
