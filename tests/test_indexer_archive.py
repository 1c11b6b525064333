"""What a snapshot is called. Pure; what becomes of one is in `test_indexer_restoration`."""

import pytest

from indexer.archive import snapshot_name

NAME = "audit-events-2026.03"
FIRST = f"{NAME}-0123"


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        pytest.param((), FIRST, id="the first"),
        pytest.param((FIRST,), f"{FIRST}-2", id="after one that failed"),
        pytest.param((FIRST, f"{FIRST}-2"), f"{FIRST}-3", id="after two"),
        pytest.param((f"{FIRST}-2",), FIRST, id="the first was removed by hand"),
        pytest.param((FIRST, f"{FIRST}-3"), f"{FIRST}-2", id="the second was"),
    ],
)
def test_each_attempt_has_a_name_that_no_other_has(taken: tuple[str, ...], name: str) -> None:
    """Counted by how many there are, it would be a name that is there, again and again."""
    assert snapshot_name(NAME, "ASM", taken) == name
