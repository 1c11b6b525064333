"""The lifecycle as a file: an ISM policy, rendered from settings and read strictly. Pure.

`index_templates/audit-events.policy.json` (open, sealed, deleted) and `audit-late.policy.json`
(open, deleted) are the bodies of `PUT _plugins/_ism/policies/<stem>` with default settings. Two
executors carry out the same file: the ISM plugin, and ours (`indexer.plan`).

**Ages.** ISM counts `min_index_age` from the creation of an index. An event may be `future_hours`
ahead of the clock, so a partition may be made that long before its span begins, and its last event
is up to a month younger than its first. Hence an age in the file is the setting *plus the longest
span plus future_hours in whole days*: whenever it was made, an index of that age has no event that
is younger than the setting. Our executor reads the same file and takes those days off again
(`margin_days`), so it acts exactly when the setting has passed since the end of the span.

What our executor could not carry out as ISM would is refused by name when it is read.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib.resources import files
from typing import Annotated, Final, Literal, cast

import msgspec
from msgspec import Meta, Struct

from indexer.errors import PolicyError
from indexer.names import events_pattern, late_pattern
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.span import MONTH_DAYS

Body = dict[str, object]
ActionName = Literal["read_only", "force_merge", "snapshot", "delete"]

ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "read_only": (),
    "force_merge": ("max_num_segments",),
    "snapshot": ("repository", "snapshot"),
    "delete": (),
}
"""Each action with the parameters that it must have, and has no others."""
ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "open": (),
    "sealed": ("read_only", "force_merge", "snapshot"),
    "deleted": ("snapshot", "delete"),
}
"""The states, in the order in which an index passes them, with the actions of each, in theirs."""
UNITS: Final[Mapping[str, timedelta]] = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
HOURS_A_DAY: Final = 24
SNAPSHOT_NAME: Final = "{{ctx.index}}"
"""ISM puts the name of the index in, and appends a date and something random."""

_is_age = re.compile(r"([0-9]+) *([A-Za-z]*)", re.ASCII).fullmatch


class Action(Struct, frozen=True):
    """What is done with an index that comes into a state."""

    name: ActionName
    max_num_segments: int | None = None
    repository: str | None = None
    snapshot: str | None = None


class Transition(Struct, frozen=True):
    """Where an index goes when it has reached an age."""

    state: str
    min_index_age: timedelta


class State(Struct, frozen=True):
    """A state, and at most one way out of it."""

    name: str
    actions: tuple[Action, ...]
    transition: Transition | None


class Policy(Struct, frozen=True):
    """A policy that both executors can carry out; ages are those of ISM (see above)."""

    states: tuple[State, ...]

    @property
    def seal_age(self) -> timedelta | None:
        """The age of a partition that is sealed; None where this policy seals nothing."""
        return self._age("sealed")

    @property
    def delete_age(self) -> timedelta | None:
        """The age of an index that is deleted; None where this policy deletes nothing."""
        return self._age("deleted")

    @property
    def merge_segments(self) -> int | None:
        """Into how many segments a sealed partition is merged; None for no merge."""
        (segments,) = [one.max_num_segments for one in self._actions("force_merge")] or [None]
        return segments

    @property
    def repository(self) -> str | None:
        """Where a sealed partition is copied to; None for no copy."""
        (repository,) = [one.repository for one in self._actions("snapshot")] or [None]
        return repository

    def _age(self, name: str) -> timedelta | None:
        ages = [
            state.transition.min_index_age
            for state in self.states
            if state.transition is not None and state.transition.state == name
        ]
        return ages[0] if ages else None

    def _actions(self, name: ActionName) -> list[Action]:
        return [one for state in self.states for one in state.actions if one.name == name]


def events_policy(settings: IndexSettings) -> str:
    """The id of the policy of the partitions: `audit-events`."""
    return f"{settings.prefix}-events"


def late_policy(settings: IndexSettings) -> str:
    """The id of the policy of the indices of late events: `audit-late`."""
    return f"{settings.prefix}-late"


def span_days(settings: IndexSettings) -> int:
    """Days of the longest partition."""
    return MONTH_DAYS if settings.partition == "month" else 1


def future_days(settings: IndexSettings) -> int:
    """`future_hours` in days, rounded up."""
    return math.ceil(settings.future_hours / HOURS_A_DAY)


def margin_days(policy_id: str, settings: IndexSettings) -> int:
    """What an age in the rendered policy has beyond the setting that it comes from."""
    longest = MONTH_DAYS if policy_id == late_policy(settings) else span_days(settings)
    return longest + future_days(settings)


def render(
    settings: IndexSettings, lifecycle: LifecycleSettings, *, longest_days: int = 0
) -> dict[str, Body]:
    """Each policy's id and body for these settings.

    Args:
        settings: how events are laid into indices.
        lifecycle: what is done with them.
        longest_days: of partitions that are there already, for ISM: after a change from months to
            days the policy of both is that of months, which is never too early.
    """
    wider = max(0, longest_days - span_days(settings))
    patterns = {
        events_policy(settings): ("audit-events", events_pattern(settings), wider),
        late_policy(settings): ("audit-late", late_pattern(settings), 0),
    }
    rendered: dict[str, Body] = {}
    for policy_id, (stem, pattern, more) in patterns.items():
        text = (files("index_templates") / f"{stem}.policy.json").read_bytes()
        body = msgspec.json.decode(text, type=dict[str, Body])
        margin = margin_days(policy_id, settings) + more
        ages = {
            "sealed": f"{settings.seal_days + margin}d",
            "deleted": f"{settings.retention_days + margin}d",
        }
        _fill(body["policy"], pattern, ages, lifecycle)
        rendered[policy_id] = cast("Body", body)
    return rendered


def read(body: Body) -> Policy:
    """Read a policy of which our executor can carry out every part.

    Raises:
        PolicyError: everything in it that our executor does not know or would do otherwise.
    """
    try:
        policy = msgspec.convert(body, _Body).policy
    except msgspec.ValidationError as error:
        raise PolicyError((f"not the shape of a policy: {error}",)) from None
    reading = _Reading()
    states = tuple(reading.state(state) for state in policy.states)
    reading.order(policy.default_state, states)
    if reading.problems:
        raise PolicyError(tuple(reading.problems))
    return Policy(states)


def read_all(settings: IndexSettings, lifecycle: LifecycleSettings) -> tuple[Policy, Policy]:
    """The policies of partitions and of late events that these settings give.

    Raises:
        PolicyError: see `read`.
    """
    rendered = render(settings, lifecycle)
    return read(rendered[events_policy(settings)]), read(rendered[late_policy(settings)])


def without_delete(body: Body) -> Body:
    """The policy for a cluster on which ISM cannot delete: it seals, and that is all.

    The copy before the deletion goes too: whoever deletes makes it.
    """
    copy = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, Body])
    policy = copy["policy"]
    states = cast("list[Body]", policy["states"])
    policy["states"] = [_without_delete(state) for state in states if state["name"] != "deleted"]
    return cast("Body", copy)


def _without_delete(state: Body) -> Body:
    actions = cast("list[Body]", state["actions"])
    transitions = cast("list[Body]", state["transitions"])
    return state | {
        "actions": [action for action in actions if "snapshot" not in action],
        "transitions": [one for one in transitions if one["state_name"] != "deleted"],
    }


def _fill(
    policy: Body, pattern: str, ages: Mapping[str, str], lifecycle: LifecycleSettings
) -> None:
    templates = cast("list[Body]", policy["ism_template"])
    templates[0]["index_patterns"] = [pattern]
    for state in cast("list[Body]", policy["states"]):
        for transition in cast("list[Body]", state["transitions"]):
            name = str(transition["state_name"])
            if name in ages:
                transition["conditions"] = {"min_index_age": ages[name]}
        actions = cast("list[Body]", state["actions"])
        for action in actions:
            if "force_merge" in action:
                action["force_merge"] = {"max_num_segments": lifecycle.merge_segments}
    if lifecycle.snapshot_repository is not None:
        copy = {"repository": lifecycle.snapshot_repository, "snapshot": SNAPSHOT_NAME}
        _add_snapshot(policy, {"snapshot": copy})


def _add_snapshot(policy: Body, action: Body) -> None:
    """Copy an index when it is sealed; one that never is, right before it goes."""
    states = cast("list[Body]", policy["states"])
    actions = {str(state["name"]): cast("list[Body]", state["actions"]) for state in states}
    if "sealed" in actions:
        actions["sealed"].append(action)
    else:
        actions["deleted"].insert(0, action)


class _Transition(Struct, forbid_unknown_fields=True):
    state_name: str
    conditions: Body = {}


class _State(Struct, forbid_unknown_fields=True):
    name: str
    actions: list[Body]
    transitions: list[_Transition]


class _Policy(Struct, forbid_unknown_fields=True):
    default_state: str
    states: Annotated[list[_State], Meta(min_length=1)]
    description: str = ""
    ism_template: list[Body] = []


class _Body(Struct, forbid_unknown_fields=True):
    policy: _Policy


class _Reading:
    """Reads the parts of a policy, and notes everything that is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def state(self, state: _State) -> State:
        where = f"state {state.name}"
        if state.name not in ALLOWED:
            self.problems.append(f"{where}: no such state{_nearest(state.name, ALLOWED)}")
        actions = [
            self._action(f"{where}, action {number}", action)
            for number, action in enumerate(state.actions, start=1)
        ]
        self._actions_of(state.name, [one.name for one in actions if one is not None])
        transitions = [self._transition(where, one) for one in state.transitions]
        if len(transitions) > 1:
            self.problems.append(f"{where}: more than one transition")
        known = tuple(one for one in actions if one is not None)
        return State(state.name, known, transitions[0] if transitions else None)

    def order(self, default: str, states: tuple[State, ...]) -> None:
        """An index begins open and passes each state once, in the order of `ALLOWED`."""
        names = [state.name for state in states]
        if default != "open":
            self.problems.append(f"default_state {default}: expected open")
        expected = [name for name in ALLOWED if name in names]
        if "open" not in names or names != expected:
            self.problems.append(f"states {', '.join(names)}: expected {' → '.join(ALLOWED)}")
            return
        for state, following in zip(states, [*names[1:], None], strict=True):
            found = state.transition.state if state.transition is not None else None
            if found != following:
                self.problems.append(
                    f"state {state.name}: leads to {found or 'nothing'},"
                    f" expected {following or 'nothing'}"
                )

    def _action(self, where: str, action: Body) -> Action | None:
        if len(action) != 1:
            names = ", ".join(sorted(action)) or "nothing"
            self.problems.append(f"{where}: expected one action and nothing beside it, is {names}")
            return None
        ((name, content),) = action.items()
        if name not in ACTIONS:
            self.problems.append(f"{where}: no such action {name}{_nearest(name, ACTIONS)}")
            return None
        parameters = cast("Body", content) if isinstance(content, dict) else {}
        if set(parameters) != set(ACTIONS[name]):
            expected = ", ".join(ACTIONS[name]) or "no parameters"
            found = ", ".join(sorted(parameters)) or "none"
            self.problems.append(f"{where}: {name} has {found}, expected {expected}")
            return None
        try:
            return msgspec.convert({"name": name, **parameters}, Action)
        except msgspec.ValidationError as error:
            self.problems.append(f"{where}: {name}: {error}")
            return None

    def _actions_of(self, state: str, names: list[str]) -> None:
        allowed = ALLOWED.get(state, tuple(ACTIONS))
        if names != [name for name in allowed if name in names]:
            expected = ", then ".join(allowed) or "none"
            self.problems.append(f"state {state}: actions {', '.join(names)}, expected {expected}")
        elif state == "sealed" and "read_only" not in names:
            self.problems.append("state sealed: without read_only it would seal nothing")
        elif state == "deleted" and "delete" not in names:
            self.problems.append("state deleted: without delete it would delete nothing")

    def _transition(self, where: str, transition: _Transition) -> Transition:
        place = f"{where}, transition to {transition.state_name}"
        if transition.state_name not in ALLOWED:
            near = _nearest(transition.state_name, ALLOWED)
            self.problems.append(f"{place}: no such state{near}")
        others = sorted(set(transition.conditions) - {"min_index_age"})
        for name in others:
            near = ", did you mean min_index_age?"
            self.problems.append(f"{place}: no such condition {name}{near}")
        age = timedelta(0)
        if "min_index_age" in transition.conditions:
            age = self._age(place, transition.conditions["min_index_age"])
        elif not others:
            self.problems.append(f"{place}: without min_index_age it would happen at once")
        return Transition(transition.state_name, age)

    def _age(self, place: str, text: object) -> timedelta:
        match = _is_age(text) if isinstance(text, str) else None
        if match is None:
            self.problems.append(f"{place}: min_index_age {text}: expected such as 400d")
            return timedelta(0)
        count, unit = match.groups()
        if unit not in UNITS:
            near = _nearest(unit, UNITS)
            self.problems.append(
                f"{place}: min_index_age {text}: no such unit {unit or 'none'}{near},"
                f" expected {', '.join(UNITS)}"
            )
            return timedelta(0)
        try:
            return int(count) * UNITS[unit]
        except OverflowError:
            self.problems.append(f"{place}: min_index_age {text}: longer than time")
            return timedelta(0)


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.4)
    return f", did you mean {near[0]}?" if near else ""
