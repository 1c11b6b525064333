"""Settings of the API (group `web`), and what follows from them."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_file import read_catalogue
from indexer.settings import Secret

PUBLIC_KEY_ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104  # compared, never listened on

Header = Annotated[str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9-]*\Z")]
"""Name of a header without an underscore, which WSGI could not tell from a hyphen."""


class CatalogueSettings(Struct, frozen=True, kw_only=True):
    """Which actions are known besides ours, to the API and to the command line (`catalogue`)."""

    path: Annotated[
        Path | None,
        Meta(description="TOML with your applications' actions, or a directory of such files"),
    ] = None


class WebSettings(Struct, frozen=True, kw_only=True):
    """How the API is served, and whom it answers."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(description="port to listen on", ge=0, le=65535)] = 8250
    workers: Annotated[int, Meta(description="worker processes", ge=1, le=256)] = 2
    threads: Annotated[int, Meta(description="threads of each worker", ge=1, le=256)] = 8
    shutdown_seconds: Annotated[
        int, Meta(description="how long a stop waits for requests in flight", ge=1)
    ] = 20
    query_timeout_seconds: Annotated[
        float, Meta(description="how long one question to OpenSearch may take", gt=0)
    ] = 10.0
    jwt_secret: Annotated[
        Secret | None, Meta(description="shared secret that signs the tokens; this or `jwks_url`")
    ] = None
    jwks_url: Annotated[
        str | None,
        Meta(description="JWKS with the public keys of the tokens; this or `jwt_secret`"),
    ] = None
    jwks_stale_seconds: Annotated[
        int,
        Meta(
            description="for how long keys are believed while the JWKS cannot be fetched",
            ge=0,
            le=604_800,
        ),
    ] = 3_600
    jwt_algorithms: Annotated[
        tuple[str, ...],
        Meta(
            description="algorithms accepted; empty: HS256 with a secret, RS256, ES256 and EdDSA"
            " with a JWKS"
        ),
    ] = ()
    issuer: Annotated[str | None, Meta(description="`iss` that a token must carry")] = None
    audience: Annotated[str | None, Meta(description="`aud` that a token must carry")] = None
    leeway_seconds: Annotated[
        int, Meta(description="clock skew tolerated in `exp`, `nbf` and `iat`", ge=0, le=300)
    ] = 10
    organization_claim: Annotated[
        str,
        Meta(description="claim with the organisation, by name or path (`app_metadata.org`)"),
    ] = "organizationId"
    role_claim: Annotated[
        str, Meta(description="claim with the role, or with a list of roles or groups")
    ] = "role"
    plan_claim: Annotated[str, Meta(description="claim with the plan")] = "plan"
    subject_claim: Annotated[str, Meta(description="claim with the person's id")] = "sub"
    email_claim: Annotated[str, Meta(description="claim with the person's email, if any")] = "email"
    name_claim: Annotated[str, Meta(description="claim with the person's name, if any")] = "name"
    allowed_roles: Annotated[
        tuple[str, ...], Meta(description="roles that may read")
    ] = ("owner", "admin")  # fmt: skip
    allowed_plans: Annotated[
        tuple[str, ...], Meta(description="plans that include audit logs")
    ] = ("studio_pro", "enterprise")  # fmt: skip
    auditor_roles: Annotated[
        tuple[str, ...],
        Meta(description="roles that may read besides, and change nothing, such as `auditor`"),
    ] = ()
    token_roles: Annotated[
        tuple[str, ...], Meta(description="roles that make, see and revoke API tokens")
    ] = ("owner",)  # fmt: skip
    list_per_minute: Annotated[
        int, Meta(description="requests a minute of one organisation; 0: any number", ge=0)
    ] = 60
    search_per_minute: Annotated[
        int, Meta(description="the same of those with `q`, and of `/state` and `/heads`", ge=0)
    ] = 20  # fmt: skip
    incident_per_minute: Annotated[
        int, Meta(description="the same of incidents", ge=0)
    ] = 20  # fmt: skip
    export_per_minute: Annotated[
        int, Meta(description="the same of exports", ge=0)
    ] = 2  # fmt: skip
    stream_per_minute: Annotated[
        int, Meta(description="the same of polls by arrival", ge=0)
    ] = 60  # fmt: skip
    cursor_secret: Annotated[
        Secret | None,
        Meta(description="key that signs cursors; derived from `jwt_secret` when not set"),
    ] = None
    session_secret: Annotated[
        Secret | None,
        Meta(
            description="key that signs sessions and one-time links of the page; derived from"
            " `jwt_secret` when not set"
        ),
    ] = None
    session_seconds: Annotated[
        int, Meta(description="how long a person stays signed in at most", ge=60, le=2_592_000)
    ] = 43_200
    session_idle_seconds: Annotated[
        int,
        Meta(
            description="how long a person stays signed in without a request", ge=120, le=2_592_000
        ),
    ] = 3_600
    cookie_secure: Annotated[
        bool,
        Meta(description="send the session cookie over https alone; `false` only on this host"),
    ] = True
    public_url: Annotated[
        str | None,
        Meta(description="address at which browsers find the page; default: `host` and `port`"),
    ] = None
    state_directory: Annotated[
        Path | None,
        Meta(
            description="where used one-time links and ended sessions are remembered; default:"
            " `web` at home"
        ),
    ] = None
    oidc_issuer: Annotated[
        str | None,
        Meta(description="OpenID Connect provider by which people sign in: its issuer identifier"),
    ] = None
    oidc_client_id: Annotated[
        str | None, Meta(description="what this service is called at the provider")
    ] = None
    oidc_client_secret: Annotated[
        Secret | None, Meta(description="its secret there; none for a public client")
    ] = None
    oidc_scopes: Annotated[
        tuple[str, ...], Meta(description="what the provider is asked for")
    ] = ("openid", "email", "profile")  # fmt: skip
    oidc_organization_claim: Annotated[
        str,
        Meta(description="claim of the ID token with the organisation, by name or path (`a.b`)"),
    ] = "organizationId"
    oidc_role_claim: Annotated[
        str, Meta(description="claim with the role, or with a list of roles or groups")
    ] = "role"
    oidc_plan_claim: Annotated[str, Meta(description="claim with the plan")] = "plan"
    trusted_proxy_networks: Annotated[
        tuple[str, ...],
        Meta(
            description="addresses (CIDR) of reverse proxies whose word on who is signed in is"
            " taken; empty: no header is believed"
        ),
    ] = ()
    trusted_proxy_secret: Annotated[
        Secret | None,
        Meta(
            description="what they send as `X-Indelible-Proxy-Secret`; only those of this host may"
            " go without"
        ),
    ] = None
    proxy_user_header: Annotated[
        Header, Meta(description="header in which they name the person's id")
    ] = "X-Auth-Request-User"
    proxy_email_header: Annotated[Header, Meta(description="header with the email")] = (
        "X-Auth-Request-Email"
    )
    proxy_name_header: Annotated[Header, Meta(description="header with the name")] = (
        "X-Auth-Request-Preferred-Username"
    )
    proxy_organization_header: Annotated[
        Header, Meta(description="header with the organisation")
    ] = "X-Auth-Request-Organization"
    proxy_role_header: Annotated[Header, Meta(description="header with the role, one")] = (
        "X-Auth-Request-Role"
    )
    proxy_plan_header: Annotated[Header, Meta(description="header with the plan")] = (
        "X-Auth-Request-Plan"
    )
    proxy_sign_out_url: Annotated[
        str | None, Meta(description="path or address at which one signs out of the proxy")
    ] = None
    audit_path: Annotated[
        str | None,
        Meta(description="audit file for `audit_log.viewed`; not set: reads are not recorded"),
    ] = None
    viewed_seconds: Annotated[
        int,
        Meta(
            description="the same question of the same reader is recorded again after so long; 0:"
            " each time",
            ge=0,
            le=3600,
        ),
    ] = 60
    access_log: Annotated[
        bool, Meta(description="log a line for each request, without its query")
    ] = True  # fmt: skip
    metrics_secret: Annotated[
        Secret | None,
        Meta(description="bearer token that `/metrics` asks for; not set: there are no metrics"),
    ] = None
    hsts_seconds: Annotated[
        int,
        Meta(
            description="`Strict-Transport-Security` of each answer; 0: none. For a proxy with TLS"
            " in front",
            ge=0,
        ),
    ] = 0
    trusted_proxies: Annotated[
        int,
        Meta(description="proxies in front that append to X-Forwarded-For; 0: none", ge=0, le=16),
    ] = 0


