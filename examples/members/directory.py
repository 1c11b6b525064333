"""Members, invitations, workspaces and apps in SQLite: what is there, and what may change.

Every change happens inside `Directory.changing()`: it is committed at the end of the block and
undone when the block raises, an audit event that could not be written included.
"""

import sqlite3
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from examples.members.people import ORGANIZATIONS, ROLES, Organization

T = TypeVar("T")

SCHEMA: Final = """
create table if not exists member (
  id text primary key, organization_id text not null, email text not null, name text not null,
  role text not null, status text not null, unique (organization_id, email));
create table if not exists invitation (
  id text primary key, organization_id text not null, email text not null, role text not null,
  status text not null, created_seconds real not null);
create table if not exists workspace (
  id text primary key, organization_id text not null, name text not null);
create table if not exists workspace_member (
  workspace_id text not null, member_id text not null, primary key (workspace_id, member_id));
create table if not exists app (
  id text primary key, organization_id text not null, name text not null,
  status text not null, version integer not null);
"""


class Refusal(Exception):  # noqa: N818  # an answer, not a failure of the application
    """The change is not possible; `reason` is fit for the caller and for the audit event."""

    status = 409

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Missing(Refusal):
    """There is no such thing in this organisation."""

    status = 404


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who belongs, or belonged, to an organisation."""

    id: str
    organization_id: str
    email: str
    name: str
    role: str
    status: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation by mail; its id is what the link in the mail carries."""

    id: str
    organization_id: str
    email: str
    role: str
    status: str
    created_seconds: float


@dataclass(frozen=True, slots=True)
class Workspace:
    """A part of an organisation that members are added to."""

    id: str
    organization_id: str
    name: str


@dataclass(frozen=True, slots=True)
class App:
    """What an organisation builds; `version` counts its publications."""

    id: str
    organization_id: str
    name: str
    status: str
    version: int


