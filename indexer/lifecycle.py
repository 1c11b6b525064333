"""Our executor of the lifecycle policy: looks at each partition, and takes the steps that are due.

A round is taken by whoever has the lease. It looks at all partitions, takes the next step of each
one that has one (`indexer.plan`), and looks again, until nothing is left to do. What a step is, is
judged each time from what the cluster and the journal show, so a round that was cut off anywhere is
continued by the next one, in this process or in another.

What goes wrong with one partition is a problem of the round, and the others go on.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog
from joserfc.jwk import OKPKey
from opensearchpy import OpenSearch

from audit_events.errors import AuditEventError
from indexer.beat import Asked, Beat
from indexer.copies import EXPLAIN
from indexer.deletion import Decision, Deleter, Deletion
from indexer.errors import (
    DeletionBlockedError,
    IndexerError,
    Interrupted,
    JournalError,
    LeaseLostError,
    StepError,
)
from indexer.hold import copy_to_organizations
from indexer.ism_guard import guard
from indexer.journal import Journal, record_acceptance
from indexer.lease import Lease
from indexer.names import journal_name
from indexer.plan import NAMED_HOLDS, Observed, Plan, Step, is_promised
from indexer.policy import read_all
from indexer.records import (
    DELETED,
    MISSING,
    Context,
    Seal,
    Subject,
    read_seal,
    record_archived,
    record_end,
)
from indexer.round import Notes, Round
from indexer.sealing import block, digest, merge, refresh
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.signing import Signing
from indexer.view import View, look

KEEP: Final = "keep heads"
"""What the step is called that no plan has."""

NEED_NO_COPY: Final = (Step.RECORD_DELETION, Step.RECORD_MISSING)

_log = structlog.get_logger("indexer")


class Archive(Protocol):
    """Where a partition is copied to before it goes."""

    def take(self, name: str, seal: Seal, beat: Beat) -> Context:
        """Copy it unless that is done; returns what is recorded of the copy."""
        ...

    def has(self, name: str, seal: Seal) -> bool:
        """Whether a copy of what was sealed is there."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """As whom the cluster is asked."""

    lifecycle: OpenSearch
    reader: OpenSearch
    deleter: Deleter


class Executor:
    """Carries out the lifecycle policy of one prefix.

    Args:
        access: clients for the roles, and who deletes.
        settings: how events are laid into indices.
        lifecycle: what is done with them; its `mode` resolved.
        lease: of this process.
        archive: where partitions are copied to; None without a repository.
        signing_key: what sealings are signed with; None where they are not.
        with_ism: whether the ISM plugin may delete here: what is held is taken out of it.
        accept_shorter_retention: delete also what was sealed under a longer one than the present.
        operator: who has this done, where a person does.
        clock: what time it is.
        stop: ends the work before the next step.

    Raises:
        PolicyError: the policy has what this executor cannot carry out, by name.
    """

    def __init__(
        self,
        access: Access,
        settings: IndexSettings,
        lifecycle: LifecycleSettings,
        *,
        lease: Lease,
        archive: Archive | None = None,
        signing_key: OKPKey | None = None,
        with_ism: bool = False,
        accept_shorter_retention: bool = False,
        operator: str | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        stop: Asked | None = None,
    ) -> None:
        self._access = access
        self._settings = settings
        self._lifecycle = lifecycle
        self._policies = read_all(settings, lifecycle)
        self._archive = archive
        self._signing_key = signing_key
        self._with_ism = with_ism
        self._accept_shorter_retention = accept_shorter_retention
        self._operator = operator
        self._clock = clock
        self._stop = stop or threading.Event()
        self.lease = lease
        self._journal = self._new_journal()
        self._signing = self._new_signing()

    def preview(self) -> Round:
        """What would be done, without doing any of it.

        Raises:
            RefusedError, NoAnswerError, JournalError: the cluster cannot be looked at.
        """
        return Round(tuple(self._look(with_times=True).plans.values()))

    def take_round(self, *, accept_journal: bool = False) -> Round:
        """Take every step that is due; the lease is held.

        Args:
            accept_journal: go on with a journal that is not the one known so far.

        Raises:
            LeaseLostError: somebody else goes on.
            Interrupted: `stop` was set.
            RefusedError, NoAnswerError, JournalError: the cluster cannot be looked at.
        """
        self._journal = self._new_journal()
        self._signing = self._new_signing()
        self._check_journal(accept=accept_journal)
        copied = copy_to_organizations(self._journal)
        if copied:
            _log.info("holds_copied_to_their_organizations", count=copied)
        notes = Notes()
        self._settle(notes)
        self._keep_heads(notes)
        if self._with_ism:
            guard(self._access.lifecycle, self._settings, self._look(), notes, self._beat)
        while True:
            view = self._look()
            due = [one for one in view.plans.values() if notes.is_new(one)]
            if not due:
                return Round(tuple(view.plans.values()), tuple(notes.taken), tuple(notes.problems))
            for one in due:
                self._try(one, view, notes)

    def _new_journal(self) -> Journal:
        return Journal(self._access.lifecycle, self._settings, clock=self._clock)

    def _new_signing(self) -> Signing:
        return Signing(
            self._journal,
            self.lease,
            key=self._signing_key,
            retention_days=self._settings.retention_days,
            heads_file=self._lifecycle.heads_file,
            clock=self._clock,
        )

    def _beat(self) -> None:
        """Before anything that changes something: may this process still do it?"""
        if self._stop.is_set():
            raise Interrupted
        self.lease.check()

    def _check_journal(self, *, accept: bool) -> None:
        """With another journal than the one that was known, its holds and records are gone."""
        known = self.lease.control.journal
        if known is not None and not accept and self._journal.find() != known:
            name = journal_name(self._settings)
            raise JournalError(
                f"{name} is not the journal that was there before: holds and records of it are"
                " gone, so nothing is sealed or deleted",
                hint=f"bring {name} back from a snapshot if there is one, place the holds again"
                " that `indelible hold list` does not show, and then say that this one counts (one"
                " that was brought back has another uuid, too): indelible lifecycle run --once"
                " --accept-journal",
            )
        uuid = self._journal.prepare()
        if known is not None and uuid != known:
            record_acceptance(self._journal, known, uuid, by=self._operator, at=self._clock())
        if uuid != known:
            self.lease.note_journal(uuid)

    def _look(self, *, with_times: bool = False) -> View:
        return look(
            self._access.lifecycle,
            self._access.reader if with_times else None,
            self._settings,
            self._lifecycle,
            policies=self._policies,
            journal=self._journal,
            now=self._clock(),
            accept_shorter_retention=self._accept_shorter_retention,
        )

    def _try(self, one: Plan, view: View, notes: Notes) -> None:
        step = one.next_step
        if step is None:
            return
        self._beat()
        notes.tried.add((one.name, step))
        if view.observed[one.name].red and step not in NEED_NO_COPY:
            # Each request would wait for a copy, and a few that do so end the round for all.
            notes.fail(_no_copy(one.name), one.name, step.value)
            return
        try:
            if self._take(step, one.name, view, notes):
                notes.take(one.name, step)
        except (Interrupted, LeaseLostError):
            raise
        except (IndexerError, AuditEventError) as error:
            notes.fail(error, one.name, step.value)
        else:
            notes.unanswered = 0

    def _take(self, step: Step, name: str, view: View, notes: Notes) -> bool:
        """Take one step; False when it turned out that there is nothing to do."""
        match step:
            case Step.BLOCK:
                block(self._access.lifecycle, name)
                # Segments that no search sees yet are not counted, and would stay unmerged.
                refresh(self._access.lifecycle, name)
            case Step.MERGE:
                merge(self._access.lifecycle, name, self._lifecycle.merge_segments, self._beat)
            case Step.RECORD_SEAL:
                self._record_seal(name, view)
                self._keep_heads(notes)
            case Step.SNAPSHOT:
                self._snapshot(name, view)
            case Step.DELETE:
                return self._delete(name, view, notes)
            case Step.RECORD_DELETION:
                self._record_end(DELETED, name, view)
            case Step.RECORD_MISSING:
                self._record_end(MISSING, name, view)
        return True

    def _record_seal(self, name: str, view: View) -> None:
        found = digest(self._access.lifecycle, self._access.reader, name, self._beat)
        subject, more = view.subject(name), self._policy_context()
        self._signing.record(subject, found, more=more, beat=self._beat)

    def _keep_heads(self, notes: Notes) -> None:
        """Nothing waits for it: what the file lacks stays in the journal until it can be had."""
        if KEEP in {problem.step for problem in notes.problems}:
            return
        try:
            self._signing.keep()
        except StepError as error:
            notes.fail(error, self._journal.name, KEEP)

    def _snapshot(self, name: str, view: View) -> None:
        if self._archive is None:
            raise StepError(
                f"there is no repository to copy {name} to",
                hint="set INDELIBLE_LIFECYCLE_SNAPSHOT_REPOSITORY",
            )
        more = self._archive.take(name, self._seal(name, view), self._beat)
        self._beat()
        record_archived(self._journal, view.subject(name), more=more)

    def _delete(self, name: str, view: View, notes: Notes) -> bool:
        if notes.blocked is not None:
            raise DeletionBlockedError(str(notes.blocked), hint=notes.blocked.hint)
        pending = self.lease.control.deleting
        if pending is not None:
            raise StepError(
                f"it is not known yet what became of the deletion of {pending}",
                hint="the next round finds out, and goes on with this one",
            )
        subject, seal = view.subject(name), self._seal(name, view)
        self._check_copy(name, seal)
        deletion = Deletion(self._access.deleter, self.lease, self._journal)
        kept_by = deletion.delete(
            subject,
            seal,
            decide=lambda: self._decide(subject, seal, is_open=view.observed[name].open),
            more=self._deletion_context(view.observed[name]),
            beat=self._beat,
        )
        if kept_by:
            _log.info("deletion_held", partition=name, holds=[hold.id for hold in kept_by])
        return not kept_by

    def _decide(self, subject: Subject, seal: Seal, *, is_open: bool) -> Decision:
        """Look once more, and see that it is still what was sealed."""
        name = subject.name
        if is_open:
            # What was written last may not be counted yet.
            refresh(self._access.lifecycle, name)
        now = self._look()
        seen, planned = now.observed.get(name), now.plans.get(name)
        is_same = seen is not None and seen.uuid == subject.uuid
        if seen is not None and seen.open:
            is_same = is_same and seen.events == seal.events
        is_due = planned is not None and planned.next_step is Step.DELETE
        if is_due and not is_same:
            raise StepError(
                f"{name} does not hold the {seal.events} events that were recorded when it was"
                " sealed, so it is not deleted",
                hint="find out who changed it: audit_log.partition_sealed has its digest",
            )
        return Decision(now.holds.active, is_due)

    def _check_copy(self, name: str, seal: Seal) -> None:
        """The copy that was recorded is to be there still when the original goes."""
        if self._archive is not None and not self._archive.has(name, seal):
            raise StepError(
                f"the snapshot of {name} is gone from the repository, so it is not deleted",
                hint="bring the repository back; indelible archive list shows what it has. If it"
                " was copied into another one, set that again until it is deleted",
            )

    def _record_end(self, action: str, name: str, view: View) -> None:
        held_by = view.plans[name].held_by
        inside = {
            "heldBy": list(held_by[:NAMED_HOLDS]),
            "holds": len(held_by),
            "why": view.plans[name].why,
        }
        subject, seal, more = view.subject(name), self._seal(name, view), self._policy_context()
        record_end(self._journal, action, subject, seal, more=more, inside=inside, beat=self._beat)
        if action == MISSING:
            _log.error("partition_missing", partition=name, held_by=held_by)

    def _settle(self, notes: Notes) -> None:
        """Find out what became of a deletion that was decided on and not concluded."""
        name = self.lease.control.deleting
        if name is None:
            return
        view = self._look()
        seen = view.observed.get(name)
        if seen is not None and (seen.replaced or not seen.exists):
            # Ours, whatever happened to it since: a hold that came later did not see it there.
            subject, seal = view.subject(name), self._seal(name, view)
            deletion = Deletion(self._access.deleter, self.lease, self._journal)
            deletion.conclude(subject, seal, more=self._deletion_context(seen), beat=self._beat)
            notes.take(name, Step.RECORD_DELETION)
        else:
            self.lease.renew(deleting=None)

    def _seal(self, name: str, view: View) -> Seal:
        return read_seal(self._journal, name, view.chronicle.records.sealed[name].uuid)

    def _deletion_context(self, seen: Observed) -> Context:
        """A deletion of ours that early was accepted, in this round or in the one that was cut."""
        if not is_promised(seen, self._clock()):
            return self._policy_context()
        accepted = {
            "acceptedShorterRetention": True,
            "sealedRetentionDays": seen.sealed_retention_days,
        }
        return {**self._policy_context(), **accepted}

    def _policy_context(self) -> Context:
        settings, lifecycle = self._settings, self._lifecycle
        return {
            "policy": {
                "mode": lifecycle.mode,
                "partition": settings.partition,
                "sealDays": settings.seal_days,
                "retentionDays": settings.retention_days,
                "snapshotRepository": lifecycle.snapshot_repository or "",
            }
        }


def _no_copy(name: str) -> StepError:
    return StepError(
        f"no copy of {name} is there (red), so nothing can be done with it",
        hint=f"start the nodes that are away; {EXPLAIN}",
    )
