"""What can go wrong with the embedded node; each error says what, why and the next step.

NodeError                 .hint is the next step for the operator
├── LockError             artifacts.lock cannot be read
├── DownloadError         an artifact is neither in the cache nor to be had
├── ChecksumError         an artifact is not the one that artifacts.lock names
├── HomeError             the home belongs to somebody else, or cannot be written
├── PortTakenError        another program listens where the node should
├── ResourceError         too little memory or disk
├── NodeRunningError      the node runs already, with another configuration
├── NodeMissingError      there is no node in this home
└── NodeDiedError         the node ended, or never answered; carries the end of its log
"""


class NodeError(Exception):
    """An operator's error: `str()` says what and why, `hint` what to do next."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(NodeError):
    """A node cannot run like that."""


class LockError(NodeError):
    """`artifacts.lock` cannot be read."""


class DownloadError(NodeError):
    """An artifact is not in the cache and could not be downloaded."""


class ChecksumError(NodeError):
    """An artifact's content is not what `artifacts.lock` pins."""


class HomeError(NodeError):
    """The home cannot be used by this user."""


class PortTakenError(NodeError):
    """Another program listens on a port of the node."""


class ResourceError(NodeError):
    """The machine has too little memory or disk for the node."""


class NodeRunningError(NodeError):
    """The node runs already, with another configuration."""


class NodeMissingError(NodeError):
    """No node was ever started in this home."""


class CredentialsError(NodeError):
    """The home's credentials cannot be read, or the node does not know them."""


class NodeDiedError(NodeError):
    """The node ended while it was starting, or did not answer in time.

    `log` is the end of what it wrote.
    """

    def __init__(self, message: str, *, hint: str, log: str) -> None:
        super().__init__(f"{message}\n{log}" if log else message, hint=hint)
        self.log = log
