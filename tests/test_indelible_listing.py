"""Tables of the storage on a narrow terminal: whatever is copied from them is whole."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.table import Table

from indelible import archive, hold, indices_plan
from indelible.indices_plan import ModeReport, Report
from indelible.lifecycle import as_row
from indelible.lifecycle import tabulate as tabulate_plans
from indelible.listing import open_console, print_table
from indexer.hold import Hold
from indexer.plan import Plan, Step
from indexer.settings import IndexSettings

DAY = datetime(2026, 11, 24, tzinfo=UTC)
INSTANT = "2026-11-24T01:02:03.000004Z"
PARTITION = "audit-events-2026.11.24"
DUE = Plan(
    name=PARTITION,
    state="missing",
    seal_at=DAY,
    delete_at=DAY.replace(year=2027),
    held_by=(),
    next_step=Step.SNAPSHOT,
    why="its retention has passed",
)
HOLD = Hold(
    id="01a20b65-6d9c-7000-b0ea-d6399cf83c66",
    organization_id="org_acme",
    since=DAY,
    until=DAY.replace(month=12),
    reason="case [red]17[/] \x1b[2J",
    placed_by="jane",
    placed_at=DAY,
)


def shown(table: Table, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width, markup=False, highlight=False).print(table)
    assert all(len(line) <= width for line in file.getvalue().splitlines())
    return file.getvalue()


def test_a_hold_is_shown_with_all_of_its_id_and_as_it_was_written() -> None:
    text = shown(hold.tabulate([HOLD], {HOLD.id: [PARTITION]}))
    for whole in (HOLD.id, PARTITION, "2026-11-24 00:00 to 2026-12-24 00:00", "org_acme", "[red]"):
        assert whole in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [80, 200])
def test_a_plan_is_shown_with_name_days_and_reason(width: int) -> None:
    row = indices_plan.Row(
        name=PARTITION,
        state="missing",
        events=123_456_789,
        size_bytes=55_000_000_000,
        segments=1,
        blocked=True,
        first=INSTANT,
        last=INSTANT,
        seal_at=INSTANT,
        delete_at="2027-12-29T00:00:00.000000Z",
        restored_until=None,
        archived=True,
        held_by=(),
        next_step=None,
        why="kept",
    )
    report = Report(ModeReport("worm", plugin=False, immutable=True, why="w"), (row,))
    text = shown(indices_plan.tabulate(report, width), width)
    for whole in (PARTITION, "missing", "123,456,789", "2026-11-24", "2027-12-29", "kept"):
        assert whole in text
    assert ("55.0 GB" in text) is (width == 200)


def test_a_round_is_shown_with_names_days_and_steps() -> None:
    text = shown(tabulate_plans((DUE,)))
    for whole in (PARTITION, "missing", "2026-11-24", "2027-11-24", "snapshot", "retention"):
        assert whole in text


@pytest.mark.parametrize("width", [80, 200])
def test_a_snapshot_is_shown_with_the_partition_that_restore_takes(width: int) -> None:
    row = archive.Row(
        partition=PARTITION,
        snapshot=f"{PARTITION}-a71c1a68da634083b38264180b7b9847",
        state="SUCCESS",
        taken_at=INSTANT,
        events=300,
        first=INSTANT,
        last=INSTANT,
        sha256="",
        restored_until=INSTANT,
    )
    text = shown(archive.tabulate([row], "archive", width), width)
    for whole in (PARTITION, "2026-11-24", "good"):
        assert whole in text
    assert (row.snapshot in text) is (width == 200)


def test_days_of_a_round_are_spelled_as_those_of_the_plan() -> None:
    plan = Plan(
        name=PARTITION,
        state="open",
        seal_at=DAY,
        delete_at=None,
        held_by=(),
        next_step=None,
        why="takes events",
    )
    row = as_row(plan)
    assert (row["sealAt"], row["deleteAt"]) == ("2026-11-24T00:00:00.000000Z", None)


@pytest.mark.parametrize("width", [20, 60])
def test_on_a_terminal_that_is_too_narrow_no_name_and_no_day_is_cut(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width, markup=False, highlight=False)
    print_table(console, tabulate_plans((DUE,)))
    for whole in (PARTITION, "missing", "2026-11-24", "2027-11-24", "snapshot", "retention"):
        assert whole in file.getvalue()
    assert console.width == width


def test_what_goes_into_a_pipe_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert open_console().width == 200


@pytest.mark.parametrize(
    ("retention_days", "words"),
    [
        pytest.param(7, "", id="sealed, and gone at once"),
        pytest.param(6, "it stays 7 days\nnext: lower INDELIBLE_INDEX_SEAL_DAYS", id="below"),
    ],
)
def test_a_retention_below_the_seal_age_is_warned_of(retention_days: int, words: str) -> None:
    said = indices_plan.warn(IndexSettings(retention_days=retention_days, seal_days=7))
    assert bool(said) is bool(words)
    assert words in said
