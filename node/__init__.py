"""A real OpenSearch node with its security plugin: pinned artifacts, no Docker, no Java needed."""

from node.cache import Progress, Report
from node.config import NodeConfig
from node.credentials import Credentials, read_credentials
from node.errors import NodeError
from node.lifecycle import (
    Running,
    archive_directory,
    assemble,
    await_ready,
    credentials,
    erase,
    last_config,
    launch,
    log_tail,
    start,
    stop,
)
from node.readiness import Launch
from node.status import Status, status

__all__ = [
    "Credentials",
    "Launch",
    "NodeConfig",
    "NodeError",
    "Progress",
    "Report",
    "Running",
    "Status",
    "archive_directory",
    "assemble",
    "await_ready",
    "credentials",
    "erase",
    "last_config",
    "launch",
    "log_tail",
    "read_credentials",
    "start",
    "status",
    "stop",
]
