"""Plausible people use the application: `python -m examples.members.traffic`.

Drives it through real HTTP, as the reverse proxy in front of it would: it states each person's
address in `X-Forwarded-For` (documentation ranges of RFC 5737 and RFC 3849), which the application
believes only when it was started with `--trusted-proxies 1`.
"""

import argparse
import contextlib
import itertools
import json
import random
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from examples.members.people import (
    ADMINISTRATORS,
    APP_NAMES,
    NEWCOMERS,
    ORGANIZATIONS,
    Organization,
    newcomer_email,
)

_CHROMIUM = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5"
USER_AGENTS: Final = (
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Safari/605.1.15",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROMIUM}",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) {_WEBKIT} Mobile/15E148",
)
NETWORKS: Final = ("192.0.2.{}", "198.51.100.{}", "203.0.113.{}", "2001:db8::{:x}")
DEPLOY_ADDRESS: Final = "198.51.100.250"
REASONS: Final = ("left the company", "contract ended", "moved to another team", "account unused")
MOST_MEMBERS: Final = 12
FEWEST_MEMBERS: Final = 4
MOST_APPS: Final = 6
ADMIN_SHARE: Final = 0.25


def _no_body() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Step:
    """One request: who sends it (an e-mail address, or a deploy key) and what."""

    sender: str
    method: str
    path: str
    body: Mapping[str, str] = field(default_factory=_no_body)


@dataclass(frozen=True, slots=True)
class View:
    """What `GET /organization` shows of one organisation."""

    organization: Organization
    members: list[dict[str, Any]]
    invitations: list[dict[str, Any]]
    workspaces: list[dict[str, Any]]
    apps: list[dict[str, Any]]

    def active(self, *roles: str) -> list[dict[str, Any]]:
        """Return the active members, of certain roles when some are given."""
        return [
            one
            for one in self.members
            if one["status"] == "active" and (not roles or one["role"] in roles)
        ]


Chooser = Callable[[View, random.Random], Step | None]


def choose_step(view: View, dice: random.Random) -> Step:
    """Return what somebody of the organisation does next; pure but for the dice."""
    choosers = [chooser for chooser, weight in HABITS for _ in range(weight)]
    for _ in range(100):
        step = dice.choice(choosers)(view, dice)
        if step is not None:
            return step
    return publish(view, dice) or attempt_without_right(view, dice)


def administrator(view: View, dice: random.Random) -> str:
    """Return the address of an owner or admin."""
    return str(dice.choice(view.active(*ADMINISTRATORS))["email"])


def invite(view: View, dice: random.Random) -> Step | None:
    """Invite somebody new."""
    known = {one["email"] for one in (*view.members, *view.invitations)}
    emails = [newcomer_email(name, view.organization.domain) for name in NEWCOMERS]
    unknown: list[str] = [email for email in emails if email not in known]
    if not unknown or len(view.active()) + len(view.invitations) >= MOST_MEMBERS:
        return None
    role = "admin" if dice.random() < ADMIN_SHARE else "member"
    body: dict[str, str] = {"email": dice.choice(unknown), "role": role}
    return Step(administrator(view, dice), "POST", "/invitations", body)


def accept(view: View, dice: random.Random) -> Step | None:
    """Follow the link in the mail."""
    if not view.invitations:
        return None
    invitation = dice.choice(view.invitations)
    names = {newcomer_email(name, view.organization.domain): name for name in NEWCOMERS}
    email = str(invitation["email"])
    path = f"/invitations/{invitation['id']}/accept"
    return Step(email, "POST", path, {"name": names.get(email, email)})


def revoke(view: View, dice: random.Random) -> Step | None:
    """Take an invitation back."""
    if not view.invitations:
        return None
    path = f"/invitations/{dice.choice(view.invitations)['id']}"
    return Step(administrator(view, dice), "DELETE", path)


def change_role(view: View, dice: random.Random) -> Step | None:
    """Make a member an admin, or an admin a member."""
    sender = administrator(view, dice)
    others = [one for one in view.active("admin", "member") if one["email"] != sender]
    admins = view.active("admin")
    if not others:
        return None
    member = dice.choice(others)
    role = "member" if member["role"] == "admin" else "admin"
    if role == "admin" and len(admins) > len(view.active()) // 3:
        return None
    return Step(sender, "PATCH", f"/members/{member['id']}", {"role": role})


def offboard(view: View, dice: random.Random) -> Step | None:
    """End somebody's membership."""
    members = view.active("member")
    if len(view.active()) <= FEWEST_MEMBERS or not members:
        return None
    path = f"/members/{dice.choice(members)['id']}/offboard"
    return Step(administrator(view, dice), "POST", path, {"reason": dice.choice(REASONS)})


def reactivate(view: View, dice: random.Random) -> Step | None:
    """Take somebody back."""
    gone = [one for one in view.members if one["status"] != "active"]
    if not gone or len(view.active()) >= MOST_MEMBERS:
        return None
    path = f"/members/{dice.choice(gone)['id']}/reactivate"
    return Step(administrator(view, dice), "POST", path)


