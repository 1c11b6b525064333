"""`indelible state` and `indelible history`: tables for people, or what the API answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from indelible import history, state
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.test_webapi_history import LIFE, START, TEA
from tests.webapi_api import store, write_events
from tests.webapi_process import environment

pytestmark = pytest.mark.opensearch

Run = Callable[..., Result]


@pytest.fixture
def run(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    hostile: dict[str, Any] = {
        "action": "app.renamed",
        "resource": {"type": "app", "id": "[bold]"},
        "context": {"new": {"\x1b[31m[red]": "\x1b[2J"}},
    }
    only_ours = [one for one in LIFE if one.get("organization_id", "org_a") == "org_a"]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "e.log", [*only_ours, hostile], START))
    for name in ("INDELIBLE_TEST_OPENSEARCH_URL", "INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    environ = environment(opensearch, index, tmp_path)
    commands = {"state": state.command, "history": history.command}
    return lambda name, *arguments: CliRunner().invoke(commands[name], list(arguments), env=environ)


def test_the_tables_say_what_was_and_who_set_it(run: Run) -> None:
    result = run("state", "app", "app_1", "--at", "2026-03-15T09:00:03Z")
    assert result.exit_code == 0, result.output
    for word in (
        "Shop at 2026-03-15T09:00:03.000000Z: exists, by app.created",
        "/name",
        "Store",
        "set by app.renamed",
        "ana@company.com",
    ):
        assert word in result.output, word
    early = run("state", "app", "app_1", "--at", "2026-03-14").output
    assert "did not exist yet; first named by app.created" in early
    assert "/name" not in early
    result = run("state", "--user", TEA, "--at", "2026-03-15T09:00:06Z")
    for word in ("until member.profile_updated", "together with workspace w_1", "viewer"):
        assert word in result.output, word
    hostile = run("state", "app", "[bold]").output
    assert "\\u001b[31m[red]" in hostile
    assert "\x1b" not in hostile


def test_a_life_is_a_table_of_events(run: Run) -> None:
    result = run("history", "app", "app_1")
    assert result.exit_code == 0, result.output
    assert result.output.index("app.created") < result.output.index("app.deleted")
    assert "name: Shop → Store" in result.output
    assert "4 of 4 events" in result.output
    few = run("history", "app", "app_1", "--limit", "3")
    assert "3 of 4 events; see more with --limit" in few.output
    nobody = run("history", "app", "[nonsense]", "--since", "2026-03-01")
    assert nobody.exit_code == 0
    said, has = nobody.output.splitlines()
    assert said == "No event of org_a about app [nonsense]."
    assert has.startswith("org_a has ")
    stranger = str(UUID(int=7))
    output = run("history", "--user", stranger, "--organization", "org_b").output
    assert output.splitlines() == [
        f"No event of org_b about user {stranger}.",
        "org_b has no event at all; there are some of org_a.",
    ]
    assert "org_b has no event at all" in run("state", "app", "x", "--organization", "org_b").output


def test_json_is_what_the_api_answers(run: Run) -> None:
    found = json.loads(run("state", "app", "app_1", "--json").output)
    assert found["existence"]["status"] == "deleted"
    life = json.loads(run("history", "app", "app_1", "--limit", "1", "--json").output)
    assert (len(life["entries"]), life["total"]) == (1, 4)
    for name in ("state", "history"):
        refused = run(name, "app")
        assert refused.exit_code == 2
        assert "ID: goes together with TYPE" in refused.output
        assert "[OPTIONS] [TYPE ID]" in refused.output
        assert "--user: say of what: --user, or TYPE and ID" in run(name).output
