"""The policy as a file: rendered from settings, and refused by name where we could not do it."""

from collections.abc import Callable
from datetime import timedelta
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from indexer.errors import PolicyError
from indexer.policy import read, read_all, render, without_delete
from indexer.settings import IndexSettings, LifecycleSettings

DEFAULTS = (IndexSettings(), LifecycleSettings())


def age(days: int) -> timedelta:
    return timedelta(days=days)


def test_a_file_is_the_body_that_is_installed_with_default_settings() -> None:
    rendered = render(*DEFAULTS)
    assert list(rendered) == ["audit-events", "audit-late"]
    for name, body in rendered.items():
        content = (files("index_templates") / f"{name}.policy.json").read_bytes()
        assert msgspec.json.decode(content) == body


@pytest.mark.parametrize(
    ("settings", "seal", "delete", "late"),
    [
        pytest.param(IndexSettings(), 39, 432, 432, id="months"),
        pytest.param(IndexSettings(partition="day"), 9, 402, 432, id="days; late ones are months"),
        pytest.param(IndexSettings(future_hours=25), 40, 433, 433, id="begun days count whole"),
        pytest.param(IndexSettings(future_hours=0), 38, 431, 431, id="nothing from the future"),
        pytest.param(
            IndexSettings(retention_days=3), 39, 35, 35, id="a retention before the seal age"
        ),
    ],
)
def test_ages_are_the_setting_with_the_longest_span_and_the_future(
    settings: IndexSettings, seal: int, delete: int, late: int
) -> None:
    events_policy, late_policy = read_all(settings, LifecycleSettings())
    assert (events_policy.seal_age, events_policy.delete_age) == (age(seal), age(delete))
    assert (late_policy.seal_age, late_policy.delete_age) == (None, age(late))


def test_while_months_are_there_the_policy_of_days_has_their_ages() -> None:
    settings = IndexSettings(partition="day")
    rendered = render(settings, LifecycleSettings(), longest_days=31)
    assert read(rendered["audit-events"]).delete_age == age(432)
    assert render(settings, LifecycleSettings(), longest_days=1) == render(
        settings, LifecycleSettings()
    )


def test_lifecycle_settings_are_rendered_into_the_actions() -> None:
    lifecycle = LifecycleSettings(merge_segments=4, snapshot_repository="archive")
    events_policy, late_policy = read_all(IndexSettings(prefix="audit-t1"), lifecycle)
    assert (events_policy.merge_segments, events_policy.repository) == (4, "archive")
    assert [one.name for one in events_policy.states[1].actions] == [
        "read_only",
        "force_merge",
        "snapshot",
    ]
    assert [one.name for one in late_policy.states[1].actions] == ["snapshot", "delete"]
    rendered = render(IndexSettings(prefix="audit-t1"), lifecycle)
    policies: Any = rendered
    assert policies["audit-t1-late"]["policy"]["ism_template"][0]["index_patterns"] == [
        "audit-t1-late-*"
    ]


def test_without_delete_a_policy_seals_and_ends() -> None:
    lifecycle = LifecycleSettings(snapshot_repository="archive")
    rendered = render(IndexSettings(), lifecycle)
    policy = read(without_delete(rendered["audit-events"]))
    assert (policy.seal_age, policy.delete_age, policy.repository) == (age(39), None, None)
    late = read(without_delete(rendered["audit-late"]))
    assert (late.seal_age, late.delete_age, len(late.states)) == (None, None, 1)
    assert rendered == render(IndexSettings(), lifecycle), "the argument is left as it is"


def open_state(policy: Any) -> Any:
    return policy["states"][0]


def sealed(policy: Any) -> Any:
    return policy["states"][1]


