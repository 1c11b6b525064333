"""What the server is started with: `opensearch.yml`, `log4j2.properties`, the command line.

All pure: a function of the configuration and the paths. No secret is among it.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from node.certificates import ADMIN_NAME, NODE_NAMES
from node.config import NodeConfig
from node.layout import Layout
from node.security import PBKDF2_ITERATIONS

LOOPBACK = "127.0.0.1"
# OpenSearch's defaults are shares of the disk (85, 90, 95 %): on a developer's large disk they stop
# the node with 40 GB free. These protect the same: a merge and the translog find room.
DISK_FLOOD_MEGABYTES = 512
DISK_WATERMARKS = {
    "low": f"{3 * DISK_FLOOD_MEGABYTES}mb",
    "high": f"{2 * DISK_FLOOD_MEGABYTES}mb",
    "flood_stage": f"{DISK_FLOOD_MEGABYTES}mb",
}


def render_opensearch(config: NodeConfig, layout: Layout) -> str:
    """Return `opensearch.yml` (JSON is YAML)."""
    settings: dict[str, object] = {
        "cluster.name": config.cluster_name,
        "node.name": config.node_name,
        "path.data": str(layout.data),
        "path.logs": str(layout.logs),
        "path.repo": [str(layout.archive)],
        "network.host": LOOPBACK,
        "http.port": config.http_port,
        "transport.port": config.transport_port,
        "action.destructive_requires_name": True,
        **{
            f"cluster.routing.allocation.disk.watermark.{stage}": left
            for stage, left in DISK_WATERMARKS.items()
        },
        **_discovery(config),
        **(_security() if config.security else {}),
    }
    return msgspec.json.format(msgspec.json.encode(settings), indent=2).decode() + "\n"


def locate(config: NodeConfig) -> str:
    """Return the URL at which the node answers."""
    return f"{'https' if config.security else 'http'}://{LOOPBACK}:{config.http_port}"


def _discovery(config: NodeConfig) -> Mapping[str, object]:
    if not config.seed_hosts and not config.initial_nodes:
        return {"discovery.type": "single-node"}
    return {
        "discovery.seed_hosts": list(config.seed_hosts),
        "cluster.initial_cluster_manager_nodes": list(config.initial_nodes),
    }


def _security() -> Mapping[str, object]:
    prefix = "plugins.security"
    layers = {
        f"{prefix}.ssl.{layer}.{kind}_filepath": file
        for layer in ("transport", "http")
        for kind, file in (
            ("pemcert", "node.pem"),
            ("pemkey", "node.key"),
            ("pemtrustedcas", "ca.pem"),
        )
    }
    return {
        **layers,
        f"{prefix}.ssl.transport.enforce_hostname_verification": True,
        f"{prefix}.ssl.http.enabled": True,
        f"{prefix}.ssl.http.clientauth_mode": "OPTIONAL",
        f"{prefix}.authcz.admin_dn": [ADMIN_NAME],
        f"{prefix}.nodes_dn": [NODE_NAMES],
        f"{prefix}.allow_default_init_securityindex": True,
        f"{prefix}.system_indices.enabled": True,
        f"{prefix}.compliance.immutable_indices": ["audit-*"],
        f"{prefix}.password.hashing.algorithm": "pbkdf2",
        f"{prefix}.password.hashing.pbkdf2.function": "SHA256",
        f"{prefix}.password.hashing.pbkdf2.iterations": PBKDF2_ITERATIONS,
        f"{prefix}.password.hashing.pbkdf2.length": 256,
    }


def render_log4j() -> str:
    """Return `log4j2.properties`: one file of at most 10 MB, and three older ones."""
    file = "${sys:opensearch.logs.base_path}${sys:file.separator}server"
    return f"""\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {file}.log
appender.file.filePattern = {file}.%i.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = [%d{{ISO8601}}][%-5p][%c{{1.}}] %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


YOUNG_SHARE = 0.4


def collector_options(heap_megabytes: int) -> list[str]:
    """Return how the heap is kept clear of what OpenSearch refuses requests for.

    Its parent breaker answers 429 from 95 % of the heap on, garbage included. Left to itself G1
    lets new objects fill 60 % of it before it collects, and that beside what is old: with 1 GiB,
    217 MB of which were in use, some of each few hundred searches were refused (tried on 3.4.0).
    Reserve and threshold are those of OpenSearch's own `jvm.options`; they were not enough.
    """
    return [
        # With one core it would be another one, which the breaker cannot ask to collect.
        "-XX:+UseG1GC",
        "-XX:G1ReservePercent=25",
        "-XX:InitiatingHeapOccupancyPercent=30",
        f"-XX:MaxNewSize={int(heap_megabytes * YOUNG_SHARE)}m",
    ]


def java_command(java: Path, server: Path, config: NodeConfig, layout: Layout) -> list[str]:
    """Return the command line; `process.find` knows the node again by its `path.conf`."""
    return [
        str(java),
        f"-Xms{config.heap_megabytes}m",
        f"-Xmx{config.heap_megabytes}m",
        # Deep JSON is parsed by recursion, and a stack overflow ends the whole server.
        "-Xss4m",
        *collector_options(config.heap_megabytes),
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Dfile.encoding=UTF-8",
        "-Djava.awt.headless=true",
        "-Dopensearch.networkaddress.cache.ttl=60",
        "-Dlog4j2.disable.jmx=true",
        "-Dlog4j.shutdownHookEnabled=false",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        f"-Djava.io.tmpdir={layout.temporary}",
        f"-Djna.tmpdir={layout.temporary}",
        f"-javaagent:{server / 'agent' / f'opensearch-agent-{config.version}.jar'}",
        f"-Dopensearch.path.home={server}",
        layout.argument,
        "-Dopensearch.distribution.type=tar",
        *config.java_options,
        "-cp",
        f"{server / 'lib'}/*",
        "org.opensearch.bootstrap.OpenSearch",
    ]
