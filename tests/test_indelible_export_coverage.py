"""Which exports have to hold a partition that they show nothing of."""

from datetime import UTC, datetime, timedelta

import pytest

from indelible.export_coverage import is_due
from indelible.exported import Claim
from indexer.span import Span

AUGUST = Span(datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 9, 1, tzinfo=UTC))
RETENTION = timedelta(days=30)
FROM_JULY: dict[str, list[str]] = {"since": ["2026-07-01"]}


@pytest.mark.parametrize(
    ("as_of", "filters", "expected"),
    [
        pytest.param("2026-09-30T23:59:59.999999Z", {}, True, id="it was to be there still"),
        pytest.param("2026-10-01T00:00:00.000000Z", {}, False, id="its retention had ended"),
        pytest.param("2027-01-01T00:00:00.000000Z", FROM_JULY, True, id="its time was asked for"),
        pytest.param("", {}, False, id="nobody knows when that was"),
        pytest.param(
            "2026-09-10T00:00:00.000000Z", {"until": ["2026-08-02"]}, False, id="a part of it"
        ),
    ],
)
def test_an_export_has_to_hold_what_was_kept_then_or_what_it_names(
    as_of: str, filters: dict[str, list[str]], expected: object
) -> None:
    claim = Claim(events=0, sha256="0" * 64, filters=filters, as_of=as_of)
    assert is_due([claim], AUGUST, RETENTION) is expected
