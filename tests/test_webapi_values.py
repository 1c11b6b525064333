"""One value: from text to what it means, or why not."""

from datetime import UTC, datetime, timedelta

import pytest

from audit_events.catalogue import CATALOGUE
from webapi import values
from webapi.audit_log import PATH
from webapi.errors import ParameterError

NINE = datetime(2026, 3, 15, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param("2026-03-15T09:30:00Z", NINE, id="utc"),
        pytest.param("2026-03-15T11:30:00+02:00", NINE, id="offset"),
        pytest.param("2026-03-15T11:30:00 02:00", NINE, id="plus that arrived as a blank"),
        pytest.param("2026-03-15T11:30:00.000000 02:00", NINE, id="lost plus behind a fraction"),
        pytest.param("2026-03-15 11:30:00 02:00", NINE, id="lost plus and a blank for T"),
        pytest.param("2026-03-15T07:30:00-02:00", NINE, id="minus is never lost"),
        pytest.param("2026-03-15", NINE.replace(hour=0, minute=0), id="date is its first instant"),
    ],
)
def test_instants(text: str, meant: datetime) -> None:
    assert values.read_instant(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2026-02-30",
        "2026-03-15T09:30:00",
        "2026-03-15 10:00",
        "1773567000",
        "15m",
        "\u0662026-03-15",
    ],
)
def test_what_is_no_instant_is_told_what_is(text: str) -> None:
    with pytest.raises(ParameterError, match="RFC 3339") as caught:
        values.read_instant(text)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("31d", timedelta(days=31)),
    ],
)
def test_durations(text: str, meant: timedelta) -> None:
    assert values.read_duration(text) == meant


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("15", "invalid", id="no unit"),
        pytest.param("m", "invalid", id="no number"),
        pytest.param("-5m", "invalid", id="negative"),
        pytest.param("1.5h", "invalid", id="fraction"),
        pytest.param("5w", "invalid", id="other unit"),
        pytest.param("5m\n", "invalid", id="line end"),
        pytest.param("\u0665m", "invalid", id="digits of another script"),
        pytest.param("99999999d", "invalid", id="far too long to be a number"),
        pytest.param("0s", "out_of_range", id="nothing"),
        pytest.param("32d", "out_of_range", id="beyond the bound"),
        pytest.param("9999999d", "out_of_range", id="beyond what a date holds"),
    ],
)
def test_refused_durations(text: str, code: str) -> None:
    with pytest.raises(ParameterError) as caught:
        values.read_duration(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text", ["member.role_changed", "member.*", "zebra.danced", "zebra.*", " app.created "]
)
def test_actions_that_may_exist(text: str) -> None:
    assert values.action_of(CATALOGUE)(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "member",
        "*",
        "*.created",
        "member.role*",
        "Member.invited",
        "a.b.c",
        "member.**",
        ".*",
        "m.\n",
    ],
)
def test_what_is_no_action_is_refused(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        values.action_of(CATALOGUE)(text)
    assert caught.value.code == "unknown_value"


def test_a_misspelt_action_is_answered_with_the_nearest() -> None:
    with pytest.raises(ParameterError) as caught:
        values.action_of(CATALOGUE)("member.role-changed")
    assert caught.value.nearest[0] == "member.role_changed"
    assert caught.value.reason.endswith(f"see {PATH}/actions")


@pytest.mark.parametrize("text", ["billing", " Billing "])
def test_a_noun_alone_is_answered_with_all_of_its_actions(text: str) -> None:
    with pytest.raises(ParameterError) as caught:
        values.action_of(CATALOGUE)(text)
    assert caught.value.nearest[:2] == ("billing.*", "billing.top_up")
    assert len(caught.value.nearest) <= values.MAX_NEAREST


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_addresses_and_networks(text: str, meant: str) -> None:
    assert values.read_network(text) == meant


@pytest.mark.parametrize(
    "text", ["203.0.113", "203.0.113.7/33", "localhost", "fe80::1%eth0", "1.2.3.4 OR 1=1", "*"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="IP address"):
        values.read_network(text)


def test_a_uuid_is_read_in_any_case_and_only_in_its_usual_spelling() -> None:
    plain = "0190a1b2-7c3d-7000-8000-00000000000a"
    assert values.read_uuid(plain.upper()) == plain
    for text in ("x", plain.replace("-", ""), f"{{{plain}}}", f"urn:uuid:{plain}", plain + "\n"):
        with pytest.raises(ParameterError, match="UUID"):
            values.read_uuid(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1", None),
        ("200", None),
        ("0", "out_of_range"),
        ("201", "out_of_range"),
        ("-1", "out_of_range"),
        ("1e2", "invalid"),
        ("+5", "invalid"),
        ("1_0", "invalid"),
        ("\u0665", "invalid"),
        ("5.0", "invalid"),
        ("9" * 5000, "invalid"),
    ],
)
def test_limits(text: str, code: str | None) -> None:
    read = values.integer_between(1, 200)
    if code is None:
        assert read(text) == int(text)
        return
    with pytest.raises(ParameterError, match="1 to 200") as caught:
        read(text)
    assert caught.value.code == code
    assert len(caught.value.reason) < 200


def test_a_flag_is_true_or_false() -> None:
    assert [values.read_flag(text) for text in ("true", "false")] == [True, False]
    with pytest.raises(ParameterError):
        values.read_flag("yes")


def test_a_choice_shows_what_there_is() -> None:
    with pytest.raises(ParameterError) as caught:
        values.choice_of(("green", "blue", "red"))("gren")
    assert caught.value.allowed == ("green", "blue", "red")
    assert caught.value.nearest == ("green",)
