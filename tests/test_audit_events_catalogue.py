"""The catalogue holds every action of the product page, and finds what was meant."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entry import COLOURS, SEVERITIES, CatalogueEntry

GIVEN = Path(__file__).with_name("event_types.csv")
"""The actions that the catalogue began with, with the category and colour of each."""
SPELLED = {
    "member.invited",
    "member.role_changed",
    "member.offboarded",
    "subscription.changed",
    "billing.top_up",
    "integration.connected",
}
"""On the product page."""
ACCEPTED = CatalogueEntry(
    "invoice.approved",
    "Billing & Subscriptions",
    "blue",
    "Invoice approved",
    "An invoice was approved.",
    "medium",
    critical=True,
    aliases=("invoice.accepted", "bill.accepted"),
)
WITH_ALIASES = Catalogue([*CATALOGUE.entries.values(), ACCEPTED])


def test_it_has_the_actions_that_it_began_with_as_they_were() -> None:
    with GIVEN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    given = {row["action"]: (row["category"], row["colour"]) for row in rows}
    found = {
        action: (entry.category, str(entry.colour)) for action, entry in CATALOGUE.entries.items()
    }
    assert given.items() <= found.items()
    assert {row["action"] for row in rows if row["origin"] == "exact"} == SPELLED
    assert [action for action in CATALOGUE if action in given] == list(given)


def test_what_came_later_is_of_the_log_itself() -> None:
    with GIVEN.open(encoding="utf-8", newline="") as file:
        given = {row["action"] for row in csv.DictReader(file)}
    assert {action.partition(".")[0] for action in set(CATALOGUE) - given} == {"audit_log"}
    assert len(CATALOGUE) == 208


def test_it_has_more_than_100_event_types_in_the_six_areas() -> None:
    assert CATALOGUE.categories == (
        "Member Management",
        "App Lifecycle",
        "Billing & Subscriptions",
        "Integrations & Connections",
        "Knowledge & AI",
        "Organization Settings",
    )
    assert {entry.colour for entry in CATALOGUE.entries.values()} == set(COLOURS)
    assert {entry.severity for entry in CATALOGUE.entries.values()} == set(SEVERITIES)


def test_no_two_actions_look_the_same_to_a_reader() -> None:
    for part in ("title", "description"):
        said = Counter(getattr(entry, part) for entry in CATALOGUE.entries.values())
        assert [text for text, count in said.items() if count > 1] == []


def test_it_is_written_as_people_write() -> None:
    assert CATALOGUE["member.role_changed"].title == "Role changed"
    assert CATALOGUE["mcp_integration.created"].title == "MCP integration created"
    assert CATALOGUE["channel.whatsapp_configured"].title == "WhatsApp channel configured"
    for entry in CATALOGUE.entries.values():
        assert entry.title[0].isupper()
        assert "_" not in entry.title
        assert entry.description[0].isupper()
        assert entry.description[-1] == "."
        assert len(entry.description) > len(entry.title)


def test_what_changes_says_from_what_to_what() -> None:
    """An action whose name says that something was changed, renamed or moved needs both values."""
    changed = ("_changed", "_updated", ".changed", ".renamed", ".moved", ".updated")
    for action, entry in CATALOGUE.entries.items():
        if action.endswith(changed) and action != "payment_method.updated":
            assert {"previous", "new"} <= set(entry.needs), action


def test_severity_follows_its_rule_where_the_name_tells() -> None:
    roles = [a for a in CATALOGUE if "role_changed" in a or a.startswith("role.")]
    assert {CATALOGUE[action].severity for action in roles} == {"high"}
    money = [a for a in CATALOGUE if a.startswith(("invoice.", "payment_method."))]
    assert {CATALOGUE[action].severity for action in money} == {"medium"}


def test_what_is_critical_is_of_high_severity_and_never_what_happens_all_the_time() -> None:
    critical = CATALOGUE.critical_actions
    assert {CATALOGUE[action].severity for action in critical} == {"high"}
    assert "organization.deleted" in critical
    assert "member.role_changed" not in critical
    assert len(critical) < len(CATALOGUE) / 10


@pytest.mark.parametrize("name", ["invoice.approved", "invoice.accepted", "bill.accepted"])
def test_an_old_id_finds_the_action_of_today(name: str) -> None:
    assert WITH_ALIASES.find(name) == ACCEPTED
    assert set(WITH_ALIASES.names_of(name)) == {
        "invoice.approved",
        "invoice.accepted",
        "bill.accepted",
    }
    assert WITH_ALIASES.names_of(name)[0] == "invoice.approved"
    assert name in WITH_ALIASES.critical_actions


def test_an_old_id_is_no_entry_of_its_own() -> None:
    assert "invoice.accepted" not in WITH_ALIASES
    assert len(WITH_ALIASES) == len(CATALOGUE) + 1
    assert WITH_ALIASES.find("invoice.paid") is None
    assert WITH_ALIASES.names_of("invoice.paid") == ("invoice.paid",)


def test_a_noun_finds_what_was_once_called_so() -> None:
    assert WITH_ALIASES.under("bill") == ("invoice.approved", "invoice.accepted", "bill.accepted")
    assert "bill.accepted" in WITH_ALIASES.under("invoice")
    assert WITH_ALIASES.under("zebra") == ()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        pytest.param("member.role_change", "member.role_changed", id="a letter short"),
        pytest.param("role_changed", "member.role_changed", id="without its noun"),
        pytest.param("MEMBER.INVITED", "member.invited", id="upper case"),
        pytest.param("app_removed", "app.moved", id="close by letters"),
    ],
)
def test_the_nearest_action_comes_first(text: str, first: str) -> None:
    assert CATALOGUE.nearest(text)[0] == first


def test_nothing_is_near_to_nonsense() -> None:
    assert CATALOGUE.nearest("zzzzqqqq") == []