def configured_catalogue(settings: CatalogueSettings) -> Catalogue:
    """Return the actions that are known here.

    Raises:
        CatalogueError: everything that is wrong with the file of the settings.
    """
    return CATALOGUE if settings.path is None else read_catalogue(settings.path)


def public_url(settings: WebSettings) -> str:
    """Return scheme, host and port at which browsers find the page, without a slash at the end."""
    if settings.public_url is not None:
        return settings.public_url
    # Whoever listens on all addresses is found on this host's own.
    host = "127.0.0.1" if settings.host in EVERYWHERE else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def is_loopback(host: str | None) -> bool:
    """Whether a host is this one, by its name or any of its addresses."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_plain_loopback(settings: WebSettings) -> bool:
    """Whether browsers find the page on this host, without https."""
    return is_loopback(settings.host) and not public_url(settings).startswith("https:")


def is_private_url(text: str) -> bool:
    """Whether nobody on the way can read or alter what is asked there."""
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        return False
    return (url.scheme == "https" and bool(host)) or (url.scheme == "http" and is_loopback(host))


def algorithms(settings: WebSettings) -> tuple[str, ...]:
    """Return the algorithms that are accepted; never chosen by what a token says (RFC 8725)."""
    if settings.jwt_algorithms:
        return settings.jwt_algorithms
    return ("HS256",) if settings.jwt_secret is not None else ("RS256", "ES256", "EdDSA")
