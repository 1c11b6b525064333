"""The demo's organisations and the people in them when it starts."""

import uuid
from dataclasses import dataclass
from typing import Final

ROLES: Final = ("owner", "admin", "member")
ADMINISTRATORS: Final = ("owner", "admin")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of an organisation; the id follows from the address, so it never changes."""

    name: str
    email: str
    role: str

    @property
    def id(self) -> str:
        """The person's UUID."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, self.email))


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant with its first people, workspaces and apps."""

    id: str
    name: str
    domain: str
    people: tuple[Person, ...]
    workspaces: tuple[str, ...]
    apps: tuple[str, ...]
    deploy_key: str


ORGANIZATIONS: Final = (
    Organization(
        id="org_northwind",
        name="Northwind Trading",
        domain="northwind.example",
        people=(
            Person("Amara Okafor", "amara.okafor@northwind.example", "owner"),
            Person("Jonas Lindqvist", "jonas.lindqvist@northwind.example", "admin"),
            Person("Priya Raman", "priya.raman@northwind.example", "admin"),
            Person("Tomás Herrera", "tomas.herrera@northwind.example", "member"),
            Person("Mei Tanaka", "mei.tanaka@northwind.example", "member"),
            Person("Lukas Brandt", "lukas.brandt@northwind.example", "member"),
        ),
        workspaces=("Customer Care", "Logistics", "Sandbox"),
        apps=("Order Tracker", "Refund Desk"),
        deploy_key="key_northwind_deploy",
    ),
    Organization(
        id="org_tidewater",
        name="Tidewater Labs",
        domain="tidewater.example",
        people=(
            Person("Hannah Weiss", "hannah.weiss@tidewater.example", "owner"),
            Person("Omar Haddad", "omar.haddad@tidewater.example", "admin"),
            Person("Zofia Kowalska", "zofia.kowalska@tidewater.example", "member"),
            Person("Daniel Mensah", "daniel.mensah@tidewater.example", "member"),
        ),
        workspaces=("Research", "Field Team"),
        apps=("Sample Registry",),
        deploy_key="key_tidewater_deploy",
    ),
)

NEWCOMERS: Final = (
    "Ines Carvalho",
    "Noah Fischer",
    "Siobhan Murphy",
    "Rahul Verma",
    "Chloé Girard",
    "Kwame Asante",
    "Yuki Sato",
    "Elena Petrova",
    "Diego Ramos",
    "Freja Holm",
    "Arjun Mehta",
    "Leila Farahani",
)
"""Names of people who may be invited."""

APP_NAMES: Final = (
    "Returns Helper",
    "Shift Planner",
    "Invoice Reader",
    "Onboarding Guide",
    "Warehouse Map",
    "Survey Bot",
    "Price Watch",
    "Lab Notebook",
)


def newcomer_email(name: str, domain: str) -> str:
    """Return the address under which `name` is invited to an organisation."""
    plain = name.lower().replace("é", "e").replace(" ", ".")
    return f"{plain}@{domain}"
