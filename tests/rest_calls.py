"""Every call of OpenSearch's REST interface that changes something, and who may make it.

The table is the file `rest_calls.jsonl`, a call a line. It is held against the node's own handlers
and against the methods of opensearch-py, so a call that a newer version adds has to find its place
here. `docs/threat-model.md` shows it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

IDENTITIES: Final = {
    "W": "audit_writer",
    "R": "audit_reader",
    "L": "audit_lifecycle",
    "D": "audit_deletion",
    "A": "audit_auditor",
    "T": "audit_tokens",
    "P": "administrator",
    "C": "the admin certificate",
}
"""The columns: six roles, a user with every permission, and who holds the certificate."""

REFUSED, IMMUTABLE, ENGINE, DONE, ALTERS, OTHERWISE = "-", "i", "e", "y", "!", "o"
MEANINGS: Final = {
    REFUSED: "refused: no permission",
    IMMUTABLE: "refused: the index is immutable (`immutable_indices`)",
    ENGINE: "refused by the engine: `index.append_only`, or the id is there (409)",
    DONE: "done; what is stored and shown of the events stays the same",
    ALTERS: "**done, and events change, go, come or are not shown any more**",
    OTHERWISE: "not refused for who asks; cannot be done on this cluster",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `route` as the node's handler has it, and what each identity gets.

    `cells` has a letter of `MEANINGS` for each of `IDENTITIES`. `path` is where the route's own
    placeholders are not enough; `undo` is what the certificate sends afterwards. What `spoils`
    leaves the partition in no state to try more with (3.4.0 refuses to scale it with 400, and its
    next refresh or block waits for longer than 15 s).
    """

    group: str
    name: str
    route: str
    cells: str
    body: str | None = None
    path: str | None = None
    undo: tuple[str, str, str | None] | None = None
    spoils: bool = False

    @property
    def method(self) -> str:
        """The method of the route."""
        return self.route.split()[0]

    @property
    def target(self) -> str:
        """The path, with the placeholders that `World.fill` knows."""
        return self.path or self.route.split()[1]


SECURITY: Final = "/_plugins/_security/api"
_FILE: Final = Path(__file__).with_suffix(".jsonl")
CALLS: Final = tuple(
    msgspec.json.decode(line, type=Call) for line in _FILE.read_bytes().splitlines()
)
