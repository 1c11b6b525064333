"""What there is to call: the node's handlers and opensearch-py's methods, by one spelling.

A call is known by its method and the fixed words of its path: `POST /_bulk` and `PUT
/{index}/_bulk` are the same action, for one index or for all.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Final

import opensearchpy

from tests.rest_calls import CALLS
from tests.rest_routes import CHANGING

Key = tuple[str, tuple[str, ...]]

HARMLESS: Final = {
    "asks, and needs a body to ask with": (
        "POST /_search",
        "POST /_search/scroll",
        "POST /_msearch",
        "POST /_mget",
        "POST /_count",
        "POST /_explain",
        "POST /_field_caps",
        "POST /_termvectors",
        "POST /_mtermvectors",
        "POST /_search_shards",
        "POST /_validate/query",
        "POST /_analyze",
        "POST /_rank_eval",
        "POST /_cluster/allocation/explain",
    ),
    "renders or tries out, and stores nothing": (
        "POST /_render/template",
        "POST /_search/template",
        "POST /_msearch/template",
        "POST /_scripts/painless/_execute",
        "POST /_index_template/_simulate",
        "POST /_index_template/_simulate_index",
        "POST /_ingest/pipeline/_simulate",
    ),
    "has no handler any more; opensearch-py still has the method": (
        "POST /_plugins/_security/api/migrate",
        "PUT /_plugins/_security/api/cache",
    ),
    "tells who asks": (
        "POST /_plugins/_security/authinfo",
        "POST /_plugins/_security/health",
        "POST /_plugins/_security/whoami",
        "POST /_plugins/_security/dashboardsinfo",
        "POST /_plugins/_security/kibanainfo",
        "POST /_plugins/_security/tenantinfo",
    ),
    "new in OpenSearch 3.8.0, about what the log has none of; no role has the action": (
        "POST /_blockcache/prune",
        "POST /_data_stream/_modify",
        "POST /_tier/_cancel",
    ),
    "lives in the memory of the request": (
        "POST /_plugins/_security/api/authtoken",
        "POST /_plugins/_security/authtoken",
    ),
}
"""Calls by POST and the like that change nothing, and why."""

ABSENT: Final = {
    "a view is a saved name for a search of indices that one may search": ("views",),
    "an extension must be switched on in opensearch.yml": ("_extensions",),
    "machines of Elasticsearch, gone from OpenSearch 1.0": ("_features",),
    "workload groups limit who asks too much; a plugin": ("_wlm",),
    "a plugin that the log does not use; no role has an action of it": (
        "_plugins/_alerting",
        "_plugins/_anomaly_detection",
        "_plugins/_asynchronous_search",
        "_plugins/_flow_framework",
        "_plugins/_knn",
        "_plugins/_ml",
        "_plugins/_neural",
        "_plugins/_notifications",
        "_plugins/_observability",
        "_plugins/_ppl",
        "_plugins/_query",
        "_plugins/_replication",
        "_plugins/_rollup",
        "_plugins/_search_relevance",
        "_plugins/_security_analytics",
        "_plugins/_sql",
        "_plugins/_transform",
        "_plugins/_sm",
        "_plugins/geospatial",
        "_plugins/ubi",
        "_ltr",
    ),
    "ISM: the roles say by name who may do what; the plugin is not among the embedded node's": (
        "_plugins/_ism",
    ),
}
"""Beginnings of paths that the embedded node has no working handler for, and why."""


def spell(route: str) -> Key:
    """Return the one spelling of `METHOD /path/{placeholder}`."""
    method, path = route.split()
    words = tuple(word for word in path.split("/") if word and not word.startswith("{"))
    return ("PUT" if method == "POST" else method), words


def find_unplaced(routes: set[str]) -> list[str]:
    """Return the routes that neither the table nor the lists above speak of."""
    placed = {spell(call.route) for call in CALLS}
    placed |= {spell(route) for routes in HARMLESS.values() for route in routes}
    absent = tuple(f"/{beginning}" for some in ABSENT.values() for beginning in some)
    return sorted(
        route
        for route in routes
        if spell(route) not in placed and not route.split()[1].startswith(absent)
    )


def read_client_routes() -> set[str]:
    """Return `METHOD /path` of every method of opensearch-py that may change something."""
    client = opensearchpy.OpenSearch()
    parts = [client, *(getattr(client, name) for name in dir(client) if not name.startswith("_"))]
    found: set[str] = set()
    for part in parts:
        kind = type(part)
        if kind.__module__.startswith("opensearchpy."):
            for name, function in inspect.getmembers(kind, inspect.isfunction):
                if not name.startswith("_"):
                    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
                    found.update(_read_function(ast.parse(source)))
    return found


def _read_function(tree: ast.AST) -> Iterator[str]:
    """A method sends `perform_request("PUT", path)`; the path is text, or made of parts."""
    assigned = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("perform_request"):
            if len(node.args) < 2:
                # Handed on: the client's own `http.put(url)` and the like, which are any call.
                continue
            method, path = node.args[:2]
            if isinstance(path, ast.Name):
                path = assigned.get(path.id, path)
            if isinstance(path, ast.Name):
                continue
            for verb in re.findall("'([A-Z]+)'", ast.unparse(method)):
                if verb in CHANGING:
                    yield f"{verb} {_read_path(path)}"


def _read_path(path: ast.expr) -> str:
    if isinstance(path, ast.Constant):
        return str(path.value)
    assert isinstance(path, ast.Call), ast.unparse(path)
    words = (str(one.value) if isinstance(one, ast.Constant) else "{}" for one in path.args)
    return "/" + "/".join(words)
