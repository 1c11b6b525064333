"""What must hold between the settings of the API."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final
from urllib.parse import urlsplit

from indexer.settings import Secret
from webapi.settings import PUBLIC_KEY_ALGORITHMS, WebSettings, is_loopback, is_private_url

SHARED_SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
MIN_SECRET_BYTES: Final = 32
"""RFC 7518, section 3.2: a key of at least the size of the hash."""


def conflicts(settings: WebSettings) -> list[str]:
    """Return what is wrong between the fields, one sentence each; empty when all is well."""
    return [
        *_key_conflicts(settings),
        *_algorithm_conflicts(settings),
        *_cursor_conflicts(settings),
        *_role_conflicts(settings),
        *_metrics_conflicts(settings),
        *_session_conflicts(settings),
        *_provider_conflicts(settings),
        *_proxy_conflicts(settings),
    ]


def _key_conflicts(settings: WebSettings) -> list[str]:
    if settings.jwt_secret is None and settings.jwks_url is None:
        return ["web.jwt_secret or web.jwks_url must be set: without one no token can be verified"]
    if settings.jwt_secret is not None and settings.jwks_url is not None:
        return ["web.jwt_secret and web.jwks_url are both set: keep the one that signs the tokens"]
    if settings.jwt_secret is not None:
        return _short_secret("web.jwt_secret", settings.jwt_secret)
    if is_private_url(settings.jwks_url or ""):
        return []
    return [f"web.jwks_url must be https (http only on this host), not {settings.jwks_url!r}"]


def _algorithm_conflicts(settings: WebSettings) -> list[str]:
    fitting = SHARED_SECRET_ALGORITHMS if settings.jwt_secret is not None else PUBLIC_KEY_ALGORITHMS
    return [
        f"web.jwt_algorithms: {name!r} does not fit the key; use one of {', '.join(fitting)}"
        for name in settings.jwt_algorithms
        if name not in fitting
    ]


def _metrics_conflicts(settings: WebSettings) -> list[str]:
    secret = settings.metrics_secret
    return [] if secret is None else _short_secret("web.metrics_secret", secret)


def _role_conflicts(settings: WebSettings) -> list[str]:
    both = set(settings.auditor_roles) & {*settings.token_roles, *settings.allowed_roles}
    return [
        f"web.auditor_roles: {role!r} may only read, so it cannot stand in another list of roles"
        for role in sorted(both)
    ]


def _cursor_conflicts(settings: WebSettings) -> list[str]:
    if settings.cursor_secret is not None:
        return _short_secret("web.cursor_secret", settings.cursor_secret)
    if settings.jwks_url is not None and settings.jwt_secret is None:
        return ["web.cursor_secret must be set with web.jwks_url: all workers sign with it"]
    return []


def _session_conflicts(settings: WebSettings) -> list[str]:
    found: list[str] = []
    if settings.session_secret is not None:
        found += _short_secret("web.session_secret", settings.session_secret)
    elif settings.jwks_url is not None and settings.jwt_secret is None:
        found.append("web.session_secret must be set with web.jwks_url: all workers sign with it")
    if not settings.cookie_secure and not is_loopback(settings.host):
        found.append("web.cookie_secure is false: then web.host must be an address of this host")
    if settings.public_url is not None:
        found += _url_conflicts(settings.public_url, settings)
    return found


def _url_conflicts(text: str, settings: WebSettings) -> list[str]:
    try:
        url = urlsplit(text)
        is_plain = bool(url.hostname) and (url.path, url.query, url.fragment) == ("", "", "")
        is_plain = is_plain and url.username is None and url.port != 0
    except ValueError:
        return [f"web.public_url is no address: {text!r}"]
    schemes = ("https",) if settings.cookie_secure else ("https", "http")
    if url.scheme not in schemes or not is_plain:
        return [f"web.public_url must be like {schemes[-1]}://audit.company.com, not {text!r}"]
    return []


def _provider_conflicts(settings: WebSettings) -> list[str]:
    if settings.oidc_issuer is None:
        return []
    found: list[str] = []
    if not is_private_url(settings.oidc_issuer):
        found.append(
            f"web.oidc_issuer must be https (http only on this host), not {settings.oidc_issuer!r}"
        )
    if settings.oidc_client_id is None:
        found.append("web.oidc_client_id must be set with web.oidc_issuer")
    if "openid" not in settings.oidc_scopes:
        found.append("web.oidc_scopes must have openid: without it there is no ID token")
    if settings.public_url is None and settings.cookie_secure:
        found.append("web.public_url must be set with web.oidc_issuer: the provider leads there")
    return found


def _proxy_conflicts(settings: WebSettings) -> list[str]:
    found: list[str] = []
    networks: list[IPv4Network | IPv6Network] = []
    for text in settings.trusted_proxy_networks:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            found.append(f"web.trusted_proxy_networks: {error}")
    if settings.trusted_proxy_secret is not None:
        found += _short_secret("web.trusted_proxy_secret", settings.trusted_proxy_secret)
    elif not all(one.is_loopback for one in networks):
        found.append(
            "web.trusted_proxy_secret must be set where a trusted proxy is not on this host:"
            " whoever gets an address of that network would be anybody"
        )
    out = settings.proxy_sign_out_url
    if out is not None and not is_private_url(out) and not re.fullmatch(r"/[!-.0-~][!-~]*", out):
        found.append(f"web.proxy_sign_out_url must be a path or https, not {out!r}")
    return found


def _short_secret(name: str, secret: Secret) -> list[str]:
    if len(secret.reveal().encode()) >= MIN_SECRET_BYTES:
        return []
    return [f"{name} is too short: use at least {MIN_SECRET_BYTES} random bytes"]
