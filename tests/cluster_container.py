"""The tests' OpenSearch in a container, with certificates, users and roles as `node` writes them.

Used where Docker answers. Written from the documentation of the image; it has not been run on the
machines this was developed on, which have no Docker.
"""

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from testcontainers.core.container import DockerContainer

import node
from node.credentials import read_credentials
from node.layout import find_layout
from node.preparation import prepare
from node.readiness import Launch, await_users
from tests.cluster import Cluster
from tests.node_home import VERSION, own_home

CONFIG_DIRECTORY: Final = "/usr/share/opensearch/config"
HTTP_PORT: Final = 9200


@cache
def docker_answers() -> bool:
    """Tell whether there is a Docker daemon to ask."""
    program = shutil.which("docker")
    if program is None:
        return False
    command = [program, "version", "--format", "{{.Server.Version}}"]
    try:
        asked = subprocess.run(command, capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


@contextmanager
def run_container() -> Generator[Cluster]:
    """Run one node with what `node` would have written for it."""
    with own_home() as home:
        config = node.NodeConfig(home, http_port=HTTP_PORT)
        layout = find_layout(config)
        prepare(config, layout, None)
        _open_to_all(layout.config)
        settings = layout.config / "opensearch.yml"
        settings.write_bytes(_for_container(settings.read_bytes()))
        container = (
            DockerContainer(f"opensearchproject/opensearch:{VERSION}")
            .with_env("DISABLE_INSTALL_DEMO_CONFIG", "true")
            .with_env("OPENSEARCH_JAVA_OPTS", "-Xms1g -Xmx1g")
            .with_exposed_ports(HTTP_PORT)
        )
        for path in ("opensearch.yml", "node.pem", "node.key", "ca.pem", "opensearch-security"):
            container.with_volume_mapping(
                str(layout.config / path), f"{CONFIG_DIRECTORY}/{path}", "ro"
            )
        with container:
            port = int(container.get_exposed_port(HTTP_PORT))
            credentials = read_credentials(layout.credentials)
            reached = node.NodeConfig(home, http_port=port)
            launch = Launch(pid=0, adopted=True, log_offset=0)
            await_users(reached, layout, credentials, launch, lambda _: None)
            yield Cluster("a container", f"https://127.0.0.1:{port}", credentials)


def _open_to_all(config: Path) -> None:
    """Let the image's user (uid 1000) read what this one wrote."""
    for path in (config, *config.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _for_container(settings: bytes) -> bytes:
    """Let it listen on the container's network; its paths are the image's."""
    content = msgspec.json.decode(settings, type=dict[str, object])
    kept = {key: value for key, value in content.items() if not key.startswith("path.")}
    return msgspec.json.encode({**kept, "network.host": "0.0.0.0"})  # noqa: S104  # inside only
