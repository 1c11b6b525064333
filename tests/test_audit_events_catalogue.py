"""The catalogue holds every action of the product page, and finds what was meant."""

from collections import Counter

import pytest

from audit_events.catalogue import (
    CATALOGUE,
    CATEGORIES,
    COLOURS,
    nearest_actions,
    read_catalogue,
)
from audit_events.errors import CatalogueError

HEAD = "action,category,colour,title,origin"


def test_it_has_the_actions_that_the_product_page_spells() -> None:
    exact = {action for action, entry in CATALOGUE.items() if entry.origin == "exact"}
    assert exact == {
        "member.invited",
        "member.role_changed",
        "member.offboarded",
        "subscription.changed",
        "billing.top_up",
        "integration.connected",
    }


def test_it_has_more_than_100_event_types_in_the_six_areas() -> None:
    assert len(CATALOGUE) == 195
    assert CATEGORIES == (
        "Member Management",
        "App Lifecycle",
        "Billing & Subscriptions",
        "Integrations & Connections",
        "Knowledge & AI",
        "Organization Settings",
    )
    assert set(Counter(entry.colour for entry in CATALOGUE.values())) == set(COLOURS)


def test_no_two_actions_look_the_same_to_a_reader() -> None:
    titles = Counter(entry.title for entry in CATALOGUE.values())
    assert [title for title, count in titles.items() if count > 1] == []


def test_titles_are_written_as_people_write() -> None:
    assert CATALOGUE["member.role_changed"].title == "Role changed"
    assert CATALOGUE["mcp_integration.created"].title == "MCP integration created"
    assert CATALOGUE["channel.whatsapp_configured"].title == "WhatsApp channel configured"
    assert all(entry.title[0].isupper() and "_" not in entry.title for entry in CATALOGUE.values())


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
    assert nearest_actions(text)[0] == first


def test_nothing_is_near_to_nonsense() -> None:
    assert nearest_actions("zzzzqqqq") == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        pytest.param("Bad.Action,C,green,T,named", "malformed", id="malformed action"),
        pytest.param("a.b,C,purple,T,named", "malformed", id="unknown colour"),
        pytest.param("a.b,C,green,,named", "malformed", id="no title"),
        pytest.param("x.y,C,green,T,named", "repeats", id="twice"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(row: str, says: str) -> None:
    with pytest.raises(CatalogueError, match=rf"line 3 .*|line 3 {says}") as caught:
        read_catalogue([HEAD, "x.y,C,green,T,named", row])
    assert says in str(caught.value)
