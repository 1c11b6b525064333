"""Whether a node is ready, and what to do about one that is not."""

import os
from pathlib import Path

import pytest

from node.config import NodeConfig
from node.credentials import Credentials
from node.errors import NodeDiedError
from node.layout import find_layout
from node.readiness import Launch, await_users


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
