"""The journal: what the log did to itself, as events that nobody can change.

One index, append-only, never deleted, in no ISM policy. An id follows from what is recorded
(`identify`), so a step that is recorded again, after a crash or by a second process, meets itself
(409). What one run writes is one source with `seq` from 0 without a gap:

    201                 the event took its `seq`
    409                 it was recorded before: its `seq` is used by the next one
    no answer           it is read back: ours took its `seq`, another's did not. If nobody can tell,
                        the run goes on as a fresh source, as a late write could take the place
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct
from opensearchpy import OpenSearch

from audit_events.canonical import canonical
from audit_events.chain import encode_hash, genesis, link
from audit_events.draft import DraftRules, draft_event
from audit_events.errors import EventTooLargeError
from audit_events.event import MAX_LINE_BYTES, SYSTEM_ORGANIZATION, Actor, Event, Resource
from audit_events.identifier import format_uuid7, new_uuid7
from audit_events.instant import format_instant
from indexer.answer import EXISTS, read_error
from indexer.client import Reply, ask, refusal, request_shape
from indexer.document_id import document_id, possible_document_ids
from indexer.errors import JournalError, NoAnswerError, RefusedError
from indexer.journal_reading import LOOK, read_events
from indexer.live_index import find_index
from indexer.names import events_template, journal_name
from indexer.settings import IndexSettings
from indexer.templates import flatten

SERVICE: Final = "indelible-lifecycle"
PARTITION: Final = "partition"
"""`resource.type` of what is recorded of an index."""
ACCEPTED: Final = "audit_log.journal_accepted"
ORGANIZATIONS: Final = "organizations"
"""Key of the context with a count for each organisation, the largest part of a record."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REQUIRED: Final = {"settings.index.append_only.enabled": "true", "mappings.dynamic": "false"}
_SYSTEM: Final = Actor(type="system", id=SERVICE)
_RULES: Final = DraftRules(system=True, redaction=None)
"""Nothing is redacted: counts stand under ids of organisations, which may look like anything."""


class Key(NamedTuple):
    """What makes two records the same one, besides action and organisation.

    Args:
        text: what is recorded: a partition with its uuid, a hold.
        instant: the moment that the id begins with, the same whenever it is recorded: the end of
            the partition's span, not the moment of the recording.
    """

    text: str
    instant: datetime


def person(name: str | None) -> Actor:
    """Whoever did something from a terminal, by the name that was given; the system without one."""
    if name is None:
        return _SYSTEM
    return Actor(type="user", name=name, email=name if "@" in name else None)


