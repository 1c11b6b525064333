"""Policies as the plugin gives them back: what it filled in is no difference."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from indexer.ism_policy import differ_policy, simplify
from indexer.policy import render
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.templates import Difference

RETRY = {"count": 3, "backoff": "exponential", "delay": "1m"}


def ours() -> Any:
    body: Any = render(IndexSettings(), LifecycleSettings())["audit-events"]
    return body["policy"]


def filled_in() -> Any:
    policy = msgspec.json.decode(msgspec.json.encode(ours()))
    for state in policy["states"]:
        state["actions"] = [{"retry": RETRY} | action for action in state["actions"]]
    policy["ism_template"][0]["last_updated_time"] = 1_790_000_000_000
    filled = {
        "policy_id": "audit-events",
        "last_updated_time": 1_790_000_000_000,
        "schema_version": 25,
        "error_notification": None,
        "user": {"name": "audit_lifecycle", "backend_roles": [], "roles": []},
    }
    return filled | policy


def single_template(policy: Any) -> None:
    policy["ism_template"] = policy["ism_template"][0]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: None, id="everything is filled in"),
        pytest.param(single_template, id="a template without its list"),
        pytest.param(lambda p: p.pop("error_notification"), id="no notification at all"),
    ],
)
def test_what_is_filled_in_is_no_difference(change: Callable[[Any], object]) -> None:
    found = filled_in()
    change(found)
    assert simplify(found) == ours()
    assert differ_policy(ours(), found) == ()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        pytest.param(
            lambda p: p["states"][1]["transitions"][0].update(conditions={"min_index_age": "1d"}),
            Difference("states.sealed.transitions.1.conditions.min_index_age", "432d", "1d"),
            id="age",
        ),
        pytest.param(
            lambda p: p["states"][1]["actions"][1].update(retry=RETRY | {"count": 9}),
            Difference("states.sealed.actions.2.retry.count", None, "9"),
            id="a retry that somebody set",
        ),
        pytest.param(
            lambda p: p["states"][1]["actions"].pop(0),
            Difference("states.sealed.actions.1.read_only", "{}", None),
            id="an action that is gone",
        ),
        pytest.param(
            lambda p: p["states"].append({"name": "warm", "actions": [], "transitions": []}),
            Difference("states.warm.actions", None, "[]"),
            id="a state that somebody added",
        ),
        pytest.param(
            lambda p: p.update(ism_template=None),
            Difference("ism_template.1.priority", "500", None),
            id="no template",
        ),
        pytest.param(
            lambda p: p.update(error_notification={"channel": {"id": "ops"}}),
            Difference("error_notification.channel.id", None, "ops"),
            id="a notification that somebody set",
        ),
    ],
)
def test_what_somebody_changed_is_a_difference_with_its_place(
    change: Callable[[Any], object], difference: Difference
) -> None:
    found = filled_in()
    change(found)
    assert difference in differ_policy(ours(), found)
