"""What the people of one organisation do: draws of actor, client, target, resource and context."""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from audit_events.catalogue import CATALOGUE

Fields = dict[str, object]
Draw = Callable[[random.Random], Fields]

GIVEN: Final = [
    "Ana",
    "Björn",
    "Chidi",
    "Dorothea",
    "Eva",
    "Farid",
    "Grace",
    "Haruki",
    "Inés",
    "Jo",
    "Katarzyna",
    "Liam",
    "Mei",
    "Nikolai",
    "Olivia",
    "Priya",
    "Quentin",
    "Rosa",
    "Siobhán",
    "Tomás",
    "Ulrike",
    "Víctor",
    "Wanjiru",
    "Xin",
    "Yusuf",
    "Zoë",
]
FAMILY: Final = [
    "Abe",
    "Álvarez",
    "Bauer",
    "Chen",
    "Dubois",
    "Eriksson",
    "Fernández",
    "García",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "López",
    "Müller",
    "Nakamura",
    "Okafor",
    "Petrov",
    "Quispe",
    "Rossi",
    "Silva",
    "Tanaka",
    "Usman",
    "Vargas",
    "Williams",
    "Young",
    "Zhang",
]
WORDS: Final = [
    "access",
    "account",
    "alert",
    "billing",
    "branch",
    "budget",
    "cluster",
    "contract",
    "customer",
    "dashboard",
    "delivery",
    "department",
    "draft",
    "engine",
    "finance",
    "forecast",
    "gateway",
    "handover",
    "incident",
    "inventory",
    "invoice",
    "ledger",
    "marketing",
    "migration",
    "network",
    "onboarding",
    "orders",
    "payroll",
    "pipeline",
    "portal",
    "pricing",
    "quarter",
    "refund",
    "release",
    "report",
    "review",
    "rollout",
    "routing",
    "sales",
    "schedule",
    "security",
    "shipment",
    "staging",
    "support",
    "survey",
    "tenant",
    "tracker",
    "training",
    "vendor",
    "warehouse",
    "workflow",
]
SYSTEMS: Final = (
    "X11; Linux x86_64",
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "iPhone; CPU iPhone OS 18_1 like Mac OS X",
)
BROWSERS: Final = tuple(
    f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 "
    f"Safari/537.36{suffix}"
    for system in SYSTEMS
    for version in range(124, 143)
    for suffix in ("", f" Edg/{version}.0.0.0")
)
PROGRAMS: Final = (
    "terraform-provider-indelible/1.4.2",
    "python-requests/2.32.5",
    "okhttp/4.12.0",
    "Go-http-client/2.0",
    "SCIM-Client/3.1 (+https://identity.example.com)",
)
ROLES: Final = ("viewer", "member", "editor", "admin", "owner")
PLANS: Final = ("starter", "studio", "studio_pro", "enterprise")
RIGHTS: Final = ("read", "write", "deploy", "admin", "billing", "members", "apps", "secrets")
COMMON_ACTIONS: Final = (
    "member.role_changed",
    "app.settings_updated",
    "workspace_member.permissions_updated",
    "app.published",
    "member.invited",
    "api_key.created",
    "knowledge_source.synced",
    "audit_log.viewed",
    "agent.instructions_updated",
    "subscription.seats_changed",
)
ACTIONS: Final = (*COMMON_ACTIONS, *sorted(set(CATALOGUE) - set(COMMON_ACTIONS)))
PEOPLE: Final = 0.75
"""Share of the events that somebody caused in person."""


def zipf(count: int) -> list[float]:
    """Return the running sums of 1/1, 1/2, … for `random.choices`."""
    return list(accumulate(1 / rank for rank in range(1, count + 1)))


ACTION_WEIGHTS: Final = zipf(len(ACTIONS))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with their usual places and clients."""

    id: str
    email: str
    name: str
    addresses: tuple[str, ...]
    agents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who and what there is in one organisation."""

    id: str
    people: tuple[Person, ...]
    weights: list[float]
    resources: Mapping[str, tuple[tuple[str, str], ...]]
    """Ids and names by type."""
    rates: list[float]
    """How often each resource of a type is touched, as running sums."""


