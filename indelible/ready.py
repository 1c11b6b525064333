"""What `indelible up` prints when everything answers: where it is, and what to try."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

AUDIT_LOG_PATH: Final = "/api/organization/rbac/members/audit-log"
SAMPLE_EVENTS: Final = 5
SAMPLE_ACTION: Final = "member.role_changed"


class Ready(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where everything answers; `token` and `sign_in_url` are None without the example."""

    seconds: float
    home: str
    opensearch_url: str
    opensearch_ca_file: str | None
    web_url: str
    audit_log_url: str
    example_url: str | None
    organization_id: str | None
    token: str | None
    sign_in_url: str | None
    curls: tuple[str, ...]
    search: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Whom the printed token belongs to."""

    name: str
    organization_id: str
    organization_name: str
    token: str
    sign_in_url: str
    hours: int


def audit_log_url(web_url: str) -> str:
    """Return the documented endpoint."""
    return web_url + AUDIT_LOG_PATH


def curl(url: str, token: str) -> str:
    """Return a line to paste into any POSIX shell."""
    return f"curl -sS -H {shlex.quote(f'Authorization: Bearer {token}')} {shlex.quote(url)}"


def sample_curls(web_url: str, token: str) -> tuple[str, ...]:
    """Return the two questions to begin with."""
    url = audit_log_url(web_url)
    return (
        curl(f"{url}?limit={SAMPLE_EVENTS}", token),
        curl(f"{url}?action={SAMPLE_ACTION}&limit={SAMPLE_EVENTS}", token),
    )


def short_curls(curls: tuple[str, ...], token: str) -> list[str]:
    """Return the same lines for a shell that has the token in `TOKEN`."""
    long = shlex.quote(f"Authorization: Bearer {token}")
    return [line.replace(long, '"Authorization: Bearer $TOKEN"') for line in curls]


def search_line(program: str, home: Path | None, organization_id: str, around: str) -> str:
    """Return an `indelible search` to paste; `home` where it is not the default one."""
    setting = f"INDELIBLE_HOME={shlex.quote(str(home))} " if home else ""
    return (
        f"{setting}{shlex.quote(program)} search 'role changed' --organization {organization_id}"
        f" --around {around} --window 10m"
    )


def as_json(ready: Ready) -> str:
    """Return the same for programs, on one line."""
    return msgspec.json.encode(ready).decode()


def as_text(ready: Ready, sample: Sample | None) -> str:
    """Return what the operator reads."""
    lines = [
        "",
        f"Indelible is ready, after {ready.seconds:.0f} s. Ctrl-C stops all of it.",
        "",
        f"  API         {ready.audit_log_url}",
        f"  OpenSearch  {ready.opensearch_url}",
    ]
    if ready.example_url:
        lines.append(
            f"  Example     {ready.example_url} (python -m examples.members, with traffic)"
        )
    lines += [
        f"  Lines       {ready.home}/events/*.log",
        f"  Logs        {ready.home}/logs/",
        "",
    ]
    if sample is None:
        lines += [
            "Append events to a file in events/, and ask for them with a token, or on the page:",
            "",
            "  indelible token --help",
            "  indelible sign-in --help",
        ]
    else:
        owner = f"{sample.name}, owner of {sample.organization_name}"
        lines += [
            f"Look as {owner} (press Continue there; the link signs in once,",
            "and within ten minutes; `indelible sign-in` makes another one):",
            "",
            f"  {ready.sign_in_url}",
            "",
            f"Ask as {owner} (the token holds for {sample.hours} hours):",
            "",
            f"  TOKEN={shlex.quote(sample.token)}",
            *(f"  {line}" for line in short_curls(ready.curls, sample.token)),
            "",
            f"  {ready.search}",
        ]
    return "\n".join([*lines, ""])
