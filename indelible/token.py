"""`indelible token`: make a bearer token for the API, where it is signed with a shared secret."""

import time
from collections.abc import Mapping
from datetime import timedelta

import click
import jwt
from typing_extensions import override

from audit_events.event import RESERVED_PREFIX
from indelible.configuration import load
from indelible.errors import CommandError
from indelible.whole_help import examples
from webapi.auth import Reader, authorize
from webapi.errors import ForbiddenError, ParameterError
from webapi.settings import WebSettings, algorithms
from webapi.values import read_duration


class Duration(click.ParamType[timedelta]):
    """A duration such as `15m`, as the API's `window` has it."""

    name = "duration"

    @override
    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read the text of the option."""
        if isinstance(value, timedelta):
            return value
        try:
            return read_duration(value)
        except ParameterError as error:
            self.fail(error.reason, param, ctx)


@click.command(
    "token", epilog=examples("token --organization org_1 --email you@company.com --expires 8h")
)
@click.option("--organization", required=True, help="Whose events the token may read.")
@click.option("--role", default="owner", show_default=True, help="Role of its bearer there.")
@click.option("--plan", default="studio_pro", show_default=True, help="Plan of the organisation.")
@click.option("--email", default=None, help="Email of its bearer; shown in audit_log.viewed.")
@click.option(
    "--expires", type=Duration(), default="1h", show_default=True, help="Such as 15m, 8h or 7d."
)
def command(
    *, organization: str, role: str, plan: str, email: str | None, expires: timedelta
) -> None:
    """Print a bearer token for the API."""
    claims: dict[str, object] = {
        "organizationId": organization,
        "role": role,
        "plan": plan,
        "sub": email or "indelible-token",
    }
    if email is not None:
        claims["email"] = email
    settings = load().web
    click.echo(sign(claims, settings, expires, now=time.time()))
    warn_of_refusal(claims, settings)


def sign(
    claims: Mapping[str, object], settings: WebSettings, expires: timedelta, *, now: float
) -> str:
    """Return a token that `webapi.auth` takes.

    Args:
        claims: what it says of its bearer.
        settings: where the shared secret, `issuer` and `audience` stand.
        expires: how long it is good for.
        now: seconds since the epoch.

    Raises:
        CommandError: there is no shared secret, or the organisation is reserved or empty.
    """
    if settings.jwt_secret is None:
        raise CommandError(
            "there is no shared secret to sign a token with",
            hint="set INDELIBLE_WEB_JWT_SECRET (the same for `indelible web`), or get a token from"
            " the identity provider behind INDELIBLE_WEB_JWKS_URL",
        )
    check_organization(claims)
    registered: dict[str, object] = {"iat": int(now), "exp": int(now + expires.total_seconds())}
    if settings.issuer is not None:
        registered["iss"] = settings.issuer
    if settings.audience is not None:
        registered["aud"] = settings.audience
    return jwt.encode(
        {**claims, **registered}, settings.jwt_secret.reveal(), algorithm=algorithms(settings)[0]
    )


def warn_of_refusal(claims: Mapping[str, object], settings: WebSettings) -> None:
    """Say on stderr that the API will refuse these claims; somebody may want just that."""
    reader = Reader(
        organization_id=str(claims["organizationId"]),
        role=str(claims["role"]),
        plan=str(claims["plan"]),
        subject=str(claims["sub"]),
    )
    try:
        authorize(reader, settings)
    except ForbiddenError as error:
        click.echo(f"warning: it will be refused: {error.detail}", err=True)


def check_organization(claims: Mapping[str, object]) -> None:
    """Refuse an organisation that is nobody's.

    Raises:
        CommandError: it is reserved, or empty.
    """
    if not str(claims["organizationId"]).strip():
        raise CommandError("the organisation is empty", hint="name one with --organization")
    if str(claims["organizationId"]).startswith(RESERVED_PREFIX):
        raise CommandError(
            f"organisation {claims['organizationId']!r} is reserved; no token can carry it",
            hint="name an organisation that does not begin with _",
        )
