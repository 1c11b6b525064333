"""How a partition is deleted, and how a hold that is placed meanwhile is seen.

    the executor                                `hold add`
    1. writes into the control document which   1. records its hold in the journal
       partition it is about to delete          2. reads the control document, and waits
    2. reads the holds, for the last time          while that names a partition of its window
    3. deletes, and records that
    4. takes the name out again

Whichever way the steps fall, the hold is seen in 2, or the deletion is: nobody is told of a kept
partition that goes. The name stays until it is known and recorded what became of the deletion, so
one that was cut short is told from one by an administrator's hand.
"""

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.answer import NO_INDEX, read_error
from indexer.beat import Beat
from indexer.client import ask, refusal
from indexer.control import ControlDocument, Version
from indexer.errors import DeletionBlockedError, IndexerError, NoAnswerError, RefusedError
from indexer.hold import Hold, touches
from indexer.journal import Journal
from indexer.lease import Lease
from indexer.mode import is_let_in
from indexer.records import DELETED, Context, Seal, Subject, record_end
from indexer.settings import IndexSettings

POLL_SECONDS: Final = 0.1
NO_LATER: Final = {"cluster_manager_timeout": "5s", "timeout": "5s"}
"""The cluster gives a deletion up before we stop waiting for what it says. By default one stays in
the queue of the cluster manager for 30 s, as long as a node takes that vanished without a word: so
it could be carried out when the next round had seen the partition there, and a hold was told that
it is kept. The second is how long it waits for nodes to say that they have done it."""
OWN: Final = "indelible-lifecycle"
"""Who deleted, in the record of a deletion: we did, as our intent shows."""


class Deleter(Struct, frozen=True):
    """Who may delete partitions here; `client` is None where nobody can be asked."""

    client: OpenSearch | None
    why: str = ""
    """Why there is no client."""
    hint: str = ""


def find_block(deleter: Deleter, settings: IndexSettings) -> DeletionBlockedError | None:
    """Why nothing can be deleted here, as far as that can be known before the day; it is long off.

    Asked after the cluster answered to others: no answer is one to the certificate.
    """
    if deleter.client is None:
        return DeletionBlockedError(deleter.why, hint=deleter.hint)
    try:
        if is_let_in(deleter.client, settings):
            return None
    except NoAnswerError as error:
        return DeletionBlockedError(f"nobody answers who deletes: {error}", hint=NEEDS_CERTIFICATE)
    return DeletionBlockedError(
        "immutable_indices covers the partitions, and this process has no admin certificate that"
        " the cluster takes, so it can delete none of them when it is due",
        hint=NEEDS_CERTIFICATE,
    )


class Decision(Struct, frozen=True):
    """What a deletion is decided by, read after the intent was written."""

    holds: Sequence[Hold]
    is_due: bool
    """Whether the plan is still to delete this very index."""


class Deletion:
    """Deletes partitions, one at a time.

    Args:
        deleter: who asks the cluster to.
        lease: where the intent is written, and whose loss ends the work.
        journal: where it is recorded.
    """

    def __init__(self, deleter: Deleter, lease: Lease, journal: Journal) -> None:
        self._deleter = deleter
        self._lease = lease
        self._journal = journal

    def delete(
        self,
        subject: Subject,
        seal: Seal,
        *,
        decide: Callable[[], Decision],
        more: Context,
        beat: Beat,
    ) -> tuple[Hold, ...]:
        """Delete one partition and record it, unless a hold touches it by now.

        Args:
            subject: the partition.
            seal: what was recorded of it.
            decide: reads the holds and the plan as they are now.
            more: what is recorded besides.
            beat: see `indexer.beat`.

        Returns:
            The holds that keep it; empty when it was deleted, or is no longer due.

        Raises:
            DeletionBlockedError: this process may not delete.
            LeaseLostError, RefusedError, NoAnswerError, JournalError: it may be deleted.
        """
        client = self._client()
        self._lease.renew(deleting=subject.name)
        try:
            decision = decide()
        except IndexerError:
            # Nothing was sent yet.
            self._lease.renew(deleting=None)
            raise
        keeping = tuple(hold for hold in decision.holds if touches(hold, subject.span))
        if keeping or not decision.is_due:
            self._lease.renew(deleting=None)
            return keeping
        # In the cluster, not by this clock: that of a suspended host stood still meanwhile.
        self._lease.renew()
        try:
            remove(client, subject.name)
        except (RefusedError, DeletionBlockedError) as error:
            if not _may_be_done(error):
                self._lease.renew(deleting=None)
            raise
        self.conclude(subject, seal, more=more, beat=beat)
        return ()

    def conclude(self, subject: Subject, seal: Seal, *, more: Context, beat: Beat) -> None:
        """Record a deletion of ours, and take its name out of the control document."""
        more = {"deletedBy": OWN, **more}
        record_end(self._journal, DELETED, subject, seal, more=more, beat=beat)
        self._lease.renew(deleting=None)

    def _client(self) -> OpenSearch:
        if self._deleter.client is None:
            raise DeletionBlockedError(self._deleter.why, hint=self._deleter.hint)
        return self._deleter.client


def _may_be_done(error: RefusedError | DeletionBlockedError) -> bool:
    """Whether only the next round sees what became of it, as without any answer.

    A 5xx may be that of a proxy that waited no longer for the cluster.
    """
    return isinstance(error, RefusedError) and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def remove(client: OpenSearch, name: str) -> None:
    """Delete one index by name; one that is gone already is no error.

    Raises:
        DeletionBlockedError: the one who asks may not.
        RefusedError: the cluster refused for another reason.
        NoAnswerError: it may be gone.
    """
    path = f"/{name}"
    params = {"ignore_unavailable": "false", "allow_no_indices": "false", **NO_LATER}
    reply = ask(client, "DELETE", path, params=params)
    error = read_error(reply.text)
    # A proxy has a 404 of its own, and deletes nothing.
    is_gone = reply.status == HTTPStatus.NOT_FOUND and error.type == NO_INDEX
    if reply.status == HTTPStatus.OK or is_gone:
        return
    if reply.status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED):
        raise DeletionBlockedError(
            f"the cluster does not let this process delete {name}: {error.reason or error.type}",
            hint=NEEDS_CERTIFICATE,
        )
    raise refusal(client, "DELETE", path, reply)


NEEDS_CERTIFICATE: Final = (
    "set INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE and …_ADMIN_KEY_FILE, where `immutable_indices` covers"
    " the partitions; else give the lifecycle user the role audit_deletion"
)


def await_decision(
    document: ControlDocument,
    is_touched: Callable[[str], bool],
    *,
    lease_seconds: float,
) -> str | None:
    """Wait for a deletion that was decided on before a hold was recorded.

    Args:
        document: the control document.
        is_touched: whether the hold keeps a partition of this name.
        lease_seconds: a leader that wrote nothing for so long is gone, and so is its deletion.

    Returns:
        The name of the partition that was waited for; whether it is there is to be seen now.

    Raises:
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    awaited: str | None = None
    seen: tuple[Version, float] | None = None
    while True:
        found = document.read()
        name = None if found is None else found[0].deleting
        if found is None or name is None or not is_touched(name):
            return awaited
        awaited = name
        if seen is None or seen[0] != found[1]:
            seen = (found[1], time.monotonic())
        elif time.monotonic() - seen[1] >= lease_seconds:
            return awaited
        time.sleep(POLL_SECONDS)
