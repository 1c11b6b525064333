"""Three nodes of one home form one cluster, and it survives the loss of one."""

from dataclasses import replace

import pytest

import node
from node.probe import as_user, decode_health
from tests.cluster import Cluster
from tests.node_home import free_ports, node_config, own_home


@pytest.mark.opensearch
@pytest.mark.slow
def test_three_nodes_form_a_cluster_and_keep_an_event_when_one_is_lost() -> None:
    names = ("node-1", "node-2", "node-3")
    with own_home() as home:
        ports = free_ports(len(names) * 2)
        http_ports, transport_ports = ports[:3], ports[3:]
        first = replace(
            node_config(home, heap_megabytes=384),
            seed_hosts=tuple(f"127.0.0.1:{port}" for port in transport_ports),
            initial_nodes=names,
        )
        configs = [
            replace(first, node_name=name, http_port=http_port, transport_port=transport_port)
            for name, http_port, transport_port in zip(
                names, http_ports, transport_ports, strict=True
            )
        ]
        launched = [node.launch(config) for config in configs]
        running = [
            node.await_ready(config, one) for config, one in zip(configs, launched, strict=True)
        ]
        assert [node.status(config).nodes for config in configs] == [3, 3, 3]

        index = "audit-tcluster-events-2026.11"
        body = {"settings": {"number_of_replicas": 2}, "mappings": {"dynamic": False}}
        with Cluster("", running[0].url, running[0].credentials).client("lifecycle") as lifecycle:
            lifecycle.indices.create(index=index, body=body, wait_for_active_shards="all")
        writer = as_user(running[0].credentials, "audit_writer", http_ports[0])
        answer = writer.ask("PUT", f"/{index}/_create/1", {"action": "a.b"})
        assert answer is not None
        assert answer.status == 201

        assert node.stop(configs[0])
        reader = as_user(running[1].credentials, "audit_reader", http_ports[1])
        answer = reader.ask("GET", f"/{index}/_doc/1")
        assert answer is not None
        assert answer.status == 200
        assert decode_health(reader.ask("GET", "/_cluster/health")) is not None
