"""`indelible catalogue`: what is known is listed and explained, and a file is checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from audit_events.catalogue import CATALOGUE
from indelible.catalogue import command
from tests.test_audit_events_catalogue_file import GOOD, entry, write

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command where a file adds to the catalogue."""
    monkeypatch.setenv("INDELIBLE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INDELIBLE_CATALOGUE_PATH", str(write(tmp_path, GOOD)))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(command, arguments, standalone_mode=False)

    return run


def loads(result: Result) -> Any:
    assert result.exception is None, result.output
    return json.loads(result.stdout)


def test_the_list_has_ours_and_the_configured_ones(run: Run) -> None:
    listed = loads(run("list", "--json"))
    assert [one["action"] for one in listed] == [*CATALOGUE, "invoice.approved", "shipment.sent"]
    assert {"severity", "description", "needs", "critical", "aliases"} <= listed[0].keys()


def test_the_table_is_whole_and_by_category(run: Run) -> None:
    lines = run("list", "--category", "Shipping").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["action", "severity", "title", "needs"],
        ["Shipping"],
        ["shipment.sent", "low", "Shipment", "sent"],
    ]
    assert "there are Member Management" in str(run("list", "--category", "Zebras").exception)


@pytest.mark.parametrize("name", ["invoice.approved", "invoice.accepted"])
def test_one_is_explained_by_its_old_id_too(run: Run, name: str) -> None:
    assert run("show", name).stdout.splitlines() == [
        "invoice.approved: Invoice approved",
        "An invoice was approved for payment.",
        "category  Billing & Subscriptions",
        "colour    blue",
        "severity  medium",
        "needs     resource, previous, new",
        "critical  synced to the disk before the call returns",
        "formerly  invoice.accepted",
    ]
    assert loads(run("show", name, "--json"))["action"] == "invoice.approved"


def test_an_unknown_one_is_told_what_is_near(run: Run) -> None:
    error = run("show", "member.role_change").exception
    assert str(error) == "member.role_change is not in the catalogue"
    assert getattr(error, "hint", "").startswith("did you mean member.role_changed")


def test_a_right_file(run: Run, tmp_path: Path) -> None:
    text = GOOD + "[app.deleted]\ncritical = true\n"
    result = run("check", str(write(tmp_path, text, "mine.toml")))
    assert result.return_value == 0
    assert result.stdout.endswith("mine.toml: 2 actions of its own, 1 of ours stricter\n")


def test_a_wrong_file_says_all_that_is_wrong(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, entry("a.b", "color = 1", title=" "), "mine.toml")
    result = run("check", str(path))
    assert result.return_value == 1
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "error",
        "error",
        "next",
    ]
    report = loads(run("check", str(path), "--json"))
    assert not report["ok"]
    assert len(report["problems"]) == 2


def test_a_wrong_configured_file_is_told_with_its_settings_exit(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from indelible.cli import EXIT_SETTINGS, describe  # noqa: PLC0415

    monkeypatch.setenv("INDELIBLE_CATALOGUE_PATH", str(tmp_path / "none.toml"))
    error = run("list").exception
    assert isinstance(error, Exception)
    report = describe(error)
    assert report is not None
    assert report[1] == EXIT_SETTINGS
    assert "none.toml: cannot be read" in report[0]
