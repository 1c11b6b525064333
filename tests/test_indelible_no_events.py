"""The command line where others stored what is no event: it answers, and shows what is there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from indelible.cli import command
from indelible.export_part import asked_of, part_of
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.test_indelible_stream import Streaming, streaming
from tests.test_webapi_foreign_events import USER
from tests.test_webapi_no_events import AT, SHAPES, World, shaped, world
from tests.waiting import wait_until
from tests.webapi_process import environment

__all__ = ["streaming", "world"]

Run = Callable[..., Result]
FOUND = 1
"""How `verify` and `validate` end where something is not as it should be."""


@pytest.fixture
def run(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    environ = environment(opensearch, index, tmp_path)
    for name in ("INDELIBLE_TEST_OPENSEARCH_URL", "INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(command, arguments, env=environ)


@pytest.mark.opensearch
def test_every_command_answers(run: Run, world: World, tmp_path: Path) -> None:
    for path, shapes in SHAPES.values():
        world.store(shaped(world.lines[1], path, shapes))
    around = ("--around", AT, "--window", "15m")
    mine = ("--organization", "org_a")
    exported = tmp_path / "events.ndjson"
    for arguments in (
        ("search", "ana", *mine),
        ("search", *around, *mine, "--limit", "200"),
        ("incident", *around, *mine),
        ("history", "--user", USER, *mine),
        ("state", "app", "app_1", *mine),
        ("export", "--output", str(exported), *mine),
        ("export", "--format", "csv", "--output", str(tmp_path / "events.csv"), *mine),
    ):
        result = run(*arguments)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
    lines = [json.loads(one) for one in exported.read_bytes().splitlines()]
    assert world.true_ids(lines) == world.ids[::-1]
    result = run("validate", str(exported))
    assert result.exit_code == FOUND, result.output
    result = run("verify", "--until", "2026-12-01")
    assert result.exit_code == FOUND, (result.output, result.exception)


@pytest.mark.opensearch
@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_an_export_that_was_cut_off_behind_what_is_no_event_is_gone_on_with(
    run: Run, world: World, tmp_path: Path, kind: str
) -> None:
    path, shapes = SHAPES["id"]
    world.store(shaped(world.lines[1], path, shapes))
    asked = ("--format", kind, "--organization", "org_a", "--json")
    whole = tmp_path / "whole"
    done = json.loads(run("export", "--output", str(whole), *asked).stdout)["export"]
    end = b'"\r\n' if kind == "csv" else b"\n"
    rows = whole.read_bytes().split(end)
    for kept in range(2, len(rows) - 1):
        cut = tmp_path / f"cut-{kept}"
        part_of(cut).write_bytes(end.join(rows[:kept]) + end)
        told = {"organizationId": "org_a", "pairs": [], "format": kind, "asOf": done["asOf"]}
        asked_of(cut).write_text(json.dumps(told))
        result = run("export", "--resume", "--output", str(cut), *asked)
        assert result.exit_code == 0, (kept, result.output, result.exception)
        assert json.loads(result.stdout)["export"] == done, kept
        assert cut.read_bytes() == whole.read_bytes()


@pytest.mark.opensearch
def test_the_stream_goes_on_behind_what_is_no_event(world: World, streaming: Streaming) -> None:
    for path, shapes in SHAPES.values():
        world.store(shaped(world.lines[1], path, shapes))

    def is_all_there() -> bool:
        arguments = (*streaming.keeping(), "--start", "beginning", "--once")
        assert streaming.run(*arguments) == 0, streaming.errors.read_text()
        lines = [json.loads(one) for one in streaming.output.read_bytes().splitlines()]
        assert len(world.true_ids(lines)) == len(set(world.true_ids(lines)))
        return sorted(world.true_ids(lines)) == world.ids

    wait_until(is_all_there, "not all came")
