"""API tokens for machines: an owner makes and revokes them, and a machine proves itself by one.

A token is shown once, when it is made; its digest alone is kept (`webapi.token_store`). It belongs
to one organisation, says what it may ask for, and ends. What it proved is believed for
`REVOCATION_SECONDS`, so that a revoked one is refused by every worker after that time at the
latest, and a busy one does not ask the cluster at each request.
"""

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec
import structlog
from msgspec import Struct

from audit_events.binding import request_facts
from audit_events.instant import format_instant, parse_instant
from webapi.answered import Moment
from webapi.auth import Reader
from webapi.errors import ConflictError, MissingError, ProblemError, TokenError
from webapi.token_request import TokenRequest
from webapi.token_store import StoredToken, TokenStore
from webapi.token_text import digest, new_token, read_id
from webapi.trail import Tell, event_fields

REVOCATION_SECONDS: Final = 10.0
"""How long a worker believes in a token that it has looked up."""
REMEMBERED: Final = 4096
USED_SECONDS: Final = 600.0
"""The last use is written down at most this often, so it is known to about ten minutes."""
TOLD_SECONDS: Final = 60.0
"""Refusals of one token are recorded at most this often by each worker."""
MAX_ACTIVE: Final = 100
TOKEN_ROLE: Final = "api_token"  # noqa: S105  # a role, no secret

T = TypeVar("T")

_log = structlog.get_logger("webapi")


