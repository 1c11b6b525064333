"""What the server is started with."""

from pathlib import Path

import msgspec

from node import NodeConfig
from node.layout import Layout
from node.render import collector_options, java_command, render_opensearch

HOME = Path("/home/x/indelible")
LAYOUT = Layout(HOME, HOME, HOME / "cache", "node-1")


def _settings(config: NodeConfig) -> dict[str, object]:
    return msgspec.json.decode(render_opensearch(config, LAYOUT), type=dict[str, object])


def test_it_listens_on_the_loopback_only() -> None:
    settings = _settings(NodeConfig(HOME, http_port=9999))
    assert settings["network.host"] == "127.0.0.1"
    assert settings["http.port"] == 9999
    assert not any(key.endswith(("publish_host", "bind_host")) for key in settings)


def test_audit_indices_are_immutable_and_the_transport_is_encrypted() -> None:
    settings = _settings(NodeConfig(HOME))
    assert settings["plugins.security.compliance.immutable_indices"] == ["audit-*"]
    assert settings["plugins.security.ssl.http.enabled"] is True
    assert settings["plugins.security.ssl.transport.enforce_hostname_verification"] is True
    assert "plugins.security.disabled" not in settings


def test_snapshots_may_lie_in_the_archive_of_the_home_and_nowhere_else() -> None:
    """One directory for all nodes of a home: a filesystem repository must be the same on each."""
    for name in ("node-1", "node-2"):
        assert _settings(NodeConfig(HOME, node_name=name))["path.repo"] == [str(HOME / "archive")]


def test_a_node_alone_is_a_cluster_of_its_own() -> None:
    settings = _settings(NodeConfig(HOME))
    assert settings["discovery.type"] == "single-node"
    assert "discovery.seed_hosts" not in settings


def test_nodes_that_know_each_other_form_one_cluster() -> None:
    config = NodeConfig(
        HOME, seed_hosts=("127.0.0.1:9351", "127.0.0.1:9352"), initial_nodes=("node-1", "node-2")
    )
    settings = _settings(config)
    assert settings["discovery.seed_hosts"] == ["127.0.0.1:9351", "127.0.0.1:9352"]
    assert settings["cluster.initial_cluster_manager_nodes"] == ["node-1", "node-2"]
    assert "discovery.type" not in settings


def test_the_disk_is_watched_in_megabytes() -> None:
    """Shares of a large disk stop a node that has room; none at all would corrupt it."""
    settings = _settings(NodeConfig(HOME))
    prefix = "cluster.routing.allocation.disk"
    assert f"{prefix}.threshold_enabled" not in settings
    stages = [settings[f"{prefix}.watermark.{stage}"] for stage in ("low", "high", "flood_stage")]
    assert stages == ["1536mb", "1024mb", "512mb"]


def test_the_command_line_names_the_node_and_lets_options_win() -> None:
    config = NodeConfig(HOME, heap_megabytes=512, java_options=("-Xmx600m",))
    command = java_command(Path("/jre/bin/java"), HOME / "server-1", config, LAYOUT)
    assert command[0] == "/jre/bin/java"
    assert "-Xms512m" in command
    assert command.index("-Xmx600m") > command.index("-Xmx512m")
    assert command.count(LAYOUT.argument) == 1


def test_garbage_never_fills_the_heap_to_where_opensearch_refuses_requests() -> None:
    """New objects and what is old up to the threshold stay below the breaker's 95 %."""
    assert collector_options(2048) == [
        "-XX:+UseG1GC",
        "-XX:G1ReservePercent=25",
        "-XX:InitiatingHeapOccupancyPercent=30",
        "-XX:MaxNewSize=819m",
    ]
    command = java_command(Path("/java"), HOME / "server-1", NodeConfig(HOME), LAYOUT)
    assert set(collector_options(1024)) < set(command)
