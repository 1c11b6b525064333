"""What the small applications in this folder know: users and roles.

Each change waits until `MEETING` of them are under way, so that requests really overlap.
"""

import asyncio
import threading
from dataclasses import dataclass
from typing import Final

MEETING: Final = 10
"""Tests send a multiple of it at a time; fewer than any server has threads."""

_threads: Final = threading.Barrier(MEETING)
_tasks: Final = asyncio.Barrier(MEETING)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who is signed in, and the organisation that they belong to."""

    id: str
    org: str


def find_user(token: str) -> User | None:
    """Return whose token this is: `ana.acme` belongs to `ana` of `acme`."""
    name, _, org = token.partition(".")
    return User(name, org) if org else None


def change_role(member_id: str, role: str) -> None:
    """Give a member another role, as a database would: after a while."""
    assert member_id
    assert role
    _threads.wait(timeout=30)


async def change_role_async(member_id: str, role: str) -> None:
    """Give a member another role, as a database would: after a while."""
    assert member_id
    assert role
    async with asyncio.timeout(30):
        await _tasks.wait()
