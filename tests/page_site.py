"""The page as it is in the end: events emitted, shipped by an agent, and served by gunicorn."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.agent_process import AgentHome
from tests.cluster import Cluster
from tests.node_home import free_ports
from tests.webapi_api import OWNER, SETTINGS, session_cookie, write_events
from tests.webapi_process import environment, serving
from webapi.auth import Reader
from webapi.page.views import PATH

GUNICORN: Final = (
    "-m",
    "gunicorn",
    "-c",
    "python:webapi.gunicorn_settings",
    "webapi.wsgi:create()",
)
PLAIN: Final[Sequence[dict[str, Any]]] = [
    {
        "action": ("member.role_changed", "app.created", "app.deleted")[number % 3],
        "target_user": {"id": f"u_{number}", "email": f"m{number}@company.com"},
        "resource": {"type": "app", "id": f"app_{number}"},
        "context": {"previous": {"role": "member"}, "new": {"role": "admin"}},
        "ip_address": "203.0.113.9",
    }
    for number in range(60)
]
"""A minute of usual events, one each second."""
PLAIN_HTTP: Final = msgspec.structs.replace(SETTINGS, cookie_secure=False)


@dataclass(frozen=True, slots=True)
class Site:
    """A served page, and the way of further events to it."""

    url: str
    home: AgentHome

    def emit(self, events: Sequence[dict[str, Any]], start: str, name: str = "more") -> None:
        """Emit events as an application does, and ship them."""
        write_events(self.home.directory / f"{name}.events", events, start)
        self.home.once()
        with self.home.cluster.client("lifecycle") as lifecycle:
            lifecycle.indices.refresh(index=f"{self.home.index.prefix}-*")

    def address(self, below: str = "") -> str:
        """Return the address of the page, or of what is below it."""
        return f"{self.url}{PATH}{below}"

    def cookie(self, reader: Reader = OWNER) -> dict[str, str]:
        """Return the cookie of somebody who is signed in, as a browser takes it."""
        name, value = session_cookie(reader, PLAIN_HTTP)
        return {"name": name, "value": value, "url": self.url}


@contextmanager
def run_site(cluster: Cluster, directory: Path) -> Generator[Site]:
    """Serve the page over an index of its own."""
    (port,) = free_ports(1)
    with cluster.own_prefix() as index:
        home = AgentHome(directory, cluster, index)
        environ = environment(
            cluster,
            index,
            directory / "home",
            INDELIBLE_WEB_PORT=str(port),
            INDELIBLE_WEB_WORKERS="1",
            INDELIBLE_WEB_COOKIE_SECURE="false",
        )
        with serving(GUNICORN, environ, port, directory / "web.log"):
            try:
                yield Site(f"http://127.0.0.1:{port}", home)
            finally:
                home.close()