class ApiToken(Struct, frozen=True, kw_only=True, rename="camel"):
    """A token as its owners see it; the token itself is not in it. Instants are RFC 3339."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: Moment
    created_by: str
    created_by_email: str | None
    expires_at: Moment
    revoked_at: Moment | None
    last_used_at: Moment | None


class NewApiToken(ApiToken, frozen=True, kw_only=True, rename="camel"):
    """A token that was just made: the only time that its text is told."""

    token: str


class ApiTokens:
    """The tokens of all organisations. Thread-safe.

    Args:
        store: where they are kept.
        tell: records what is done with them; None where nothing is recorded.
        now: the time of day.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: TokenStore,
        tell: Tell | None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._tell = tell
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[float, StoredToken | None]] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()

    def listed(self, reader: Reader) -> list[ApiToken]:
        """Return the tokens of the reader's organisation: all that can be used, then ended ones.

        Raises:
            UnavailableError: they cannot be read.
        """
        return [_shown(one, kept) for one, kept in self._store.of(reader.organization_id)]

    def create(self, reader: Reader, asked: TokenRequest) -> NewApiToken:
        """Make a token for the reader's organisation.

        Raises:
            ConflictError: the organisation has `MAX_ACTIVE` already.
            UnavailableError: it cannot be kept, or not be recorded; then nobody has it.
        """
        now = self._now()
        active = [
            one for _, one in self._store.of(reader.organization_id) if not _has_ended(one, now)
        ]
        if len(active) >= MAX_ACTIVE:
            raise ConflictError("too_many_tokens", f"revoke one of the {MAX_ACTIVE} that there are")
        token_id, text = new_token()
        ends_at = format_instant(now + timedelta(days=asked.expires_in_days))
        kept = StoredToken(
            organization_id=reader.organization_id,
            name=asked.name,
            scopes=asked.scopes,
            plan=reader.plan,
            digest=digest(text),
            created_at=format_instant(now),
            created_by=reader.subject,
            created_by_email=reader.email,
            expires_at=ends_at,
            ends_at=ends_at,
        )
        self._store.add(token_id, kept)
        told = {"new": {"scopes": list(kept.scopes), "expiresAt": kept.expires_at}}
        try:
            self._record("audit_log.token_created", reader, token_id, kept, told)
        except ProblemError:
            self._end(token_id, kept)
            raise
        return NewApiToken(**msgspec.structs.asdict(_shown(token_id, kept)), token=text)

    def revoke(self, reader: Reader, token_id: str) -> None:
        """End a token of the reader's organisation; one that was revoked before stays so.

        Raises:
            MissingError: the organisation has no such token.
            UnavailableError: it cannot be revoked; or it was, and that could not be recorded.
        """
        kept = self._store.find(token_id)
        if kept is None or kept.organization_id != reader.organization_id:
            raise MissingError("token_not_found", "no token of your organisation has this id")
        if kept.revoked_at is None:
            self._end(token_id, kept)
        told = {"previous": {"scopes": list(kept.scopes), "expiresAt": kept.expires_at}}
        self._record("audit_log.token_revoked", reader, token_id, kept, told)

    def verify(self, text: str) -> Reader:
        """Return who a token proves its bearer to be.

        Raises:
            TokenError: it is none of ours, was revoked, or has expired.
            UnavailableError: it cannot be looked up.
        """
        token_id = read_id(text)
        if token_id is None:
            raise TokenError("token_invalid", "it is not an API token, or was mistyped")
        kept = self._look_up(token_id)
        if kept is None or not hmac.compare_digest(kept.digest, digest(text)):
            raise TokenError("token_invalid", "its API token is not known, or was revoked")
        found = _reader(token_id, kept)
        if kept.revoked_at is not None:
            self.tell_refusal(found, "revoked")
            raise TokenError("token_invalid", "its API token is not known, or was revoked")
        if _has_ended(kept, self._now()):
            self.tell_refusal(found, "expired")
            raise TokenError("token_expired", "its API token expired; an owner can make another")
        self._note_use(token_id, kept)
        return found

    def tell_refusal(self, reader: Reader, reason: str) -> None:
        """Record that a token was refused, unless it was just recorded; never in the way of it."""
        now = self._clock()
        with self._lock:
            if now - self._told.get(reader.subject, float("-inf")) < TOLD_SECONDS:
                return
            _put(self._told, reader.subject, now)
        if self._tell is None:
            return
        resource = {"type": "api_token", "id": reader.subject}
        context = {"reason": reason}
        fields = event_fields(
            reader, request_facts(), context=context, resource=resource, result="denied"
        )
        try:
            self._tell("audit_log.token_refused", fields)
        except ProblemError as error:
            _log.warning("refusal not recorded", cause=str(error.__cause__ or error.detail))

    def _look_up(self, token_id: str) -> StoredToken | None:
        now = self._clock()
        with self._lock:
            at, kept = self._known.get(token_id, (float("-inf"), None))
        if now - at < REVOCATION_SECONDS:
            return kept
        kept = self._store.find(token_id)
        # Counted from before the question: what was revoked after it may be unknown to the answer.
        with self._lock:
            _put(self._known, token_id, (now, kept))
        return kept

    def _end(self, token_id: str, kept: StoredToken) -> None:
        now = format_instant(self._now())
        fields = {"revokedAt": now, "endsAt": min(now, kept.ends_at)}
        self._store.change(token_id, fields, refresh=True)
        with self._lock:
            self._known.pop(token_id, None)

    def _note_use(self, token_id: str, kept: StoredToken) -> None:
        now = self._now()
        last = kept.last_used_at
        if last is not None and now - parse_instant(last) < timedelta(seconds=USED_SECONDS):
            return
        at = format_instant(now)
        with self._lock:
            known, present = self._known.get(token_id, (0.0, None))
            if present is None or present.last_used_at != last:
                # Another thread writes it down.
                return
            _put(self._known, token_id, (known, _used(present, at)))
        try:
            self._store.change(token_id, {"lastUsedAt": at}, refresh=False)
        except ProblemError as error:
            _log.warning("use of a token not noted", cause=str(error.__cause__ or error.detail))

    def _record(
        self,
        action: str,
        reader: Reader,
        token_id: str,
        kept: StoredToken,
        context: Mapping[str, object],
    ) -> None:
        if self._tell is not None:
            resource = {"type": "api_token", "id": token_id, "name": kept.name}
            fields = event_fields(reader, request_facts(), context=context, resource=resource)
            self._tell(action, fields)


def _shown(token_id: str, kept: StoredToken) -> ApiToken:
    return ApiToken(
        id=token_id,
        name=kept.name,
        scopes=kept.scopes,
        created_at=kept.created_at,
        created_by=kept.created_by,
        created_by_email=kept.created_by_email,
        expires_at=kept.expires_at,
        revoked_at=kept.revoked_at,
        last_used_at=kept.last_used_at,
    )


def _reader(token_id: str, kept: StoredToken) -> Reader:
    return Reader(
        organization_id=kept.organization_id,
        role=TOKEN_ROLE,
        plan=kept.plan,
        subject=token_id,
        name=kept.name,
        scopes=kept.scopes,
        on_behalf_of=kept.created_by,
    )


def _used(kept: StoredToken, at: str) -> StoredToken:
    return msgspec.structs.replace(kept, last_used_at=at)


def _has_ended(kept: StoredToken, now: datetime) -> bool:
    return parse_instant(kept.ends_at) <= now


def _put(kept: OrderedDict[str, T], key: str, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
