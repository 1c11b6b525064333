"""The heads of the log, and an organisation's share of each, as the journal has them.

What is sealed never changes, and what is recorded of it neither. So the heads are read anew only
when something was sealed meanwhile, which one small question tells; and the tree of a partition is
kept under its head, which vouches for it. A head says more than its organisation may learn of
others in one place alone: the tree, of which `ShareTree.prove` takes the hashes of a path.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Final, NamedTuple

from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.event import SYSTEM_ORGANIZATION
from indexer.client import Reply
from indexer.errors import (
    IncompleteJournalError,
    JournalError,
    NoAnswerError,
    RefusedError,
)
from indexer.head import Head, OrganizationHead, ShareTree, read_unchecked
from indexer.journal import Journal
from indexer.names import journal_name
from indexer.records import HEAD, SEALED, RecordedHead, read_heads, read_seal
from indexer.settings import IndexSettings
from indexer.span import span_of
from webapi.errors import (
    IndexGoneError,
    InternalError,
    PartitionsChangedError,
    UnavailableError,
)
from webapi.kept_trees import KeptTrees
from webapi.query import ScopedSearch, any_action, event_order
from webapi.storage import Storage, explain_no_answer
from webapi.storage_answer import refuse_unavailable

READ_SHARES: Final = 50_000
"""So many organisations' shares are read for one page; each thousand takes some 25 ms."""

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class HeadQuestion(Struct, frozen=True, kw_only=True):
    """Which heads, and of whose share.

    Args:
        organization_id: whose.
        after: only heads with a higher number.
        since: only of partitions that hold events from then on; None for all.
        until: only of partitions that hold events before then; None for all.
        limit: at most so many.
    """

    organization_id: str
    after: int = 0
    since: datetime | None = None
    until: datetime | None = None
    limit: int


class HeadPart(NamedTuple):
    """Some of the heads, by number, and the number behind which more follow; None: no more."""

    heads: list[OrganizationHead]
    next_after: int | None


class _State(NamedTuple):
    """How many heads are recorded, and with which event the newest one."""

    records: int
    newest: bytes


class HeadReading:
    """Reads heads as the reader. Thread-safe.

    Args:
        client: connected as the reader.
        storage: the same, for questions.
        index: names of the journal and of partitions.
        read_shares: after so many read shares a page ends.
    """

    def __init__(
        self,
        client: OpenSearch,
        storage: Storage,
        index: IndexSettings,
        *,
        read_shares: int = READ_SHARES,
    ) -> None:
        self._client = client
        self._storage = storage
        self._index = index
        self._read_shares = read_shares
        self._trees = KeptTrees()
        self._lock = Lock()
        self._kept: tuple[_State, Sequence[RecordedHead]] = (_State(0, b""), ())

    def page(self, question: HeadQuestion) -> HeadPart:
        """Return the first heads that are asked for; at least one of them where there is any.

        Raises:
            UnavailableError: the journal cannot be read whole now.
            InternalError: what is recorded there is none of ours.
        """
        wanted = self._choose(question)
        heads: list[OrganizationHead] = []
        number, read = question.after, 0
        for head, recorded in wanted:
            is_full = len(heads) >= question.limit or read >= self._read_shares
            # Two with one number are a fork, which no page may hide.
            if heads and is_full and head.number != number:
                return HeadPart(heads, number)
            tree = self._trees.find(recorded.head)
            if tree is None:
                tree = self._read_tree(head, recorded)
                read += tree.size
            share = tree.prove(question.organization_id)
            heads.append(OrganizationHead(recorded.head, share))
            number = head.number
        return HeadPart(heads, None)

    def _choose(self, question: HeadQuestion) -> list[tuple[Head, RecordedHead]]:
        chosen = [
            (head, one)
            for one in self._heads()
            if self._meets(one.partition, question)
            and (head := _decode(one)).number > question.after
        ]
        return sorted(chosen, key=lambda one: one[0].number)

    def _meets(self, partition: str, question: HeadQuestion) -> bool:
        span = span_of(partition, self._index)
        # Without a date in its name, nobody can say that it holds no such events.
        return span is None or span.meets(question.since or _EARLIEST, question.until or _LATEST)

    def _heads(self) -> Sequence[RecordedHead]:
        before = self._state()
        with self._lock:
            state, heads = self._kept
        if state == before:
            return heads
        with _told():
            heads = tuple(read_heads(self._journal()))
        # Else what came just now might be missing for as long as nothing else is sealed.
        if self._state() == before:
            with self._lock:
                self._kept = before, heads
        return heads

    def _state(self) -> _State:
        search = ScopedSearch(
            organization_id=SYSTEM_ORGANIZATION,
            filters=[any_action((SEALED,)), {"exists": {"field": f"context.{HEAD}"}}],
            rest={
                "size": 1,
                "sort": event_order(newest_first=True),
                "track_total_hits": True,
                "_source": ["hash"],
            },
        )
        # A pattern, as none may exist yet; of the copy that is read, too.
        try:
            found = self._storage.search(search, [journal_name(self._index) + "*"], copy="").hits
        except IndexGoneError:
            raise PartitionsChangedError from None
        return _State(found.total.value, b"".join(bytes(hit.source) for hit in found.hits))

    def _read_tree(self, head: Head, recorded: RecordedHead) -> ShareTree:
        with _told():
            seal = read_seal(self._journal(), recorded.partition, recorded.index_uuid)
        tree = ShareTree(seal.shares or {})
        if (tree.root(), tree.size) != (head.root, head.organizations):
            raise InternalError(f"the shares of {recorded.partition} are not those of its head")
        self._trees.keep(recorded.head, tree)
        return tree

    def _journal(self) -> Journal:
        return Journal(self._client, self._index, refreshes=False)


def _decode(recorded: RecordedHead) -> Head:
    head = read_unchecked(recorded.head)
    if head is None:
        raise InternalError(f"what {recorded.partition} has for a head is none")
    if (head.partition, head.index_uuid) != (recorded.partition, recorded.index_uuid):
        raise InternalError(f"the head that {recorded.partition} has is of another partition")
    return head


@contextmanager
def _told() -> Generator[None]:
    """Tell of trouble with the journal as of any other with the store."""
    try:
        yield
    except NoAnswerError as error:
        raise explain_no_answer(error) from error
    except RefusedError as error:
        refuse_unavailable(Reply(error.status, str(error), {}))
        raise InternalError(str(error)) from error
    except IncompleteJournalError as error:
        raise UnavailableError(
            "storage_incomplete", "the journal could not be read whole"
        ) from error
    except JournalError as error:
        raise InternalError(str(error)) from error
