"""The parameters of the list: one table, read by the API, by `indelible search` and by OpenAPI.

Strict: what is not understood is refused by name, never ignored, since a filter that is dropped
shows events that were not asked for, and a misspelt value reads as "nothing happened".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entry import COLOURS
from webapi import values
from webapi.field_selection import read_field
from webapi.grammar import MAX_CHARACTERS
from webapi.query import DEFAULT_LIMIT, MAX_LIMIT, MAX_PAGE_DEPTH, TextFilter
from webapi.search_fields import SEARCH_FIELDS
from webapi.search_text import text_reader

T_co = TypeVar("T_co", covariant=True)
Schema = Mapping[str, object]

MAX_VALUES: Final = 50
"""Values of one parameter; more is a report, not a filter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter(Generic[T_co]):
    """One parameter of the query string.

    Args:
        name: as it is spelled there.
        read: turns one value into what it means, or raises `ParameterError`.
        schema: JSON Schema of one value.
        description: a sentence for the documentation.
        repeatable: several values may be given; any of them matches.
        commas: several values may also stand in one, separated by commas.
    """

    name: str
    read: Callable[[str], T_co]
    schema: Schema
    description: str
    repeatable: bool = False
    commas: bool = False


def _text(name: str, description: str, example: str) -> Parameter[str]:
    return Parameter(
        name=name,
        read=values.read_name,
        schema={
            "type": "string",
            "minLength": 1,
            "maxLength": values.MAX_NAME_CHARACTERS,
            "examples": [example],
        },
        description=description,
        repeatable=True,
    )


def _choice(name: str, description: str, allowed: tuple[str, ...]) -> Parameter[str]:
    return Parameter(
        name=name,
        read=values.choice_of(allowed),
        schema={"type": "string", "enum": list(allowed)},
        description=description,
        repeatable=True,
        commas=True,
    )


def flag(name: str, description: str) -> Parameter[bool]:
    """Return a parameter that is `true` or `false`, and false where it is not given."""
    schema = {"type": "string", "enum": list(values.FLAGS), "default": "false"}
    return Parameter(name=name, read=values.read_flag, schema=schema, description=description)


def number(name: str, description: str, *, least: int, most: int, default: int) -> Parameter[int]:
    """Return a parameter that is a whole number within bounds, both included."""
    return Parameter(
        name=name,
        read=values.integer_between(least, most),
        schema={"type": "integer", "minimum": least, "maximum": most, "default": default},
        description=description,
    )


_INSTANT_SCHEMA: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "examples": ["2026-03-15T09:30:00Z"],
}
"""Not `anyOf` with a date: generated clients of Go and Java have no way to send such a choice."""


def action(catalogue: Catalogue) -> Parameter[str]:
    """Return the parameter `action`, as a catalogue has it."""
    return Parameter(
        name="action",
        read=values.action_of(catalogue),
        schema={"type": "string", "examples": ["member.invited", "member.*"]},
        description="Event type; `noun.*` for all that begin so. One that is neither catalogued nor"
        " among the organisation's events is refused.",
        repeatable=True,
        commas=True,
    )


def category(catalogue: Catalogue) -> Parameter[str]:
    """Return the parameter `category`, whose values are those of a catalogue."""
    description = "Category of the action in the catalogue."
    return _choice("category", description, catalogue.categories)


def text(catalogue: Catalogue) -> Parameter[TextFilter]:
    """Return the parameter `q`, whose actions and categories are those of a catalogue."""
    examples = ", ".join(f"`{one.example}`" for one in SEARCH_FIELDS)
    return Parameter(
        name="q",
        read=text_reader(catalogue),
        schema={
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_CHARACTERS,
            "examples": ["role changed", "actor:ana -result:success ip:203.0.113.*"],
        },
        description='Full text: words (all must match), "phrases", prefix*, -without, a OR b, and'
        f" fields by name: {examples}.",
    )


