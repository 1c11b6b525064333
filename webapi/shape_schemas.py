"""JSON Schemas of the shapes of answers, said so that generators of clients take them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

import msgspec

from webapi.description import REFERENCE, Json
from webapi.errors import PARAMETER_CODES

_NAME_OF_TYPE: Final[Mapping[type, str]] = {str: "string", int: "integer"}
"""Of what the choices of the shapes are made of."""


def schemas_of(shapes: Sequence[type]) -> Json:
    """Return the schemas of some shapes, and of what they are made of, by name."""
    _, found = msgspec.json.schema_components(
        shapes,
        schema_hook=lambda _type: {"description": "Any JSON value."},
        ref_template=REFERENCE + "{name}",
    )
    schemas = cast("dict[str, Json]", found)
    for schema in _all_in(schemas):
        _name_type(schema)
    _describe_page(schemas)
    _members(schemas["ParameterProblem"])["code"]["enum"] = list(PARAMETER_CODES)
    return dict(schemas)


def _describe_page(schemas: dict[str, Json]) -> None:
    page = _members(schemas["Page"])
    event: Json = {"$ref": REFERENCE + "Event"}
    highlighted: Json = {"$ref": REFERENCE + "Highlighted"}
    parts_of_one: Json = {"type": "object", "description": "What `fields` left of an event."}
    page["events"]["items"] = {"anyOf": [event, {"allOf": [event, highlighted]}, parts_of_one]}
    page["totalRelation"]["enum"] = ["eq", "gte"]


def _name_type(schema: Json) -> None:
    """Name the type of a choice: without it Go has `interface{}`, and Java does not compile."""
    choices = schema.get("enum")
    if isinstance(choices, list) and "type" not in schema:
        schema["type"] = _NAME_OF_TYPE[type(cast("list[object]", choices)[0])]


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
