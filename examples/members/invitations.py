"""The job that ends invitations nobody accepted: an actor without a person."""

import threading
import time
import uuid
from typing import Final

from structlog.contextvars import bind_contextvars

import audit_events
from examples.members.directory import Directory

SWEEP_INTERVAL_SECONDS: Final = 5.0


def expire_invitations(
    directory: Directory, open_seconds: float, *, now_seconds: float | None = None
) -> int:
    """End every invitation older than `open_seconds`, and say how many there were."""
    now_seconds = time.time() if now_seconds is None else now_seconds
    due = [
        invitation
        for invitation in directory.invitations()
        if now_seconds - invitation.created_seconds > open_seconds
    ]
    # Nothing of a request may show in what no request did.
    audit_events.unbind_request()
    bind_contextvars(actor={"type": "system"}, correlation_id=str(uuid.uuid4()))
    for invitation in due:
        with directory.changing():
            directory.expire(invitation)
            audit_events.get_logger().info(
                "member.invite_expired",
                organization_id=invitation.organization_id,
                target_user={"email": invitation.email},
                resource={"type": "invitation", "id": invitation.id},
                context={"reason": "not accepted in time", "previous": {"status": "pending"}},
            )
    return len(due)


class Sweeper:
    """Ends invitations in the background, every few seconds."""

    def __init__(self, directory: Directory, open_seconds: float) -> None:
        self._directory = directory
        self._open_seconds = open_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="invitation-sweeper")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the sweep that may be going on."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SWEEP_INTERVAL_SECONDS):
            expire_invitations(self._directory, self._open_seconds)
