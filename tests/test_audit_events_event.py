"""The code and docs/event.schema.json say the same about every event."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_events import open_log
from audit_events.envelope import decode_envelope
from audit_events.event import (
    ACTION_PATTERN,
    HASH_PATTERN,
    MAX_ACTION_CHARACTERS,
    MAX_USER_AGENT_CHARACTERS,
    UUID_PATTERN,
    decode_event,
    is_action,
)
from audit_events.instant import CANONICAL_INSTANT

SCHEMA: dict[str, Any] = msgspec.json.decode(
    (Path(__file__).parent.parent / "docs" / "event.schema.json").read_bytes(),
    type=dict[str, Any],
)
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)

_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
_person = st.fixed_dictionaries({}, optional={"id": _text, "email": _text, "name": _text})
_actor = st.builds(
    lambda kind, person: {"type": kind, **person},
    st.sampled_from(["user", "system", "api_key", "service"]),
    _person,
)
_calls = st.fixed_dictionaries(
    {"organization_id": _text.filter(lambda text: text[0] != "_"), "actor": _actor},
    optional={
        "target_user": _person,
        "resource": st.fixed_dictionaries({"type": _text, "id": _text}, optional={"name": _text}),
        "ip_address": st.ip_addresses().map(str),
        "user_agent": _text,
        "context": st.dictionaries(_text, _text | st.integers(-1000, 1000), max_size=4),
        "result": st.sampled_from(["success", "failure", "denied"]),
        "correlation_id": _text,
    },
)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(_calls, min_size=1, max_size=3), st.sampled_from(["a.b", "member.invited"]))
def test_every_emitted_line_fits_the_schema_and_reads_back(
    calls: list[dict[str, Any]], action: str
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "audit.jsonl"
        log = open_log(path, service="s", host="h")
        for call in calls:
            log.info(action, **call)
        for line in path.read_bytes().splitlines():
            VALIDATOR.validate(msgspec.json.decode(line))
            assert decode_envelope(line).id == decode_event(line).id


@pytest.fixture
def event(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "audit.jsonl"
    open_log(path, service="s", host="h").info(
        "member.invited", organization_id="o", actor={"type": "user", "id": "u"}
    )
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("id",), "not-a-uuid", id="id"),
        pytest.param(("timestamp",), "2026-11-23", id="timestamp"),
        pytest.param(("organizationId",), "", id="organizationId"),
        pytest.param(("action",), "Invited", id="action"),
        pytest.param(("action",), "a." + "b" * MAX_ACTION_CHARACTERS, id="long action"),
        pytest.param(("actor", "type"), "root", id="actor type"),
        pytest.param(("actor", "mail"), "x", id="unknown key of actor"),
        pytest.param(("actor", "id"), "x" * 1025, id="long id"),
        pytest.param(("resource",), {"type": "app"}, id="resource without id"),
        pytest.param(("context",), [], id="context"),
        pytest.param(("result",), "ok", id="result"),
        pytest.param(("source", "seq"), -1, id="seq"),
        pytest.param(("hash",), "short", id="hash"),
        pytest.param(("schemaVersion",), 2, id="version"),
        pytest.param(("ingestedAt",), 5, id="ingestedAt"),
    ],
)
def test_what_the_schema_refuses_the_code_refuses(
    event: dict[str, Any], path: tuple[str, ...], value: object
) -> None:
    VALIDATOR.validate(event)
    inner: Any = event
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert not VALIDATOR.is_valid(event)
    with pytest.raises(msgspec.ValidationError):
        decode_event(msgspec.json.encode(event))


def _patterns(properties: Mapping[str, Any]) -> dict[str, str]:
    return {name: field["pattern"] for name, field in properties.items() if "pattern" in field}


def test_the_patterns_are_the_same_text() -> None:
    assert _patterns(SCHEMA["$defs"]) == {"uuid": UUID_PATTERN, "instant": CANONICAL_INSTANT}
    assert _patterns(SCHEMA["properties"])["action"] == ACTION_PATTERN
    assert _patterns(SCHEMA["properties"])["hash"] == HASH_PATTERN
    assert SCHEMA["properties"]["userAgent"]["maxLength"] == MAX_USER_AGENT_CHARACTERS


@pytest.mark.parametrize("text", ["a.b", "member.role_changed", "x1.y_2"])
def test_an_action_is_a_noun_and_a_past_verb(text: str) -> None:
    assert is_action(text)
    assert not is_action(text + "\n")
