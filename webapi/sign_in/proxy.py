"""Signing in by a reverse proxy that has asked already: who it says is there, is there.

Its headers are worth nothing by themselves, since any client can send them. They are believed from
an address of `web.trusted_proxy_networks` alone, as the kernel tells it and not as a header does,
and with the secret that only the proxy knows; the secret may be left out where all of those
addresses are of this host. Each request is judged anew: without the headers nobody is signed in.

A server joins a header that comes twice with a comma, so a client that gets its own past a proxy
would hide in front of the proxy's. No value may have a comma in it, then. Spellings with an
underscore, which a WSGI server cannot tell from those with a hyphen, are dropped by gunicorn
(`header_map`).
"""

import hmac
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from webapi.auth import Reader, read_claims
from webapi.errors import TokenError
from webapi.settings import WebSettings

SECRET_HEADER: Final = "X-Indelible-Proxy-Secret"  # noqa: S105  # its name


def read_proxied(environ: Mapping[str, object], settings: WebSettings) -> Reader | None:
    """Return whom a trusted proxy says is there; None where none says anything.

    Args:
        environ: of the request (PEP 3333).
        settings: whom to believe, and the names of the headers.

    Raises:
        TokenError: a trusted proxy says something that cannot be meant.
    """
    if not is_trusted(environ, settings):
        return None
    said = {
        claim: text
        for claim, header in header_names(settings).items()
        if (text := _read(environ, header)) is not None
    }
    if "sub" not in said:
        return None
    missing = [header for claim, header in _needed(settings) if claim not in said]
    if missing:
        raise TokenError("token_invalid", f"the proxy sends no {missing[0]}")
    return read_claims(said)


def is_trusted(environ: Mapping[str, object], settings: WebSettings) -> bool:
    """Whether a request comes from a proxy that is believed."""
    if not settings.trusted_proxy_networks or not _is_known(environ, settings):
        return False
    if settings.trusted_proxy_secret is None:
        return True
    sent = str(environ.get(_key(SECRET_HEADER), ""))
    expected = settings.trusted_proxy_secret.reveal()
    return hmac.compare_digest(sent.encode("latin-1", "replace"), expected.encode())


def header_names(settings: WebSettings) -> dict[str, str]:
    """Return which header tells which claim."""
    return {
        "sub": settings.proxy_user_header,
        "email": settings.proxy_email_header,
        "name": settings.proxy_name_header,
        "organizationId": settings.proxy_organization_header,
        "role": settings.proxy_role_header,
        "plan": settings.proxy_plan_header,
    }


def _needed(settings: WebSettings) -> list[tuple[str, str]]:
    optional = ("email", "name")
    return [pair for pair in header_names(settings).items() if pair[0] not in optional]


def _is_known(environ: Mapping[str, object], settings: WebSettings) -> bool:
    try:
        peer = ip_address(str(environ.get("REMOTE_ADDR", "")))
    except ValueError:
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in ip_network(network) for network in settings.trusted_proxy_networks)


def _read(environ: Mapping[str, object], header: str) -> str | None:
    """Return what a header says; None where it is empty, as proxies send what they do not know."""
    sent = str(environ.get(_key(header), "")).strip()
    if not sent:
        return None
    if "," in sent:
        raise TokenError("token_invalid", f"the header {header} came twice, or has a comma in it")
    try:
        # WSGI has the bytes as Latin-1 (PEP 3333); proxies send UTF-8.
        return sent.encode("latin-1").decode()
    except UnicodeError:
        raise TokenError("token_invalid", f"the header {header} is not UTF-8") from None


def _key(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")
