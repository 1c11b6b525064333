"""`indelible search`: a table that people read, or the events as they are."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from indelible.errors import CommandError
from indelible.search import command
from indexer.errors import NoAnswerError, RefusedError
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import store, write_events
from tests.webapi_process import environment

EVENTS: list[dict[str, object]] = [
    {
        "action": "member.role_changed",
        "target_user": {"email": "team@company.com"},
        "context": {"previous": {"role": "member"}, "new": {"role": "admin"}},
        "ip_address": "203.0.113.9",
    },
    {"action": "app.created", "resource": {"type": "app", "id": "app_42", "name": "Shop"}},
    {"action": "zebra.danced", "at": "2026-03-16T09:00:00Z", "actor": {"type": "system"}},
    {"action": "app.deleted", "organization_id": "_system"},
]


class Search:
    """The command, on an index of its own."""

    def __init__(self, environ: dict[str, str], lines: list[bytes]) -> None:
        self.environ = environ
        self.lines = lines

    def __call__(self, *arguments: str, **environ: str) -> Result:
        return CliRunner().invoke(command, list(arguments), env={**self.environ, **environ})

    def actions(self, *arguments: str) -> list[str]:
        """Return the actions in the order of the table's rows."""
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        known = ("member.role_changed", "app.created", "zebra.danced", "app.deleted")
        found = sorted((result.output.find(name), name) for name in known)
        return [name for at, name in found if at >= 0]


@pytest.fixture
def search(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Search:
    lines = write_events(tmp_path / "e.log", EVENTS, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    for name in ("INDELIBLE_TEST_OPENSEARCH_URL", "INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    return Search(environment(opensearch, index, tmp_path), lines)


@pytest.mark.opensearch
def test_the_table_says_who_did_what_when_on_what(search: Search) -> None:
    result = search("role changed", "--around", "2026-03-15T09:00:10Z", "--window", "10m")
    assert result.exit_code == 0, result.output
    for word in (
        "2026-03-15", "09:00:00", "−10s", "ana@company.com", "member.role_changed", "Role changed",  # noqa: RUF001  # minus sign
        "team@company.com", "203.0.113.9", "role: member → admin", "1 of 1 event of org_a",
    ):  # fmt: skip
        assert word in result.output, word
    assert "app.created" not in result.output


def test_an_email_and_an_id_of_actors_are_not_asked_for_at_once() -> None:
    result = CliRunner().invoke(command, ["--actor", "u_7", "--actor", "ana@company.com"])
    assert result.exit_code == 2
    assert "--actor: expected emails or ids, not both" in result.output
    assert "actor:u_7,ana@company.com" in result.output


@pytest.mark.opensearch
def test_options_are_the_filters_of_the_api(search: Search) -> None:
    everything = ["zebra.danced", "app.created", "member.role_changed"]
    assert search.actions() == everything
    assert search.actions("app_42") == ["app.created"]
    assert search.actions("--action", "app.*", "--action", "zebra.danced") == everything[:2]
    assert search.actions("--actor", "ANA@company.com") == everything[1:]
    assert search.actions("--actor", "u_ana", "--limit", "1") == ["app.created"]
    assert search.actions("--actor", "u_ana", "--actor", "u_other") == everything[1:]
    assert search.actions("--since", "2026-03-16") == ["zebra.danced"]
    assert search.actions("--until", "2026-03-16", "role") == ["member.role_changed"]
    assert search.actions("--organization", "_system") == ["app.deleted"]
    assert search.actions("--organization", "org_x") == []


@pytest.mark.opensearch
def test_json_is_the_stored_events(search: Search) -> None:
    result = search("--json", "--action", "member.*")
    assert result.stdout_bytes == search.lines[0] + b"\n"


@pytest.mark.opensearch
def test_an_id_finds_its_event(search: Search) -> None:
    """`indelible dead-letter show` names this command for a conflict."""
    event_id = json.loads(search.lines[1])["id"]
    result = search("--organization", "org_a", "--json", event_id)
    assert result.stdout_bytes == search.lines[1] + b"\n"


@pytest.mark.opensearch
def test_what_is_wrong_is_told_by_the_names_used_here(search: Search) -> None:
    result = search("--limit", "500", "--since", "never", "--action", "member.rol", "*")
    assert result.exit_code == 2
    for word in (
        "--limit", "--since", "--action", "member.role_changed", "TEXT",
        "`indelible catalogue list`",
    ):  # fmt: skip
        assert word in result.stderr, word
    assert "/api/" not in result.stderr


@pytest.mark.opensearch
def test_where_nothing_matches_it_says_where_it_looked_and_what_there_is(search: Search) -> None:
    looked = search("role", "--around", "2026-03-20T09:00:00Z", "--window", "10m")
    assert looked.exit_code == 0, looked.output
    assert looked.output.splitlines() == [
        "No event of org_a matches from 2026-03-20 08:50:00Z until 2026-03-20 09:10:00Z.",
        "org_a has 3 events, 2026-03-15 09:00:00Z to 2026-03-16 09:00:00Z.",
    ]
    mistyped = search("role", "--organization", "org_aa")
    assert mistyped.output.splitlines() == [
        "No event of org_aa matches.",
        "org_aa has no event at all; there are some of org_a.",
    ]
    assert search("role", "--organization", "org_aa", "--json").output == ""


@pytest.mark.opensearch
def test_among_several_organisations_one_must_be_named(
    search: Search, opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    more = write_events(
        tmp_path / "b.log", [{"action": "app.created", "organization_id": "org_b"}], "2026-03-15"
    )
    with opensearch.client("writer") as writer:
        store(writer, index, more)
    result = search("role")
    assert isinstance(result.exception, CommandError)
    assert "org_a, org_b" in str(result.exception)
    assert "--organization" in result.exception.hint
    assert search.actions("role", "--organization", "org_a") == ["member.role_changed"]


@pytest.mark.opensearch
def test_without_any_event_it_says_so(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    result = Search(environment(opensearch, index, tmp_path), [])("role")
    assert isinstance(result.exception, CommandError)
    assert "no events yet" in str(result.exception)


@pytest.mark.opensearch
def test_a_cluster_that_is_down_is_an_operators_error(search: Search) -> None:
    down = {"INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:9"}
    assert isinstance(search("role", **down).exception, NoAnswerError)
    result = search("role", "--organization", "org_a", **down)
    assert isinstance(result.exception, NoAnswerError)
    assert result.exception.hint


@pytest.mark.opensearch
def test_a_wrong_password_is_told_with_the_settings_to_look_at(search: Search) -> None:
    wrong = {"INDELIBLE_OPENSEARCH_READER_PASSWORD": "wrong"}
    result = search("--organization", "org_a", **wrong)
    assert isinstance(result.exception, RefusedError)
    assert "refused with 401 for the reader" in str(result.exception)
    assert "INDELIBLE_OPENSEARCH_<ROLE>_USERNAME" in result.exception.hint


@pytest.mark.opensearch
def test_a_mistake_in_the_text_is_shown_at_its_place(search: Search) -> None:
    result = search("role actr:ana", "--organization", "org_a")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert "no field `actr`" in lines[-3]
    assert "nearest: actor" in lines[-3]
    assert lines[-2:] == ["  role actr:ana", "       ^"]


@pytest.mark.opensearch
def test_fields_are_asked_by_name(search: Search) -> None:
    assert search.actions("target:team context.role:admin") == ["member.role_changed"]
    assert search.actions("--", "-action:app.*") == ["zebra.danced", "member.role_changed"]
