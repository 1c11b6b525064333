"""One source: the place of each of its events in the chain, and the line that comes of it."""

from hashlib import sha256
from typing import Final

from msgspec import Raw

from audit_events.canonical import canonical
from audit_events.chain import genesis, spell_hash
from audit_events.draft import Draft
from audit_events.errors import EventTooLargeError
from audit_events.event import MAX_LINE_BYTES

_ID_KEY_BYTES: Final = len(b',"id":"')


class Source:
    """What the next event of a source follows; whoever spells one holds a lock.

    Args:
        source_id: a fresh UUIDv7.
        service: name of the application.
        host: where it runs.

    Attributes:
        seq: of the next event, so how many were written.
        previous: hash of the event before it.
    """

    __slots__ = ("_head", "_tail", "id", "previous", "seq")

    def __init__(self, source_id: str, *, service: str, host: str) -> None:
        self.id = source_id
        self.seq = 0
        self.previous = genesis(source_id)
        # All but `seq` is the same in each event.
        members = {"host": host, "id": source_id, "service": service}
        before, after = canonical(members).split(b'"service"')
        self._head = before + b'"seq":'
        self._tail = b',"service"' + after

    def spell(self, draft: Draft) -> tuple[bytes, bytes]:
        """Return the line of the next event and its hash, which is `previous` once it is written.

        Raises:
            EventError: it cannot be encoded, or is too long and its context cannot give enough.
        """
        draft.source = Raw(b"%b%d%b" % (self._head, self.seq, self._tail))
        unhashed = draft.encode()
        digest = sha256(self.previous + unhashed).digest()
        # `hash` stands before `id`, whose value stands nowhere before: it is new.
        cut = unhashed.index(draft.id.encode()) - _ID_KEY_BYTES
        spelled = spell_hash(digest)
        line = b"".join((unhashed[:cut], b',"hash":"', spelled, b'"', unhashed[cut:], b"\n"))
        if len(line) > MAX_LINE_BYTES:
            if draft.cut_by(len(line) - MAX_LINE_BYTES):
                return self.spell(draft)
            problem = f"is {len(line)} bytes long as a line; the most is {MAX_LINE_BYTES}"
            raise EventTooLargeError("event", problem, "shorten what stands beside the context")
        return line, digest
