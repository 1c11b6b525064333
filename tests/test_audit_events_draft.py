"""What a log call may say, and how each mistake is named."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import pytest
from typing_extensions import override

from audit_events.draft import FIELDS, DraftRules, draft_event
from audit_events.errors import CanonicalError, EventError
from audit_events.event import MAX_USER_AGENT_CHARACTERS, Actor, Resource

COMPLETE: Mapping[str, Any] = {
    "organization_id": "org_acme",
    "actor": {"type": "user", "id": "u_1", "email": "admin@company.com"},
}


NO_TEXT: Any = object()


class _Text(str):
    """A text of a class of its own, as Markup and `numpy.str_` are; this one lies, too."""

    __slots__ = ()

    @override
    def __len__(self) -> int:
        return 3


def _nested(levels: int, leaf: object) -> object:
    for _ in range(levels):
        leaf = {"a": leaf}
    return leaf


def _doubled(times: int) -> object:
    """A few objects that come to 2^times values when they are written out."""
    value: object = "x"
    for _ in range(times):
        value = {"a": value, "b": value}
    return value


def _members(action: str, **fields: Any) -> dict[str, Any]:
    draft = draft_event(action, {**COMPLETE, **fields})
    return msgspec.json.decode(draft.encode(), type=dict[str, Any])


def test_an_error_is_the_only_one_of_its_traceback() -> None:
    """Another one, of msgspec, named what was not meant: here the organisation."""
    with pytest.raises(EventError, match="actor: is missing") as raised:
        draft_event("member.role_changed", {})
    assert raised.value.__context__ is None


def test_the_smallest_event_gains_result_and_version() -> None:
    assert _members("member.invited") == {
        "action": "member.invited",
        "actor": {"type": "user", "id": "u_1", "email": "admin@company.com"},
        "organizationId": "org_acme",
        "result": "success",
        "schemaVersion": 1,
    }


def test_every_field_is_written_under_its_wire_name() -> None:
    written = _members(
        "member.role_changed",
        target_user={"id": UUID(int=7), "email": "team@company.com", "name": None},
        resource=Resource(type="member", id="m_1"),
        ip_address="203.0.113.7",
        user_agent="Mozilla/5.0",
        context={"previous": {"role": "member"}, "new": {"role": "admin"}},
        result="denied",
        correlation_id="req-1",
    )
    assert set(FIELDS.values()) <= set(written)
    assert written["targetUser"] == {"id": str(UUID(int=7)), "email": "team@company.com"}
    assert written["resource"] == {"type": "member", "id": "m_1"}


@pytest.mark.parametrize(
    "actor",
    [
        pytest.param(Actor(type="api_key", id="k", on_behalf_of="u_1"), id="struct"),
        pytest.param({"type": "api_key", "id": "k", "on_behalf_of": "u_1"}, id="snake case"),
        pytest.param({"type": "api_key", "id": "k", "onBehalfOf": "u_1"}, id="camel case"),
    ],
)
def test_an_actor_is_given_in_any_of_three_ways(actor: object) -> None:
    assert _members("member.invited", actor=actor)["actor"] == {
        "type": "api_key",
        "id": "k",
        "onBehalfOf": "u_1",
    }


@pytest.mark.parametrize(
    ("given", "written"),
    [
        pytest.param("203.0.113.7", "203.0.113.7", id="IPv4"),
        pytest.param("2001:DB8:0::1", "2001:db8::1", id="IPv6 in short form"),
        pytest.param("::ffff:203.0.113.7", "203.0.113.7", id="IPv4 mapped into IPv6"),
        pytest.param("fe80::1%eth0", "fe80::1", id="zone of a link-local address"),
    ],
)
def test_an_address_is_written_in_one_form(given: str, written: str) -> None:
    assert _members("member.invited", ip_address=given)["ipAddress"] == written


def test_a_text_may_be_of_a_class_of_its_own() -> None:
    plain: dict[str, Any] = {
        "organization_id": "org",
        "actor": {"type": "user", "id": "u", "name": "Ana"},
        "resource": {"type": "app", "id": "a"},
        "target_user": {"email": "e"},
        "user_agent": "agent",
        "correlation_id": "c",
        "context": {"previous": "p"},
    }
    given = {name: _in_own_class(value) for name, value in plain.items()}
    assert _members(_Text("thing.done_well"), **given) == _members("thing.done_well", **plain)
    with pytest.raises(CanonicalError, match=r"actor\.name"):
        _members("thing.done_well", actor={"type": "user", "name": _Text("\ud800")})


def _in_own_class(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_own_class(item) for key, item in value.items()}
    return _Text(value)


def test_a_user_agent_of_any_length_does_not_fail_the_action() -> None:
    written = _members("member.invited", user_agent="x" * 100_000)
    assert len(written["userAgent"]) == MAX_USER_AGENT_CHARACTERS


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        pytest.param({"actor": None}, "actor", "audit_events.bind_actor()", id="no actor"),
        pytest.param(
            {"organization_id": None},
            "organization_id",
            "audit_events.bind_organization()",
            id="no organisation",
        ),
        pytest.param({"organization_id": ""}, "organization_id", "0 characters", id="empty id"),
        pytest.param({"organization_id": "x" * 1025}, "organization_id", "1024", id="endless id"),
        pytest.param({"organization_id": "_system"}, "organization_id", "reserved", id="reserved"),
        pytest.param({"organization_id": 7}, "organization_id", "type int", id="id of wrong type"),
        pytest.param({"actor": "ana"}, "actor", "type str", id="actor as text"),
        pytest.param(
            {"actor": {"id": "u"}}, "actor", "`type`; it has email, id", id="actor without type"
        ),
        pytest.param({"actor": {"type": "root"}}, "actor.type", "api_key", id="unknown type"),
        pytest.param(
            {"actor": {"type": "user", "id": 5}}, "actor.id", "a string", id="id as number"
        ),
        pytest.param(
            {"actor": Actor(type="user", id=NO_TEXT)}, "actor.id", "`object`", id="object"
        ),
        pytest.param({"organization_id": _Text("")}, "organization_id", "0 char", id="liar"),
        pytest.param(
            {"organization_id": _Text("x" * 1025)}, "organization_id", "1025", id="longer"
        ),
        pytest.param(
            {"actor": {"type": "user", "mail": "x"}}, "actor", "it has email", id="unknown key"
        ),
        pytest.param({"target_user": {"id": ""}}, "target_user.id", "1 to 1024", id="empty target"),
        pytest.param({"resource": {"type": "app"}}, "resource", "`id`", id="resource without id"),
        pytest.param({"ip_address": "unknown"}, "ip_address", "IPv4", id="address from a header"),
        pytest.param({"user_agent": 5}, "user_agent", "type int", id="agent of wrong type"),
        pytest.param({"context": [1]}, "context", "type list", id="context not a mapping"),
        pytest.param(
            {"context": {"a": [{}, {"b": {1}}]}}, "context.a[1].b", "changes()", id="deep set"
        ),
        pytest.param({"context": {"\ud800": 1}}, "context.(a key)", "surrogate", id="half a key"),
        pytest.param(
            {"context": {"a": _nested(30, {"\ud800": 1}), "b": 1}},
            f"context{'.a' * 31}.(a key)",
            "surrogate",
            id="half a key in what is cut",
        ),
        pytest.param(
            {"context": {"a": _nested(5_000, 1), "b": "\ud800"}},
            "context.b",
            "surrogate",
            id="half a pair behind what is deep",
        ),
        pytest.param(
            {"context": {"a": _doubled(40), "b": "\ud800"}},
            "context.b",
            "surrogate",
            id="half a pair behind 2^40 values",
        ),
        pytest.param({"result": "ok"}, "result", "success, failure, denied", id="unknown result"),
        pytest.param({"correlation_id": ""}, "correlation_id", "characters", id="empty join"),
        pytest.param({"actr": {}}, "actr", "did you mean actor?", id="misspelled field"),
        pytest.param({"seats": 5}, "seats", "goes into context", id="particular to the action"),
    ],
)
def test_a_mistake_is_named_at_the_call(fields: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(EventError) as caught:
        draft_event("member.invited", {**COMPLETE, **fields})
    assert caught.value.field == field
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "action",
    [
        pytest.param("invited", id="no noun"),
        pytest.param("Member.Invited", id="upper case"),
        pytest.param("member.invited.twice", id="two dots"),
        pytest.param("member.invited\n", id="line break"),
        pytest.param("member." + "x" * 300, id="endless"),
        pytest.param("", id="empty"),
        pytest.param(None, id="absent"),
        pytest.param("mémber.invited", id="not ASCII"),
    ],
)
def test_a_malformed_action_is_refused(action: object) -> None:
    with pytest.raises(EventError) as caught:
        draft_event(action, COMPLETE)
    assert caught.value.field == "action"


def test_only_the_log_itself_may_speak_for_the_system() -> None:
    rules = DraftRules(system=True)
    draft = draft_event("audit_log.viewed", {**COMPLETE, "organization_id": "_system"}, rules)
    assert draft.organization_id == "_system"
    with pytest.raises(EventError):
        draft_event("audit_log.viewed", {**COMPLETE, "organization_id": "_other"}, rules)


def test_strict_refuses_an_unknown_action_with_the_nearest_ones() -> None:
    assert draft_event("member.invitd", COMPLETE).action == "member.invitd"
    with pytest.raises(EventError, match=r"action: .*did you mean member\.invited") as caught:
        draft_event("member.invitd", COMPLETE, DraftRules(strict=True))
    assert caught.value.field == "action"
    rules = DraftRules(strict=True)
    assert draft_event("organization.created", COMPLETE, rules).action == "organization.created"