def found_organisation(number: int, size: int) -> Organisation:
    """Return the organisation of that number with `size` members; the same in each run."""
    chance = random.Random(number)  # noqa: S311  # the same values in each run
    domain = f"{chance.choice(WORDS)}-{chance.choice(WORDS)}.example.com"
    people = tuple(_draw_person(chance, domain) for _ in range(size))
    kinds = sorted({action.partition(".")[0] for action in ACTIONS})
    count = 2 + size // 4
    resources = {
        kind: tuple((_uuid(chance), _title(chance)) for _ in range(count)) for kind in kinds
    }
    return Organisation(_uuid(chance), people, zipf(size), resources, zipf(count))


def choose_event(chance: random.Random, organisation: Organisation) -> tuple[str, Fields]:
    """Draw an action and its fields; who did it, from where, is for `choose_client`."""
    (action,) = chance.choices(ACTIONS, cum_weights=ACTION_WEIGHTS)
    noun = action.partition(".")[0]
    fields: Fields = {"organization_id": organisation.id}
    if noun.endswith("member"):
        target = chance.choice(organisation.people)
        fields["target_user"] = {"id": target.id, "email": target.email, "name": target.name}
    else:
        (found,) = chance.choices(organisation.resources[noun], cum_weights=organisation.rates)
        id_, name = found
        fields["resource"] = {"type": noun, "id": id_, "name": name}
    context = _draw_context(chance, action)
    if context:
        fields["context"] = context
    outcome = chance.random()
    if outcome < 0.04:  # noqa: PLR2004  # a share
        fields["result"] = "denied" if outcome < 0.02 else "failure"  # noqa: PLR2004
    return action, fields


