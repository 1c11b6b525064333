"""The state of a thing: what follows from its events, no less, and nothing else."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapi.field_changes import leaves, same
from webapi.state_fields import MAX_FIELDS, MAX_PATH_CHARACTERS, TooManyFieldsError
from webapi.state_fold import Folded, fold
from webapi.subject import OtherResource, OtherUser, Subject

APP = Subject(resource_type="app", resource_id="app_1")
ANA_ID = "0190a1b2-7c3d-7000-8000-00000000000a"
ANA = Subject(target_user_id=ANA_ID)
WORKSPACE = {"type": "workspace", "id": "w_1"}
MOMENT = 10


def event(at: int, action: str = "app.settings_updated", **more: Any) -> dict[str, Any]:
    """Return an event about the app; `previous` and `new` stand in its context."""
    context = {name: more.pop(name) for name in ("previous", "new") if name in more}
    about: dict[str, Any] = {"resource": {"type": "app", "id": "app_1"}}
    return {
        "id": f"e{at}",
        "timestamp": f"{at:02}",
        "action": action,
        "actor": {"type": "system"},
        **about,
        "context": context,
        **more,
    }


def folded(events: Sequence[dict[str, Any]], subject: Subject = APP) -> Folded:
    before = [one for one in events if int(one["timestamp"]) <= MOMENT]
    return fold(subject, before, [one for one in events if int(one["timestamp"]) > MOMENT])


def rows(fields: Any) -> list[tuple[Any, ...]]:
    """Return path, status, value, and the numbers of the events."""
    found: list[tuple[Any, ...]] = []
    for one in fields:
        state = msgspec.to_builtins(one)
        event = state.get("event") or state["until"]
        row = (state["path"], state["status"], state.get("value", "-"), event["id"])
        doubt = state.get("contradictedBy")
        found.append((*row, doubt["event"]["id"], doubt["previous"]) if doubt else row)
    return found


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], [], id="no event"),
        pytest.param([event(1, new={"a": 1}), event(2, previous={"a": 1}, new={"a": 2})],
            [("/a", "known", 2, "e2")], id="the last event that set it"),
        pytest.param([event(10, new={"a": 1})], [("/a", "known", 1, "e10")], id="at the moment"),
        pytest.param([event(1, new={"a": 1}), event(2, previous={"a": 1, "b": 2}, new={
            "a": 1, "b": 3})],
            [("/a", "known", 1, "e1"), ("/b", "known", 3, "e2")], id="said to have stayed"),
        pytest.param([event(1, new={"a": 1}), event(2, new={"a": 1})],
            [("/a", "known", 1, "e2")], id="set again to the same"),
        pytest.param([event(1, new={"a": 1}), event(2, previous={"a": 5}, new={"a": 5})],
            [("/a", "known", 5, "e2")], id="stayed what no event set"),
        pytest.param([event(11, previous={"a": 1}, new={"a": 2})],
            [("/a", "until", 1, "e11")], id="only before a later event"),
        pytest.param([event(11, new={"a": 2}), event(12, previous={"a": 2}, new={"a": 3})],
            [("/a", "unknown", "-", "e11")], id="a later event that does not say what was"),
        pytest.param([event(1, new={"a": 1}), event(2, previous={"a": 1}, new={"b": 1})],
            [("/a", "removed", 1, "e2"), ("/b", "known", 1, "e2")], id="not in new any more"),
        pytest.param([event(1, previous={"a": 1}), event(2, new={"a": 2})],
            [("/a", "known", 2, "e2")], id="removed and set again"),
        pytest.param([event(1, new={"a": 1}), event(2, result="denied", previous={"a": 1}, new={
            "a": 2}), event(3, result="failure", new={"a": 3})],
            [("/a", "known", 1, "e1")], id="denied and failed"),
        pytest.param([event(11, result="denied", previous={"a": 1}, new={"a": 2})], [],
            id="denied later"),
        pytest.param([event(1, result="success", new={"a": 1})], [("/a", "known", 1, "e1")],
            id="said to have succeeded"),
        pytest.param([event(1, new={"a": 1}), event(11, previous={"a": 2}, new={"a": 3})],
            [("/a", "known", 1, "e1", "e11", 2)], id="changed without an event"),
        pytest.param([event(1, new={"a": 1}), event(11, previous={"a": 1}, new={"a": 3}),
            event(12, previous={"a": 9})],
            [("/a", "known", 1, "e1")], id="the first later event counts"),
        pytest.param([event(1, previous={"a": 1}), event(11, previous={"a": 2}, new={"a": 3})],
            [("/a", "removed", 1, "e1", "e11", 2)], id="there again without an event"),
        pytest.param([event(1, new={"a": {"b": 1, "c": 2}}), event(2, new={"a": 3})],
            [("/a", "known", 3, "e2"), ("/a/b", "removed", 1, "e2"),
             ("/a/c", "removed", 2, "e2")], id="what was inside ends"),
        pytest.param([event(1, new={"a": 3}), event(2, new={"a": {"b": 1}})],
            [("/a/b", "known", 1, "e2")], id="what was around ends"),
        pytest.param([event(1, new={"a": {"b": 1}}), event(2, new={"a": {}})],
            [("/a", "known", {}, "e2"), ("/a/b", "removed", 1, "e2")], id="emptied"),
        pytest.param([event(1, new={"a": 3}), event(11, previous={"a": {"b": 1}}, new={
            "a": {"b": 2}})],
            [("/a", "known", 3, "e1", "e11", 1)], id="found inside of a value"),
        pytest.param([event(11, previous={"a": {"b": 1}}, new={"a": 5}),
            event(12, previous={"a": 5}, new={"a": {"b": 2}})],
            [("/a/b", "until", 1, "e11")], id="later, another shape"),
        pytest.param([event(1, new={"a": {"b": 1}}), event(11, new={"a": 5}),
            event(12, previous={"a": {"b": 7}})],
            [("/a/b", "known", 1, "e1")], id="ended later, then something else"),
        pytest.param([event(1, new="on"), event(2, previous="on", new="off")],
            [("", "known", "off", "e2")], id="no objects"),
        pytest.param([event(1, new="on"), event(2, new={"a": 1})],
            [("/a", "known", 1, "e2")], id="an object at last"),
        pytest.param([event(1, new={"l": [1]}), event(2, new={"l": [1, 2]})],
            [("/l", "known", [1, 2], "e2")], id="a list is one value"),
        pytest.param([event(1, new={"a": None})], [("/a", "known", None, "e1")], id="null"),
        pytest.param([event(1, context=None), event(2, context=[1]), event(3, new={})], [],
            id="nothing is said"),
        pytest.param([event(1, new={"a": 1}, resource={"type": "app", "id": "app_2"})], [],
            id="another thing"),
    ],
)  # fmt: skip
def test_fields(events: list[dict[str, Any]], expected: list[tuple[Any, ...]]) -> None:
    assert rows(folded(events).fields) == expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], ("unknown", None), id="no event"),
        pytest.param([event(1), event(2)], ("exists", "e1"), id="named"),
        pytest.param([event(1), event(2, "app.created"), event(3)], ("exists", "e2"), id="created"),
        pytest.param([event(1, "app.created"), event(2, "app.deleted"), event(3)],
            ("deleted", "e2"), id="deleted, and named after"),
        pytest.param([event(1, "app.deleted"), event(2, "app.restored")],
            ("exists", "e2"), id="restored"),
        pytest.param([event(1), event(2, "app.deleted", result="denied")],
            ("exists", "e1"), id="a deletion that was denied"),
        pytest.param([event(1), event(2, "app_version.deleted")],
            ("exists", "e1"), id="something of it was deleted"),
        pytest.param([event(1), event(2, "app.archived")], ("exists", "e1"), id="red, no end"),
        pytest.param([event(11, "app.created"), event(12)], ("notYet", "e11"), id="not yet"),
        pytest.param([event(11), event(12, "app.created")], ("unknown", "e11"), id="named later"),
        pytest.param([event(11, "app.deleted")], ("unknown", "e11"), id="deleted later"),
        pytest.param([event(1), event(11, "app.deleted")], ("exists", "e1"), id="still there"),
        pytest.param([event(1, "app.deleted"), event(2, "app.duplicated")],
            ("exists", "e2"), id="made as a copy"),
        pytest.param([event(11, "app.restored")], ("unknown", "e11"), id="restored later"),
    ],
)  # fmt: skip
def test_existence(events: list[dict[str, Any]], expected: tuple[str, str | None]) -> None:
    found = msgspec.to_builtins(folded(events).existence)
    told = found.get("event") or found.get("until") or {"id": None}
    assert (found["status"], told["id"]) == expected


def test_where_older_events_are_left_out_nobody_knows_that_it_was_not_there_yet() -> None:
    made = [event(11, "app.created", new={"a": 1})]
    assert folded(made).existence.status == "notYet"
    found = fold(APP, [], made, whole=False)
    assert found.existence.status == "unknown"
    assert rows(found.fields) == [("/a", "unknown", "-", "e11")]


def of_ana(at: int, action: str, **more: Any) -> dict[str, Any]:
    return event(at, action, **{"resource": None, "targetUser": {"id": ANA_ID}, **more})


REJOINED = (
    of_ana(1, "member.joined", new={"role": "owner", "team": "a"}),
    of_ana(2, "x.y", resource=WORKSPACE, new={"role": "editor"}),
    of_ana(3, "member.offboarded", previous={"team": "a"}),
    of_ana(4, "member.invited", new={"role": "member"}),
    of_ana(5, "member.invite_accepted", previous={"status": "invited"}, new={"status": "active"}),
)


def test_who_comes_again_has_nothing_of_the_life_before() -> None:
    gone = folded(REJOINED[:3], ANA)
    assert gone.existence.status == "deleted"
    assert rows(gone.fields) == [("/role", "known", "owner", "e1"), ("/team", "removed", "a", "e3")]
    invited = folded(REJOINED[:4], ANA)
    assert invited.existence.status == "deleted"
    assert rows(invited.fields)[0] == ("/role", "known", "member", "e4")
    again = folded(REJOINED, ANA)
    assert (again.existence.status, again.existence.event and again.existence.event.id) == (
        "exists", "e5")  # fmt: skip
    assert rows(again.fields) == [
        ("/role", "known", "member", "e4"),
        ("/status", "known", "active", "e5"),
        ("/team", "removed", "a", "e3"),
    ]
    (workspace,) = again.together
    assert rows(workspace.fields) == [("/role", "removed", "editor", "e3")]


GROUP = {"type": "member_group", "id": "g_1"}


@pytest.mark.parametrize(
    ("action", "where"),
    [("workspace_member.removed", WORKSPACE), ("member_group.member_removed", GROUP)],
)
def test_who_is_put_out_of_something_has_no_role_in_it(action: str, where: Any) -> None:
    """Though the event does not say which role that was."""
    events = [
        of_ana(1, "x.y", resource=where, new={"role": "editor"}),
        event(1, resource=where, new={"name": "Care"}),
        of_ana(2, action, resource={**where, "id": "another"}),
        of_ana(3, action, resource=where, result="denied"),
        event(4, action, resource=where, targetUser=None),
        event(4, action, resource=where, targetUser={"department": "x"}),
        of_ana(5, action, resource=where),
    ]
    of_the_other = Subject(resource_type=where["type"], resource_id=where["id"])
    assert rows(folded(events, of_the_other).fields) == [("/name", "known", "Care", "e1")]
    for subject in (ANA, of_the_other):
        (kept,) = folded(events[:-1], subject).together
        assert rows(kept.fields) == [("/role", "known", "editor", "e1")]
        (ended,) = folded(events, subject).together
        assert rows(ended.fields) == [("/role", "removed", "editor", "e5")]
    again = of_ana(6, "x.y", resource=where, new={"role": "viewer"})
    assert rows(folded([*events, again], ANA).together[0].fields) == [
        ("/role", "known", "viewer", "e6")
    ]


@pytest.mark.parametrize("back", ["member.reactivated", "member.restored"])
def test_who_is_taken_back_has_what_they_had(back: str) -> None:
    joined, ended = of_ana(1, "member.joined", new={"role": "owner"}), of_ana(2, "member.left")
    found = folded([joined, ended, of_ana(3, back)], ANA)
    assert found.existence.status == "exists"
    assert rows(found.fields) == [("/role", "known", "owner", "e1")]


def test_a_later_life_says_nothing_of_the_one_before() -> None:
    joined = of_ana(1, "member.joined", new={"role": "owner"})
    later = [
        of_ana(12, "member.joined", new={"seat": 1}),
        of_ana(13, "member.role_changed", previous={"role": "member"}, new={"role": "admin"}),
    ]
    expected = [("/role", "known", "owner", "e1")]
    assert rows(folded([joined, of_ana(11, "member.left"), *later], ANA).fields) == expected
    assert rows(folded([joined, of_ana(2, "member.left"), *later], ANA).fields) == expected
    doubtful = folded([joined, *later], ANA)
    assert rows(doubtful.fields)[0] == ("/role", "known", "owner", "e1", "e13", "member")


@pytest.mark.parametrize("subject", [APP, ANA])
def test_of_what_did_not_exist_yet_nothing_is_told(subject: Subject) -> None:
    made = "app.created" if subject is APP else "member.added"
    about = event(11, made, previous={"a": 0}, new={"a": 1, "b": 2}, targetUser={"id": ANA_ID})
    found = folded([about, event(12, previous={"c": 1}, targetUser={"id": ANA_ID})], subject)
    assert found.existence.status == "notYet"
    assert (found.fields, found.together) == ([], [])


def test_what_is_said_of_two_things_is_of_the_two_together() -> None:
    """The role in a workspace is not the role in the organisation."""
    ana, bob = {"id": ANA_ID.upper()}, {"email": "bob@company.com", "name": "Bob"}
    events = [
        event(1, "member.role_changed", target_user=None, new={"role": "owner"}),
        event(2, "x.y", targetUser=ana, resource=WORKSPACE, new={"role": "viewer"}),
        event(3, "x.y", targetUser=bob, resource=WORKSPACE, new={"role": "editor"}),
        event(4, "x.y", targetUser=ana, resource=None, new={"role": "admin"}),
        event(5, "x.y", resource={"type": "member", "id": ANA_ID}, new={"seat": 1}),
        event(6, "x.y", targetUser=ana, resource={"type": "user", "id": ANA_ID}, new={"seat": 2}),
    ]
    found = folded(events, ANA)
    assert rows(found.fields) == [("/role", "known", "admin", "e4"), ("/seat", "known", 2, "e6")]
    assert [(one.resource or one.target_user, rows(one.fields)) for one in found.together] == [
        (OtherResource(type="workspace", id="w_1"), [("/role", "known", "viewer", "e2")])
    ]
    found = folded(events, Subject(resource_type="workspace", resource_id="w_1"))
    assert found.fields == []
    assert [(one.resource or one.target_user, rows(one.fields)) for one in found.together] == [
        (OtherUser(id=ANA_ID.upper()), [("/role", "known", "viewer", "e2")]),
        (OtherUser(email="bob@company.com", name="Bob"), [("/role", "known", "editor", "e3")]),
    ]
    as_resource = folded(events, Subject(resource_type="user", resource_id=ANA_ID))
    assert msgspec.structs.replace(as_resource, subject=ANA) == folded(events, ANA)


@pytest.mark.parametrize(
    ("subject", "told", "part"),
    [
        pytest.param(ANA, {"targetUser": {"id": ANA_ID.upper()}}, "target", id="in another case"),
        pytest.param(ANA, {"resource": {"type": "user", "id": ANA_ID}}, "resource", id="resource"),
        pytest.param(ANA, {"resource": {"type": "app", "id": ANA_ID}}, None, id="another type"),
        pytest.param(ANA, {"targetUser": {"email": "a@b"}}, None, id="no id"),
        pytest.param(Subject(resource_type="member", resource_id="u_1"),
            {"targetUser": {"id": "u_1"}}, "target", id="a member by an id of its own"),
        pytest.param(Subject(resource_type="member", resource_id="u_1"),
            {"targetUser": {"id": "U_1"}}, None, id="which has a case"),
        pytest.param(APP, {"targetUser": {"id": "app_1"}}, None, id="an app is no user"),
        pytest.param(Subject(resource_type="app", resource_id="7"),
            {"resource": {"type": "app", "id": 7}}, "resource", id="a number for an id"),
        pytest.param(APP, {"resource": "app_1", "targetUser": [1]}, None, id="other shapes"),
        pytest.param(APP, {}, None, id="nothing"),
    ],
)  # fmt: skip
def test_part(subject: Subject, told: dict[str, Any], part: str | None) -> None:
    assert subject.part(told) == part


def test_ids_stand_with_the_names_of_the_moment() -> None:
    """Where no event up to the moment has one, with the first later one."""
    named = {"id": ANA_ID, "name": "Ana"}
    events = [
        of_ana(1, "x.y", resource={**WORKSPACE, "name": "Care"}, new={"a": 1}),
        of_ana(2, "x.y", resource={**WORKSPACE, "name": 7}, targetUser=named),
        of_ana(3, "x.y", resource={**WORKSPACE, "name": "Denied"}, result="denied"),
        of_ana(11, "x.y", targetUser={**named, "name": "A", "email": "ana@company.com"}),
        of_ana(12, "x.y", resource={**WORKSPACE, "name": "Later"}, targetUser={
            **named, "email": "ana@later.example"}),
    ]  # fmt: skip
    ana = folded(events, ANA)
    assert (ana.subject.name, ana.subject.email) == ("Ana", "ana@company.com")
    (one,) = ana.together
    assert one.resource == OtherResource(type="workspace", id="w_1", name="Care")
    workspace = folded(events, Subject(resource_type="workspace", resource_id="w_1"))
    assert (workspace.subject.name, workspace.subject.email) == ("Care", msgspec.UNSET)
    (one,) = workspace.together
    assert one.target_user == OtherUser(id=ANA_ID, name="Ana", email="ana@later.example")
    as_member = event(1, resource={"type": "member", "id": ANA_ID, "name": "Ana"})
    assert folded([as_member], ANA).subject.name == "Ana"
    assert folded([], ANA).subject == ANA


def test_too_many_fields_are_refused() -> None:
    few = {str(number): number for number in range(MAX_FIELDS)}
    assert len(folded([event(1, new=few)]).fields) == MAX_FIELDS
    assert len(folded([event(1, new=few), event(2, new=few)]).fields) == MAX_FIELDS
    with pytest.raises(TooManyFieldsError):
        folded([event(1, new=few), event(2, new={"x": 1})])
    later = folded([event(1, new=few), event(11, new={"x": 1, "y": 1})])
    assert (len(later.fields), later.cut) == (MAX_FIELDS, True)
    long = {f"{number}" + "x" * 60_000: 1 for number in range(MAX_PATH_CHARACTERS // 60_000 + 1)}
    with pytest.raises(TooManyFieldsError):
        folded([event(1, new=long)])


def test_what_is_looked_at_behind_the_moment_is_limited_though_nothing_follows_from_it() -> None:
    """Thousands of fields inside of what is no object took 14 s and 200 MiB."""
    inside = [{f"{at} {number}": 1 for number in range(MAX_FIELDS // 2)} for at in (11, 12, 13)]
    later = [
        event(at, previous={"a": one, "b": 2})
        for at, one in enumerate([*inside, {}], start=MOMENT + 1)
    ]
    known = event(1, new={"a": 1, "b": 1})
    assert not folded([known, later[0]]).cut
    found = folded([known, *later])
    assert found.cut
    assert [row[0] for row in rows(found.fields)] == ["/a", "/b"]
    assert rows(found.fields)[1][-2:] == ("e11", 2)


@pytest.mark.slow
def test_a_field_that_comes_and_goes_takes_no_more_room() -> None:
    events = [event(1, new=({"a": 1}, {"a": {"b": 1}})[n % 2]) for n in range(3 * MAX_FIELDS)]
    assert rows(folded(events).fields) == [("/a/b", "known", 1, "e1")]


VALUES = st.integers(0, 3) | st.sampled_from(["x", "y"]) | st.lists(st.integers(0, 1), max_size=2)
DOCUMENTS = st.dictionaries(
    st.sampled_from("abc"),
    VALUES | st.dictionaries(st.sampled_from("de"), VALUES, min_size=1, max_size=2),
    max_size=3,
)


@st.composite
def lives(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what a thing was like after each step, and events that tell of each step truly.

    An event names what changed, and of what did not any part; it may leave `previous` out.
    """
    documents = [draw(DOCUMENTS)]
    events: list[dict[str, Any]] = []
    for step in range(draw(st.integers(0, 6))):
        before, after = documents[-1], draw(DOCUMENTS)
        result = draw(st.sampled_from(["success", None, "denied", "failure"]))
        told = {
            key
            for key in before.keys() | after.keys()
            if not same(before.get(key), after.get(key)) or draw(st.booleans())
        }
        sides: dict[str, Any] = {"new": {key: after[key] for key in sorted(told & after.keys())}}
        gone = before.keys() - after.keys()
        if gone or any(isinstance(before.get(key), dict) for key in told) or draw(st.booleans()):
            sides["previous"] = {key: before[key] for key in sorted(told & before.keys())}
        events.append(event(step, **sides, result=result))
        documents.append(after if result in {"success", None} else before)
    return documents, events


