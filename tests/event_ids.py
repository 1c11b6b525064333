"""Events and the `_id` that each is stored under."""

import base64
import uuid

import msgspec

from indexer.document_id import document_id


def event_id_of(stored_id: str) -> str:
    """The `id` of the event that is stored under this `_id`."""
    return str(uuid.UUID(bytes=base64.urlsafe_b64decode(stored_id + "==")))


def created_ids(body: bytes) -> list[str]:
    """The `id` of each event that a bulk request stores."""
    return [
        event_id_of(msgspec.json.decode(action)["create"]["_id"])
        for action in body.split(b"\n")[::2]
        if action
    ]


def create_action(index: str, event_id: str) -> bytes:
    """The line of a bulk request that stores the event of the next line."""
    return msgspec.json.encode({"create": {"_index": index, "_id": document_id(event_id)}})
