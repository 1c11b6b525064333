"""JSON Schemas of the shapes of answers, said so that generators of clients take them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec

from webapi.answered import REFERENCE
from webapi.description import Json
from webapi.errors import PARAMETER_CODES
from webapi.token_request import TokenRequest

_NAME_OF_TYPE: Final[Mapping[type, str]] = {str: "string", int: "integer"}
"""Of what the choices of the shapes are made of."""
_SIZES: Final = {"integer": "int64", "number": "double"}
_ASKED: Final = {TokenRequest.__name__}
"""Shapes that are sent to us: what they leave out has a default."""
_EVENT: Final = "Event"
_EVENT_PARTS: Final = "EventParts"


def schemas_of(shapes: Sequence[type]) -> Json:
    """Return the schemas of some shapes, and of what they are made of, by name."""
    _, found = msgspec.json.schema_components(
        shapes,
        schema_hook=lambda _type: {"description": "Any JSON value."},
        ref_template=REFERENCE + "{name}",
    )
    schemas = cast("dict[str, Json]", found)
    for name, schema in schemas.items():
        if name not in _ASKED:
            _describe_absence(schema)
    for schema in _all_in(schemas):
        _name_type(schema)
        _name_size(schema)
    _describe_events(schemas)
    _members(schemas["ParameterProblem"])["code"]["enum"] = list(PARAMETER_CODES)
    return dict(schemas)


def _describe_absence(schema: Json) -> None:
    """Say of each member of an answer whether it is always there; and refuse none that comes later.

    A `default` says neither: generators take it for a promise that the member is there.
    """
    schema.pop("additionalProperties", None)
    for name, member in _members(schema).items():
        if member.pop("default", None) is not None:
            cast("list[str]", schema["required"]).append(name)


def _describe_events(schemas: dict[str, Json]) -> None:
    """Say what the list answers: whole events, or what `fields` left; with `highlights` or not."""
    schemas[_EVENT_PARTS] = _in_parts(schemas[_EVENT], schemas)
    schemas[_EVENT_PARTS]["description"] = "What `fields` left of an event."
    choices = (_EVENT, _EVENT_PARTS)
    for name in choices:
        _members(schemas[name])["highlights"] = {
            "type": "array",
            "items": {"$ref": REFERENCE + "Highlight"},
            "description": "Where `q` matched; of the list alone, with `highlight`.",
        }
    page = _members(schemas["Page"])
    page["events"]["items"] = {"anyOf": [{"$ref": REFERENCE + name} for name in choices]}
    page["totalRelation"]["enum"] = ["eq", "gte"]


def _in_parts(schema: Json, schemas: dict[str, Json]) -> Json:
    """Return a schema of which each member may be missing, at any depth."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _in_parts(schemas[reference.removeprefix(REFERENCE)], schemas)
    parts = {key: value for key, value in schema.items() if key not in {"title", "required"}}
    if "anyOf" in parts:
        choices = cast("list[Json]", parts["anyOf"])
        parts["anyOf"] = [_in_parts(one, schemas) for one in choices]
    if "properties" in parts:
        members = _members(parts)
        parts["properties"] = {name: _in_parts(one, schemas) for name, one in members.items()}
    return parts


def _name_type(schema: Json) -> None:
    """Name the type of a choice: without it Go has `interface{}`, and Java does not compile."""
    choices = schema.get("enum")
    if isinstance(choices, list) and "type" not in schema:
        schema["type"] = _NAME_OF_TYPE[type(cast("list[object]", choices)[0])]


def _name_size(schema: Json) -> None:
    """Name the size of a number: without it Java takes 32 bits for `seq`, and Go for fractions."""
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _SIZES and "enum" not in schema:
        schema["format"] = _SIZES[kind]


def _members(schema: Json) -> dict[str, Json]:
    return cast("dict[str, Json]", schema["properties"])


def _all_in(value: object) -> Iterator[Json]:
    """Yield each object of a document that is a schema, or has schemas for members."""
    if isinstance(value, dict):
        found = cast("Json", value)
        yield found
        for each in found.values():
            yield from _all_in(each)
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _all_in(each)
