"""Active filters in words, and the dropdown with what is chosen of it."""

from datetime import UTC, datetime

import pytest

from audit_events.catalogue import CATALOGUE
from webapi.page.address import Pair, read_state
from webapi.page.chips import Chip, chips
from webapi.page.menu import menu

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def only(pairs: list[Pair]) -> Chip:
    (chip,) = chips(read_state(pairs, NOW), CATALOGUE)
    return chip


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("action", "member.role_changed")], "Action: Role changed"),
        ([("action", "zebra.*")], "Action: zebra.*"),
        ([("colour", "red")], "Kind: Deletions, removals"),
        ([("range", "24h")], "Time: Last 24 hours"),
        ([("q", "a b")], "Text: a b"),
        ([("since", "2026-03-15")], "From: 2026-03-15 00:00:00 UTC"),
        (
            [("until", "2026-03-15"), ("zone", "Europe/Berlin")],
            "Before: 2026-03-15 01:00:00 UTC+01:00",
        ),
        ([("since", "soon")], "From: soon"),
        ([("until", "9999-12-31T23:59:59Z")], "Before: 9999-12-31T23:59:59Z"),
    ],
)
def test_a_filter_in_words(pairs: list[Pair], words: str) -> None:
    chip = only(pairs)
    assert f"{chip.label}: {chip.value}" == words


def test_a_moment_goes_with_its_window() -> None:
    chip = only([("around", "2026-03-15"), ("window", "5m"), ("limit", "100")])
    assert (chip.value, chip.suffix) == ("2026-03-15 00:00:00 UTC", " ± 5m")
    assert chip.rest == [("limit", "100")]


def test_one_of_several_values_is_left_out_alone() -> None:
    pairs = [("action", "app.created"), ("action", "app.deleted"), ("cursor", "c")]
    first, _ = chips(read_state(pairs, NOW), CATALOGUE)
    assert first.rest == [("action", "app.deleted")]


def test_the_dropdown_has_each_action_once_green_before_blue_before_red() -> None:
    found = menu(CATALOGUE, ["app.created", "zebra.*"], ["App Lifecycle"], {"app.created": 3})
    assert sorted(item.action for group in found.groups for item in group.items) == sorted(
        CATALOGUE
    )
    for group in found.groups:
        colours = [item.colour for item in group.items]
        assert colours == sorted(colours, key=["green", "blue", "red"].index)
    assert [group.category for group in found.groups if group.chosen] == ["App Lifecycle"]
    assert found.others == ["zebra.*"]
    chosen = [item for group in found.groups for item in group.items if item.chosen]
    assert [(item.action, item.count) for item in chosen] == [("app.created", 3)]


def test_what_was_not_counted_has_no_count() -> None:
    found = menu(CATALOGUE, [], [], None)
    assert {item.count for group in found.groups for item in group.items} == {None}
