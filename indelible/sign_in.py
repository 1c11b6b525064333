"""`indelible sign-in`: make a link that signs somebody in to the web page, once."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import click
import msgspec

from indelible.configuration import load
from indelible.errors import CommandError
from indelible.run_record import running_web
from indelible.token import check_organization, warn_of_refusal
from indelible.whole_help import examples
from webapi.settings import WebSettings, public_url
from webapi.sign_in.ticket import TICKET_SECONDS, write_ticket

ONCE_PATH: Final = "/sign-in/once"


@click.command("sign-in", epilog=examples("sign-in --organization org_1 --email you@company.com"))
@click.option("--organization", required=True, help="Whose events the person may read.")
@click.option("--role", default="owner", show_default=True, help="Role of the person there.")
@click.option("--plan", default="studio_pro", show_default=True, help="Plan of the organisation.")
@click.option("--email", default=None, help="Email of the person; shown in the log.")
@click.option("--name", default=None, help="Name of the person; shown in the log.")
def command(
    *, organization: str, role: str, plan: str, email: str | None, name: str | None
) -> None:
    """Print a link that signs somebody in to the web page, once and within ten minutes.

    Whoever has the link is that person: send it by no channel that others read.
    """
    claims = {
        "organizationId": organization,
        "role": role,
        "plan": plan,
        "sub": email or "indelible-sign-in",
        **({} if email is None else {"email": email}),
        **({} if name is None else {"name": name}),
    }
    configuration = load()
    settings = configuration.web
    if settings.public_url is None and (running := running_web(configuration.home)):
        # `up --port` is in no settings.
        settings = msgspec.structs.replace(settings, public_url=running)
    click.echo(link(claims, settings, now=time.time()))
    click.echo(f"It works once, and for {TICKET_SECONDS // 60} minutes.", err=True)
    warn_of_refusal(claims, settings)


def link(claims: Mapping[str, object], settings: WebSettings, *, now: float) -> str:
    """Return a link that the web of these settings takes.

    Args:
        claims: of the person, spelled as in a bearer token.
        settings: where the secret stands.
        now: seconds since the epoch.

    Raises:
        CommandError: there is no secret, or the organisation is reserved or empty.
    """
    if settings.session_secret is None and settings.jwt_secret is None:
        raise CommandError(
            "there is no secret to sign a link with",
            hint="set INDELIBLE_WEB_SESSION_SECRET, the same as for `indelible web`",
        )
    check_organization(claims)
    ticket = write_ticket(claims, settings, now=now)
    return f"{public_url(settings)}{ONCE_PATH}?{urlencode({'ticket': ticket})}"
