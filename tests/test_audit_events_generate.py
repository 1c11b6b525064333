"""What is made of the catalogue is current, and an application makes its own in the same way."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest

import audit_events
from audit_events.action_module import constant_of, render_actions
from audit_events.actions import Action
from audit_events.catalogue import CATALOGUE, Catalogue
from audit_events.catalogue_entries import ENTRIES
from audit_events.catalogue_file import read_catalogue
from audit_events.chain import verify_chain
from audit_events.draft import FIELDS, DraftRules, draft_event
from audit_events.errors import CatalogueError
from audit_events.event import decode_event
from audit_events.generate import main
from tests.test_audit_events_catalogue_file import GOOD, write

ROOT = Path(__file__).parents[1]
OWN = ROOT / "audit_events" / "catalogue.toml"
OUTPUTS = {
    "--python": ROOT / "audit_events" / "actions.py",
    "--entries": ROOT / "audit_events" / "catalogue_entries.py",
    "--markdown": ROOT / "docs" / "events.md",
}
PAGE = OUTPUTS["--markdown"].read_text(encoding="utf-8")
LINES = [line.encode() for line in PAGE.splitlines() if line.startswith("{")]
SCHEMA = msgspec.json.decode((ROOT / "docs" / "event.schema.json").read_bytes())


@pytest.mark.parametrize("option", OUTPUTS)
def test_what_stands_in_the_repository_is_current(option: str) -> None:
    assert main([str(OWN), option, str(OUTPUTS[option]), "--check"]) == 0, "run: make generate"


def test_what_is_loaded_is_what_the_file_says() -> None:
    assert tuple(read_catalogue(OWN, Catalogue(())).entries.values()) == ENTRIES


def test_each_action_has_its_constant() -> None:
    constants = {name: value for name, value in vars(Action).items() if name.isupper()}
    assert constants == {constant_of(action): action for action in CATALOGUE}
    assert Action.MEMBER_ROLE_CHANGED == "member.role_changed"
    assert type(Action.MEMBER_ROLE_CHANGED) is str


def test_the_page_shows_each_action_once() -> None:
    assert [decode_event(line).action for line in LINES] == list(CATALOGUE)
    for entry in CATALOGUE.entries.values():
        assert PAGE.count(f"### `{entry.action}`\n\n**{entry.title}** · {entry.colour}") == 1
        assert f"\n{entry.description}\n" in PAGE


def test_each_line_of_the_page_is_an_event_of_the_format() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for line in LINES:
        assert list(validator.iter_errors(msgspec.json.decode(line))) == []
    assert verify_chain(LINES) == []


def test_each_line_of_the_page_has_what_its_action_needs() -> None:
    """As an application with a strict log would have to call it."""
    wire = {key: name for name, key in FIELDS.items()}
    for line in LINES:
        event = msgspec.json.decode(line)
        fields = {wire[key]: value for key, value in event.items() if key in wire}
        draft_event(event["action"], fields, DraftRules(system=True, strict=True))


@pytest.mark.slow
def test_an_application_gets_our_constants_and_its_own(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    environment = {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "audit_events.generate", "actions.toml", "--python", "own.py"]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    subprocess.run([*command, "--check"], check=True, cwd=tmp_path, env=environment)
    script = "from own import Action; print(Action.INVOICE_APPROVED, Action.MEMBER_INVITED)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "invoice.approved member.invited\n"


@pytest.mark.slow
def test_a_type_checker_knows_the_constants_and_misses_the_others(tmp_path: Path) -> None:
    assert main([str(write(tmp_path, GOOD)), "--python", str(tmp_path / "own.py")]) == 0
    (tmp_path / "use.py").write_text(
        "import audit_events\n"
        "from own import Action\n"
        "log = audit_events.get_logger()\n"
        "log.info(Action.INVOICE_APPROVED, organization_id='o')\n"
        "log.info(Action.MEMBER_ROLE_CHANGED, organization_id='o')\n"
        "log.info(Action.INVOICE_APROVED, organization_id='o')\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir=.mypy", "use.py"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    (found,) = [line for line in done.stdout.splitlines() if line.startswith("use.py")]
    assert found.startswith('use.py:6: error: "type[Action]" has no attribute "INVOICE_APROVED"')


def test_what_is_not_current_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, module = write(tmp_path, GOOD), tmp_path / "own.py"
    assert main([str(path), "--python", str(module), "--check"]) == 1
    assert (
        capsys.readouterr().err
        == f"error: {module} is not current\nnext: run this without --check\n"
    )
    assert not module.exists()
    assert main([str(path), "--python", str(module)]) == 0
    write(tmp_path, GOOD.replace("shipment.sent", "shipment.shipped"))
    assert main([str(path), "--python", str(module), "--check"]) == 1


def test_a_wrong_catalogue_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, module = write(tmp_path, "[a.b]\n"), tmp_path / "own.py"
    assert main([str(path), "--python", str(module)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}:1: [a.b]: lacks category")
    assert error.endswith("next: docs/applications.md has an example of such a file\n")
    assert not module.exists()


def test_the_page_of_an_application(tmp_path: Path) -> None:
    page = tmp_path / "events.md"
    assert main([str(write(tmp_path, GOOD)), "--markdown", str(page)]) == 0
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("{")]
    first, second = (msgspec.json.decode(line) for line in lines)
    assert first["context"] == {"previous": {"status": "open"}, "new": {"status": "approved"}}
    assert first["resource"] == {"type": "invoice", "id": "invoice_42"}
    assert second["action"] == "shipment.sent"


def test_two_ids_of_one_constant_are_refused() -> None:
    entries = CATALOGUE.entries
    with pytest.raises(CatalogueError, match="MEMBER_ROLE_CHANGED is the constant of"):
        render_actions([entries["member.role_changed"]], source="x", taken=["member_role.changed"])


def test_texts_of_a_file_cannot_leave_their_quotes(tmp_path: Path) -> None:
    text = 'An invoice \\"\\"\\" was \\\\ approved \\"'
    path = write(tmp_path, GOOD.replace("An invoice was approved for payment.", text))
    assert main([str(path), "--python", str(tmp_path / "own.py")]) == 0
    compile((tmp_path / "own.py").read_text("utf-8"), "own.py", "exec")


def test_the_package_offers_it() -> None:
    assert audit_events.Action is Action
