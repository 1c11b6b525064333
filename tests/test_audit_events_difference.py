"""What changed in the objects that applications have, which are read without effects."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from sqlalchemy import JSON, ForeignKey, Numeric, String, create_engine, event
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
)

from audit_events import changes, open_log, snapshot
from audit_events.difference import changes as _changes
from audit_events.errors import EventError
from audit_events.event import decode_event


@dataclasses.dataclass(slots=True)
class Address:
    city: str
    zip: str = ""


@dataclasses.dataclass
class Person:
    name: str
    address: Address
    pin: str = dataclasses.field(default="", repr=False)
    tags: list[str] = dataclasses.field(default_factory=list[str])


class Limits(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    seats: int
    key: pydantic.SecretStr = pydantic.SecretStr("s3cret")
    internal: int = pydantic.Field(default=0, exclude=True)

    @pydantic.computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def derived(self) -> int:
        raise AssertionError("it is not asked")


class Plan(pydantic.BaseModel):
    name: str
    limits: Limits
    prices: dict[str, Decimal] = {}


class Point(msgspec.Struct):
    x: int
    y: int = 0


@pydantic.dataclasses.dataclass
class Checked:
    a: int


def test_dataclasses() -> None:
    before = Person("Ana", Address("Lisbon", "1100"), pin="1234", tags=["a"])
    after = dataclasses.replace(before, address=Address("Porto", "1100"), tags=["a", "b"])
    assert changes(before, after) == {
        "previous": {"address": {"city": "Lisbon"}, "tags": ["a"]},
        "new": {"address": {"city": "Porto"}, "tags": ["a", "b"]},
    }


def test_what_is_changed_in_place_needs_a_snapshot() -> None:
    person = Person("Ana", Address("Lisbon"))
    before = snapshot(person)
    person.address.city = "Porto"
    person.tags.append("moved")
    assert changes(before, person) == {
        "previous": {"address": {"city": "Lisbon"}, "tags": []},
        "new": {"address": {"city": "Porto"}, "tags": ["moved"]},
    }


def test_a_field_that_its_class_keeps_to_itself_shows_that_it_changed_not_how() -> None:
    before, after = Person("Ana", Address("L"), pin="1234"), Person("Ana", Address("L"), pin="9876")
    hidden: dict[str, Any] = {"pin": "[redacted]"}
    assert changes(before, after) == {"previous": hidden, "new": hidden}
    one = Limits(seats=1)
    other = one.model_copy(update={"key": pydantic.SecretStr("n3w"), "internal": 5})
    found = changes(one, other)
    assert found["new"] == {"key": "[redacted]", "internal": "[redacted]"}
    assert found["previous"] == found["new"]
    assert changes(one, one.model_copy()) == {"previous": {}, "new": {}}
    assert "n3w" not in repr(found)


def test_what_one_side_keeps_to_itself_the_other_does_not_tell() -> None:
    limits = Limits(seats=1, key=pydantic.SecretStr("new"))
    found = changes({"seats": 1, "key": "old", "internal": 0}, limits)
    assert found == {"previous": {"key": "[redacted]"}, "new": {"key": "[redacted]"}}
    assert changes({"seats": 1, "key": "new", "internal": 0}, limits)["new"] == {}
    assert changes({}, limits)["new"]["key"] == "[redacted]"


def test_what_is_hidden_and_changed_in_place_shows() -> None:
    @dataclasses.dataclass
    class Vault:
        codes: list[str] = dataclasses.field(default_factory=list[str], repr=False)

    vault = Vault(["one"])
    before = snapshot(vault)
    assert "one" not in repr(before)
    assert changes(before, vault)["new"] == {}
    vault.codes.append("two")
    assert changes(before, vault)["new"] == {"codes": "[redacted]"}


def test_pydantic_models() -> None:
    before = Plan(name="studio", limits=Limits(seats=5), prices={"eur": Decimal("9.50")})
    after = before.model_copy(deep=True)
    after.limits.seats = 9
    after.limits.__pydantic_extra__["region"] = "eu"  # type: ignore[index]  # pyright: ignore[reportOptionalSubscript]  # it is allowed
    after.prices["usd"] = Decimal(10)
    assert changes(before, after) == {
        "previous": {"limits": {"seats": 5}},
        "new": {"limits": {"seats": 9, "region": "eu"}, "prices": {"usd": "10"}},
    }


def test_a_root_model_is_what_it_holds() -> None:
    class Flags(pydantic.RootModel[dict[str, bool]]):
        pass

    assert changes(Flags({"a": True}), Flags({"a": False})) == {
        "previous": {"a": True},
        "new": {"a": False},
    }


def test_structs_checked_dataclasses_and_mixed_kinds() -> None:
    assert changes(Point(1), Point(2)) == {"previous": {"x": 1}, "new": {"x": 2}}
    assert changes(Checked(1), Checked(2)) == {"previous": {"a": 1}, "new": {"a": 2}}
    assert changes({"x": 1, "y": 0}, Point(1)) == {"previous": {}, "new": {}}


class Base(DeclarativeBase):
    pass


class Team(Base):
    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    members: Mapped[list["Member"]] = relationship(back_populates="team")


class Member(Base):
    __tablename__ = "members"
    id: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column("role_name", String(20))
    fee: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=Decimal(5))
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    password: Mapped[str] = mapped_column(default="")
    photo: Mapped[str] = mapped_column(default="large", deferred=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("teams.id"))
    team: Mapped[Team | None] = relationship(back_populates="members")


class Database:
    """A session, and what was asked of the database."""

    def __init__(self) -> None:
        engine = create_engine("sqlite://")
        Base.metadata.create_all(engine)
        self.statements: list[str] = []
        event.listen(engine, "before_cursor_execute", self._note)
        self.session = Session(engine)
        team = Team(id=1, members=[Member(id=1, role="member", settings={"mail": True})])
        self.session.add(team)
        self.session.commit()

    def _note(self, *arguments: Any) -> None:
        self.statements.append(arguments[2])

    def load(self) -> Member:
        self.session.expunge_all()
        member = self.session.get_one(Member, 1)
        self.statements.clear()
        return member


@pytest.fixture
def database() -> Iterator[Database]:
    found = Database()
    yield found
    found.session.close()
    found.session.get_bind().dispose()  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue]  # an engine


def test_sqlalchemy_instances_are_compared_by_their_columns_without_a_query(
    database: Database,
) -> None:
    member = database.load()
    before = snapshot(member)
    member.role = "admin"
    member.settings = {"mail": False}
    member.fee = Decimal(5)
    assert changes(before, member) == {
        "previous": {"role": "member", "settings": {"mail": True}},
        "new": {"role": "admin", "settings": {"mail": False}},
    }
    assert database.statements == []


def test_a_json_column_that_is_changed_in_place_shows(database: Database) -> None:
    member = database.load()
    before = snapshot(member)
    member.settings["mail"] = False
    assert changes(before, member)["new"] == {"settings": {"mail": False}}


def test_what_the_commit_expired_is_an_error_and_no_query(database: Database) -> None:
    """Taken for unchanged it would be a lie, and nobody asked for a query."""
    member = database.load()
    before = snapshot(member)
    member.role = "admin"
    database.session.commit()
    database.statements.clear()
    with pytest.raises(EventError, match=r"after: is expired.*snapshot\(\) before"):
        changes(before, member)
    assert database.statements == []
    database.session.refresh(member)
    assert changes(before, member)["new"] == {"role": "admin"}


def test_a_deferred_column_counts_when_it_is_loaded_on_both_sides(database: Database) -> None:
    member = database.load()
    before = snapshot(member)
    assert "photo" not in changes(before, member)["new"]
    member.photo = "other"
    with pytest.raises(EventError, match=r"before\.photo: is not loaded"):
        changes(before, member)
    database.session.refresh(member, ["photo"])
    before = snapshot(member)
    member.photo = "other"
    assert changes(before, member)["new"] == {"photo": "other"}


def test_an_instance_that_is_made_or_deleted(database: Database) -> None:
    made = Member(role="member", team_id=1)
    assert changes(None, made) == {"previous": {}, "new": {"role": "member", "team_id": 1}}
    database.session.add(made)
    database.session.flush()
    assert changes(None, made)["new"]["role"] == "member"
    member = database.load()
    database.session.delete(member)
    assert changes(member, None)["previous"]["role"] == "member"
    assert changes(member, None)["new"] == {}


def test_what_is_made_and_expired_by_its_commit_is_no_empty_change(database: Database) -> None:
    """`session.commit()` and then the event: it said that something was made, and nothing of it."""
    made = Member(role="member")
    database.session.add(made)
    database.session.commit()
    for ask in (lambda: changes(None, made), lambda: changes(made, None), lambda: snapshot(made)):
        with pytest.raises(EventError, match="is expired, nothing of it is loaded"):
            ask()
    database.session.refresh(made, ["role"])
    assert changes(None, made) == {"previous": {}, "new": {"role": "member"}}


def test_relationships_are_not_followed(database: Database) -> None:
    member = database.load()
    assert member.team is not None
    assert member.team.members == [member], "they refer to each other"
    assert "team" not in snapshot(member)
    assert snapshot(member.team) == {"id": 1}


def test_an_expired_instance_inside_another_object(database: Database) -> None:
    member = database.load()
    database.session.expire(member)
    assert changes({"m": None}, {"m": member}) == {"previous": {"m": None}, "new": {"m": {}}}
    assert database.statements == []


def test_secrets_are_redacted_when_the_event_is_recorded(
    database: Database, tmp_path: Path
) -> None:
    member = database.load()
    before = snapshot(member)
    member.password, member.role = "hunter2", "admin"
    log = open_log(tmp_path / "audit.jsonl", service="s")
    log.info(
        "member.role_changed",
        organization_id="o",
        actor={"type": "system"},
        context={**changes(before, member), "reason": "promoted"},
    )
    event = decode_event((tmp_path / "audit.jsonl").read_bytes())
    assert event.context == {
        "previous": {"password": "[redacted]", "role": "member"},
        "new": {"password": "[redacted]", "role": "admin"},
        "reason": "promoted",
    }


class _Hostile:
    """Answers every question, as a mock does."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *_: Any) -> Any:
        return self


@pytest.mark.parametrize("make", [_Hostile, lambda: (_ for _ in ())])
def test_what_only_looks_like_an_object_is_none(make: Callable[[], Any]) -> None:
    with pytest.raises(EventError, match="is of type"):
        changes(make(), {})
    with pytest.raises(EventError, match="a: is of type"):
        changes({"a": make()}, {})


def test_neither_library_is_imported_for_it() -> None:
    code = (
        "import sys, audit_events\n"
        "audit_events.changes({'a': 1}, {'a': 2})\n"
        "print([name for name in ('pydantic', 'sqlalchemy')"
        "       if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_the_name_of_the_function_is_no_module() -> None:
    assert changes is _changes
