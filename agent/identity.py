"""Which content a file has: device and inode find it again, fingerprints prove that it is the same.

An inode is reused as soon as its file is deleted, and copytruncate puts new content under an old
one, so a checkpoint is believed only where the bytes agree: the *head*, the first bytes of the
file, and the *anchor*, the bytes just before the offset. A head alone does not do (a log whose
files all begin with the same kilobyte, truncated and grown past the old offset between two looks);
both together hold the last whole line that was read, with its id and hash.

A file shorter than a fingerprint is fingerprinted as far as it goes: `length` says how far, and the
head grows with the file.
"""

from hashlib import sha256
from typing import Final

from msgspec import Struct

HEAD_BYTES: Final = 1024
ANCHOR_BYTES: Final = 1024


class Fingerprint(Struct, frozen=True, array_like=True):
    """The first 128 bits of the SHA-256 of `length` bytes, in hex."""

    length: int
    digest: str


NOTHING: Final = Fingerprint(0, "")


class Place(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where reading goes on in one content: all a checkpoint says of a file.

    `offset` is the next unread byte, always the first of a line. `path` is where the content was
    seen last, for people and to look for it beside that name. `seen` is the second (Unix time) in
    which the file was last known to exist. `rotated`: it no longer has the name it was found by.
    `finished`: where the file ended when the half line there was handed out; 0 if it never was.
    Of an archive all this speaks of what it unpacks to; `packed` and `seal` are its size and the
    fingerprint of its last bytes when it was read to its end, 0 and nothing before that.
    """

    path: str
    device: int
    inode: int
    head: Fingerprint
    offset: int
    anchor: Fingerprint
    seen: int
    rotated: bool = False
    finished: int = 0
    packed: int = 0
    seal: Fingerprint = NOTHING


def fingerprint(data: bytes) -> Fingerprint:
    """The fingerprint of these bytes, all of them."""
    return Fingerprint(len(data), sha256(data).hexdigest()[:32]) if data else NOTHING


def agrees(known: Fingerprint, data: bytes) -> bool:
    """Whether `data` begins with the bytes that were fingerprinted."""
    if len(data) < known.length:
        return False
    return fingerprint(data[: known.length]) == known


def continues(place: Place, size: int, head: bytes, anchor: bytes) -> bool:
    """Whether a file is the content that `place` speaks of, so that reading goes on at its offset.

    Args:
        place: what is known.
        size: bytes of the file now.
        head: its first `HEAD_BYTES` bytes (fewer if it is shorter).
        anchor: its `place.anchor.length` bytes before `place.offset`.

    A head that reaches beyond the offset holds a half line, which its writer may have taken back
    since; the anchor then is all that stands before it.
    """
    begins_so = agrees(place.head, head) or 0 < place.offset < place.head.length
    return size >= place.offset and begins_so and agrees(place.anchor, anchor)