class Directory:
    """The database; one connection, one change at a time."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the database at `path`, or one in memory, and fill an empty one."""
        self._lock = threading.RLock()
        self._database = sqlite3.connect(
            path or ":memory:", check_same_thread=False, isolation_level=None
        )
        self._database.executescript(SCHEMA)
        with self.changing():
            if not self._rows("select 1 from member limit 1"):
                for organization in ORGANIZATIONS:
                    self._fill(organization)

    def close(self) -> None:
        """Close the database, after the change that may be going on."""
        with self._lock:
            self._database.close()

    @contextmanager
    def changing(self) -> Generator[None]:
        """Make what the block changes one transaction."""
        with self._lock:
            self._database.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")

    def member(self, organization_id: str, member_id: str) -> Member:
        """Return one member of an organisation."""
        return _one(
            [member for member in self.members(organization_id) if member.id == member_id],
            "no such member",
        )

    def members(self, organization_id: str) -> list[Member]:
        """Return all who belong or belonged to an organisation."""
        rows = self._rows("select * from member where organization_id = ?", organization_id)
        return [Member(*row) for row in rows]

    def member_by_email(self, email: str) -> Member | None:
        """Return the active member with this address."""
        rows = self._rows("select * from member where email = ? and status = 'active'", email)
        return Member(*rows[0]) if rows else None

    def invitations(self, organization_id: str | None = None) -> list[Invitation]:
        """Return the pending invitations, of one organisation or of all."""
        rows = self._rows("select * from invitation where status = 'pending'")
        found = [Invitation(*row) for row in rows]
        return [one for one in found if organization_id in {None, one.organization_id}]

    def invitation(self, invitation_id: str) -> Invitation:
        """Return one pending invitation."""
        return _one(
            [one for one in self.invitations() if one.id == invitation_id],
            "the invitation is not open any more",
        )

    def workspaces(self, organization_id: str) -> list[Workspace]:
        """Return the workspaces of an organisation."""
        rows = self._rows("select * from workspace where organization_id = ?", organization_id)
        return [Workspace(*row) for row in rows]

    def workspace(self, organization_id: str, workspace_id: str) -> Workspace:
        """Return one workspace."""
        found = [one for one in self.workspaces(organization_id) if one.id == workspace_id]
        return _one(found, "no such workspace")

    def workspace_members(self, workspace_id: str) -> list[str]:
        """Return the ids of the members of a workspace."""
        rows = self._rows(
            "select member_id from workspace_member where workspace_id = ?", workspace_id
        )
        return [str(row[0]) for row in rows]

    def apps(self, organization_id: str) -> list[App]:
        """Return the apps of an organisation that are not deleted."""
        rows = self._rows(
            "select * from app where organization_id = ? and status != 'deleted'", organization_id
        )
        return [App(*row) for row in rows]

    def app(self, organization_id: str, app_id: str) -> App:
        """Return one app."""
        return _one([one for one in self.apps(organization_id) if one.id == app_id], "no such app")

    def invite(self, organization_id: str, email: str, role: str) -> Invitation:
        """Add an invitation; refused for a member and for somebody invited already."""
        _check_role(role)
        if any(member.email == email for member in self.members(organization_id)):
            raise Refusal("already a member of the organisation")
        if any(one.email == email for one in self.invitations(organization_id)):
            raise Refusal("already invited")
        invitation = Invitation(_new_id(), organization_id, email, role, "pending", time.time())
        self._insert(
            "invitation", invitation.id, organization_id, email, role, "pending", time.time()
        )
        return invitation

    def accept(self, invitation: Invitation, name: str) -> Member:
        """Make the invited person a member."""
        self._set_invitation_status(invitation, "accepted")
        return self._add_member(invitation.organization_id, invitation.email, name, invitation.role)

    def revoke(self, invitation: Invitation) -> None:
        """Take an invitation back."""
        self._set_invitation_status(invitation, "revoked")

    def expire(self, invitation: Invitation) -> None:
        """End an invitation that nobody accepted in time."""
        self._set_invitation_status(invitation, "expired")

    def set_role(self, member: Member, role: str) -> None:
        """Give a member another role; the last owner keeps theirs."""
        _check_role(role)
        if member.role == role:
            raise Refusal(f"is {role} already")
        self._keep_an_owner(member)
        self._rows("update member set role = ? where id = ?", role, member.id)

    def offboard(self, member: Member) -> None:
        """End a membership; the last owner stays."""
        if member.status != "active":
            raise Refusal("is not an active member")
        self._keep_an_owner(member)
        self._rows("update member set status = 'offboarded' where id = ?", member.id)
        self._rows("delete from workspace_member where member_id = ?", member.id)

    def reactivate(self, member: Member) -> None:
        """Take an offboarded member back."""
        if member.status == "active":
            raise Refusal("is an active member already")
        self._rows("update member set status = 'active' where id = ?", member.id)

    def join(self, workspace: Workspace, member: Member) -> None:
        """Add a member to a workspace."""
        if member.status != "active":
            raise Refusal("is not an active member")
        if member.id in self.workspace_members(workspace.id):
            raise Refusal("is in the workspace already")
        self._insert("workspace_member", workspace.id, member.id)

    def leave(self, workspace: Workspace, member: Member) -> None:
        """Remove a member from a workspace."""
        if member.id not in self.workspace_members(workspace.id):
            raise Missing("is not in the workspace")
        self._rows(
            "delete from workspace_member where workspace_id = ? and member_id = ?",
            workspace.id,
            member.id,
        )

    def create_app(self, organization_id: str, name: str) -> App:
        """Add an app as a draft."""
        if any(app.name == name for app in self.apps(organization_id)):
            raise Refusal("an app of this name exists")
        app = App(_new_id(), organization_id, name, "draft", 0)
        self._insert("app", app.id, organization_id, name, "draft", 0)
        return app

    def publish(self, app: App) -> App:
        """Publish the app's next version."""
        self._rows(
            "update app set status = 'published', version = version + 1 where id = ?", app.id
        )
        return self.app(app.organization_id, app.id)

    def delete_app(self, app: App) -> None:
        """Delete an app."""
        self._rows("update app set status = 'deleted' where id = ?", app.id)

    def _keep_an_owner(self, member: Member) -> None:
        active = [one for one in self.members(member.organization_id) if one.status == "active"]
        owners = [one.id for one in active if one.role == "owner"]
        if owners == [member.id]:
            raise Refusal("is the last owner of the organisation")

    def _add_member(self, organization_id: str, email: str, name: str, role: str) -> Member:
        member_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, email))
        member = Member(member_id, organization_id, email, name, role, "active")
        self._insert("member", member_id, organization_id, email, name, role, "active")
        return member

    def _set_invitation_status(self, invitation: Invitation, status: str) -> None:
        self._rows("update invitation set status = ? where id = ?", status, invitation.id)

    def _fill(self, organization: Organization) -> None:
        for person in organization.people:
            self._add_member(organization.id, person.email, person.name, person.role)
        for name in organization.workspaces:
            self._insert("workspace", _new_id(), organization.id, name)
        for name in organization.apps:
            self.create_app(organization.id, name)

    def _insert(self, table: str, *values: object) -> None:
        marks = ", ".join("?" * len(values))
        self._rows(f"insert into {table} values ({marks})", *values)  # noqa: S608  # our own names

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _one(found: list[T], otherwise: str) -> T:
    if not found:
        raise Missing(otherwise)
    return found[0]


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise Refusal(f"no such role: expected one of {', '.join(ROLES)}")


def _new_id() -> str:
    return str(uuid.uuid4())
