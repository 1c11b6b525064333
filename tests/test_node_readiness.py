"""Whether a node is ready, and what to do about one that is not."""

import os
from pathlib import Path

import pytest

from node.config import NodeConfig
from node.credentials import Credentials, have_credentials
from node.errors import NodeDiedError
from node.layout import find_layout
from node.lifecycle import await_ready
from node.probe import Probe
from node.readiness import START_TIMEOUT_SECONDS, Launch, await_users
from tests.node_home import own_home


def test_a_node_that_is_slow_is_waited_on_and_not_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.readiness.START_TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr("node.process.find", lambda _argument: os.getpid())
    config = NodeConfig(home=tmp_path, http_port=9, security=False)
    nobody = Credentials(
        users={}, ca_file=tmp_path, admin_cert_file=tmp_path, admin_key_file=tmp_path
    )
    launch = Launch(pid=os.getpid(), adopted=False, log_offset=0)
    with pytest.raises(NodeDiedError, match="does not answer after") as caught:
        await_users(config, find_layout(config), nobody, launch, lambda _progress: None)
    assert "wait on: indelible node start" in caught.value.hint


def test_the_roles_are_written_with_the_patience_of_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that answered once may take longer than 30 s for the next answer."""
    patience: list[float] = []
    monkeypatch.setattr("node.lifecycle.await_users", lambda *_: None)
    monkeypatch.setattr("node.lifecycle.as_admin", lambda _known, port: Probe(port, None, {}))
    monkeypatch.setattr(
        "node.lifecycle.renew_roles", lambda admin, _users: patience.append(admin.timeout_seconds)
    )
    with own_home() as home:
        config = NodeConfig(home=home, http_port=9)
        have_credentials(find_layout(config))
        await_ready(config, Launch(pid=os.getpid(), adopted=False, log_offset=0))
    assert patience == [START_TIMEOUT_SECONDS]
