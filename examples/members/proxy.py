"""Whose address a request has, when proxies stand in front of the application."""

from collections.abc import Collection
from ipaddress import ip_address


def client_address(peer: str, forwarded: str | None, trusted: Collection[str]) -> str:
    """Return the address of whoever sent the request.

    `X-Forwarded-For` is text that anybody can send: it counts only when the peer that connected is
    one of our own proxies, and then only up to the first hop, from the right, that is not.

    Args:
        peer: the address that connected.
        forwarded: `X-Forwarded-For`, when there is one.
        trusted: the addresses of our own proxies; empty by default.
    """
    address = peer
    for hop in reversed((forwarded or "").split(",")):
        if address not in trusted or not _is_address(hop.strip()):
            break
        address = hop.strip()
    return address


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
