"""What an event says of its request: whatever is sent, an address that our proxies vouch for."""

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_events.errors import ParameterError
from audit_events.request import (
    CorrelationHeader,
    RequestFacts,
    TrustedProxies,
    check_settings,
    read_address,
    read_correlation_id,
    read_request,
    read_user_agent,
)

PROXY, OUTER = "10.0.0.2", "10.0.0.1"
CLIENT, SPOOFED = "203.0.113.7", "198.51.100.66"
ONE, TWO = TrustedProxies(count=1), TrustedProxies(count=2)
WITHIN = TrustedProxies(count=3, networks=["10.0.0.0/8", "fd00::/8"])
FORWARDED = TrustedProxies(count=1, header="forwarded")
FORWARDED_TWICE = TrustedProxies(count=2, header="forwarded")


def facts(
    peer: str | None,
    proxies: TrustedProxies,
    correlation_header: CorrelationHeader | None = "x-request-id",
    **headers: str,
) -> RequestFacts:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    settings = check_settings(proxies, correlation_header)
    return read_request(peer, lambda name: named.get(name, ""), settings)


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and whose it is."""

    client: str | None
    x_forwarded_for: str = ""
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    peer: str | None = PROXY
    forwarded: str = ""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(PROXY), id="no proxy, no header"),
        pytest.param(Case(PROXY, SPOOFED), id="by default no header counts"),
        pytest.param(Case(PROXY, forwarded=f"for={SPOOFED}"), id="by default not Forwarded either"),
        pytest.param(Case(CLIENT, CLIENT, ONE), id="one proxy"),
        pytest.param(Case(CLIENT, f"{SPOOFED}, {CLIENT}", ONE), id="the client's own word, left"),
        pytest.param(Case(CLIENT, f"{SPOOFED},{CLIENT}, {OUTER}", TWO), id="two proxies"),
        pytest.param(Case(CLIENT, f"{SPOOFED}\t,\t {CLIENT} ", ONE), id="blanks and tabs"),
        pytest.param(Case(PROXY, "", ONE), id="one proxy that wrote nothing"),
        pytest.param(Case(PROXY, SPOOFED, TWO), id="fewer entries than proxies: the peer"),
        pytest.param(Case(PROXY, f"{SPOOFED}, ", ONE), id="an empty entry is an entry"),
        pytest.param(Case(PROXY, ",,,,,,", TWO), id="only commas"),
        pytest.param(Case(PROXY, f"{SPOOFED}, unknown", ONE), id="unknown"),
        pytest.param(Case(PROXY, f"{SPOOFED}, _hidden", ONE), id="an obfuscated name"),
        pytest.param(Case(PROXY, f"{SPOOFED}, 1.2.3", ONE), id="half an address"),
        pytest.param(Case(PROXY, f"{SPOOFED}, 1.2.3.4.5", ONE), id="more than an address"),
        pytest.param(Case(PROXY, "<script>", ONE), id="markup"),
        pytest.param(Case(PROXY, f"{SPOOFED}, \ud800", ONE), id="half a surrogate pair"),
        pytest.param(Case(CLIENT, f"{CLIENT}:5678", ONE), id="with a port"),
        pytest.param(Case("::1", "[::1]:80", ONE), id="IPv6 with a port"),
        pytest.param(Case("2001:db8::1", "[2001:DB8:0::1]", ONE), id="IPv6 in brackets"),
        pytest.param(Case("2001:db8::1", "2001:db8::1", ONE), id="IPv6 without brackets"),
        pytest.param(Case(CLIENT, f"::ffff:{CLIENT}", ONE), id="IPv4 in IPv6"),
        pytest.param(Case("fe80::1", "fe80::1%eth0", ONE), id="a zone means nothing elsewhere"),
        pytest.param(Case(CLIENT, peer=f"::ffff:{CLIENT}"), id="the peer's IPv4 in IPv6"),
        pytest.param(Case(None, peer=None), id="a Unix socket"),
        pytest.param(Case(None, SPOOFED, peer=""), id="a Unix socket, and a header"),
        pytest.param(Case(CLIENT, CLIENT, ONE, peer=""), id="a proxy behind a Unix socket"),
        pytest.param(Case(None, "unknown", ONE, peer=None), id="Unix socket, and unknown"),
        pytest.param(Case(None, CLIENT, ONE, peer="testclient"), id="a peer that is no address"),
        pytest.param(Case(CLIENT, f"{SPOOFED}, {CLIENT}, {OUTER}", WITHIN), id="networks: two"),
        pytest.param(Case(CLIENT, f"{SPOOFED}, {CLIENT}", WITHIN), id="networks: only one"),
        pytest.param(Case(CLIENT, SPOOFED, WITHIN, peer=CLIENT), id="networks: not a proxy"),
        pytest.param(Case(OUTER, OUTER, WITHIN), id="networks: a client in our own network"),
        pytest.param(Case(OUTER, f"unknown, {OUTER}", WITHIN), id="networks: as far as is known"),
        pytest.param(
            Case("10.0.0.4", f"{SPOOFED}, 10.0.0.4, 10.0.0.3, {OUTER}", WITHIN),
            id="networks: never further than the count",
        ),
        pytest.param(Case(CLIENT, CLIENT, WITHIN, peer="fd00::2"), id="networks: IPv6 and IPv4"),
        pytest.param(Case(CLIENT, CLIENT, WITHIN, peer=None), id="networks: a Unix socket"),
        pytest.param(
            Case(CLIENT, SPOOFED, FORWARDED, forwarded=f"for={CLIENT}"),
            id="Forwarded: the other header does not count",
        ),
        pytest.param(
            Case(CLIENT, proxies=FORWARDED, forwarded=f"for={SPOOFED}, For={CLIENT};proto=https"),
            id="Forwarded: the last element",
        ),
        pytest.param(
            Case(
                "2001:db8::1", proxies=FORWARDED, forwarded='proto=http; for="[2001:db8::1]:4711"'
            ),
            id="Forwarded: quoted IPv6 with a port",
        ),
        pytest.param(
            Case(CLIENT, proxies=FORWARDED, forwarded=f'for="{SPOOFED}, for={CLIENT}'),
            id="Forwarded: a quote that the client left open",
        ),
        pytest.param(
            Case("::1", proxies=FORWARDED, forwarded=f'for="{SPOOFED}, for="[::1]"'),
            id="Forwarded: an open quote before a quoted one",
        ),
        pytest.param(
            Case(CLIENT, proxies=FORWARDED, forwarded=f'for={CLIENT};host="a, for={SPOOFED}"'),
            id="Forwarded: a comma that a proxy quoted",
        ),
        pytest.param(
            Case(
                CLIENT,
                proxies=FORWARDED,
                forwarded=f'for={CLIENT};host="a\\", for=\\"{SPOOFED}"',
            ),
            id="Forwarded: a quote that a proxy escaped",
        ),
        pytest.param(
            Case(CLIENT, proxies=FORWARDED_TWICE, forwarded=f"for={CLIENT}, for={OUTER}"),
            id="Forwarded: two",
        ),
        pytest.param(
            Case(PROXY, proxies=FORWARDED_TWICE, forwarded=f"for={SPOOFED}"),
            id="Forwarded: fewer elements than proxies",
        ),
        pytest.param(
            Case(PROXY, proxies=FORWARDED, forwarded=f"for={SPOOFED}, by=10.0.0.9"),
            id="Forwarded: an element that does not say for whom",
        ),
        pytest.param(
            Case(PROXY, proxies=FORWARDED, forwarded='for="_gazonk"'), id="Forwarded: obfuscated"
        ),
        pytest.param(
            Case(PROXY, proxies=FORWARDED, forwarded=f"for={SPOOFED}, ;;;"), id="Forwarded: garbage"
        ),
    ],
)
def test_the_client_is_whom_our_own_proxies_saw(case: Case) -> None:
    told = facts(
        case.peer, case.proxies, x_forwarded_for=case.x_forwarded_for, forwarded=case.forwarded
    )
    assert told.ip_address == case.client
    peer = read_address(case.peer or "")
    assert told.peer_address == (str(peer) if peer and str(peer) != case.client else None)


@given(st.text(), st.sampled_from([ONE, TWO, WITHIN, FORWARDED, FORWARDED_TWICE]))
def test_nothing_that_is_sent_fails_an_event(text: str, proxies: TrustedProxies) -> None:
    told = facts(
        PROXY, proxies, x_forwarded_for=text, forwarded=text, user_agent=text, x_request_id=text
    )
    assert told.ip_address
    assert told.correlation_id
    assert not told.user_agent or told.user_agent.encode()


@given(st.text('0123456789abcdef.:,[]"; =for\\%_', max_size=200), st.sampled_from([1, 2, 3]))
def test_what_a_client_sends_never_changes_what_proxies_append(text: str, count: int) -> None:
    hops = [CLIENT, OUTER, "10.0.0.3"][:count]
    plain = TrustedProxies(count=count)
    assert facts(PROXY, plain, x_forwarded_for=", ".join([text, *hops])).ip_address == CLIENT
    forwarded = ", ".join([text, *(f"for={hop}" for hop in hops)])
    elements = TrustedProxies(count=count, header="forwarded")
    assert facts(PROXY, elements, forwarded=forwarded).ip_address == CLIENT


@pytest.mark.parametrize("piece", [",", 'a="', ',a="b', '\\",', "for=1.2.3.4,", 'for="x,', ";a=b"])
def test_a_long_header_costs_little(piece: str) -> None:
    """A pattern that backtracks would take minutes; this allows for a slow machine."""
    text = piece * (65_536 // len(piece))
    begun = time.process_time()
    for proxies in (WITHIN, TrustedProxies(count=16, header="forwarded")):
        facts(PROXY, proxies, x_forwarded_for=text, forwarded=text)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("text", "header", "expected"),
    [
        pytest.param("req-7f9c", "x-request-id", "req-7f9c", id="the client's own"),
        pytest.param("a" * 128, "x-request-id", "a" * 128, id="128 characters"),
        pytest.param("a" * 129, "x-request-id", None, id="too long"),
        pytest.param("a b", "x-request-id", None, id="a blank"),
        pytest.param("a\n", "x-request-id", None, id="a line break at the end"),
        pytest.param("\x1b[2J", "x-request-id", None, id="an escape sequence"),
        pytest.param("ä", "x-request-id", None, id="not ASCII"),
        pytest.param("", "x-request-id", None, id="none"),
        pytest.param(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "traceparent",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            id="a trace",
        ),
        pytest.param(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "traceparent",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            id="a trace of a later version",
        ),
        pytest.param(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "traceparent",
            None,
            id="a trace of this version has no more parts",
        ),
        pytest.param(
            f"00-{'0' * 32}-00f067aa0ba902b7-01", "traceparent", None, id="the trace of nothing"
        ),
        pytest.param(
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "traceparent",
            None,
            id="a version that is none",
        ),
    ],
)
def test_a_correlation_id_is_short_and_printable(
    text: str, header: CorrelationHeader, expected: str | None
) -> None:
    assert read_correlation_id(text, header) == expected


def test_without_a_correlation_id_a_fresh_one_joins_the_events() -> None:
    ids = {facts(CLIENT, ONE, "traceparent", x_request_id="a", traceparent="b").correlation_id}
    ids |= {facts(CLIENT, ONE, None, x_request_id="a").correlation_id for _ in range(3)}
    assert len(ids) == 4
    assert "a" not in ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Mozilla/5.0", "Mozilla/5.0", id="as it was sent"),
        pytest.param("Zoë".encode().decode("latin-1"), "Zoë", id="UTF-8"),
        pytest.param("Zoë", "Zoë", id="Latin-1, which is no UTF-8"),
        pytest.param("Zo\u0119", "Zo\u0119", id="decoded already"),
        pytest.param("a\udcff", "a?", id="half a surrogate pair"),
        pytest.param("\xed\xa0\x80", "\xed\xa0\x80", id="half a surrogate pair in UTF-8"),
        pytest.param("a" * 5000, "a" * 2048, id="too long"),
        pytest.param("", None, id="none"),
    ],
)
def test_a_user_agent_is_readable(text: str, expected: str | None) -> None:
    assert read_user_agent(text) == expected


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        pytest.param({"count": -1}, "counts -1", id="below 0"),
        pytest.param({"count": 17}, "counts 17", id="too many"),
        pytest.param({"count": True}, "counts True", id="a bool"),
        pytest.param({"count": "1"}, "counts '1'", id="text"),
        pytest.param({"networks": ["10.0.0.0/8"]}, "a count of 0", id="networks alone"),
        pytest.param({"count": 1, "networks": "10.0.0.0/8"}, "one text", id="one network as text"),
        pytest.param({"count": 1, "networks": ["10.0.0.1/8"]}, "host bits", id="host bits set"),
        pytest.param({"count": 1, "networks": ["proxy"]}, "proxy", id="a name"),
        pytest.param({"count": 1, "header": "x-real-ip"}, "header", id="another header"),
    ],
)
def test_proxies_that_cannot_be_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ParameterError, match=problem) as caught:
        TrustedProxies(**settings)  # type: ignore[arg-type]  # what a caller could get wrong
    assert caught.value.parameter == "trusted_proxies"


@pytest.mark.parametrize(
    ("trusted_proxies", "header", "parameter"),
    [
        pytest.param("1", "x-request-id", "trusted_proxies", id="text for a number"),
        pytest.param(True, "x-request-id", "trusted_proxies", id="a bool for a number"),
        pytest.param(0, "x-correlation-id", "correlation_header", id="another header"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    trusted_proxies: object, header: CorrelationHeader, parameter: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        check_settings(trusted_proxies, header)
    assert caught.value.parameter == parameter