def identify(action: str, organization_id: str, key: Key) -> str:
    """The id of a record: shaped as UUIDv7, with a digest where that has random bits."""
    digest = sha256(f"{action}\n{organization_id}\n{key.text}".encode()).digest()
    microseconds = max(0, (key.instant - _EPOCH) // timedelta(microseconds=1))
    return format_uuid7(microseconds * 1000, int.from_bytes(digest[:8]) >> 2)


class Journal:
    """Records events of the log itself, and reads them back. For one thread.

    Args:
        client: of the role `lifecycle`; one that reads alone can only `read`.
        settings: the prefix.
        clock: what an event's `timestamp` is.
        host: where this runs.
        refreshes: False for who may only read, where what was recorded within the last second may
            be missing; then no journal is an error of `read`.
    """

    def __init__(
        self,
        client: OpenSearch,
        settings: IndexSettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        host: str | None = None,
        refreshes: bool = True,
    ) -> None:
        self._client = client
        self._refreshes = refreshes
        self.name = journal_name(settings)
        self._template = events_template(settings)
        self._clock = clock
        self._host = host or socket.gethostname()
        self._is_prepared = False
        self._start_source()

    def _start_source(self) -> None:
        self._source_id = new_uuid7(time.time_ns())
        self._seq = 0
        self._previous = genesis(self._source_id)

    def prepare(self) -> str:
        """Make the index where it is missing, and return its uuid.

        Raises:
            JournalError: the template is missing, or the index was not made from it; nothing may
                be recorded there.
            AliasError: see `find_index`.
            RefusedError, NoAnswerError: see `indexer.client.request`.
        """
        uuid = self.find()
        if uuid is None:
            self._create()
            uuid = self.find()
        if uuid is None:
            raise JournalError(f"{self.name} is gone again as soon as it is made", hint=LOOK)
        self._is_prepared = True
        return uuid

    def find(self) -> str | None:
        """The uuid of the index, None where there is none.

        Raises:
            JournalError: it was not made from the template.
            AliasError: see `find_index`.
            RefusedError, NoAnswerError: see `indexer.client.request`.
        """
        index = find_index(self._client, self.name)
        if index is None:
            return None
        flat = flatten({"settings": index.settings, "mappings": index.mappings})
        wrong = [path for path, value in _REQUIRED.items() if flat.get(path) != value]
        if wrong:
            raise JournalError(
                f"{self.name} was not made from the template {self._template}: {wrong[0]} is"
                f" {flat.get(wrong[0])}, and has to be {_REQUIRED[wrong[0]]}",
                hint="find out who made it; delete it with the admin certificate if it holds"
                " nothing, then `indelible indices apply`",
            )
        return index.uuid

    def _create(self) -> None:
        path = f"/_index_template/{self._template}"
        templates = request_shape(self._client, "GET", path, _Templates)
        patterns = templates.index_templates[0].index_template.index_patterns if templates else ()
        if self.name not in patterns:
            raise JournalError(
                f"there is no index template for {self.name}, so nothing is recorded there",
                hint="indelible indices apply",
            )
        reply = ask(self._client, "PUT", f"/{self.name}")
        exists = read_error(reply.text).type == EXISTS
        if reply.status != HTTPStatus.OK and not exists:
            raise refusal(self._client, "PUT", f"/{self.name}", reply)

    def record(
        self,
        action: str,
        *,
        organization_id: str = SYSTEM_ORGANIZATION,
        key: Key,
        context: Mapping[str, object],
        actor: Actor = _SYSTEM,
        resource: Resource | None = None,
        at: datetime | None = None,
        result: Literal["success", "failure"] = "success",
    ) -> bool:
        """Record one event; False when it was recorded before.

        Args:
            action: what happened.
            organization_id: whose audit log tells it.
            key: what makes it the same record.
            context: kept whole.
            actor: who did it.
            resource: to what.
            at: when it happened; now, unless several records tell of one moment.
            result: how it ended.

        Raises:
            JournalError, AliasError: see `prepare`.
            EventError: the event is none.
            RefusedError: the cluster refused.
            NoAnswerError: it may have been recorded; to record it again is right.
        """
        if not self._is_prepared:
            self.prepare()
        fields = {
            "organization_id": organization_id,
            "actor": actor,
            "context": context,
            "resource": resource,
            "result": result,
        }
        members = _members(action, fields)
        event_id = members["id"] = identify(action, organization_id, key)
        members["timestamp"] = format_instant(at or self._clock())
        members["source"] = {
            "id": self._source_id,
            "seq": self._seq,
            "service": SERVICE,
            "host": self._host,
        }
        digest = link(self._previous, canonical(members))
        members["hash"] = encode_hash(digest)
        line = canonical(members)
        if len(line) > MAX_LINE_BYTES:
            problem = f"is {len(line)} bytes long as a line; the most is {MAX_LINE_BYTES}"
            raise EventTooLargeError("event", problem, "put less into context")
        # What an older version recorded may be recorded again: a step that it did not end.
        is_new = self._find_under(event_id) is None and self._write(event_id, line)
        if is_new:
            self._seq += 1
            self._previous = digest
        else:
            self._check_recorded(event_id, action, organization_id, resource)
        return is_new

    def _write(self, event_id: str, line: bytes) -> bool:
        path = f"/{self.name}/_create/{document_id(event_id)}"
        ingested_at = format_instant(datetime.now(UTC)).encode()
        body = b'%b,"ingestedAt":"%b"}' % (line[:-1], ingested_at)
        try:
            reply = ask(self._client, "PUT", path, body=body)
        except NoAnswerError:
            return self._read_back(event_id)
        if reply.status not in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
            self._refuse(path, reply)
        return reply.status == HTTPStatus.CREATED

    def _refuse(self, path: str, reply: Reply) -> None:
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # A gateway says so too, and what is behind it may have written.
            self._start_source()
        raise refusal(self._client, "PUT", path, reply)

    def _check_recorded(
        self, event_id: str, action: str, organization_id: str, resource: Resource | None
    ) -> None:
        """What is there has to be of the same: an id that follows can be taken beforehand."""
        found = self._find(event_id)
        resource_id = None if resource is None else resource.id
        if found is None or found.subject() != (action, organization_id, resource_id):
            raise JournalError(
                f"{self.name}/{event_id} is not the {action} of {organization_id} that belongs"
                " there, so nobody would be told of it",
                hint="it was forged with the lifecycle's password: change that, and look into the"
                " log of the cluster for who did it",
            )

    def _find(self, event_id: str) -> "_Recorded | None":
        found = map(self._find_under, possible_document_ids(event_id))
        return next((one for one in found if one is not None), None)

    def _find_under(self, stored_id: str) -> "_Recorded | None":
        included = "source.id,action,organizationId,resource.id"
        params = {"preference": "_primary", "_source_includes": included}
        path = f"/{self.name}/_doc/{stored_id}"
        found = request_shape(self._client, "GET", path, _Document, params=params)
        return None if found is None else found.source

    def _read_back(self, event_id: str) -> bool:
        """Tell whether the event that got no answer is there, and ours."""
        try:
            found = self._find(event_id)
        except (NoAnswerError, RefusedError):
            self._start_source()
            raise
        if found is None:
            # The write may come yet, with the `seq` of the source that it names.
            self._start_source()
            raise NoAnswerError(self.name, "an event was sent, and is not there")
        return found.source.id == self._source_id

    def read(
        self,
        actions: Sequence[str],
        *,
        organization_id: str | None = SYSTEM_ORGANIZATION,
        resource_id: str | None = None,
        with_organizations: bool = False,
        having: str = "",
    ) -> list[Event]:
        """Everything that was recorded of these actions, oldest first; empty without a journal.

        Args:
            actions: at least one.
            organization_id: whose; None for everybody's.
            resource_id: of one partition.
            with_organizations: with the counts of all organisations, which may be long.
            having: a member of the context without which a record is not read; empty for all.

        Raises:
            JournalError: not all of it could be read, or what is there is no event.
            RefusedError, NoAnswerError: see `indexer.client.request`.
        """
        terms: list[object] = [{"terms": {"action": list(actions)}}]
        if organization_id is not None:
            terms.append({"term": {"organizationId": organization_id}})
        if resource_id is not None:
            terms.append({"term": {"resource.id": resource_id}})
        if having:
            terms.append({"exists": {"field": f"context.{having}"}})
        excluded = () if with_organizations else (f"context.{ORGANIZATIONS}",)
        return read_events(self._client, self.name, terms, excluded, refreshes=self._refreshes)


def record_acceptance(
    journal: Journal, former: str, present: str, *, by: str | None, at: datetime
) -> None:
    """Record that somebody goes on with another journal: what the former one held counts no more.

    Args:
        journal: the present one.
        former: its uuid.
        present: that of the one that counts from now on.
        by: who said so.
        at: when.

    Raises:
        JournalError, AliasError, RefusedError, NoAnswerError: see `Journal.record`.
    """
    journal.record(
        ACCEPTED,
        key=Key(f"{former}/{present}", at),
        context={"previous": {"indexUuid": former}, "new": {"indexUuid": present}},
        actor=person(by),
        resource=Resource(type="journal", id=journal.name),
        at=at,
    )


def _members(action: str, fields: Mapping[str, object]) -> dict[str, object]:
    """The event's members that stand before it has a place in the chain, checked."""
    draft = draft_event(action, fields, _RULES)
    members = msgspec.json.decode(draft.encode(), type=dict[str, object])
    if canonical(members.get("context")) != canonical(fields["context"]):
        # An application's context is cut to fit; what stands here is read back and acted upon.
        raise EventTooLargeError("context", "would have to be cut", "put less into context")
    return members


class _TemplateBody(Struct, frozen=True):
    index_patterns: tuple[str, ...]


class _Template(Struct, frozen=True):
    index_template: _TemplateBody


class _Templates(Struct, frozen=True):
    index_templates: Annotated[list[_Template], Meta(min_length=1)]


class _Id(Struct, frozen=True):
    id: str | None = None


class _Recorded(Struct, frozen=True, rename="camel"):
    source: _Id = _Id()
    action: str = ""
    organization_id: str = ""
    resource: _Id = _Id()

    def subject(self) -> tuple[str, str, str | None]:
        return self.action, self.organization_id, self.resource.id


class _Document(Struct, frozen=True, rename={"source": "_source"}):
    source: _Recorded | None = None
