"""JSON Pointer (RFC 6901): how a place in an event is spelled, wherever the API names one."""

from collections.abc import Sequence


def step(pointer: str, key: str | int) -> str:
    """Return the pointer to a member, or to an item by its number, of what a pointer names."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def keys_of(pointer: str) -> Sequence[str]:
    """Return the keys that lead to a place, from the outside in; inverse of `step`."""
    return [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]]
