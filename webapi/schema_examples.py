"""Examples made of a JSON Schema, so that each one has the shape that it shows. Pure.

What a schema says itself (`examples`, `const`, `default`, `enum`) comes first; one event is that of
the catalogue's most asked-for action.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from audit_events.event import UUID_PATTERN
from audit_events.instant import CANONICAL_INSTANT
from webapi.token_text import ID_PATTERN

Schema = Mapping[str, object]

EVENT: Final[Mapping[str, object]] = {
    "action": "member.role_changed",
    "actor": {"type": "user", "id": "u_1", "email": "admin@company.com", "name": "Ana Admin"},
    "context": {"previous": {"role": "member"}, "new": {"role": "admin"}},
    "hash": "q1MKE-RZFJgrefm34_uplM_R8_si9xzqGvvwK0SBR2M",
    "id": "019cf0d7-3a78-7000-8000-0000000000a5",
    "ingestedAt": "2026-03-15T09:30:01.204000Z",
    "ipAddress": "203.0.113.7",
    "organizationId": "org_acme",
    "result": "success",
    "schemaVersion": 1,
    "source": {
        "host": "app-1",
        "id": "019cf0d4-bdc0-7000-8000-000000000001",
        "seq": 163,
        "service": "studio",
    },
    "targetUser": {"id": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10", "email": "team@company.com"},
    "timestamp": "2026-03-15T09:30:00.000000Z",
}
_NAMED: Final = {"Event": EVENT}
_OF_PATTERN: Final = {
    UUID_PATTERN: "019cf0d7-3a78-7000-8000-0000000000a5",
    CANONICAL_INSTANT: "2026-03-15T09:30:00.000000Z",
    ID_PATTERN: "4GrXq9VbT2nLw8KzPd1c",
}
_OF_FORMAT: Final = {
    "uuid": "7b0f6c1e-6a3f-4c55-9d0c-2f6c4a3d9e10",
    "date-time": "2026-03-15T09:30:00Z",
    "date": "2026-03-15",
}
_OF_NAME: Final = {
    "action": "member.role_changed",
    "category": "Member Management",
    "createdAt": "2026-03-15T09:30:00.000000Z",
    "createdBy": "u_1",
    "createdByEmail": "admin@company.com",
    "expiresAt": "2026-06-13T09:30:00.000000Z",
    "name": "SIEM",
    "token": "indl_4GrXq9VbT2nLw8KzPd1c" + "0" * 43 + "2Ab9xK",
}
_PLAIN: Final[Mapping[str, object]] = {
    "string": "text",
    "integer": 12,
    "number": 1.5,
    "boolean": True,
    "null": None,
}


def example_of(schema: Schema, schemas: Mapping[str, Schema], name: str = "") -> object:
    """Return a value that a schema allows.

    Args:
        schema: of JSON Schema 2020-12, as msgspec writes it.
        schemas: what `$ref` refers to, by name.
        name: of the member that it is for.
    """
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target = reference.rpartition("/")[2]
        return _NAMED[target] if target in _NAMED else example_of(schemas[target], schemas, name)
    said = _said(schema)
    if said:
        return said[0]
    if "allOf" in schema:
        return _merged(_schemas(schema["allOf"]), schemas)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            choices = _schemas(schema[choice])
            first = next((one for one in choices if one.get("type") != "null"), choices[0])
            return example_of(first, schemas, name)
    return _of_type(schema, schemas, name)


def _said(schema: Schema) -> Sequence[object]:
    examples = cast("Sequence[object]", schema.get("examples") or ())
    if examples:
        return examples
    if "const" in schema:
        return (schema["const"],)
    enum = cast("Sequence[object]", schema.get("enum") or ())
    if enum:
        return enum
    return (schema["default"],) if schema.get("default") is not None else ()


def _of_type(schema: Schema, schemas: Mapping[str, Schema], name: str) -> object:
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    if kind == "object":
        members = cast("Mapping[str, Schema]", schema.get("properties", {}))
        return {key: example_of(one, schemas, key) for key, one in members.items()}
    if kind == "array":
        items = cast("Schema", schema.get("items", {}))
        prefix = _schemas(schema.get("prefixItems", ()))
        if prefix:
            return [example_of(one, schemas, name) for one in prefix]
        return [example_of(items, schemas, name)] if items else []
    if kind == "string":
        return _text(schema, name)
    return schema.get("minimum", _PLAIN[str(kind)])


def _text(schema: Schema, name: str) -> str:
    if name in _OF_NAME:
        return _OF_NAME[name]
    for table, key in ((_OF_PATTERN, "pattern"), (_OF_FORMAT, "format")):
        found = cast("Mapping[object, str]", table).get(schema.get(key))
        if found is not None:
            return found
    return str(_PLAIN["string"])


def _merged(parts: Sequence[Schema], schemas: Mapping[str, Schema]) -> object:
    merged: dict[str, object] = {}
    for part in parts:
        found = example_of(part, schemas)
        if isinstance(found, Mapping):
            merged |= cast("Mapping[str, object]", found)
    return merged


def _schemas(value: object) -> Sequence[Schema]:
    return cast("Sequence[Schema]", value)
