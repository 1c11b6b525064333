"""Policies as the ISM plugin gives them back, compared with ours. Pure.

The plugin fills in what a policy leaves out and adds its own: `Policy.kt`, `Action.kt` and
`ISMTemplate.kt` of opensearch-project/index-management.
"""

from collections.abc import Iterator
from typing import Final, cast

import msgspec

from indexer.policy import Body
from indexer.templates import Difference

FILLED_IN: Final = ("policy_id", "last_updated_time", "schema_version", "user")
"""Keys of a policy that the plugin writes."""
NULLED: Final = ("error_notification", "ism_template")
"""Keys of a policy that are null where nobody gave them."""
DEFAULT_RETRY: Final = {"count": 3, "backoff": "exponential", "delay": "1m"}
"""What the plugin gives an action that says nothing of it."""


def simplify(policy: Body) -> Body:
    """A policy without what the plugin fills in, in the shape that the file has.

    Only what is filled in is taken away: a `retry` that somebody set is a difference.
    """
    copy = {
        key: value
        for key, value in policy.items()
        if key not in FILLED_IN and not (key in NULLED and value is None)
    }
    if "states" in copy:
        copy["states"] = [_simplify_state(state) for state in _objects(copy["states"])]
    if "ism_template" in copy:
        # One alone may stand without its list.
        copy["ism_template"] = [
            _without(template, "last_updated_time") for template in _objects(copy["ism_template"])
        ]
    return copy


def differ_policy(wanted: Body, found: Body) -> tuple[Difference, ...]:
    """Compare two policies (what stands under `policy`), by the names of states."""
    ours, theirs = dict(_paths(wanted)), dict(_paths(simplify(found)))
    return tuple(
        Difference(path, ours.get(path), theirs.get(path))
        for path in sorted(ours.keys() | theirs.keys())
        if ours.get(path) != theirs.get(path)
    )


def _simplify_state(state: Body) -> Body:
    actions = [
        _without(action, "retry") if action.get("retry") == DEFAULT_RETRY else action
        for action in _objects(state.get("actions"))
    ]
    return state | {"actions": actions}


def _objects(value: object) -> list[Body]:
    listed = cast("list[object]", value) if isinstance(value, list) else [value]
    return [cast("Body", one) for one in listed if isinstance(one, dict)]


def _without(body: Body, key: str) -> Body:
    return {name: value for name, value in body.items() if name != key}


def _paths(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value with the way to it; items of a list by their name, or by their number."""
    if isinstance(value, dict) and value:
        for key, inner in cast("dict[str, object]", value).items():
            yield from _paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for number, inner in enumerate(cast("list[object]", value), start=1):
            names = _objects([inner])
            yield from _paths(inner, f"{path}.{names[0].get('name', number) if names else number}")
    else:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield path, text
