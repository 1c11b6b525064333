"""`indelible incident`: tables that say what is new, or what the API answers."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from indelible.incident import command
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.test_webapi_incident import EVENTS
from tests.webapi_api import store, write_events
from tests.webapi_process import environment

pytestmark = pytest.mark.opensearch


class Command:
    """The command, on an index of its own."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(command, list(arguments), env=self._environ)


@pytest.fixture
def incident(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    hostile: dict[str, object] = {
        "action": "app.deleted",
        "at": "2026-03-28T01:04:00Z",
        "actor": {"type": "user", "id": "u_\x1b[31m", "name": "[red]"},
        "resource": {"type": "app", "id": "[bold]x", "name": "Shop"},
    }
    only_ours = [one for one in EVENTS if one.get("organization_id", "org_a") == "org_a"]
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "e.log", [*only_ours, hostile], "2026-03-01"))
    for name in ("INDELIBLE_TEST_OPENSEARCH_URL", "INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    return Command(environment(opensearch, index, tmp_path))


def test_the_tables_say_what_is_new_and_who_took_part(incident: Command) -> None:
    result = incident("--around", "2026-03-28T01:05:00Z", "--window", "5m", "--limit", "3")
    assert result.exit_code == 0, result.output
    for word in (
        "11 events of org_a", "app.deleted", "never", "203.0.113.66 new", "ana@company.com",
        "−5m", "+4m", "app [bold]x (Shop)", "the first 3 of 11 events",  # noqa: RUF001  # minus sign
        "u_\\u001b[31m",
    ):  # fmt: skip
        assert word in result.output, word
    assert "\x1b" not in result.output


def test_what_is_unusual_is_named_and_says_what_it_is_compared_with(incident: Command) -> None:
    asked = ("--around", "2026-03-28T01:05:00Z", "--window", "5m", "--limit", "1")
    told = " ".join(incident(*asked).output.split())
    assert "actor u_\\u001b[31m ([red])" in told
    assert "resource app [bold]x (Shop)" in told
    since = "unusual: against the days since 2026-02-26 01:00:00Z"
    assert f"{since}; new: not once as such in these days (" in told
    narrowed = " ".join(incident(*asked, "--action", "app.deleted").output.split())
    assert f"{since}, under the same filters; new: not once as such in these days," in narrowed


def test_where_the_days_before_are_too_few_that_is_said(incident: Command) -> None:
    result = incident("--around", "2026-03-03", "--window", "1d")
    told = " ".join(result.output.split())
    assert re.search(r"Needs 7 days of history before the moment; there are \d(\.\d)?\.", told)
    quiet = incident("--around", "2026-05-03")
    said, has = quiet.output.splitlines()
    assert said.startswith("0 events of org_a")
    assert has.startswith("org_a has ")


def test_json_is_what_the_api_answers(incident: Command) -> None:
    result = incident("--around", "2026-03-28T01:05:00Z", "--json", "--actor", "u_ana")
    found = json.loads(result.output)
    assert (found["total"], found["unusual"]["actions"][0]["value"]) == (12, "app.deleted")
    refused = incident()
    assert refused.exit_code == 2
    assert "a window: --around, or both --since and --until" in refused.output
