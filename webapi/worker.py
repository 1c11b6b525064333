"""gunicorn's threaded worker, which takes a connection only when it has a thread for it.

gunicorn's own takes whatever comes and lets it wait for its threads, beside workers that have
nothing to do: the kernel wakes the same one first each time, and connections that are kept stay.
"""
# gunicorn has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

from gunicorn.workers.gthread import (  # type: ignore[import-untyped]  # as above
    ThreadWorker,
)
from typing_extensions import override


class Worker(ThreadWorker):  # type: ignore[misc]  # as above
    """Leaves what it cannot answer at once to others, and to the queue that all of them share."""

    @override
    def set_accept_enabled(self, enabled: Any) -> None:  # a bool
        """Take connections or not; gunicorn's loop asks for it in each turn that it does not."""
        waiting = len(self.keepalived_conns) + len(self.pending_conns)
        is_free = self.nr_conns - waiting < self.cfg.threads
        # Connections that are kept while none is free would go before all that wait, for ever.
        self.max_keepalived = self.cfg.threads if is_free else 0
        super().set_accept_enabled(enabled and is_free)

    @override
    def enqueue_req(self, conn: Any) -> None:  # of its own kind
        """Give a connection to the threads; with the last one this worker takes no more."""
        super().enqueue_req(conn)
        self.set_accept_enabled(self.alive)