def _draw_person(chance: random.Random, domain: str) -> Person:
    given, family = chance.choice(GIVEN), chance.choice(FAMILY)
    name = f"{given} {family}"
    email = f"{given}.{family}{chance.randrange(1, 100)}@{domain}".lower()
    office = f"198.51.{chance.randrange(100, 104)}.{chance.randrange(1, 255)}"
    home = (
        f"2001:db8:{chance.randrange(1 << 16):x}::{chance.randrange(1, 1 << 16):x}"
        if chance.random() < 0.3  # noqa: PLR2004  # a share
        else f"203.0.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    )
    return Person(
        _uuid(chance),
        email.encode("ascii", "ignore").decode(),
        name,
        (office, home),
        tuple(chance.sample(BROWSERS, 2)),
    )


def choose_client(chance: random.Random, organisation: Organisation) -> Fields:
    """Draw what a request says of itself: actor, address, user agent, correlation."""
    correlation = f"req_{chance.getrandbits(80):020x}"
    return {"correlation_id": correlation, **_choose_actor(chance, organisation)}


def _choose_actor(chance: random.Random, organisation: Organisation) -> Fields:
    (person,) = chance.choices(organisation.people, cum_weights=organisation.weights)
    if chance.random() < PEOPLE:
        return {
            "actor": {
                "type": "user",
                "id": person.id,
                "email": person.email,
                "name": person.name,
            },
            "ip_address": person.addresses[chance.random() < 0.2],  # noqa: PLR2004  # a share
            "user_agent": person.agents[chance.random() < 0.2],  # noqa: PLR2004  # a share
        }
    kind = chance.randrange(3)
    if kind == 0:
        return {"actor": {"type": "system"}}
    if kind == 1:
        return {"actor": {"type": "service", "id": f"svc_{chance.choice(WORDS)}"}}
    return {
        "actor": {
            "type": "api_key",
            "id": f"key_{person.id[:8]}",
            "name": f"{person.email.partition('.')[0]} automation",
            "onBehalfOf": person.id,
        },
        "ip_address": f"192.0.2.{int(person.id[:2], 16) or 1}",
        "user_agent": PROGRAMS[int(person.id[:2], 16) % len(PROGRAMS)],
    }


def _draw_context(chance: random.Random, action: str) -> Fields:
    """Draw a context by what the verb does to the noun."""
    noun, _, verb = action.partition(".")
    draws = (draw for endings, draw in _BY_VERB if verb.endswith(endings))
    draw: Draw | None = next(draws, None)
    if draw is _settings:
        draw = _BY_NOUN.get(noun, _settings)
    return draw(chance) if draw else {}


def _created(chance: random.Random) -> Fields:
    return {"new": {"name": _title(chance), "role": chance.choice(ROLES)}, **_reason(chance)}


def _deleted(chance: random.Random) -> Fields:
    return {"previous": {"name": _title(chance)}, **_reason(chance)}


def _read(chance: random.Random) -> Fields:
    filters = {"action": chance.choice(ACTIONS), "limit": 50}
    return {"filters": filters, "events": chance.randrange(10_000)}


def _released(chance: random.Random) -> Fields:
    version = f"{chance.randrange(9)}.{chance.randrange(40)}.{chance.randrange(100)}"
    return {
        "version": version,
        "durationSeconds": round(chance.expovariate(0.1), 2),
        "environment": chance.choice(("production", "staging", "development")),
    }


def _roles(chance: random.Random) -> Fields:
    previous, new = chance.sample(ROLES, 2)
    return {"previous": {"role": previous}, "new": {"role": new}, **_reason(chance)}


def _rights(chance: random.Random) -> Fields:
    return {
        "workspace": chance.choice(WORDS),
        "previous": {"permissions": sorted(chance.sample(RIGHTS, 2))},
        "new": {"permissions": sorted(chance.sample(RIGHTS, 4))},
    }


def _plan(chance: random.Random) -> Fields:
    seats = chance.randrange(1, 500)
    return {
        "previous": {"plan": chance.choice(PLANS), "seats": seats},
        "new": {"plan": chance.choice(PLANS), "seats": seats + chance.randrange(1, 50)},
        "invoice": f"in_{chance.getrandbits(56):014x}",
    }


def _settings(chance: random.Random) -> Fields:
    """Some settings of a thing before and after: only the keys that differ, as products log it."""
    previous, new = {}, {}
    for key in chance.sample(sorted(_SETTINGS), chance.choice((1, 1, 2, 3))):
        previous[key], new[key] = _SETTINGS[key](chance), _SETTINGS[key](chance)
    return {"previous": previous, "new": new}


def _reason(chance: random.Random) -> Fields:
    drawn = chance.random()
    if drawn < 0.3:  # noqa: PLR2004  # a share
        return {"reason": f"{chance.choice(('OPS', 'SEC', 'HR'))}-{chance.randrange(20_000)}"}
    if drawn < 0.6:  # noqa: PLR2004  # a share
        return {"reason": _sentence(chance, 8)}
    return {}


def _sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randrange(2, words + 1))).capitalize()


def _title(chance: random.Random) -> str:
    return f"{chance.choice(WORDS)} {chance.choice(WORDS)}".title()


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def pick(
    chance: random.Random, found: Sequence[Organisation], weights: list[float]
) -> Organisation:
    """Draw an organisation, the large ones more often."""
    (organisation,) = chance.choices(found, cum_weights=weights)
    return organisation


_BY_VERB: Final = (
    (("changed", "updated", "renamed", "moved"), _settings),
    (("created", "added", "invited", "connected", "uploaded"), _created),
    (("deleted", "removed", "revoked", "offboarded", "cancelled"), _deleted),
    (("viewed", "exported"), _read),
    (("published", "synced"), _released),
)
"""By the end of the verb; the others say nothing."""
_BY_NOUN: Final[Mapping[str, Draw]] = {
    "member": _roles,
    "workspace_member": _rights,
    "subscription": _plan,
}
_SETTINGS: Final[Mapping[str, Callable[[random.Random], object]]] = {
    "description": lambda chance: _sentence(chance, 8),
    "enabled": lambda chance: chance.random() < 0.5,  # noqa: PLR2004  # a share
    "maxUsers": lambda chance: chance.randrange(1, 1000),
    "name": _title,
    "region": lambda chance: chance.choice(("eu-1", "us-1", "us-2", "ap-1")),
    "timeoutSeconds": lambda chance: chance.choice((10, 30, 60, 300)),
    "visibility": lambda chance: chance.choice(("private", "organization", "public")),
}
