"""Whether a port is free, and who has it when it is not."""

import socket
from collections.abc import Iterator
from pathlib import Path

from node.errors import PortTakenError
from node.render import LOOPBACK

_PROC = Path("/proc")
_LISTENING = "0A"


def check_port(setting: str, port: int) -> None:
    """Raise `PortTakenError` when another program listens on `port` of the loopback."""
    with socket.socket() as probe:
        # As the server does it: a port that only waits for late packets of old connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            holder = find_holder(port)
            raise PortTakenError(
                f"port {port} cannot be had: {error.strerror}"
                + (f" by {holder}" if holder else ""),
                hint="stop the program that listens there, or choose another port: "
                f"INDELIBLE_NODE_{setting.upper()}",
            ) from error


def find_holder(port: int) -> str | None:
    """Return name and id of the process that listens on `port`, where this user may see it."""
    try:
        sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    except OSError:
        return None
    for process in _PROC.glob("[0-9]*"):
        try:
            if any(str(file.readlink()) in sockets for file in process.joinpath("fd").iterdir()):
                return f"{process.joinpath('comm').read_text('utf-8').strip()} ({process.name})"
        except OSError:
            # Gone meanwhile, or another user's.
            continue
    return None


def _listeners(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        path = _PROC / "net" / table
        for line in path.read_text("ascii").splitlines()[1:] if path.exists() else ():
            _, local, _, state, *rest = line.split()
            if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                # uid, timeout and inode follow the queues, the timer and the retransmissions.
                yield rest[5]
