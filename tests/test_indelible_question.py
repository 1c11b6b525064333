"""A question in the terminal that begins with a minus, which looks like options."""

import click
import pytest
from click.testing import CliRunner

from indelible import export, history, incident, search, state

COMMANDS = {"search": search.command, "export": export.command, "incident": incident.command}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-result:success"], "[OPTIONS] -- -result:success"),
        (["--since", "2026-03-15", "-result:success role"], "-- '-result:success role'"),
    ],
    ids=["a field", "words behind an option"],
)
def test_where_a_text_was_taken_for_options_the_way_out_is_shown(
    command: click.Command, arguments: list[str], shown: str
) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert result.stderr.rstrip().endswith(shown)


@pytest.mark.parametrize("command", [search.command, incident.command])
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["role", "changed"], "[OPTIONS] 'role changed'"),
        (["role", "--since", "2026-03-15", "creat*"], "[OPTIONS] 'role creat*'"),
        (["--", "-a", "b"], "[OPTIONS] -- '-a b'"),
    ],
)
def test_words_without_quotes_are_shown_with_them(
    command: click.Command, arguments: list[str], shown: str
) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert result.stderr.rstrip().endswith(shown)


def test_a_long_option_that_is_misspelt_is_named_as_click_does() -> None:
    result = CliRunner().invoke(search.command, ["--limt", "3"])
    assert result.exit_code == 2
    assert "Did you mean '--limit'?" in result.stderr
    assert "TEXT" not in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        (search.command, ["--limit", "0"], "--limit"),
        (search.command, ["role actr:ana"], "TEXT"),
        (export.command, ["--since", "now", "--output", "unused.ndjson"], "--since"),
        (incident.command, [], "--around"),
        (history.command, [], "--user"),
        (search.command, ["--since", "1h", "--until", "2h"], "--since"),
        (incident.command, ["--since", "1h", "--until", "2h"], "--since"),
        (history.command, ["app", "a", "--since", "1h", "--until", "2h"], "--since"),
        (state.command, ["app", "a", "--at", "2h", "--since", "1h"], "--since"),
        (state.command, ["app"], "ID"),
    ],
)
def test_what_is_wrong_is_told_also_where_nobody_says_whose_events_there_are(
    command: click.Command, arguments: list[str], named: str
) -> None:
    nobody = {"INDELIBLE_OPENSEARCH_URL": "http://127.0.0.1:9"}
    result = CliRunner().invoke(command, arguments, env=nobody)
    assert result.exit_code == 2, result.exception
    assert f"Error: {named}: " in result.stderr
