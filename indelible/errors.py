"""What can go wrong with `indelible up` and its neighbours; each says what, why and the next step.

CommandError            .hint is the next step for the operator
├── PortTakenError      another program listens where one of ours should
├── ForeignHomeError    the home is somebody else's directory, or cannot be written
├── HomeInUseError      another `indelible up` runs in this home, or its node runs
├── ChildFailedError    a process of ours ended and does not stay up; carries the end of its log
└── NotReadyError       something did not answer in time
"""


class CommandError(Exception):
    """An operator's error: `str()` says what and why, `hint` what to do next."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class PortTakenError(CommandError):
    """Another program listens on a port that one of our processes needs."""


class ForeignHomeError(CommandError):
    """The directory that was named as the home is not one of ours."""


class HomeInUseError(CommandError):
    """Somebody else uses this home."""


class ChildFailedError(CommandError):
    """A process ended again and again, or one ended that nothing can go on without."""


class NotReadyError(CommandError):
    """Something did not answer in time."""
