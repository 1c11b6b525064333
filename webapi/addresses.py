"""Addresses as people write them: whole, as a block, or by their beginning."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

_IPV4_PARTS: Final = 4
_IPV6_PARTS: Final = 8
_OCTET: Final = 255
_HEX_DIGITS: Final = 4
_IPV4_IN_IPV6: Final = IPv6Network("::ffff:0:0/96")
"""As these OpenSearch keeps the addresses of IPv4, and finds them in `::/0`."""


class Span(NamedTuple):
    """First and last address, both included, of one family."""

    first: str
    last: str

    def holds(self, text: str) -> bool:
        """Tell whether this text is an address between the two."""
        try:
            address = ip_address(text)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        first, last = ip_address(self.first), ip_address(self.last)
        return address.version == first.version and int(first) <= int(address) <= int(last)

    @property
    def surrounds_ipv4(self) -> bool:
        """Whether these are addresses of IPv6, and OpenSearch finds those of IPv4 among them."""
        first, last = ip_address(self.first), ip_address(self.last)
        ends = int(_IPV4_IN_IPV6[0]), int(_IPV4_IN_IPV6[-1])
        return first.version == _IPV4_IN_IPV6.version and (
            int(first) <= ends[0] and ends[1] <= int(last)
        )


def network_span(text: str) -> Span | None:
    """Return what an address or a CIDR block spans; None when it is neither."""
    try:
        # A zone (`%eth0`) names an interface of one machine: no event can be found by it.
        network = ip_network(text.replace("%", " "), strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.subnet_of(_IPV4_IN_IPV6):
        inner = int(network[0]) - int(_IPV4_IN_IPV6[0])
        network = IPv4Network((inner, network.prefixlen - _IPV4_IN_IPV6.prefixlen))
    return Span(str(network[0]), str(network[-1]))


def prefix_spans(text: str) -> tuple[Span, ...]:
    """Return what begins like this: `203.0.1`, `2001:db8:`, `2001:db8::`; nothing otherwise."""
    if ":" in text:
        return _ipv6_spans(text)
    *whole, last = text.split(".")
    if not 1 <= len(whole) < _IPV4_PARTS or not all(map(_is_octet, whole)):
        return ()
    missing = _IPV4_PARTS - len(whole) - 1
    return tuple(
        Span(
            ".".join([*whole, str(first), *["0"] * missing]),
            ".".join([*whole, str(end), *[str(_OCTET)] * missing]),
        )
        for first, end in _octets(last)
    )


def _octets(beginning: str) -> list[tuple[int, int]]:
    """Return the ranges of numbers up to 255 that are written with these digits first."""
    if not beginning:
        return [(0, _OCTET)]
    if not _is_octet(beginning):
        return []
    number = int(beginning)
    longer = (1,) if number == 0 else (1, 10, 100)
    return [
        (number * by, min(number * by + by - 1, _OCTET)) for by in longer if number * by <= _OCTET
    ]


def _is_octet(text: str) -> bool:
    plain = text.isascii() and text.isdigit() and len(text) <= len(str(_OCTET))
    return plain and int(text) <= _OCTET and text == str(int(text))


def _ipv6_spans(text: str) -> tuple[Span, ...]:
    # `2001:db8::1` begins with `2001:db8::`; there two groups at least are zero.
    *groups, last = (f"{text[:-1]}0:0:" if text.endswith("::") else text).split(":")
    complete = not last and 1 <= len(groups) < _IPV6_PARTS and all(map(_is_group, groups))
    if not complete:
        return ()
    missing = _IPV6_PARTS - len(groups)
    first = ip_address(":".join([*groups, *["0"] * missing]))
    end = ip_address(":".join([*groups, *["ffff"] * missing]))
    return (Span(str(first), str(end)),)


def _is_group(text: str) -> bool:
    digits = 1 <= len(text) <= _HEX_DIGITS
    return digits and all(character in "0123456789abcdefABCDEF" for character in text)
