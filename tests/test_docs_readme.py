"""README is true: every setting, command and parameter that exists is in it, and no other."""

import re
from pathlib import Path

import click
import msgspec
import pytest

from agent.metrics import METRICS
from agent.settings import AgentSettings
from indelible.cli import COMMANDS
from indelible.configuration import NodeSettings
from indelible.up import command as up_command
from indexer.settings import ConnectionSettings, IndexSettings, LifecycleSettings
from indexer.settings_reading import OTHER_VARIABLES
from webapi.parameters import PARAMETERS
from webapi.settings import CatalogueSettings, WebSettings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
GROUPS: dict[str, type[msgspec.Struct]] = {
    "opensearch": ConnectionSettings,
    "index": IndexSettings,
    "lifecycle": LifecycleSettings,
    "agent": AgentSettings,
    "web": WebSettings,
    "node": NodeSettings,
    "catalogue": CatalogueSettings,
}


def _spell_default(value: object) -> str:
    if value is None or value in ("", ()):
        return "not set"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and value.is_integer():
        return f"`{int(value)}`"
    return f"`{value}`"


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_a_group_is_what_the_code_says(group: str) -> None:
    section = README.split(f"#### `[{group}]`\n")[1].split("\n#")[0]
    documented = re.findall(r"^\| `(INDELIBLE_\w+)` \| (.*?) \| (.*) \|$", section, re.MULTILINE)
    rows = [
        (
            f"INDELIBLE_{group}_{field.name}".upper(),
            _spell_default(field.default),
            next(meta.description for meta in field.type.__metadata__ if meta.description),
        )
        for field in msgspec.structs.fields(GROUPS[group])
    ]
    assert documented == rows


def test_the_table_of_metrics_is_what_the_agent_tells() -> None:
    documented = re.findall(
        r"^\| `(indelible_agent_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", README, re.MULTILINE
    )
    rows = [
        (
            definition.full_name,
            definition.kind,
            ", ".join(f"`{label}`" for label in definition.labels) or "-",
            definition.meaning,
        )
        for definition in METRICS
    ]
    assert documented == rows


@pytest.mark.parametrize("variable", OTHER_VARIABLES)
def test_the_variables_outside_of_groups_are_there(variable: str) -> None:
    assert f"| `{variable}` |" in README


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown(name: str) -> None:
    assert f"indelible {name}" in README or name == "up"


def test_every_option_of_up_is_in_its_table() -> None:
    options = {
        option.opts[-1] if not option.secondary_opts else option.secondary_opts[-1]
        for option in up_command.params
        if isinstance(option, click.Option)
    }
    assert {option for option in options if option not in README} == set()


def test_every_parameter_of_the_list_is_in_its_table() -> None:
    section = README.split("## Ask the API")[1].split("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", section))
    assert set(PARAMETERS) - documented == set()


def test_every_page_that_is_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
