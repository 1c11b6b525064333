"""Parts of an event: what is asked for, as it was written."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from webapi.errors import ParameterError
from webapi.field_selection import known_paths, read_field, selection_of

EVENT = (
    b'{"action":"member.invited","actor":{"email":"a@b.c","id":"u_1","type":"user"},'
    b'"context":{"n":1e999,"new":{"a.b":1,"role":"x"},"previous":"none","\\u00e9":"\\u00e9"},'
    b'"hash":"h", "id" : "e_1","later":[1]}'
)


def part(fields: str, event: bytes = EVENT) -> bytes:
    selection = selection_of([read_field(one) for one in fields.split(",")])
    assert selection is not None
    return bytes(selection.of(Raw(event)))


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        pytest.param("id", b'{"id":"e_1"}', id="one"),
        pytest.param("id,action", b'{"action":"member.invited","id":"e_1"}', id="in their order"),
        pytest.param("actor.email,actor.type", b'{"actor":{"email":"a@b.c","type":"user"}}',
            id="inside"),
        pytest.param("actor.email,actor", b'{"actor":{"email":"a@b.c","id":"u_1","type":"user"}}',
            id="all of it, and a part"),
        pytest.param("actor,actor.email", b'{"actor":{"email":"a@b.c","id":"u_1","type":"user"}}',
            id="a part, and all of it"),
        pytest.param("actor.name,targetUser.id,ipAddress", b"{}", id="what is not there"),
        pytest.param("context.new.role,context.n", b'{"context":{"n":1e999,"new":{"role":"x"}}}',
            id="numbers as they were"),
        pytest.param("context.previous.role", b"{}", id="inside of a text"),
        pytest.param("context.\u00e9", b'{"context":{"\xc3\xa9":"\\u00e9"}}', id="letters"),
        pytest.param("-context,-hash", b'{"action":"member.invited","actor":{"email":"a@b.c",'
            b'"id":"u_1","type":"user"},"id":"e_1","later":[1]}', id="all but some"),
        pytest.param("-context,-hash,-actor.email,-actor.id,-action",
            b'{"actor":{"type":"user"},"id":"e_1","later":[1]}', id="all but some inside"),
        pytest.param("-ipAddress,-context.x,-context.previous.y", None, id="nothing to leave out"),
    ],
)  # fmt: skip
def test_parts(fields: str, left: bytes | None) -> None:
    found = part(fields)
    if left is None:
        assert found.replace(b"\xc3\xa9", b"\\u00e9") == EVENT.replace(b', "id" : ', b',"id":')
    else:
        assert found == left


@pytest.mark.parametrize(
    ("field", "code", "nearest"),
    [
        ("actr.email", "unknown_value", ("actor.email",)),
        ("TARGETUSER", "unknown_value", ("targetUser",)),
        ("-contxt", "unknown_value", ("-context",)),
        ("actor.email.x", "unknown_value", ("actor.email",)),
        ("organization_id", "unknown_value", ("organizationId",)),
        ("_source", "unknown_value", ("source",)),
        ("*", "unknown_value", ()),
        ("", "unknown_value", ()),
        ("-", "unknown_value", ()),
        ("--context", "unknown_value", ("-context",)),
        ("context.", "unknown_value", ("context",)),
        ("context..a", "unknown_value", ("context",)),
        ("id.", "unknown_value", ("id",)),
        ("context." + ".".join("a" * 20), "invalid", ()),
    ],
)
def test_what_no_event_has_is_refused(field: str, code: str, nearest: tuple[str, ...]) -> None:
    with pytest.raises(ParameterError) as refused:
        read_field(field)
    assert refused.value.code == code
    assert refused.value.nearest[:1] == nearest


def test_keeping_and_leaving_out_do_not_go_together() -> None:
    with pytest.raises(ParameterError, match="either"):
        selection_of([read_field("id"), read_field("-context")])
    assert selection_of([]) is None


def test_all_members_of_an_event_can_be_named() -> None:
    assert {"ingestedAt", "context", "actor.onBehalfOf", "source.seq"} <= set(known_paths())


VALUES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=10,
)
PATHS = st.lists(
    st.lists(st.sampled_from("abc"), max_size=3).map(lambda keys: ".".join(["context", *keys])),
    min_size=1,
    max_size=4,
)


@given(VALUES, PATHS)
def test_what_is_kept_and_what_is_left_out_are_together_the_whole(
    context: Any, paths: list[str]
) -> None:
    event = {"id": "e", "context": context}
    source = json.dumps(event).encode()
    kept = msgspec.json.decode(part(",".join(paths), source))
    rest = msgspec.json.decode(part(",".join("-" + path for path in paths), source))
    assert rest.pop("id") == "e"
    assert merged(rest, kept) == {"context": context}
    for path in paths:
        assert not holds(rest, path.split("."))


def merged(one: Any, other: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one if other is None else other
    return {key: merged(one.get(key), other.get(key)) for key in one | other}


def holds(value: Any, keys: list[str]) -> bool:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True
