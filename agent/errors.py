"""What can stop the agent; each error says what, where, why and the next step.

AgentError                    .hint is the next step for the operator
├── NothingToFollowError      the settings name no file at all
├── StateDirectoryError       the state directory cannot be written: nothing could be remembered
├── CheckpointMissingError    no agent has run on that state directory
├── CheckpointUnreadableError this user may not read the checkpoint
├── MonitorError              the monitor's port is taken, or its address is none of this host
├── LockedError               another agent (.pid) works on the same state directory
│   └── LockLostError         … since the lock of this one was deleted
└── SenderError               a sender failed in a way that no retry mends; nothing of it counts
"""

from pathlib import Path
from typing import Final

LOOK_AT_STATE: Final = "see that the state directory is there, has free space and may be written"
"""The next step of whoever hears that something there cannot be written."""


class AgentError(Exception):
    """Base of the tree: `str()` says what and why, `hint` what to do next."""

    hint: str = ""


class NothingToFollowError(AgentError):
    """No path is configured."""

    hint = "set INDELIBLE_AGENT_PATHS to one or more globs, comma separated"

    def __init__(self) -> None:
        super().__init__("the agent has no files to follow")


class StateDirectoryError(AgentError):
    """The state directory cannot be used, so no checkpoint could be kept."""

    def __init__(self, directory: Path, cause: OSError) -> None:
        super().__init__(
            f"cannot write to the state directory {directory}: {cause.strerror or cause}"
        )
        self.directory = directory
        self.hint = (
            f"let this user write to {directory}, or set INDELIBLE_AGENT_STATE_DIRECTORY to another"
        )


class CheckpointMissingError(AgentError):
    """There is no checkpoint to look at."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"there is no checkpoint in {directory}: no agent has run there")
        self.directory = directory
        self.hint = "name the agent's directory: --state-directory, or the setting of that name"


class CheckpointUnreadableError(AgentError):
    """The checkpoint is there, and this user may not read it."""

    def __init__(self, directory: Path, cause: OSError) -> None:
        super().__init__(f"cannot read the checkpoint in {directory}: {cause.strerror or cause}")
        self.directory = directory
        self.hint = "run this as the agent's user, or let this one read that directory"


class MonitorError(AgentError):
    """The monitor cannot listen where the settings say."""

    def __init__(self, host: str, port: int, cause: Exception) -> None:
        reason = cause.strerror if isinstance(cause, OSError) else None
        super().__init__(f"the monitor cannot listen on {host}:{port}: {reason or cause}")
        self.hint = (
            "set INDELIBLE_AGENT_MONITOR_PORT to one that is free (0 is no monitor), and"
            " INDELIBLE_AGENT_MONITOR_HOST to an address of this host"
        )


class LockedError(AgentError):
    """Another agent holds the state directory; two would ship everything twice."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"the state directory {directory} is in use by {holder}")
        self.directory = directory
        self.pid = pid
        self.hint = "stop that agent first, or give this one a state directory of its own"


class LockLostError(LockedError):
    """The file that was locked is gone, and another agent has locked another one of its name."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        super().__init__(directory, pid)
        self.args = (f"the lock in {directory} was deleted under this agent: {self}",)
        self.hint = "nothing is lost; never delete the state of an agent that runs"


class SenderError(AgentError):
    """A sender thread ended by an error that is no answer of the cluster."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"a batch could not be sent: {cause}")
        self.hint = getattr(cause, "hint", "") or "nothing is lost; see the log, then start again"
