"""As whom the lifecycle's commands ask the cluster, and who has them do it."""

import getpass
import os
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import msgspec

from indelible.configuration import Configuration
from indexer.client import connect
from indexer.control import ControlDocument
from indexer.deletion import NEEDS_CERTIFICATE, Deleter
from indexer.errors import ConnectionFileError
from indexer.lease import Lease
from indexer.lifecycle import Access
from indexer.settings import ConnectionSettings


@dataclass(frozen=True, slots=True)
class Entry:
    """The clients of one process, and its lease."""

    access: Access
    document: ControlDocument
    lease: Lease


def admin_connection(configuration: Configuration) -> ConnectionSettings | None:
    """The connection with the admin certificate alone; None where there is none."""
    lifecycle = configuration.lifecycle
    if lifecycle.admin_cert_file is None:
        return None
    return msgspec.structs.replace(
        configuration.connection,
        username=None,
        password=None,
        lifecycle_username=None,
        lifecycle_password=None,
        client_cert_file=lifecycle.admin_cert_file,
        client_key_file=lifecycle.admin_key_file,
    )


def find_user() -> str | None:
    """Who sits at this terminal; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


@contextmanager
def enter(configuration: Configuration) -> Generator[Entry]:
    """Clients for every role that the lifecycle asks as; nothing is sent yet.

    Raises:
        ConnectionFileError: the CA or client certificate of the connection cannot be used.
    """
    connection = configuration.connection
    with ExitStack() as stack:
        lifecycle = stack.enter_context(connect(connection, role="lifecycle"))
        reader = stack.enter_context(connect(connection, role="reader"))
        deleter = Deleter(lifecycle)
        settings = configuration.lifecycle
        admin = admin_connection(configuration)
        if admin is not None:
            try:
                deleter = Deleter(stack.enter_context(connect(admin, role="lifecycle")))
            except ConnectionFileError as error:
                why = f"the admin certificate cannot be used: {error}"
                deleter = Deleter(None, why, NEEDS_CERTIFICATE)
        document = ControlDocument(lifecycle, configuration.index)
        lease = Lease(
            document,
            # No two processes have the same one, however often they start.
            holder=f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}",
            lease_seconds=settings.lease_seconds,
        )
        yield Entry(Access(lifecycle, reader, deleter), document, lease)
