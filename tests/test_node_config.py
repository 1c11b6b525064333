"""A configuration that cannot work is refused before anything is done."""

from pathlib import Path

import pytest

from node import NodeConfig
from node.errors import ConfigError


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"node_name": "../x"}, "'../x'", id="a path as a name"),
        pytest.param({"node_name": ""}, "''", id="no name"),
        pytest.param({"cluster_name": "A b"}, "'A b'", id="a name with a space"),
        pytest.param({"initial_nodes": ("node-1", "*")}, "'\\*'", id="a pattern among the nodes"),
        pytest.param({"http_port": 0}, "0 is not a port", id="port 0"),
        pytest.param({"transport_port": 65536}, "65536 is not a port", id="port too large"),
        pytest.param({"http_port": 9350}, "both HTTP and transport", id="the same port twice"),
        pytest.param({"version": "1.0.0"}, "1.0.0 cannot be put together", id="another version"),
        pytest.param({"heap_megabytes": 100}, "100 MiB is too small", id="small heap"),
    ],
)
def test_it_names_what_is_wrong(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        NodeConfig(Path("/x"), **change)  # type: ignore[arg-type]  # one field at a time
    assert caught.value.hint


def test_the_defaults_are_one_node_on_the_documented_ports() -> None:
    config = NodeConfig(Path("/x"))
    assert (config.http_port, config.transport_port) == (9250, 9350)
    assert config.node_name == "node-1"
