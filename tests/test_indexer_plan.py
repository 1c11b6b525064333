"""What becomes of a partition: a table of named cases, and that nothing goes too early."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from audit_events.instant import format_instant
from indexer.late import due_before
from indexer.names import admitted_window, late_name, partition_name
from indexer.plan import Observed, Plan, Step, plan
from indexer.policy import events_policy, late_policy, read, read_all, render
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.span import span_of

SETTINGS = IndexSettings()
COPIED = LifecycleSettings(snapshot_repository="archive")
ISM = LifecycleSettings(mode="ism")
NAME = "audit-events-2026.01"
LATE = "audit-late-2026.01"


class Kept(Struct, frozen=True):
    """A hold."""

    id: str
    since: datetime
    until: datetime


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


HELD = Kept("hold-1", day("2026-01-31"), day("2026-02-10"))
ELSEWHERE = Kept("hold-2", day("2026-02-01"), day("2026-02-10"))
OPEN, DUE, SEALED, EXPIRED = (
    day("2026-02-07T23:59:59"),
    day("2026-02-08"),
    day("2026-03-01"),
    day("2027-03-08"),
)


def seen(name: str = NAME, **fields: Any) -> Observed:
    kind: Literal["events", "late"] = "late" if "-late-" in name else "events"
    given: dict[str, Any] = {"uuid": "u", "events": 5, "segments": 3, **fields}
    return Observed(name=name, kind=kind, span=span_of(name, SETTINGS), **given)


SEALED_ONE = seen(blocked=True, segments=1, sealed_record=True)


def having(observed: Observed = SEALED_ONE, **fields: Any) -> Observed:
    return msgspec.structs.replace(observed, **fields)


def planned(
    observed: Observed,
    now: datetime,
    *holds: Kept,
    lifecycle: LifecycleSettings = LifecycleSettings(),  # noqa: B008  # frozen
    settings: IndexSettings = SETTINGS,
    accept: bool = False,
) -> Plan:
    of_events, of_late = read_all(settings, lifecycle)
    policy = of_late if observed.kind == "late" else of_events
    return plan(
        observed,
        policy,
        settings,
        lifecycle,
        holds=holds,
        now=now,
        accept_shorter_retention=accept,
    )


@pytest.mark.parametrize(
    ("observed", "now", "state", "step"),
    [
        pytest.param(seen(), day("2026-01-15"), "open", None, id="its month"),
        pytest.param(seen(), OPEN, "open", None, id="the instant before the seal age"),
        pytest.param(seen(blocked=True), OPEN, "blocked", None, id="an operator's block"),
        pytest.param(seen(), DUE, "due", Step.BLOCK, id="seal age"),
        pytest.param(seen(), EXPIRED, "due", Step.BLOCK, id="never sealed, and expired"),
        pytest.param(seen(blocked=True), DUE, "due", Step.MERGE, id="blocked, then a crash"),
        pytest.param(
            seen(blocked=True, segments=1), DUE, "due", Step.RECORD_SEAL, id="merged, then a crash"
        ),
        pytest.param(
            seen(blocked=True, segments=0, events=0), DUE, "due", Step.RECORD_SEAL, id="empty"
        ),
        pytest.param(
            seen(blocked=True, segments=None), DUE, "due", Step.RECORD_SEAL, id="segments unknown"
        ),
        pytest.param(SEALED_ONE, SEALED, "sealed", None, id="sealed"),
        pytest.param(
            having(blocked=False), SEALED, "due", Step.BLOCK, id="the seal was lifted by hand"
        ),
        pytest.param(
            having(segments=9), SEALED, "sealed", None, id="recorded, so not merged any more"
        ),
        pytest.param(
            having(sealed_record=False),
            SEALED,
            "due",
            Step.RECORD_SEAL,
            id="another index of that name",
        ),
        pytest.param(SEALED_ONE, day("2027-03-07T23:59:59"), "sealed", None, id="before retention"),
        pytest.param(SEALED_ONE, EXPIRED, "due", Step.DELETE, id="retention has passed"),
        pytest.param(having(exists=False), EXPIRED, "gone", Step.RECORD_DELETION, id="deleted"),
        pytest.param(having(exists=False), SEALED, "missing", Step.RECORD_MISSING, id="by hand"),
        pytest.param(
            having(sealed_record=False, replaced=True),
            SEALED,
            "missing",
            Step.RECORD_MISSING,
            id="another one was put in its place",
        ),
        pytest.param(seen(open=False), DUE, "closed", None, id="closed"),
        pytest.param(having(open=False), EXPIRED, "due", Step.DELETE, id="closed, and recorded"),
        pytest.param(
            having(open=False, blocked=False),
            SEALED,
            "sealed",
            None,
            id="closed and recorded, and its seal was lifted",
        ),
        pytest.param(
            having(restored_until=day("2027-05-01")), EXPIRED, "restored", None, id="restored"
        ),
        pytest.param(
            having(restored_until=EXPIRED), EXPIRED, "due", Step.DELETE, id="restored long ago"
        ),
        pytest.param(
            having(restored_until=DUE), SEALED, "sealed", None, id="restored before its retention"
        ),
        pytest.param(
            having(exists=False, restored_until=day("2027-05-01")),
            EXPIRED,
            "missing",
            Step.RECORD_MISSING,
            id="restored, and gone by hand",
        ),
        pytest.param(
            having(exists=False, restored_until=EXPIRED),
            EXPIRED,
            "gone",
            Step.RECORD_DELETION,
            id="restored, and deleted when its days had passed",
        ),
        pytest.param(
            having(returned=True, sealed_at=EXPIRED),
            day("2027-04-06T23:59:59"),
            "restored",
            None,
            id="in the middle of a restore",
        ),
        pytest.param(
            having(returned=True, sealed_at=EXPIRED),
            day("2027-04-07"),
            "due",
            Step.DELETE,
            id="a restore that nobody ended",
        ),
        pytest.param(
            having(returned=True, sealed_at=DUE),
            EXPIRED,
            "due",
            Step.DELETE,
            id="a name that was used again, sealed long ago",
        ),
        pytest.param(
            having(sealed_at=EXPIRED), EXPIRED, "due", Step.DELETE, id="expired when it was sealed"
        ),
        pytest.param(
            having(restored_until=day("2027-05-01"), blocked=False),
            EXPIRED,
            "due",
            Step.BLOCK,
            id="restored without its seal",
        ),
        pytest.param(seen(LATE), SEALED, "open", None, id="late events may come yet"),
        pytest.param(seen(LATE), EXPIRED, "due", Step.BLOCK, id="late, expired"),
        pytest.param(
            seen(LATE, blocked=True), EXPIRED, "due", Step.RECORD_SEAL, id="late: never merged"
        ),
        pytest.param(
            seen(LATE, blocked=True, sealed_record=True), EXPIRED, "due", Step.DELETE, id="late"
        ),
        pytest.param(
            seen("audit-events-2026.13"), EXPIRED, "unknown", None, id="a name that says no time"
        ),
        pytest.param(
            Observed(name="audit-journal", kind="journal", span=None),
            EXPIRED,
            "kept",
            None,
            id="the journal",
        ),
    ],
)
def test_what_is_next(observed: Observed, now: datetime, state: str, step: Step | None) -> None:
    found = planned(observed, now, ELSEWHERE)
    assert (found.state, found.next_step) == (state, step), found.why
    assert found.held_by == ()


SHORT = IndexSettings(retention_days=30)
PROMISED = having(sealed_retention_days=400)
LATE_PROMISED = seen(LATE, blocked=True, sealed_record=True, sealed_retention_days=400)


@pytest.mark.parametrize(
    ("observed", "now", "accept", "step"),
    [
        pytest.param(PROMISED, SEALED, False, None, id="not due by any"),
        pytest.param(PROMISED, day("2026-03-03"), False, None, id="due by the shorter one"),
        pytest.param(PROMISED, day("2026-03-03"), True, Step.DELETE, id="that is accepted"),
        pytest.param(PROMISED, SEALED, True, None, id="accepted, and not due by any"),
        pytest.param(PROMISED, day("2027-03-07T23:59:59"), False, None, id="the instant before"),
        pytest.param(PROMISED, EXPIRED, False, Step.DELETE, id="due by both"),
        pytest.param(LATE_PROMISED, day("2026-03-03"), False, None, id="late events"),
        pytest.param(LATE_PROMISED, EXPIRED, False, Step.DELETE, id="late events, due"),
        pytest.param(
            having(PROMISED, exists=False),
            day("2026-03-03"),
            True,
            Step.RECORD_MISSING,
            id="gone by hand before anybody accepted it",
        ),
        pytest.param(
            having(PROMISED, sealed_record=False, replaced=True),
            day("2026-03-03"),
            True,
            Step.RECORD_MISSING,
            id="replaced by hand before anybody accepted it",
        ),
        pytest.param(
            having(sealed_retention_days=None),
            day("2026-03-03"),
            False,
            Step.DELETE,
            id="a record without a retention",
        ),
        pytest.param(
            having(sealed_retention_days=10**12), EXPIRED, False, None, id="beyond the calendar"
        ),
    ],
)
def test_a_shorter_retention_deletes_what_was_sealed_under_a_longer_one_only_if_accepted(
    observed: Observed, now: datetime, *, accept: bool, step: Step | None
) -> None:
    assert planned(observed, now, settings=SHORT, accept=accept).next_step is step


def test_a_longer_retention_counts_at_once_and_the_plan_says_which_does() -> None:
    sealed = having(sealed_retention_days=30)
    assert planned(sealed, EXPIRED, settings=IndexSettings(retention_days=800)).next_step is None
    found = planned(PROMISED, day("2026-03-03"), settings=SHORT)
    assert found.delete_at == EXPIRED
    assert found.why.startswith("sealed under a retention of 400 days; deleted on 2027-03-08")
    # Where ISM deletes, it does so by its policy: the plan does not say otherwise.
    found = planned(PROMISED, day("2026-03-03"), settings=SHORT, lifecycle=ISM)
    assert found.delete_at == day("2026-03-03")


@pytest.mark.parametrize(
    ("observed", "now", "state", "step"),
    [
        pytest.param(SEALED_ONE, EXPIRED, "held", None, id="expired"),
        pytest.param(SEALED_ONE, SEALED, "held", None, id="not due yet"),
        pytest.param(seen(), day("2026-01-15"), "open", None, id="open all the same"),
        pytest.param(seen(), EXPIRED, "due", Step.BLOCK, id="sealed all the same"),
        pytest.param(having(exists=False), EXPIRED, "missing", Step.RECORD_MISSING, id="gone"),
    ],
)
def test_a_hold_keeps_what_it_touches(
    observed: Observed, now: datetime, state: str, step: Step | None
) -> None:
    found = planned(observed, now, ELSEWHERE, HELD)
    assert (found.state, found.next_step) == (state, step)
    assert found.held_by == ("hold-1",)


def test_of_many_holds_a_few_are_named_and_the_others_counted() -> None:
    holds = [msgspec.structs.replace(HELD, id=f"hold-{number}") for number in range(1, 22)]
    named = ", ".join(hold.id for hold in holds[:20])
    for held, who in ((holds[:20], named), (holds, f"{named} and 1 more")):
        assert planned(SEALED_ONE, SEALED, *held).why.startswith(f"held by {who}: not deleted")


def test_what_was_deleted_by_hand_says_what_should_have_kept_it() -> None:
    gone = having(exists=False)
    assert "and was not due:" in planned(gone, SEALED).why
    assert "and was held by hold-1:" in planned(gone, EXPIRED, HELD).why


@pytest.mark.parametrize(
    ("observed", "now", "state", "step"),
    [
        pytest.param(SEALED_ONE, SEALED, "due", Step.SNAPSHOT, id="recorded"),
        pytest.param(SEALED_ONE, EXPIRED, "due", Step.SNAPSHOT, id="expired, not copied"),
        pytest.param(having(archived=True), SEALED, "sealed", None, id="copied"),
        pytest.param(having(archived=True), EXPIRED, "due", Step.DELETE, id="copied, expired"),
        pytest.param(having(open=False), EXPIRED, "closed", None, id="closed, not copied"),
        pytest.param(
            having(open=False, archived=True), EXPIRED, "due", Step.DELETE, id="closed, copied"
        ),
        pytest.param(
            seen(LATE, blocked=True, sealed_record=True), EXPIRED, "due", Step.SNAPSHOT, id="late"
        ),
    ],
)
def test_with_a_repository_nothing_goes_without_a_copy(
    observed: Observed, now: datetime, state: str, step: Step | None
) -> None:
    found = planned(observed, now, lifecycle=COPIED)
    assert (found.state, found.next_step) == (state, step)


def test_where_ism_deletes_we_do_not_unless_it_was_restored() -> None:
    found = planned(SEALED_ONE, EXPIRED, lifecycle=ISM)
    assert (found.state, found.next_step) == ("due", None)
    assert "ISM" in found.why
    restored = having(restored_until=EXPIRED)
    assert planned(restored, EXPIRED, lifecycle=ISM).next_step is Step.DELETE


def test_what_was_restored_before_it_was_due_stays_as_long_as_any_other() -> None:
    """All of a lost cluster is brought back so: it must not look as if it went in a month."""
    before_its_time = having(restored_until=day("2026-04-01"))
    assert planned(before_its_time, SEALED).why == "restored; deleted on 2027-03-08"
    assert planned(before_its_time, day("2026-04-01")).state == "sealed"
    for_a_look = having(restored_until=day("2027-05-01"))
    assert planned(for_a_look, EXPIRED).why == "restored; stays until 2027-05-01"


def test_dates_are_those_of_the_settings_whenever_the_index_was_made() -> None:
    found = planned(seen(), OPEN)
    assert (found.seal_at, found.delete_at) == (day("2026-02-08"), day("2027-03-08"))
    assert found.why == "takes events; sealed on 2026-02-08"
    sealed = having(sealed_retention_days=SETTINGS.retention_days)
    assert planned(sealed, SEALED).why == "takes no more events; deleted on 2027-03-08"
    late = planned(seen(LATE), OPEN)
    assert (late.seal_at, late.delete_at) == (None, day("2027-03-08"))
    kept = planned(Observed(name="audit-journal", kind="journal", span=None), EXPIRED)
    assert (kept.seal_at, kept.delete_at) == (None, None)


def test_a_retention_before_the_seal_age_deletes_nothing_unsealed() -> None:
    settings = IndexSettings(retention_days=1, seal_days=7)
    assert planned(seen(), day("2026-02-07"), settings=settings).state == "open"
    assert planned(seen(), DUE, settings=settings).next_step is Step.BLOCK
    assert planned(SEALED_ONE, DUE, settings=settings).next_step is Step.DELETE


def test_a_partition_at_the_end_of_the_calendar_stays() -> None:
    settings = IndexSettings(retention_days=36_500, seal_days=36_500)
    found = planned(seen("audit-events-9999.11"), EXPIRED, settings=settings)
    assert (found.seal_at, found.delete_at, found.state) == (None, None, "open")
    first = seen("audit-events-0001.01")
    assert planned(first, EXPIRED, settings=settings).next_step is Step.BLOCK


@st.composite
def any_settings(draw: st.DrawFn) -> IndexSettings:
    return IndexSettings(
        partition=draw(st.sampled_from(["month", "day"])),
        retention_days=draw(st.integers(1, 36_500)),
        seal_days=draw(st.integers(1, 36_500)),
        future_hours=draw(st.integers(0, 8784)),
    )


moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1))  # noqa: DTZ001  # added below
sizes: st.SearchStrategy[Literal["month", "day"]] = st.sampled_from(["month", "day"])


def indices_of(moment: datetime, settings: IndexSettings) -> list[Observed]:
    """Where an event of this moment may lie; sealed, so that nothing but its age keeps it."""
    text = format_instant(moment)
    fields: dict[str, Any] = {"blocked": True, "sealed_record": True}
    return [seen(name(text, settings), **fields) for name in (partition_name, late_name)]


@given(any_settings(), moments, sizes)
def test_our_executor_deletes_no_event_before_its_retention(
    settings: IndexSettings, moment: datetime, later: Literal["month", "day"]
) -> None:
    """Also when the size of a partition was changed after this one was made."""
    instant = moment.replace(tzinfo=UTC)
    kept_until = instant + timedelta(days=settings.retention_days)
    changed = msgspec.structs.replace(settings, partition=later)
    for observed in indices_of(instant, settings):
        assert observed.span is not None
        days = settings.retention_days
        if observed.kind == "events":
            days = max(days, settings.seal_days)
        due = observed.span.end + timedelta(days=days)
        for early in (kept_until, due):
            before = early - timedelta(microseconds=1)
            assert planned(observed, before, settings=changed).next_step is not Step.DELETE
        assert planned(observed, due, settings=changed).next_step is Step.DELETE


@given(any_settings(), moments, sizes)
def test_ism_deletes_no_event_before_its_retention(
    settings: IndexSettings, moment: datetime, later: Literal["month", "day"]
) -> None:
    """It counts from the creation, by a policy that knows the longest partition there is."""
    instant = moment.replace(tzinfo=UTC)
    kept_until = instant + timedelta(days=settings.retention_days)
    changed = msgspec.structs.replace(settings, partition=later)
    for observed in indices_of(instant, settings):
        span = observed.span
        assert span is not None
        created = span.start - timedelta(hours=settings.future_hours)
        _, ceiling = admitted_window(format_instant(created), settings)
        assert ceiling <= format_instant(span.start), "nothing makes the index before"
        longest = (span.end - span.start).days
        policies = render(changed, LifecycleSettings(), longest_days=longest)
        policy_id = late_policy(changed) if observed.kind == "late" else events_policy(changed)
        age = read(policies[policy_id]).delete_age
        assert age is not None
        assert created + age >= kept_until


@given(any_settings(), moments, moments)
def test_the_writer_and_the_lifecycle_agree_on_when_a_partition_is_due(
    settings: IndexSettings, moment: datetime, clock: datetime
) -> None:
    """An event that the writer takes for late is one of a partition that is to be sealed."""
    instant, now = moment.replace(tzinfo=UTC), clock.replace(tzinfo=UTC)
    observed = seen(partition_name(format_instant(instant), settings))
    seal_at = planned(observed, now, settings=settings).seal_at
    assert seal_at is not None
    due = due_before(format_instant(now), settings)
    assert (format_instant(instant) < due) == (now >= seal_at)
