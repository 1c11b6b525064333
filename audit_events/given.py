"""What a log call gives, checked: all at once in the usual case, and one by one to name a mistake.

One pass of msgspec converts the arguments to `Given`. What does not pass is looked at again by
`check_each`: ids may also be UUIDs, keys in snake_case and parts structs; the rest is an error that
names its place.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar, cast, get_args

import msgspec
from msgspec import Meta, Struct

from audit_events.errors import EventError
from audit_events.event import (
    MAX_NAME_CHARACTERS,
    MAX_USER_AGENT_CHARACTERS,
    Actor,
    ActorType,
    Name,
    Resource,
    Result,
    TargetUser,
)

FIELDS: Final = {
    "organization_id": "organizationId",
    "actor": "actor",
    "target_user": "targetUser",
    "resource": "resource",
    "ip_address": "ipAddress",
    "user_agent": "userAgent",
    "context": "context",
    "result": "result",
    "correlation_id": "correlationId",
}
"""What a log call may say, and the key that it becomes."""

_RESULTS: Final = get_args(Result)
_WIRE_NAMES: Final = {"on_behalf_of": "onBehalfOf"}


# Classes of their own: a struct of the application is not checked when it is made, so it must not
# pass as one that was. Not watched by the garbage collector: they hold nothing but texts.
class _GivenActor(Actor, frozen=True, gc=False): ...


class _GivenTargetUser(TargetUser, frozen=True, gc=False): ...


class _GivenResource(Resource, frozen=True, gc=False): ...


_Part = TypeVar("_Part", _GivenActor, _GivenTargetUser, _GivenResource)


class Given(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The arguments of a log call that are right by themselves; None is absent.

    `context` and `ip_address` are not looked into yet.
    """

    organization_id: Name
    actor: _GivenActor
    target_user: _GivenTargetUser | None = None
    resource: _GivenResource | None = None
    ip_address: Any = None
    user_agent: Annotated[str, Meta(max_length=MAX_USER_AGENT_CHARACTERS)] | None = None
    context: Any = None
    result: Result | None = None
    correlation_id: Name | None = None


def check_each(fields: Mapping[str, object]) -> Given:
    """Check the arguments of a log call one by one, where they did not pass as they are.

    Args:
        fields: the names in `FIELDS`; None counts as absent.

    Raises:
        EventError: naming the argument (and the path inside it) that is missing or wrong.
    """
    present = {name: value for name, value in fields.items() if value is not None}
    if not FIELDS.keys() >= present.keys():
        raise _unknown_field(present)
    target, resource = present.get("target_user"), present.get("resource")
    return Given(
        actor=_check_part("actor", Actor, _GivenActor, _require(present, "actor")),
        organization_id=_check_name("organization_id", _require(present, "organization_id")),
        target_user=None
        if target is None
        else _check_part("target_user", TargetUser, _GivenTargetUser, target),
        resource=None
        if resource is None
        else _check_part("resource", Resource, _GivenResource, resource),
        ip_address=present.get("ip_address"),
        user_agent=_check_user_agent(present.get("user_agent")),
        context=present.get("context"),
        result=_check_result(present.get("result")),
        correlation_id=_check_optional_name("correlation_id", present.get("correlation_id")),
    )


def _require(present: Mapping[str, object], name: str) -> object:
    if name in present:
        return present[name]
    bind = "bind_actor" if name == "actor" else "bind_organization"
    hint = f"pass {name}=, or say it once a request with audit_events.{bind}()"
    raise EventError(name, "is missing", hint)


def _unknown_field(present: Mapping[str, object]) -> EventError:
    from difflib import get_close_matches  # noqa: PLC0415  # only a mistake needs it

    name = next(name for name in present if name not in FIELDS)
    near = get_close_matches(name, FIELDS, n=1)
    hint = (
        f"did you mean {near[0]}?" if near else "what is particular to an action goes into context"
    )
    return EventError(name, "is not a field of an event", hint)


def _check_name(name: str, value: object) -> str:
    text = _spell_id(value)
    if not isinstance(text, str):
        raise wrong_type(name, value, "a string")
    text = str.__str__(text)  # a class of its own may tell another length
    if not 0 < len(text) <= MAX_NAME_CHARACTERS:
        raise EventError(
            name, f"has {len(text)} characters", f"between 1 and {MAX_NAME_CHARACTERS}"
        )
    return text


def _check_optional_name(name: str, value: object) -> str | None:
    return None if value is None else _check_name(name, value)


def _check_user_agent(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong_type("user_agent", value, "a string")
    # Whoever is being recorded chooses this text: too long must not make the action fail.
    return value[:MAX_USER_AGENT_CHARACTERS]


def _check_result(value: object) -> Result | None:
    if value is None:
        return None
    if value not in _RESULTS:
        raise EventError("result", "is not a known result", f"one of {', '.join(_RESULTS)}")
    return cast("Result", str(value))


def _check_part(name: str, public: type[Struct], shape: type[_Part], value: object) -> _Part:
    """Check an actor, target or resource given as mapping or struct."""
    if not isinstance(value, Mapping | public):
        raise wrong_type(name, value, f"a mapping or {public.__name__}")
    try:
        return msgspec.convert(_to_wire(cast("Mapping[object, object] | Struct", value)), shape)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        field = name + path.rstrip("`")
        hint = _advise(field, problem, public)
        raise EventError(field, problem[:1].lower() + problem[1:], hint) from None


def _advise(field: str, problem: str, public: type[Struct]) -> str:
    """Return the next step: numbers as ids and members of one's own are what is given most."""
    if field == "actor.type":
        return f"one of {', '.join(get_args(ActorType))}"
    if "field `" in problem:
        return f"it has {', '.join(public.__struct_encode_fields__)}; the rest goes into context"
    return "pass it as a string" if "got `" in problem else f"1 to {MAX_NAME_CHARACTERS} characters"


def _to_wire(value: Mapping[object, object] | Struct) -> dict[str, object]:
    given = value if isinstance(value, Mapping) else msgspec.structs.asdict(value)
    members = cast("Mapping[object, object]", given)
    return {
        _WIRE_NAMES.get(str(key), str(key)): _spell_id(item)
        for key, item in members.items()
        if item is not None
    }


def _spell_id(value: object) -> object:
    """Let ids be given as UUIDs; everything else is checked as it is."""
    return str(value) if type(value).__name__ == "UUID" else value


def wrong_type(name: str, value: object, expected: str) -> EventError:
    """Return the error for a value of another type, without the value."""
    return EventError(name, f"is of type {type(value).__name__}", f"expected {expected}")
