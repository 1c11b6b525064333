"""One entry of the catalogue, and the words that its parts may have."""

from typing import Final, Literal, get_args

from msgspec import Struct

Colour = Literal["green", "blue", "red"]
Severity = Literal["info", "low", "medium", "high"]
Need = Literal["target", "resource", "previous", "new"]

COLOURS: Final[tuple[Colour, ...]] = get_args(Colour)
"""green: creates, invites, connections; blue: updates, changes; red: deletions, removals."""

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""In their order, by this rule:

* `info`: nobody changed anything: something was read, checked, or happened as planned.
* `low`: something was added or changed that can be put back as it was.
* `medium`: somebody came in or was put out; something in use was removed, opened to others or
  handed on; money was committed, moved or returned.
* `high`: what somebody may do, a credential or the organization's protection changed, everything of
  a workspace or an organization was destroyed, or the log itself is in doubt.
"""

NEEDS: Final[tuple[Need, ...]] = get_args(Need)
"""Parts of an event that an action cannot do without, where it succeeded: `target` and `resource`
are fields of the event, `previous` and `new` keys of its context."""


class CatalogueEntry(Struct, frozen=True):
    """One known action, as people see it.

    Args:
        action: its id, `noun.verb_past`.
        category: under which it is listed.
        colour: one of `COLOURS`.
        title: a few words.
        description: one sentence.
        severity: one of `SEVERITIES`.
        needs: parts that an event of it has, some of `NEEDS`.
        critical: its line is synced to the disk whatever the durability of the log is.
        aliases: ids that it had before; events stored under them are shown as this one.
    """

    action: str
    category: str
    colour: Colour
    title: str
    description: str
    severity: Severity
    needs: tuple[Need, ...] = ()
    critical: bool = False
    aliases: tuple[str, ...] = ()
