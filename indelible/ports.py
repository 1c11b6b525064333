"""Is a port of this machine free, and if not, who has it?"""

import contextlib
import socket

from indelible.errors import PortTakenError


def check_free(host: str, port: int, *, hint: str) -> None:
    """Raise `PortTakenError`, which names the holder where the system tells, if `port` is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Connections of an earlier run that linger in TIME_WAIT do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            holder = _find_holder(port)
            raise PortTakenError(
                f"port {port} of {host} cannot be had: {error.strerror}"
                + (f" by {holder}" if holder else ""),
                hint=f"stop the program that listens there, or choose another port: {hint}",
            ) from error


def _find_holder(port: int) -> str | None:
    with contextlib.suppress(ModuleNotFoundError):
        # The extra `node`; without it the port is taken by somebody unknown.
        from node.ports import find_holder  # noqa: PLC0415

        return find_holder(port)
    return None
