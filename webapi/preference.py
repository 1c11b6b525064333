"""Which copies an organisation's questions are put to: always the same, while they answer in time.

The copies of a partition refresh at different moments. By turns, one would show an event and the
next one not yet: whoever loads a page again would see it vanish. OpenSearch takes the same copy for
the same text as long as nothing moves, whichever node is asked; another one where it is gone. But
it waits for one that stands still, until the others do without its node (half a minute).
"""

import threading
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

ANY: Final = ""
"""OpenSearch chooses by how quickly each copy answered of late."""
FREE_SECONDS: Final = 60.0
CHARACTERS: Final = 16


class Preference:
    """What is sent as `preference`, by organisation. Thread-safe.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._free_until: dict[str, float] = {}

    def of(self, organization_id: str) -> str:
        """Return what stands for its copies, or `ANY` for a while after one was too slow."""
        if self._free_until.get(organization_id, 0.0) > self._clock():
            return ANY
        # What begins with `_`, as `_system` does, has a meaning to OpenSearch; and ids may be long.
        return sha256(organization_id.encode()).hexdigest()[:CHARACTERS]

    def free(self, organization_id: str) -> None:
        """Have any copy asked for `FREE_SECONDS`: one of its own was too slow."""
        with self._lock:
            now = self._clock()
            kept = {one: until for one, until in self._free_until.items() if until > now}
            self._free_until = {**kept, organization_id: now + FREE_SECONDS}