TARGET_USER_ID: Final = Parameter(
    name="targetUserId",
    read=values.read_uuid,
    schema={"type": "string", "format": "uuid"},
    description="The affected user.",
    repeatable=True,
)
COLOUR: Final = _choice("colour", "Colour of the action in the catalogue.", COLOURS)
RESULT: Final = _choice(
    "result", "How it ended; an event that does not say succeeded.", values.RESULTS
)
IP: Final = Parameter(
    name="ip",
    read=values.read_network,
    schema={"type": "string", "examples": ["203.0.113.7", "2001:db8::/32"]},
    description="Client address, or a network in CIDR notation.",
    repeatable=True,
)
ACTOR_ID: Final = _text("actorId", "Id of who did it.", "u_7")
ACTOR_EMAIL: Final = _text("actorEmail", "Email of who did it, in any case.", "admin@company.com")
RESOURCE_TYPE: Final = _text("resourceType", "Type of the affected resource.", "app")
RESOURCE_ID: Final = _text("resourceId", "Id of the affected resource.", "app_42")
CORRELATION_ID: Final = _text("correlationId", "Joins the events of one request.", "req_9f2c")
SINCE: Final = Parameter(
    name="since",
    read=values.read_instant,
    schema=_INSTANT_SCHEMA,
    description="First instant, included; a date is its first instant in UTC.",
)
UNTIL: Final = Parameter(
    name="until",
    read=values.read_instant,
    schema=_INSTANT_SCHEMA,
    description="Last instant, not included; a date is its first instant in UTC.",
)
AROUND: Final = Parameter(
    name="around",
    read=values.read_instant,
    schema=_INSTANT_SCHEMA,
    description="A moment, or a date: events from `window` before it, included, to `window` after"
    " it, not included. Not together with `since` and `until`.",
)
WINDOW: Final = Parameter(
    name="window",
    read=values.read_duration,
    schema={
        "type": "string",
        "pattern": values.DURATION_PATTERN,
        "examples": ["90s", "15m", "2h", "1d"],
    },
    description=f"How far `around` reaches to each side, {values.DEFAULT_WINDOW} without it;"
    f" at most {values.MAX_WINDOW_DAYS}d.",
)
FIELDS: Final = Parameter(
    name="fields",
    read=read_field,
    schema={"type": "string", "examples": ["id", "actor.email", "-context", "-context.new"]},
    description="Answer only these members of each event, or with `-` all but these; `context` has"
    " any path. The hash of an event in parts cannot be verified.",
    repeatable=True,
    commas=True,
)
HIGHLIGHT: Final = flag("highlight", "Add to each event `highlights`: where `q` matched.")
ORDER: Final = Parameter(
    name="order",
    read=values.choice_of(values.ORDERS),
    schema={"type": "string", "enum": list(values.ORDERS), "default": values.NEWEST_FIRST},
    description="`desc` is newest first; the id breaks ties.",
)
LIMIT: Final = number(
    "limit", "Events of one page.", least=1, most=MAX_LIMIT, default=DEFAULT_LIMIT
)
OFFSET: Final = Parameter(
    name="offset",
    read=values.integer_between(0, None),
    schema={"type": "integer", "minimum": 0, "maximum": MAX_PAGE_DEPTH - 1},
    description="Events to leave out, none without it; offset + limit is at most"
    f" {MAX_PAGE_DEPTH}. Beyond, follow `cursor`, which is also stable while events arrive.",
)
CURSOR: Final = Parameter(
    name="cursor",
    read=values.read_name,
    schema={"type": "string"},
    description="`nextCursor` of the answer before, with the same filters; instead of `offset`.",
)

SUBJECT_USER_ID: Final = replace(
    TARGET_USER_ID, repeatable=False, description="The user whose events these are."
)
SUBJECT_TYPE: Final = replace(
    RESOURCE_TYPE, repeatable=False, description="Type of the resource whose events these are."
)
SUBJECT_ID: Final = replace(
    RESOURCE_ID,
    repeatable=False,
    description="Id of the resource whose events these are; together with `resourceType`.",
)
SUBJECT: Final = (SUBJECT_USER_ID, SUBJECT_TYPE, SUBJECT_ID)
"""Of the addresses that are about one thing."""
AT: Final = Parameter(
    name="at",
    read=values.read_instant,
    schema=_INSTANT_SCHEMA,
    description="The moment, included; a date is its first instant in UTC. Now where it is left"
    " out.",
)

EQUALS: Final[tuple[Parameter[str], ...]] = (
    TARGET_USER_ID,
    ACTOR_ID,
    ACTOR_EMAIL,
    RESOURCE_TYPE,
    RESOURCE_ID,
    IP,
    CORRELATION_ID,
)
"""The parameters that ask for one of several values of one field (`webapi.query.FIELDS`)."""


def filters_of(catalogue: Catalogue) -> Mapping[str, Parameter[object]]:
    """Return the parameters that say which events; every question about events takes them."""
    some: tuple[Parameter[object], ...] = (
        action(catalogue), category(catalogue), COLOUR, *EQUALS, RESULT, SINCE, UNTIL, AROUND,
        WINDOW, text(catalogue),
    )  # fmt: skip
    return by_name(*some)


def parameters_of(catalogue: Catalogue) -> Mapping[str, Parameter[object]]:
    """Return all parameters of the list, in the order in which they are documented."""
    return by_name(*filters_of(catalogue).values(), FIELDS, HIGHLIGHT, ORDER, LIMIT, OFFSET, CURSOR)


def by_name(*parameters: Parameter[object]) -> Mapping[str, Parameter[object]]:
    """Return what an address takes."""
    return MappingProxyType({parameter.name: parameter for parameter in parameters})


FILTERS: Final = filters_of(CATALOGUE)
PARAMETERS: Final = parameters_of(CATALOGUE)
"""As they are without an application's own catalogue; their names are the same with any."""
