"""What the services import is asked for by name: what another package brings is what *it* takes."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
SERVICES: Final = ("indexer", "agent", "webapi", "node", "indelible", "examples")
OURS: Final = {*SERVICES, "audit_events", "index_templates"}
FLASKS_OWN: Final = {"werkzeug", "jinja2", "markupsafe"}
"""In step with the Flask that we ask for: nobody has it with others."""


def imported(folder: str) -> set[str]:
    trees = (ast.walk(ast.parse(path.read_text())) for path in (ROOT / folder).rglob("*.py"))
    modules = set[str]()
    for statement in (node for tree in trees for node in tree):
        if isinstance(statement, ast.Import):
            modules.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            modules.add(statement.module)
    return {module.partition(".")[0] for module in modules}


def test_what_the_services_import_is_asked_for_by_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["node"]]
    named = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in asked}
    theirs = set[str]().union(*map(imported, SERVICES)) - OURS - set(sys.stdlib_module_names)
    packages = packages_distributions()
    needed = {packages[module][0].lower().replace("_", "-") for module in theirs}
    assert needed - named == FLASKS_OWN
