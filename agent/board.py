"""What the loop shows to the outside: to other threads and to the service manager.

They look whenever they like, and the loop never waits for them: each attribute is replaced as a
whole, so that a reader needs no lock.
"""

import time

from agent.flag import Flag
from agent.notify import Notifier
from agent.status import Status, describe


class Board:
    """One agent's, from its start to its end.

    Args:
        notifier: the service manager's.
    """

    def __init__(self, notifier: Notifier | None = None) -> None:
        self._notifier = notifier or Notifier({})
        self._line = ""
        self._is_ready = False
        self.turned = time.monotonic()
        """When (monotonic) the loop turned last."""
        self.status: Status | None = None
        self.reload = Flag()
        """Set by whoever wants the configuration to be read again."""

    def turn(self, now: float) -> None:
        """The loop turns."""
        self.turned = now
        if not self._is_ready:
            self._is_ready = True
            self._notifier.ready()
        self._notifier.turned(now)

    def show(self, status: Status) -> None:
        """This is how it is now."""
        self.status = status
        line = describe(status)
        if line != self._line:
            self._line = line
            self._notifier.status(line)
        if status.state == "stopping":
            self._notifier.stopping()

    def begin_reload(self) -> None:
        """Other settings are read."""
        self.reload.clear()
        self._notifier.reloading()

    def end_reload(self) -> None:
        """They work, or the old ones go on."""
        self._notifier.ready()