@given(lives(), st.integers(0, 6))
def test_a_life_that_is_told_truly_is_concluded_truly(
    life: tuple[list[dict[str, Any]], list[dict[str, Any]]], at: int
) -> None:
    documents, events = life
    at = min(at, len(events))
    truth = leaves(documents[at])
    found = fold(APP, events[:at], events[at:])
    for state in found.fields:
        assert not state.contradicted_by
        if state.status in {"known", "until"}:
            assert state.path in truth
            assert same(truth[state.path], state.value)
        elif state.status == "removed":
            assert state.path not in truth
    told = {path for one in events for side in one["context"].values() for path in leaves(side)}
    concluded = {state.path for state in found.fields}
    good = [one for one in events[:at] if one["result"] in {"success", None}]
    for one in good:
        for path in leaves(one["context"]["new"]):
            assert path in concluded or path not in truth
    assert concluded <= told


@given(lives(), st.integers(0, 6))
def test_who_set_a_field_is_the_last_event_that_did(
    life: tuple[list[dict[str, Any]], list[dict[str, Any]]], at: int
) -> None:
    _, events = life
    for state in fold(APP, events[:at], events[at:]).fields:
        if state.status != "known":
            continue
        setters = [
            one["id"]
            for one in events[:at]
            if one["result"] in {"success", None}
            and same(leaves(one["context"]["new"]).get(state.path), state.value)
            and not same(leaves(one["context"].get("previous", {})).get(state.path), state.value)
        ]
        confirming = [
            one["id"] for one in events[:at] if state.path in leaves(one["context"]["new"])
        ]
        assert state.event
        assert state.event.id in ([setters[-1]] if setters else confirming)
