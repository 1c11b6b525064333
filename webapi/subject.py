"""Whose life is asked for: a resource, or a user, and how each event is about it. Pure.

A user is named in two ways: as `targetUser`, and as a `resource` of one of `USER_TYPES`. The events
of a user are those with either, whichever was asked for. The events of any other resource are those
whose `resource` has exactly its type and id.

What an event says it says of all that it names: with the subject alone, of the subject; with
another thing beside it, of the two together. The role of a member in a workspace is neither the
member's nor the workspace's.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, cast

from msgspec import UNSET, Struct, UnsetType

from audit_events.event import UUID_PATTERN
from webapi.query import Clause, any_of

USER_TYPES: Final = ("member", "user")
"""Types of `resource` under which applications name users."""

Part = Literal["target", "resource", "both"]


class OtherResource(Struct, frozen=True, omit_defaults=True):
    """A resource beside the subject: by type and id; in an answer with its name."""

    type: str
    id: str
    name: str | None = None


class OtherUser(Struct, frozen=True, omit_defaults=True):
    """A user beside the subject: by id, else by email, else by name; in an answer by all."""

    id: str | None = None
    email: str | None = None
    name: str | None = None


Other = OtherResource | OtherUser


class Subject(Struct, frozen=True, kw_only=True, rename="camel"):
    """A user or a resource, as it was asked for.

    Args:
        target_user_id: of a user.
        resource_type: of a resource.
        resource_id: of a resource.
        name: in the answer of `/state`, as its events call it.
        email: the same of a user.
    """

    target_user_id: str | UnsetType = UNSET
    resource_type: str | UnsetType = UNSET
    resource_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET

    @property
    def id(self) -> str:
        """What names it among its kind."""
        found = self.resource_id if self.target_user_id is UNSET else self.target_user_id
        return str(found)

    @property
    def types(self) -> tuple[str, ...]:
        """The types of `resource` that it goes by."""
        return USER_TYPES if self.is_user else (str(self.resource_type),)

    @property
    def is_user(self) -> bool:
        """Whether it is a user, however it was asked for."""
        return self.target_user_id is not UNSET or self.resource_type in USER_TYPES

    def is_id(self, text: str) -> bool:
        """Tell whether an id is its own; a user's UUID is the same in any case."""
        return text == self.id or (self._in_any_case and text.lower() == self.id.lower())

    @property
    def _in_any_case(self) -> bool:
        return self.is_user and re.fullmatch(UUID_PATTERN, self.id.lower(), re.ASCII) is not None

    def clause(self) -> Clause:
        """Return the clause that holds for its events."""
        as_resource: Clause = {
            "bool": {
                "filter": [{"terms": {"resource.type": list(self.types)}}, self._id("resource.id")]
            }
        }
        return any_of([self._id("targetUser.id"), as_resource]) if self.is_user else as_resource

    def _id(self, path: str) -> Clause:
        value: dict[str, object] = {"value": self.id}
        return {"term": {path: value | ({"case_insensitive": True} if self._in_any_case else {})}}

    def part(self, event: Mapping[str, object]) -> Part | None:
        """Tell as what an event names it; None where it does not."""
        target, resource = members(event, "targetUser"), members(event, "resource")
        as_target = self.is_user and self.is_id(_text(target, "id"))
        as_resource = resource.get("type") in self.types and self.is_id(_text(resource, "id"))
        if as_target:
            return "both" if as_resource else "target"
        return "resource" if as_resource else None

    def other(self, event: Mapping[str, object]) -> Other | None:
        """Return what an event names beside it; None where it is about the subject alone."""
        part = self.part(event)
        target, resource = members(event, "targetUser"), members(event, "resource")
        if part == "target" and resource:
            return OtherResource(type=_text(resource, "type"), id=_text(resource, "id"))
        if part == "resource" and target:
            for name in ("id", "email", "name"):
                if target.get(name):
                    return OtherUser(**{name: _text(target, name)})
        return None


def is_applied(event: Mapping[str, object]) -> bool:
    """Tell whether an event succeeded; what failed or was denied changed nothing."""
    return event.get("result") in (None, "success")


def members(event: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the members of an object of an event; none where it is something else."""
    found = event.get(name)
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def _text(values: Mapping[str, object], name: str) -> str:
    # The index takes a number for an id, and so may an application.
    return str(values.get(name, ""))
