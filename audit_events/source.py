"""One source: the place of each of its events in the chain, and the line that comes of it."""

from binascii import b2a_base64
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from audit_events.chain import HASH_KEY, TO_CLOSED_URL_ALPHABET, genesis
from audit_events.draft import Draft, Place
from audit_events.errors import EventTooLargeError, SinkError
from audit_events.event import MAX_LINE_BYTES
from audit_events.walk import encode_prepared

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

    __slots__ = ("_place", "id", "previous", "seq")

    def __init__(self, source_id: str, *, service: str, host: str) -> None:
        self.id = source_id
        self.seq = 0
        self.previous = genesis(source_id)
        self._place = Place(host=host, id=source_id, seq=0, service=service)

    def write(
        self, draft: Draft, append: Callable[[bytes], None], *, keeps_failed: bool
    ) -> tuple[SinkError, bytes] | None:
        """Append the line of the next event; return it with the reason where it is not written.

        Args:
            draft: the event; this sets its `source`.
            append: writes a line.
            keeps_failed: whether an event that is not written has its place in the chain all the
                same, since somebody is handed its line.

        Raises:
            EventError: it cannot be encoded, or is too long and its context cannot give enough.
            SinkError: it is not written, and nothing is kept of it.
        """
        draft.source, self._place.seq = self._place, self.seq
        try:  # as `Draft.encode`, a call less
            unhashed = encode_prepared(draft)
        except UnicodeEncodeError:
            raise draft.name_surrogate() from None
        digest = sha256(self.previous + unhashed).digest()
        # `hash` stands before `id`, whose value stands nowhere before: it is new.
        cut = unhashed.index(draft.id.encode()) - _ID_KEY_BYTES
        spelled = b2a_base64(digest, newline=False).translate(TO_CLOSED_URL_ALPHABET)
        line = b"".join((unhashed[:cut], HASH_KEY, spelled, unhashed[cut:], b"\n"))
        if len(line) > MAX_LINE_BYTES:
            if draft.cut_by(len(line) - MAX_LINE_BYTES):
                return self.write(draft, append, keeps_failed=keeps_failed)
            problem = f"is {len(line)} bytes long as a line; the most is {MAX_LINE_BYTES}"
            raise EventTooLargeError("event", problem, "shorten what stands beside the context")
        failure = None
        try:
            append(line)
        except SinkError as error:
            if not keeps_failed:
                raise
            failure = error, line
        self.previous = digest
        self.seq += 1
        return failure