def with_age(value: object) -> Callable[[Any], object]:
    def change(policy: Any) -> None:
        open_state(policy)["transitions"][0]["conditions"] = {"min_index_age": value}

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(
            lambda p: sealed(p)["actions"].append({"readonly": {}}),
            "state sealed, action 3: no such action readonly, did you mean read_only?",
            id="action",
        ),
        pytest.param(
            lambda p: sealed(p)["actions"].append({"shrink": {"num_new_shards": 1}}),
            "state sealed, action 3: no such action shrink",
            id="an action of ISM that is not ours",
        ),
        pytest.param(
            lambda p: sealed(p)["actions"].append({"read_only": {}, "retry": {"count": 9}}),
            "expected one action and nothing beside it, is read_only, retry",
            id="beside an action",
        ),
        pytest.param(
            lambda p: sealed(p)["actions"][1].update(force_merge={"max_segments": 1}),
            "force_merge has max_segments, expected max_num_segments",
            id="parameter",
        ),
        pytest.param(
            lambda p: sealed(p)["actions"][1].update(force_merge={"max_num_segments": "one"}),
            "action 2: force_merge: Expected `int | null`, got `str`",
            id="value",
        ),
        pytest.param(
            lambda p: sealed(p)["actions"].reverse(),
            "state sealed: actions force_merge, read_only, expected read_only, then force_merge",
            id="order of actions",
        ),
        pytest.param(
            lambda p: sealed(p)["actions"].clear(),
            "state sealed: without read_only it would seal nothing",
            id="no seal",
        ),
        pytest.param(
            lambda p: open_state(p)["actions"].append({"delete": {}}),
            "state open: actions delete, expected none",
            id="an action in another state",
        ),
        pytest.param(
            lambda p: p["states"][2]["actions"].clear(),
            "state deleted: without delete it would delete nothing",
            id="no deletion",
        ),
        pytest.param(
            lambda p: open_state(p)["transitions"][0].update(conditions={"min_doc_count": 5}),
            "no such condition min_doc_count, did you mean min_index_age?",
            id="condition",
        ),
        pytest.param(
            lambda p: open_state(p)["transitions"][0].pop("conditions"),
            "transition to sealed: without min_index_age it would happen at once",
            id="no condition",
        ),
        pytest.param(with_age("400D"), "no such unit D, did you mean d?", id="unit"),
        pytest.param(with_age("4w"), "min_index_age 4w: no such unit w", id="week"),
        pytest.param(with_age("400"), "no such unit none", id="no unit"),
        pytest.param(with_age("-4d"), "min_index_age -4d: expected such as 400d", id="negative"),
        pytest.param(with_age(400), "min_index_age 400: expected such as 400d", id="number"),
        pytest.param(with_age("9" * 30 + "d"), "longer than time", id="for ever"),
        pytest.param(
            lambda p: sealed(p).update(name="seald"),
            "state seald: no such state, did you mean sealed?",
            id="state",
        ),
        pytest.param(
            lambda p: open_state(p)["transitions"][0].update(state_name="delete"),
            "transition to delete: no such state, did you mean deleted?",
            id="state of a transition",
        ),
        pytest.param(
            lambda p: p["states"].append(p["states"][0]),
            "states open, sealed, deleted, open: expected open → sealed → deleted",
            id="a state twice",
        ),
        pytest.param(
            lambda p: p.update(default_state="sealed"),
            "default_state sealed: expected open",
            id="default state",
        ),
        pytest.param(
            lambda p: open_state(p)["transitions"].append(open_state(p)["transitions"][0]),
            "state open: more than one transition",
            id="two ways",
        ),
        pytest.param(
            lambda p: sealed(p)["transitions"].clear(),
            "state sealed: leads to nothing, expected deleted",
            id="no way on",
        ),
        pytest.param(
            lambda p: p.update(error_notification={}),
            "Object contains unknown field `error_notification`",
            id="a key that we do nothing with",
        ),
        pytest.param(lambda p: p.update(states=[]), "not the shape of a policy", id="no state"),
    ],
)
def test_what_our_executor_does_not_know_is_refused_by_name(
    change: Callable[[Any], object], problem: str
) -> None:
    body: Any = render(*DEFAULTS)["audit-events"]
    change(body["policy"])
    with pytest.raises(PolicyError) as caught:
        read(body)
    assert any(problem in one for one in caught.value.problems), caught.value.problems
    assert caught.value.hint


def test_everything_that_is_wrong_is_told_at_once() -> None:
    body: Any = render(*DEFAULTS)["audit-events"]
    sealed(body["policy"])["actions"].append({"close": {}})
    with_age("1y")(body["policy"])
    with pytest.raises(PolicyError) as caught:
        read(body)
    assert len(caught.value.problems) == 2
