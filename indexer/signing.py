"""Signing what is sealed, and keeping each head outside of the cluster as well.

A head goes into the journal with the sealing that it speaks of, in one event. Its number follows
the newest head there, so no two may be under way at once: the lease is renewed in the cluster right
before, and after a record that got no answer no other partition is signed until it is known what
became of that one.

The file of heads is a copy that somebody carries off this host. It is compared with the journal in
each round, and what it lacks is appended: after a crash, a full disk, or once it is mounted again.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
from joserfc.jwk import OKPKey

from audit_events.instant import format_instant
from indexer.beat import Beat
from indexer.digest import Digest
from indexer.durable import append_durably
from indexer.errors import RefusedError, StepError
from indexer.head import (
    MAX_HEAD_CHARACTERS,
    Head,
    head_hash,
    read_unchecked,
    root_of_shares,
    sign,
)
from indexer.journal import Journal
from indexer.lease import Lease
from indexer.records import Context, Subject, read_heads, record_seal

_log = structlog.get_logger("indexer")

LEAP: Final = 1000
"""So many records may be lost before numbers do not go on behind those that are there."""
_LINE_BYTES: Final = 2 * MAX_HEAD_CHARACTERS


class Signing:
    """Signs the sealings of one round, where there is a key.

    Args:
        journal: where they are recorded.
        lease: of this process.
        key: what they are signed with; None where they are not.
        heads_file: where each head is kept besides; None where it is not.
        retention_days: so long after its end a partition is to be kept.
        clock: what time it is.
    """

    def __init__(
        self,
        journal: Journal,
        lease: Lease,
        *,
        key: OKPKey | None,
        heads_file: Path | None,
        retention_days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._lease = lease
        self._key = key
        self._heads_file = heads_file
        self._retention_days = retention_days
        self._clock = clock
        self._recorded: list[str] | None = None
        self._told: set[str] = set()
        self._unsettled: str | None = None

    def record(self, subject: Subject, digest: Digest, *, more: Context, beat: Beat) -> None:
        """Record what a partition holds, signed where there is a key.

        Raises:
            StepError: it is not known what became of the head before.
            LeaseLostError: somebody else goes on.
            JournalError, RefusedError, NoAnswerError: see `Journal.record`.
        """
        if self._key is None:
            record_seal(self._journal, subject, digest, more=more, beat=beat)
            return
        if self._unsettled not in (None, subject.name):
            raise StepError(
                f"it is not known yet whether the head of {self._unsettled} is recorded",
                hint="the next round finds out, and goes on with this one",
            )
        key, signed = self._key, ""

        def make() -> str:
            nonlocal signed
            self._lease.renew()
            head = next_head(
                self._heads(),
                subject,
                digest,
                sealed_at=self._clock(),
                retention_days=self._retention_days,
            )
            signed, self._unsettled = sign(head, key), subject.name
            return signed

        try:
            is_new = record_seal(self._journal, subject, digest, more=more, beat=beat, sign=make)
        except RefusedError as error:
            if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self._unsettled = None
            raise
        self._unsettled = None
        if is_new:
            self._heads().append(signed)
            self._tell(signed)
        else:
            # By an attempt that did not see the answer: its head counts.
            self._recorded = None

    def keep(self) -> None:
        """Append to the file what the journal has, and it lacks.

        Raises:
            StepError: the file cannot be had; the next time makes up for it.
            JournalError, RefusedError, NoAnswerError: see `Journal.read`.
        """
        path = self._heads_file
        if path is None:
            return
        heads = self._heads()
        try:
            appended = append_lacking(path, heads)
        except OSError as error:
            raise StepError(
                f"heads cannot be appended to {path}: {error.strerror or error}",
                hint="partitions are sealed and signed all the same, and the journal has their"
                " heads; what the file lacks is appended once it can be (lifecycle.heads_file)",
            ) from None
        for one in appended:
            self._tell(one)

    def _heads(self) -> list[str]:
        """What the journal has; nobody else adds to it while the lease is ours."""
        if self._recorded is None:
            self._recorded = [one.head for one in read_heads(self._journal)]
        return self._recorded

    def _tell(self, signed: str) -> None:
        """Log a head, for whoever collects the log of this host."""
        head = read_unchecked(signed)
        if head is not None and signed not in self._told:
            self._told.add(signed)
            _log.info(
                "partition_head_signed", partition=head.partition, number=head.number, head=signed
            )


def next_head(
    recorded: Iterable[str],
    subject: Subject,
    digest: Digest,
    *,
    sealed_at: datetime,
    retention_days: int,
) -> Head:
    """Return the head of a partition that follows those that are recorded. Pure.

    The highest number counts, as clocks may go back. Who signed that one is not asked: after a
    change of the key it is another. But none is far higher than there are heads: with the
    lifecycle's password one could else be put there behind which there is no next number.
    """
    heads = [(head.number, one) for one in recorded if (head := read_unchecked(one)) is not None]
    known = [one for one in heads if one[0] <= len(heads) + LEAP]
    number, newest = max(known, default=(0, None))
    return Head(
        number=number + 1,
        previous=None if newest is None else head_hash(newest),
        partition=subject.name,
        index_uuid=subject.uuid,
        events=digest.events,
        first=digest.first,
        last=digest.last,
        sha256=digest.sha256,
        organizations=len(digest.shares),
        root=root_of_shares(digest.shares),
        sealed_at=format_instant(sealed_at),
        retention_days=retention_days,
    )


def append_lacking(path: Path, heads: Iterable[str]) -> list[str]:
    """Append those of these heads that a file lacks, durably, one a line; returns them.

    What is no head is left out: the journal can be written by whoever has the lifecycle's password.
    The file is made, its directory is not: one that is gone may be a mount that went away.

    Raises:
        OSError: it cannot be read or written, or is no regular file; to ask again is right.
    """
    lacking = dict.fromkeys(one for one in heads if read_unchecked(one) is not None)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no directory {path.parent}", str(path))
    if not path.exists():
        append_durably(path, b"")
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    # For appending too, so that a file that cannot be written is told before there is a head.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC), "rb") as file:
        while line := file.readline(_LINE_BYTES):
            lacking.pop(line.rstrip(b"\n").decode("ascii", "replace"), None)
    if lacking:
        append_durably(path, "".join(f"{one}\n" for one in lacking).encode("ascii"))
    return list(lacking)
