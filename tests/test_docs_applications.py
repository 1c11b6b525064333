"""What docs/applications.md says of frameworks is tried as it stands there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask, g

import audit_events
from audit_events.event import decode_event
from audit_events.request import check_settings, read_request
from tests.app_traffic import ROOT

PAGE = (ROOT / "docs" / "applications.md").read_text()


def snippets(heading: str) -> list[str]:
    """Return the Python of one section."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture(autouse=True)
def own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where `audit.log` lands, and its end."""
    monkeypatch.chdir(tmp_path)
    yield
    audit_events.close()


@pytest.mark.parametrize(
    "heading",
    ["Adopt in five minutes", "WSGI", "ASGI: Starlette, FastAPI, Django", "Diffs", "Personal data"],
)
def test_what_is_shown_runs(heading: str) -> None:
    found = snippets(heading)
    assert found
    for snippet in found:
        exec(compile(snippet, heading, "exec"), {"__name__": "__main__"})  # noqa: S102  # our own page


def test_the_first_of_them_records(tmp_path: Path) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    (snippet,) = snippets("Adopt in five minutes")
    exec(compile(snippet, "page", "exec"), names)  # noqa: S102  # our own page
    app = names["app"]
    assert isinstance(app, Flask)

    @app.before_request
    def sign_in() -> None:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        g.user = SimpleNamespace(id="u_ana", organization="org_acme")

    assert app.test_client().patch("/members/u_ben").status_code == 200
    (line,) = (tmp_path / "audit.log").read_bytes().splitlines()
    event = decode_event(line)
    assert (event.actor.id, event.organization_id) == ("u_ana", "org_acme")
    assert event.ip_address == "127.0.0.1"


@pytest.mark.slow
def test_a_coroutine_of_django_says_who_its_database_knows(tmp_path: Path) -> None:
    bind_actor, view = snippets("ASGI: Starlette, FastAPI, Django")[1:]
    (tmp_path / "middleware.py").write_text(bind_actor)
    (tmp_path / "views.py").write_text(f"import audit_events\n{view}")
    program = ROOT / "tests" / "apps" / "django_users.py"
    paths = os.pathsep.join(map(str, (ROOT, tmp_path)))
    subprocess.run([sys.executable, program], env={**os.environ, "PYTHONPATH": paths}, check=True)
    (line,) = (tmp_path / "audit.log").read_bytes().splitlines()
    event = decode_event(line)
    assert (event.actor.id, event.organization_id) == ("1", "org_acme")


def test_addresses_are_as_the_table_says() -> None:
    """The table of the section about proxies, row by row."""
    rows = re.findall(r"^\| `([^`]+)` \| (\d) \| ([0-9.]+)", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for header, count, address in rows:
        settings = check_settings(int(count), None)
        sent = {"x-forwarded-for": header, "user-agent": ""}
        assert read_request("10.0.0.2", sent.__getitem__, settings).ip_address == address, header
