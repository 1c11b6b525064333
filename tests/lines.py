"""Lines as an application writes them, for tests that need no logger."""

import base64
import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from audit_events.canonical import canonical
from audit_events.instant import format_instant
from indexer.batch import Batch
from indexer.settings import IndexSettings

NOW: Final = format_instant(datetime.now(UTC))
EVENT: Final[Mapping[str, object]] = {
    "organizationId": "org_1",
    "action": "member.role_changed",
    "actor": {"type": "user", "id": "u_42", "email": "Ana@Acme.com", "name": "Ana García"},
    "resource": {"type": "workspace", "id": "app_42", "name": "Main Space"},
    "ipAddress": "203.0.113.9",
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0",
    "context": {"previous": {"role": "member"}, "new": {"role": "Admin"}},
    "result": "success",
    "correlationId": "req-77aa",
    "source": {"id": "0190aaaa-0000-7000-8000-000000000000", "seq": 0, "service": "s", "host": "h"},
    "schemaVersion": 1,
}


def instant(**ago: float) -> str:
    """A canonical instant that long ago (`days=3`)."""
    return format_instant(datetime.now(UTC) - timedelta(**ago))


def event_line(
    fields: Mapping[str, object] | None = None,
    *,
    event_id: str | None = None,
    timestamp: str = NOW,
) -> bytes:
    """One line; `fields` replace those of `EVENT`."""
    identity = {"id": event_id or str(uuid.uuid4()), "timestamp": timestamp}
    event = {**EVENT, **identity, **(fields or {})}
    digest = hashlib.sha256(canonical(event)).digest()
    event["hash"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return canonical(event)


def batch_of(settings: IndexSettings, lines: list[bytes], *, path: str = "/a.log") -> Batch:
    """A batch of lines, as the agent makes it of one file."""
    batch = Batch(settings, NOW)
    heads = [msgspec.json.decode(line, type=dict[str, object]) for line in lines]
    ids = [str(head["id"]) for head in heads]
    batch.extend(lines, ids, [str(head["timestamp"]) for head in heads], path, 0)
    return batch
