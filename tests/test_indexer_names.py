from fnmatch import fnmatch

import pytest

from indexer.names import (
    admitted_window,
    control_name,
    events_pattern,
    events_template,
    index_kind,
    journal_name,
    late_name,
    late_pattern,
    obsolete_templates,
    partition_name,
    read_indices,
)
from indexer.settings import IndexSettings

MONTHLY = IndexSettings()
DAILY = IndexSettings(partition="day", prefix="audit-t1")


@pytest.mark.parametrize(
    ("timestamp", "settings", "name"),
    [
        pytest.param("2026-11-23T18:00:00.000000Z", MONTHLY, "audit-events-2026.11", id="month"),
        pytest.param("2026-11-23T18:00:00.000000Z", DAILY, "audit-t1-events-2026.11.23", id="day"),
        pytest.param(
            "2026-12-31T23:59:59.999999Z", MONTHLY, "audit-events-2026.12", id="last instant"
        ),
        pytest.param(
            "2027-01-01T00:00:00.000000Z", MONTHLY, "audit-events-2027.01", id="first instant"
        ),
    ],
)
def test_the_partition_follows_from_the_timestamp(
    timestamp: str, settings: IndexSettings, name: str
) -> None:
    assert partition_name(timestamp, settings) == name


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-13-01T00:00:00.000000Z",
        "2026-11-23T18:00:00Z",
        "2026-11-23T18:00:00.000000+01:00",
        "2026-11-23",
        "",
        "2026-11-23T18:00:00.000000Z\n",
        "../../../etc/x2026-11-23T18",
        "\uff12\uff10\uff12\uff16-11-23T18:00:00.000000Z",
    ],
)
def test_nonsense_makes_no_index(timestamp: str) -> None:
    with pytest.raises(ValueError, match="not a canonical timestamp"):
        partition_name(timestamp, MONTHLY)


def test_names_of_one_prefix() -> None:
    assert events_pattern(MONTHLY) == "audit-events-*"
    assert late_pattern(MONTHLY) == "audit-late-*"
    assert read_indices(DAILY) == "audit-t1-events-*,audit-t1-late-*,audit-t1-journal*"
    assert (events_template(DAILY), obsolete_templates(DAILY)) == (
        "audit-t1-events",
        ("audit-t1-late",),
    )
    assert journal_name(DAILY) == "audit-t1-journal"
    assert control_name(DAILY) == "indelible-audit-t1-control"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("audit-events-2026.11", "events", id="month"),
        pytest.param("audit-events-2026.11.23", "events", id="day, whatever the setting is"),
        pytest.param("audit-late-2026.11", "late", id="late"),
        pytest.param("audit-journal", "journal", id="journal"),
        pytest.param("audit-journal-2", None, id="beside the journal"),
        pytest.param("audit-t1-events-2026.11", None, id="another prefix"),
        pytest.param("indelible-audit-control", None, id="control"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_kind_of_an_index_follows_from_its_name(name: str, kind: str | None) -> None:
    assert index_kind(name, MONTHLY) == kind


def test_the_window_of_timestamps_reaches_from_retention_to_the_near_future() -> None:
    settings = IndexSettings(retention_days=30, future_hours=1)
    assert admitted_window("2026-11-23T18:00:00.000001Z", settings) == (
        "2026-10-24T18:00:00.000001Z",
        "2026-11-23T19:00:00.000001Z",
    )


@pytest.mark.parametrize("settings", [MONTHLY, DAILY])
def test_late_events_of_a_month_lie_together_whatever_a_partition_is(
    settings: IndexSettings,
) -> None:
    expected = f"{settings.prefix}-late-2026.11"
    assert late_name("2026-11-30T23:59:59.999999Z", settings) == expected
    assert fnmatch(expected, late_pattern(settings))
    with pytest.raises(ValueError, match="not a canonical timestamp"):
        late_name("2026-11-30", settings)
