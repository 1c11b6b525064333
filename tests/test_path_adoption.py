"""A Flask and a FastAPI application adopt the audit log in five lines, and no event is mixed up."""

import difflib
import http.client
import socket
from pathlib import Path

import pytest
from typing_extensions import override

from tests.app_traffic import (
    ROOT,
    Visit,
    check_none_mixed_up,
    read_events,
    serve,
    serving,
    visit_all,
)

MOST_LINES = 5


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def changed_lines(before: list[str], after: list[str]) -> int:
    """Count lines that were added, removed or changed, a changed one once."""
    opcodes = difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in opcodes if tag != "equal")


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_an_application_adopts_it_in_five_lines(framework: str) -> None:
    """All included: the import, the log, the middleware, who acts, and the event itself."""
    before, after = (
        (ROOT / "tests" / "apps" / f"{framework}_{when}.py").read_text().splitlines()
        for when in ("before", "after")
    )
    assert 0 < changed_lines(before, after) <= MOST_LINES
    assert any(line.strip().startswith("log.info(") for line in after)
    assert not any("audit" in line for line in before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "app"),
    [
        pytest.param("gunicorn", "flask_after", id="Flask, threads of gunicorn"),
        pytest.param("werkzeug", "flask_after", id="Flask, werkzeug"),
        pytest.param("uvicorn", "fastapi_after", id="FastAPI, uvicorn"),
    ],
)
def test_no_event_of_fifty_users_at_once_is_mixed_up(server: str, app: str, tmp_path: Path) -> None:
    with serving(server, f"tests.apps.{app}:app", tmp_path) as port:
        visit_all(port, ["members"])
    check_none_mixed_up(read_events(tmp_path), ["members"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "app", "views"),
    [
        pytest.param(
            "uvicorn",
            "starlette_kinds:app",
            ["in_thread", "in_loop", "in_task", "in_background", "in_stream"],
            id="Starlette",
        ),
        pytest.param("uvicorn", "fastapi_kinds:app", ["in_thread", "in_background"], id="FastAPI"),
        pytest.param(
            "gunicorn",
            "flask_kinds:app",
            ["in_loop", "in_stream", "in_nested", "in_thread"],
            id="Flask",
        ),
        pytest.param("uvicorn", "django_kinds:asgi_app", ["in_loop", "in_turn"], id="Django ASGI"),
        pytest.param("gunicorn", "django_kinds:wsgi_app", ["in_thread"], id="Django WSGI"),
    ],
)
def test_every_kind_of_view_has_the_right_actor_behind_a_proxy(
    server: str, app: str, views: list[str], tmp_path: Path
) -> None:
    with serving(server, f"tests.apps.{app}", tmp_path) as port:
        visit_all(port, views)
    check_none_mixed_up(read_events(tmp_path), views, behind_proxy=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "app", "view"),
    [
        pytest.param("gunicorn", "django_kinds:wsgi_app", "in_turn", id="gunicorn"),
        pytest.param("uvicorn", "django_kinds:asgi_app", "in_turn", id="uvicorn"),
    ],
)
def test_behind_a_unix_socket_the_proxy_alone_knows_the_client(
    server: str, app: str, view: str, tmp_path: Path
) -> None:
    place = str(tmp_path / "app.sock")
    listening = socket.create_server(place, family=socket.AF_UNIX)
    with listening, serve(server, f"tests.apps.{app}", tmp_path, listening):
        connection = UnixConnection(place)
        status, body = Visit(view, 0, 0).ask(connection)
        connection.close()
        assert status == 200, body
    (event,) = read_events(tmp_path)
    assert event.ip_address == Visit(view, 0, 0).behind_proxy
    assert event.context == {"new": {"role": "admin"}}
