"""Too little memory, too little disk, a taken port: said before the node is started."""

import os
import socket
from pathlib import Path

import pytest

from node.errors import PortTakenError, ResourceError
from node.ports import check_port, find_holder
from node.resources import available_megabytes, check_disk, check_memory


@pytest.mark.parametrize(
    ("available", "enough"),
    [
        pytest.param(1023 + 384, False, id="a megabyte short"),
        pytest.param(1024 + 384, True, id="just enough"),
        pytest.param(None, True, id="nothing tells"),
    ],
)
def test_memory_must_hold_heap_and_what_java_needs_beside_it(
    available: int | None, *, enough: bool
) -> None:
    if enough:
        check_memory(1024, available)
        return
    with pytest.raises(ResourceError, match="needs 1408 MiB, 1407 MiB are available") as caught:
        check_memory(1024, available)
    assert "INDELIBLE_NODE_HEAP_MEGABYTES" in caught.value.hint


def test_a_disk_on_which_events_would_be_refused_at_once_is_refused_first() -> None:
    check_disk(Path("/data"), 1024)
    with pytest.raises(ResourceError, match="/data has 1023 MiB free") as caught:
        check_disk(Path("/data"), 1023)
    assert "INDELIBLE_HOME" in caught.value.hint


def test_this_machine_says_how_much_memory_it_has() -> None:
    found = available_megabytes()
    assert found is None or 0 < found < 1 << 24


def test_a_taken_port_is_named_with_its_holder_and_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} cannot be had") as caught:
            check_port("http_port", port)
        assert "INDELIBLE_NODE_HTTP_PORT" in caught.value.hint
        if Path("/proc/net/tcp").exists():
            assert f"({os.getpid()})" in str(caught.value)
    check_port("http_port", port)
    assert find_holder(port) is None
