"""What an organisation has, in a line below a question that found nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from indelible.errors import CommandError
from indelible.organizations import Extent, describe, only_organization
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import store, write_events

OLDEST = datetime(2026, 3, 15, 9, 0, 0, 123000, UTC)
NEWEST = datetime(2026, 3, 16, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("organization", "extent", "others", "told"),
    [
        pytest.param(
            "org_a",
            Extent(1200, OLDEST, NEWEST),
            [],
            "org_a has 1,200 events, 2026-03-15 09:00:00Z to 2026-03-16 09:00:00Z.",
            id="it has some, elsewhere",
        ),
        pytest.param(
            "org_a",
            Extent(1, OLDEST, OLDEST),
            [],
            "org_a has 1 event, 2026-03-15 09:00:00Z to 2026-03-15 09:00:00Z.",
            id="one",
        ),
        pytest.param(
            "org_aa",
            Extent(0),
            ["org_a", "org_\x1b[31m"],
            "org_aa has no event at all; there are some of org_a, org_\\u001b[31m.",
            id="mistyped, and names that a terminal would obey",
        ),
        pytest.param(
            "org_z",
            Extent(0),
            [f"org_{number}" for number in range(7)],
            "org_z has no event at all; there are some of org_0, org_1, org_2, org_3, org_4 and 2"
            " more.",
            id="many others",
        ),
        pytest.param(
            "org_z",
            Extent(0),
            [f"org_{number}" for number in range(51)],
            "org_z has no event at all; there are some of org_0, org_1, org_2, org_3, org_4 and"
            " many more.",
            id="more than anybody counted",
        ),
        pytest.param("org_a", Extent(0), [], "No organisation has an event yet.", id="none at all"),
    ],
)
def test_what_there_is(organization: str, extent: Extent, others: list[str], told: str) -> None:
    assert describe(organization, extent, others) == told


@pytest.mark.opensearch
def test_where_not_all_are_named_it_is_said(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    events = [
        {"action": "app.created", "organization_id": f"org_{number:02}"} for number in range(51)
    ]
    lines = write_events(tmp_path / "audit.log", events, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    with (
        opensearch.client("reader") as client,
        pytest.raises(CommandError, match=r"org_00, .*, org_49 and more$"),
    ):
        only_organization(client, index)