def join_workspace(view: View, dice: random.Random) -> Step | None:
    """Add somebody to a workspace."""
    workspace = dice.choice(view.workspaces)
    outside = [one["id"] for one in view.active() if one["id"] not in workspace["members"]]
    if not outside:
        return None
    path = f"/workspaces/{workspace['id']}/members/{dice.choice(outside)}"
    return Step(administrator(view, dice), "PUT", path)


def leave_workspace(view: View, dice: random.Random) -> Step | None:
    """Remove somebody from a workspace."""
    workspace = dice.choice(view.workspaces)
    if not workspace["members"]:
        return None
    path = f"/workspaces/{workspace['id']}/members/{dice.choice(workspace['members'])}"
    return Step(administrator(view, dice), "DELETE", path)


def create_app(view: View, dice: random.Random) -> Step | None:
    """Create an app."""
    unused = [name for name in APP_NAMES if name not in {app["name"] for app in view.apps}]
    if not unused or len(view.apps) >= MOST_APPS:
        return None
    return Step(administrator(view, dice), "POST", "/apps", {"name": dice.choice(unused)})


def publish(view: View, dice: random.Random) -> Step | None:
    """Publish an app, by hand or by the deploy pipeline."""
    if not view.apps:
        return None
    sender = dice.choice((view.organization.deploy_key, administrator(view, dice)))
    return Step(sender, "POST", f"/apps/{dice.choice(view.apps)['id']}/publish")


def delete_app(view: View, dice: random.Random) -> Step | None:
    """Delete an app."""
    if len(view.apps) <= 1:
        return None
    return Step(administrator(view, dice), "DELETE", f"/apps/{dice.choice(view.apps)['id']}")


def attempt_without_right(view: View, dice: random.Random) -> Step:
    """Try, as a plain member, to become more."""
    member = dice.choice(view.active("member") or view.active())
    return Step(member["email"], "PATCH", f"/members/{member['id']}", {"role": "admin"})


def attempt_in_vain(view: View, dice: random.Random) -> Step:
    """Invite somebody who is a member already."""
    email = dice.choice(view.active())["email"]
    return Step(
        administrator(view, dice), "POST", "/invitations", {"email": email, "role": "member"}
    )


HABITS: Final[tuple[tuple[Chooser, int], ...]] = (
    (invite, 6),
    (accept, 4),
    (revoke, 1),
    (change_role, 6),
    (offboard, 2),
    (reactivate, 2),
    (join_workspace, 4),
    (leave_workspace, 2),
    (create_app, 2),
    (publish, 5),
    (delete_app, 1),
    (attempt_without_right, 1),
    (attempt_in_vain, 1),
)
"""What people do, and how often beside the others."""


def address_of(sender: str) -> str:
    """Return the address from which somebody works: always the same for one sender."""
    if sender.startswith("key_"):
        return DEPLOY_ADDRESS
    number = sum(sender.encode())
    return NETWORKS[number % len(NETWORKS)].format(number % 200 + 10)


def user_agent_of(sender: str) -> str:
    """Return the browser, or the tool, of a sender."""
    if sender.startswith("key_"):
        return "deploy-pipeline/2.4 (+https://ci.example)"
    return USER_AGENTS[sum(sender.encode()) % len(USER_AGENTS)]


class Client:
    """Sends steps to the application at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def look(self, organization: Organization) -> View:
        """Return what the organisation looks like now, as its first owner sees it."""
        owner = organization.people[0].email
        shown = json.loads(self._send(Step(owner, "GET", "/organization")))
        return View(organization=organization, **shown)

    def send(self, step: Step) -> int:
        """Send a step and return the status; a refusal is an answer too."""
        try:
            self._send(step)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        return 200

    def _send(self, step: Step) -> bytes:
        who = "X-Demo-Key" if step.sender.startswith("key_") else "X-Demo-User"
        request = urllib.request.Request(  # noqa: S310  # the URL is the operator's own
            self._url + step.path,
            method=step.method,
            data=json.dumps(step.body).encode() if step.body else None,
            headers={
                who: step.sender,
                "User-Agent": user_agent_of(step.sender),
                "X-Forwarded-For": address_of(step.sender),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # as above
            content: bytes = answer.read()
            return content


def pauses(burst: int, per_second: float, dice: random.Random) -> Iterator[float]:
    """Yield the seconds to wait before each step: none in the burst, then as people come."""
    yield from itertools.repeat(0.0, burst)
    while True:
        yield min(dice.expovariate(per_second), 5 / per_second)


def drive(client: Client, arguments: argparse.Namespace) -> None:
    """Send steps for ever, or `--count` of them; wait for the application if need be."""
    dice = random.Random(arguments.seed)  # noqa: S311  # people, not keys
    moments = pauses(arguments.burst, arguments.per_second, dice)
    for _ in range(arguments.count) if arguments.count else itertools.count():
        time.sleep(next(moments))
        try:
            client.send(choose_step(client.look(dice.choice(ORGANIZATIONS)), dice))
        except OSError:
            time.sleep(1.0)


def main() -> None:
    """Drive until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.members.traffic", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8251")
    parser.add_argument("--burst", type=int, default=60, help="steps at once, to begin with")
    parser.add_argument("--per-second", type=float, default=1.5, help="steps a second afterwards")
    parser.add_argument("--count", type=int, default=0, help="end after so many steps; 0: go on")
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        drive(Client(arguments.url), arguments)


if __name__ == "__main__":
    main()
