"""What an event says of the request behind it: client address, user agent, correlation id.

Pure: text of peer and headers in, facts out. All of that text is chosen by whoever sends the
request, so nothing here raises because of it: what cannot be true counts as absent.

A header tells the client's address only as far as proxies of our own wrote it. A proxy appends the
address that connected to it, so of `X-Forwarded-For: a, b, c` behind two proxies `b` is what the
outer one saw, `c` what the inner one saw, and `a` is the client's own word, which is never used
(why a number, and why none by default: docs/decisions.md).
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from audit_events.errors import ParameterError
from audit_events.event import MAX_USER_AGENT_CHARACTERS
from audit_events.identifier import new_uuid7

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
AddressHeader = Literal["x-forwarded-for", "forwarded"]
CorrelationHeader = Literal["x-request-id", "traceparent"]

MOST_PROXIES: Final = 16
MOST_HEADER_CHARACTERS: Final = 4096
"""Of `Forwarded`: only its end is read, as what our own proxies append stands there."""
_MOST_ADDRESS_CHARACTERS: Final = 80
"""An address in brackets with zone and port has fewer; a cache of longer texts could grow."""

_match_request_id: Final = re.compile(r"[!-~]{1,128}").fullmatch
_match_traceparent: Final = re.compile(
    r"(?!ff|00-.{53})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
).fullmatch
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 9110, 5.6.2: no password
_PAIR: Final = rf'{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_match_element: Final = re.compile(rf"[ \t]*{_PAIR}(?:[ \t]*;[ \t]*{_PAIR})*[ \t]*").fullmatch
_find_for: Final = re.compile(rf'(?i:for)=(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")').match
_find_pair: Final = re.compile(_PAIR).finditer


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """How many proxies of ours stand in front, each of which tells the address that it saw.

    Args:
        count: how many there are on the way of a request; with `networks`, how many at most.
        networks: where they are, as addresses or CIDR. With them each hop is checked, so that a
            request that came past the outer proxies is seen as what it is. Without them the count
            alone is believed: nobody must be able to reach the application by another way.
        header: the one that they write, `x-forwarded-for` or `forwarded` (RFC 7239).

    Raises:
        ParameterError: a count, a network or a header that cannot be.
    """

    count: int = 0
    networks: Sequence[str] = ()
    header: AddressHeader = "x-forwarded-for"
    _networks: tuple[Network, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        _check_proxies(self)
        object.__setattr__(self, "_networks", tuple(map(_read_network, self.networks)))

    def has(self, address: Address) -> bool:
        """Tell whether this is the address of a proxy of ours, as far as networks are given."""
        return any(address in network for network in self._networks)


class RequestFacts(NamedTuple):
    """What is known of a request.

    Args:
        ip_address: of the client, as far as proxies are trusted.
        peer_address: of what connected to the application, where that is another.
        user_agent: as it was sent, but never longer than an event takes.
        correlation_id: the client's own, or a fresh one.
    """

    ip_address: str | None
    peer_address: str | None
    user_agent: str | None
    correlation_id: str


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """How requests are read.

    Args:
        proxies: of ours.
        correlation_header: whose value joins the events of a request; None: always a fresh id.
    """

    proxies: TrustedProxies
    correlation_header: CorrelationHeader | None


def check_settings(
    trusted_proxies: object, correlation_header: CorrelationHeader | None
) -> RequestSettings:
    """Return the settings of an integration; a number of proxies stands for `TrustedProxies`.

    Raises:
        ParameterError: one of them cannot be meant; it is named.
    """
    if not isinstance(trusted_proxies, TrustedProxies):
        if isinstance(trusted_proxies, bool) or not isinstance(trusted_proxies, int):
            hint = "how many proxies stand in front, or TrustedProxies(...)"
            raise ParameterError("trusted_proxies", f"is {trusted_proxies!r}", hint)
        trusted_proxies = TrustedProxies(count=trusted_proxies)
    if correlation_header not in (None, *get_args(CorrelationHeader)):
        hint = '"x-request-id", "traceparent" or None'
        raise ParameterError("correlation_header", f"is {correlation_header!r}", hint)
    return RequestSettings(trusted_proxies, correlation_header)


def read_request(
    peer: str | None, header: Callable[[str], str], settings: RequestSettings
) -> RequestFacts:
    """Return what is known of a request.

    Args:
        peer: the address that connected; None or empty for a Unix socket.
        header: returns the value of a header (lower case), its lines joined by commas, its bytes
            decoded as Latin-1; an empty text where there is none.
        settings: how it is read.
    """
    connected = read_address(peer or "")
    client = find_client(peer, header, settings.proxies)
    name = settings.correlation_header
    given = read_correlation_id(header(name), name) if name else None
    return RequestFacts(
        ip_address=None if client is None else str(client),
        peer_address=None if connected is None or connected == client else str(connected),
        user_agent=read_user_agent(header("user-agent")),
        correlation_id=given or new_uuid7(time.time_ns()),
    )


def find_client(
    peer: str | None, header: Callable[[str], str], proxies: TrustedProxies
) -> Address | None:
    """Return the address of whoever sent the request, or None where nobody knows it."""
    connected = read_address(peer or "")
    if not proxies.count or (peer and connected is None):
        return connected
    hops = _last_hops(header(proxies.header), proxies)
    if proxies.networks:
        return _follow(connected, hops, proxies)
    # Fewer than there are proxies: the count is wrong, or the request came another way. Then
    # nobody knows who wrote what is there, and the peer is the only one that is certain.
    return (read_address(hops[-1]) if len(hops) == proxies.count else None) or connected


def _follow(
    connected: Address | None, hops: Sequence[str], proxies: TrustedProxies
) -> Address | None:
    client = connected
    for hop in hops:
        # What connected over a Unix socket is on this host, and so is a proxy of ours.
        if client is not None and not proxies.has(client):
            break
        told = read_address(hop)
        if told is None:
            break
        client = told
    return client


def _last_hops(header: str, proxies: TrustedProxies) -> list[str]:
    """Return what the nearest proxies wrote, the nearest first; at most as many as there are."""
    if proxies.header == "x-forwarded-for":
        return header.rsplit(",", proxies.count)[: -proxies.count - 1 : -1] if header else []
    hops: list[str] = []
    for hop in _forwarded_for(header[-MOST_HEADER_CHARACTERS:]):
        hops.append(hop)
        if len(hops) == proxies.count:
            break
    return hops


def _forwarded_for(header: str) -> Iterator[str]:
    """Yield `for` of each element of `Forwarded` (RFC 7239, 4), the last one first.

    From the right: a quote that a client leaves open would else swallow what a proxy appended.
    """
    end = len(header)
    while end >= 0:
        element, end = _last_element(header, end)
        if element is None:
            return
        found = [match for pair in _find_pair(element) if (match := _find_for(pair[0]))]
        yield (found[0][1] or found[0][2] or "") if found else ""


def _last_element(header: str, end: int) -> tuple[str | None, int]:
    comma = end
    while comma >= 0:
        comma = header.rfind(",", 0, comma)
        if _match_element(header, comma + 1, end):
            return header[comma + 1 : end], comma
    return None, -1


def read_address(text: str) -> Address | None:
    """Return the address that `text` spells, with or without a port; None if it spells none.

    `1.2.3.4`, `1.2.3.4:5678`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`;
    an IPv4 address in IPv6 is the IPv4 one. `unknown` and obfuscated names (RFC 7239, 6) spell
    none.
    """
    text = text.strip(" \t")
    return _read_address(text) if len(text) <= _MOST_ADDRESS_CHARACTERS else None


@lru_cache(maxsize=4096)
def _read_address(text: str) -> Address | None:
    if text.startswith("["):
        text, _, port = text[1:].partition("]")
        port = port.removeprefix(":") if port.startswith(":") else port and "?"
    else:
        text, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    if port and not (port.isascii() and port.isdigit()):
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))  # without its zone
    return address


def read_correlation_id(text: str, header: CorrelationHeader) -> str | None:
    """Return the correlation id that a header gives, None if it gives none that can be used.

    `X-Request-ID`: 1 to 128 visible characters of ASCII. `traceparent`: its trace id (W3C Trace
    Context, 3.2).
    """
    if header == "traceparent":
        found = _match_traceparent(text)
        return found[1] if found else None
    return text if _match_request_id(text) else None


def read_user_agent(text: str) -> str | None:
    """Return a user agent as an event takes it: UTF-8 where it is that, else Latin-1.

    Args:
        text: the bytes that were sent, decoded as Latin-1 (PEP 3333); anything else is taken as it
            is, halves of surrogate pairs as `?`.
    """
    try:
        sent = text.encode("latin-1")
        text = sent.decode()
    except UnicodeEncodeError:
        text = text.encode(errors="replace").decode()
    except UnicodeDecodeError:
        pass
    return text[:MAX_USER_AGENT_CHARACTERS] or None


def _check_proxies(proxies: TrustedProxies) -> None:
    _check_count(proxies.count)
    if isinstance(proxies.networks, str):
        raise ParameterError("trusted_proxies", "networks is one text", "give a list of them")
    if proxies.networks and not proxies.count:
        hint = "say how many proxies there are at most"
        raise ParameterError("trusted_proxies", "has networks, but a count of 0", hint)
    if proxies.header not in get_args(AddressHeader):
        hint = "x-forwarded-for or forwarded, whichever your proxies write"
        raise ParameterError("trusted_proxies", "names a header that is not known", hint)


def _check_count(count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_PROXIES:
        raise ParameterError("trusted_proxies", f"counts {count!r}", f"0 to {MOST_PROXIES} proxies")


def _read_network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        hint = "an address or CIDR, such as 10.0.0.0/8"
        raise ParameterError("trusted_proxies", f"names no network: {error}", hint) from None
