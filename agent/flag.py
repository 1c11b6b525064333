"""What was asked for from outside: set by a signal handler, seen by the loop at its next turn.

Not a `threading.Event`: that holds a lock while it is set or cleared, and a handler that interrupts
whoever holds it (the handler before it, when two signals come at once) waits for itself for ever.
"""


class Flag:
    """One thing that may be asked for; setting it twice is setting it once."""

    __slots__ = ("_is_set",)

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Ask; in a signal handler too."""
        self._is_set = True

    def clear(self) -> None:
        """It is being done."""
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it is asked for."""
        return self._is_set
