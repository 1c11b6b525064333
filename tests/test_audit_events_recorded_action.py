"""What the catalogue says of an action: refused in a strict log, recorded and counted in another."""

# ruff: noqa: E501  # a case a line

import json
import multiprocessing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

import audit_events
from audit_events import Action, tally
from audit_events.catalogue import CATALOGUE
from audit_events.errors import EventError
from audit_events.given import Given
from audit_events.recorded_action import recorded_action
from audit_events.tally import Counts
from tests.test_audit_events_catalogue_file import GOOD, entry, write

TARGET = {"id": "u_2"}
CHANGE = {"previous": {"role": "member"}, "new": {"role": "admin"}}
COMMON = {"organization_id": "org_a", "actor": {"type": "system"}}


@pytest.fixture(autouse=True)
def _from_nothing() -> None:
    tally._forget()


@pytest.fixture
def catalogue_path(tmp_path: Path) -> Path:
    return write(tmp_path, GOOD)


def as_given(fields: Mapping[str, object]) -> Given:
    return msgspec.convert({**COMMON, **fields}, Given)


def refused(action: object, **fields: object) -> str:
    with pytest.raises(EventError) as caught:
        recorded_action(action, as_given(fields), CATALOGUE, strict=True)
    return str(caught.value)


@pytest.mark.parametrize(
    ("action", "fields", "says"),
    [
        pytest.param("member.role_change", {}, "action: 'member.role_change' is not in the catalogue; did you mean member.role_changed", id="nearly right"),
        pytest.param("zebra.qqqq", {}, "action: 'zebra.qqqq' is not in the catalogue; add it to the file of catalogue_path", id="nothing near"),
        pytest.param("Zebra", {}, "action: 'Zebra' is malformed; expected noun.verb_past", id="malformed"),
        pytest.param(7, {}, "action: is of type int; expected a string", id="no text"),
        pytest.param(["a.b"], {}, "action: is of type list; expected a string", id="what has no hash"),
        pytest.param("member.role_changed", {"context": CHANGE}, "target_user: is missing, and member.role_changed needs target, previous, new; pass target_user", id="no target"),
        pytest.param("member.role_changed", {"target_user": None, "context": CHANGE}, "target_user: is missing", id="a target that is None"),
        pytest.param("member.role_changed", {"target_user": TARGET}, "context.previous: is missing", id="no context"),
        pytest.param("member.role_changed", {"target_user": TARGET, "context": {"previous": 1}}, "context.new: is missing, and member.role_changed needs target, previous, new; pass context.new", id="no new"),
        pytest.param("app.created", {}, "resource: is missing, and app.created needs resource; pass resource", id="no resource"),
    ],
)  # fmt: skip
def test_a_strict_log_refuses(action: object, fields: dict[str, Any], says: str) -> None:
    assert refused(action, **fields).startswith(says)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"target_user": TARGET, "context": CHANGE}, id="all is there"),
        pytest.param({"target_user": TARGET, "context": {"previous": None, "new": 1}}, id="was nothing"),
        pytest.param({"result": "denied"}, id="denied: nothing changed"),
        pytest.param({"result": "failure"}, id="failed: nothing changed"),
    ],
)  # fmt: skip
def test_a_strict_log_takes(fields: dict[str, Any]) -> None:
    action = recorded_action("member.role_changed", as_given(fields), CATALOGUE, strict=True)
    assert action == "member.role_changed"
    assert audit_events.counts() == Counts({}, {}, {})


def test_a_log_that_is_not_strict_records_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = audit_events.open_log(path, service="tests")
    for action in ("zebra.danced", "zebra.danced", "app.created", "member.role_changed"):
        log.info(action, **COMMON)
    log.info(Action.APP_CREATED, **COMMON, resource={"type": "app", "id": "app_1"})
    recorded = [json.loads(line)["action"] for line in path.read_bytes().splitlines()]
    assert recorded == [
        "zebra.danced",
        "zebra.danced",
        "app.created",
        "member.role_changed",
        "app.created",
    ]
    assert audit_events.counts() == Counts(
        unknown={"zebra.danced": 2},
        incomplete={"app.created": 1, "member.role_changed": 1},
        renamed={},
    )


@pytest.mark.parametrize("strict", [False, True])
def test_an_old_id_is_recorded_as_the_one_of_today(
    tmp_path: Path, catalogue_path: Path, *, strict: bool
) -> None:
    path = tmp_path / "audit.log"
    log = audit_events.open_log(path, service="tests", catalogue_path=catalogue_path, strict=strict)
    log.info(
        "invoice.accepted", **COMMON, context=CHANGE, resource={"type": "invoice", "id": "i_1"}
    )
    assert json.loads(path.read_bytes())["action"] == "invoice.approved"
    assert audit_events.counts().renamed == {"invoice.accepted": 1}


def test_a_strict_log_knows_what_its_application_added(
    tmp_path: Path, catalogue_path: Path
) -> None:
    path = tmp_path / "audit.log"
    log = audit_events.open_log(path, service="t", catalogue_path=catalogue_path, strict=True)
    log.info("shipment.sent", **COMMON)
    with pytest.raises(EventError, match=r"did you mean shipment\.sent"):
        log.info("shipment.send", **COMMON)
    with pytest.raises(EventError, match=r"resource: .* invoice.approved needs resource"):
        log.info("invoice.approved", **COMMON)
    assert len(path.read_bytes().splitlines()) == 1


def test_a_wrong_catalogue_is_told_at_the_start_and_opens_nothing(tmp_path: Path) -> None:
    wrong = write(tmp_path, entry("a.b", "color = 1"))
    with pytest.raises(audit_events.CatalogueError, match="did you mean colour"):
        audit_events.open_log(tmp_path / "audit.log", service="t", catalogue_path=wrong)
    with pytest.raises(audit_events.ParameterError, match=r"catalogue_path: .* is not there"):
        audit_events.open_log(tmp_path / "audit.log", service="t", catalogue_path="none.toml")
    assert not (tmp_path / "audit.log").exists()


def test_ids_that_are_made_up_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MAX_NAMES", 2)
    for number in range(5):
        tally.note_unknown(f"app_{number}.created", CATALOGUE)
    tally.note_unknown("app_0.created", CATALOGUE)
    assert tally.counts().unknown == {"app_0.created": 2, "app_1.created": 1, tally.OTHERS: 3}


def _send_counts(to: Any) -> None:
    to.send(audit_events.counts())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_counts_from_nothing() -> None:
    tally.note_unknown("a.b", CATALOGUE)
    forking = multiprocessing.get_context("fork")
    here, there = forking.Pipe()
    child = forking.Process(target=_send_counts, args=(there,))
    child.start()
    assert here.recv() == Counts({}, {}, {})
    child.join()
    assert audit_events.counts().unknown == {"a.b": 1}
