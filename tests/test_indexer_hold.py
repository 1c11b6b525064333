"""Holds: which are active follows from the journal alone, and what cannot be read keeps all."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from audit_events.event import Actor, Event, Source
from audit_events.identifier import new_uuid7
from audit_events.instant import format_instant
from indexer.errors import JournalError
from indexer.hold import (
    OPEN_END,
    PLACED,
    RELEASED,
    End,
    Hold,
    copy_to_organizations,
    place,
    read_all_holds,
    read_holds,
    release,
    sort_holds,
    touches,
)
from indexer.journal import Journal, Key
from indexer.settings import IndexSettings
from indexer.span import Span, span_of
from tests.cluster import Cluster

PLACED_AT = datetime(2026, 11, 24, 10, tzinfo=UTC)
RELEASED_AT = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
SETTINGS = IndexSettings()


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T00:00:00+00:00")


UNTIL = day("2025-03-01")


def make_hold(number: int = 1, until: datetime = UNTIL) -> Hold:
    placed_at = PLACED_AT + timedelta(minutes=number)
    return Hold(
        id=new_uuid7(int(placed_at.timestamp()) * 10**9),
        organization_id="org_1",
        since=day("2025-01-15"),
        until=until,
        reason="case 7",
        placed_by="ann@acme.example",
        placed_at=placed_at,
    )


def event(action: str, hold: Hold, *, organization_id: str = "_system") -> Event:
    until = {} if hold.until == OPEN_END else {"until": format_instant(hold.until)}
    return Event(
        id=new_uuid7(0),
        timestamp=format_instant(hold.placed_at),
        organization_id=organization_id,
        action=action,
        actor=Actor(type="user", name=hold.placed_by),
        context={
            "holdId": hold.id,
            "organizationId": hold.organization_id,
            "from": format_instant(hold.since),
            "reason": hold.reason,
            **until,
        },
        source=Source(id=new_uuid7(0), seq=0, service="s", host="h"),
        hash="x" * 43,
        schema_version=1,
    )


FIRST, SECOND = make_hold(1), make_hold(2, OPEN_END)


@pytest.mark.parametrize(
    ("events", "active"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([event(PLACED, FIRST)], [FIRST], id="placed"),
        pytest.param(
            [event(PLACED, SECOND), event(PLACED, FIRST)], [FIRST, SECOND], id="oldest first"
        ),
        pytest.param([event(PLACED, FIRST), event(RELEASED, FIRST)], [], id="released"),
        pytest.param(
            [event(RELEASED, FIRST), event(PLACED, FIRST)],
            [],
            id="released, by a host whose clock is behind",
        ),
        pytest.param(
            [event(PLACED, FIRST), event(PLACED, SECOND), event(RELEASED, FIRST)],
            [SECOND],
            id="one of two released",
        ),
        pytest.param(
            [event(PLACED, FIRST), event(RELEASED, FIRST, organization_id="org_1")],
            [FIRST],
            id="the copy of an organisation decides nothing",
        ),
        pytest.param(
            [event(PLACED, FIRST), event(RELEASED, replace(FIRST, organization_id="org_2"))],
            [FIRST],
            id="a release that its organisation would not be told of",
        ),
    ],
)
def test_active_holds_follow_from_the_events(events: list[Event], active: list[Hold]) -> None:
    found = sort_holds(events)
    assert list(found.active) == active
    told = {one.timestamp for one in events}
    placed = [hold for hold in (FIRST, SECOND) if format_instant(hold.placed_at) in told]
    end = End("ann@acme.example", PLACED_AT, "case 7")
    released = [replace(hold, end=end) for hold in placed if hold not in active]
    assert [replace(hold, end=end) for hold in found.released] == released


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({}, id="nothing in it"),
        pytest.param({"holdId": "a", "organizationId": "o", "reason": "r"}, id="no window"),
        pytest.param(
            {"holdId": "a", "organizationId": "o", "reason": "r", "from": "long ago"},
            id="no instant",
        ),
    ],
)
def test_a_hold_that_cannot_be_read_stops_everything(context: dict[str, object]) -> None:
    unreadable = replace(event(PLACED, FIRST), context=context)
    with pytest.raises(JournalError, match="cannot be read"):
        sort_holds([event(PLACED, SECOND), unreadable])


@pytest.mark.parametrize(
    ("name", "until", "kept"),
    [
        pytest.param("audit-events-2025.01", day("2025-03-01"), True, id="it begins inside"),
        pytest.param("audit-events-2025.02", day("2025-03-01"), True, id="it covers all of it"),
        pytest.param("audit-events-2025.03", day("2025-03-01"), False, id="it ends before"),
        pytest.param("audit-events-2024.12", day("2025-03-01"), False, id="it begins after"),
        pytest.param("audit-events-2025.01.14", day("2025-03-01"), False, id="the day before"),
        pytest.param("audit-events-2025.01.15", day("2025-03-01"), True, id="the first day"),
        pytest.param("audit-late-2025.02", day("2025-03-01"), True, id="late events too"),
        pytest.param("audit-events-9999.11", OPEN_END, True, id="without an end"),
    ],
)
def test_a_hold_keeps_what_its_window_meets(name: str, until: datetime, *, kept: bool) -> None:
    span = span_of(name, SETTINGS)
    assert isinstance(span, Span)
    assert touches(make_hold(until=until), span) == kept


@pytest.mark.opensearch
def test_a_hold_is_an_event_of_its_organisation_and_so_is_its_release(
    opensearch: Cluster, index: IndexSettings
) -> None:
    with opensearch.client("lifecycle") as client:
        journal = Journal(client, index)
        place(journal, FIRST)
        place(journal, SECOND)
        place(journal, FIRST)
        assert read_holds(journal) == [FIRST, SECOND]
        assert len(journal.read([PLACED], organization_id="org_1")) == 2
        moments = {one.timestamp for one in journal.read([PLACED], organization_id=None)}
        assert moments == {format_instant(one.placed_at) for one in (FIRST, SECOND)}

        for _ in range(2):
            release(journal, FIRST, by="bob", reason="case closed", at=RELEASED_AT)
        assert read_holds(journal) == [SECOND]
        (told,) = journal.read([RELEASED], organization_id="org_1")
        assert told.actor.name == "bob"
        assert (told.context or {})["reason"] == "case closed"
        assert (told.context or {})["placedBy"] == FIRST.placed_by
        ended = replace(FIRST, end=End("bob", RELEASED_AT, "case closed"))
        assert read_all_holds(journal).released == (ended,)


@pytest.mark.opensearch
def test_a_release_cannot_be_kept_from_its_organisation(
    opensearch: Cluster, index: IndexSettings
) -> None:
    """By a copy of it that another organisation has already; the password is the lifecycle's."""
    with opensearch.client("lifecycle") as client:
        journal = Journal(client, index, clock=lambda: FIRST.placed_at)
        place(journal, FIRST)
        forged = event(RELEASED, FIRST)
        for organization_id in ("org_2", "_system"):
            journal.record(
                RELEASED,
                organization_id=organization_id,
                key=Key(f"forged/{organization_id}", PLACED_AT),
                context=forged.context or {},
            )
        assert read_holds(journal) == []
        assert copy_to_organizations(journal) == 1
        assert len(journal.read([RELEASED], organization_id="org_1")) == 1


@pytest.mark.opensearch
def test_what_a_crash_kept_from_the_organisation_is_made_up_for(
    opensearch: Cluster, index: IndexSettings
) -> None:
    with opensearch.client("lifecycle") as client:
        journal = Journal(client, index, clock=lambda: FIRST.placed_at)
        place(journal, FIRST)
        with opensearch.admin() as admin:
            # As append-only: gone by hand, with the index.
            kept = journal.read([PLACED])[0]
            admin.indices.delete(index=f"{index.prefix}-journal")
        journal = Journal(client, index)
        from indexer.hold import _key  # noqa: PLC0415  # half of what `place` does

        journal.record(
            PLACED,
            key=_key(FIRST.id),
            context=kept.context or {},
            actor=kept.actor,
            resource=kept.resource,
            at=FIRST.placed_at,
        )
        assert journal.read([PLACED], organization_id="org_1") == []
        assert copy_to_organizations(journal) == 1
        assert copy_to_organizations(journal) == 0
        (made_up,) = journal.read([PLACED], organization_id="org_1")
        assert made_up.timestamp == format_instant(FIRST.placed_at), "as the log itself has it"
        place(journal, FIRST)
        assert len(journal.read([PLACED], organization_id="org_1")) == 1
