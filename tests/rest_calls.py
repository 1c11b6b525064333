"""Every call of OpenSearch's REST interface that changes something, and who may make it.

The table is held against the node's own handlers and against the methods of opensearch-py, so a
call that a newer version adds has to find its place here. `docs/threat-model.md` shows it.
"""

from dataclasses import dataclass
from typing import Final

IDENTITIES: Final = {
    "W": "audit_writer",
    "R": "audit_reader",
    "L": "audit_lifecycle",
    "D": "audit_deletion",
    "A": "audit_auditor",
    "P": "administrator",
    "C": "the admin certificate",
}
"""The columns: five roles, a user with every permission, and who holds the certificate."""

REFUSED, IMMUTABLE, ENGINE, DONE, ALTERS, OTHERWISE = "-", "i", "e", "y", "!", "o"
MEANINGS: Final = {
    REFUSED: "refused: no permission",
    IMMUTABLE: "refused: the index is immutable (`immutable_indices`)",
    ENGINE: "refused by the engine: `index.append_only`, or the id is there (409)",
    DONE: "done; what is stored and shown of the events stays the same",
    ALTERS: "**done, and events change, go, come or are not shown any more**",
    OTHERWISE: "not refused for who asks; cannot be done on this cluster",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `route` as the node's handler has it, and what each identity gets.

    `cells` has a letter of `MEANINGS` for each of `IDENTITIES`. `path` is where the route's own
    placeholders are not enough; `undo` is what the certificate sends afterwards.
    """

    group: str
    name: str
    route: str
    cells: str
    body: str | None = None
    path: str | None = None
    undo: tuple[str, str, str | None] | None = None

    @property
    def method(self) -> str:
        """The method of the route."""
        return self.route.split()[0]

    @property
    def target(self) -> str:
        """The path, with the placeholders that `World.fill` knows."""
        return self.path or self.route.split()[1]


FORGED: Final = '{"action":"forged.event","organizationId":"org_1"}'
SECURITY: Final = "/_plugins/_security/api"
PAINLESS: Final = '{"script":{"lang":"painless","source":"ctx._source.action=\'x\'"}}'
SCRIPT: Final = '{"script":{"lang":"mustache","source":"{}"}}'
PATCH_DESCRIPTION: Final = '[{"op":"add","path":"/description","value":"x"}]'


def _group(group: str, *rows: tuple[object, ...]) -> list[Call]:
    return [Call(group, *row) for row in rows]  # type: ignore[arg-type]  # rows are as the fields


CALLS: Final = [
    *_group(
        "documents",
        ("create an event", "PUT /{index}/_create/{id}", "???????", FORGED, "/{index}/_create/new"),
        ("create over an id", "PUT /{index}/_create/{id}", "???????", FORGED),
        ("index over an id", "PUT /{index}/_doc/{id}", "???????", FORGED),
        ("index without an id", "POST /{index}/_doc", "???????", FORGED),
        ("update", "POST /{index}/_update/{id}", "???????", '{"doc":{"action":"x"}}'),
        ("delete", "DELETE /{index}/_doc/{id}", "???????"),
        (
            "bulk create",
            "POST /_bulk",
            "???????",
            '{"create":{"_index":"{index}","_id":"new"}}\n' + FORGED + "\n",
        ),
        (
            "bulk create in the journal",
            "POST /_bulk",
            "???????",
            '{"create":{"_index":"{prefix}-journal","_id":"new"}}\n' + FORGED + "\n",
        ),
        (
            "bulk index over an id",
            "POST /_bulk",
            "???????",
            '{"index":{"_index":"{index}","_id":"{id}"}}\n' + FORGED + "\n",
        ),
        (
            "bulk update",
            "POST /_bulk",
            "???????",
            '{"update":{"_index":"{index}","_id":"{id}"}}\n{"doc":{"action":"x"}}\n',
        ),
        ("bulk delete", "POST /_bulk", "???????", '{"delete":{"_index":"{index}","_id":"{id}"}}\n'),
        ("delete in the journal", "DELETE /{index}/_doc/{id}", "???????", None, "/{prefix}-journal/_doc/{id}"),
        ("stream of a bulk", "POST /_bulk/stream", "???????", '{"delete":{"_index":"{index}","_id":"{id}"}}\n'),
        ("delete by query", "POST /{index}/_delete_by_query", "???????", '{"query":{"match_all":{}}}', "/{index}/_delete_by_query?conflicts=proceed"),
        ("update by query", "POST /{index}/_update_by_query", "???????", None, "/{index}/_update_by_query?conflicts=proceed"),
        (
            "reindex out of it",
            "POST /_reindex",
            "???????",
            '{"source":{"index":"{index}"},"dest":{"index":"{prefix}-copy"}}',
        ),
        (
            "reindex into it",
            "POST /_reindex",
            "???????",
            '{"conflicts":"proceed","source":{"index":"{prefix}-journal"},"dest":{"index":"{index}"}}',
        ),
        ("throttle a reindex", "POST /_reindex/{taskId}/_rethrottle", "???????", None, "/_reindex/{node}:1/_rethrottle?requests_per_second=1"),
        ("throttle an update by query", "POST /_update_by_query/{taskId}/_rethrottle", "???????", None, "/_update_by_query/{node}:1/_rethrottle?requests_per_second=1"),
        ("throttle a delete by query", "POST /_delete_by_query/{taskId}/_rethrottle", "???????", None, "/_delete_by_query/{node}:1/_rethrottle?requests_per_second=1"),
    ),
    *_group(
        "indices",
        ("create a partition", "PUT /{index}", "???????", None, "/{prefix}-events-2031.01"),
        ("create a journal", "PUT /{index}", "???????", None, "/{prefix}-x-journal"),
        ("create another index", "PUT /{index}", "???????", None, "/other-{prefix}"),
        ("delete a partition", "DELETE /{index}", "???????"),
        ("delete the journal", "DELETE /{index}", "???????", None, "/{prefix}-journal"),
        ("delete the control index", "DELETE /{index}", "???????", None, "/indelible-{prefix}-control"),
        ("delete by wildcard", "DELETE /{index}", "???????", None, "/{prefix}-*"),
        ("close", "POST /{index}/_close", "???????"),
        ("open", "POST /{index}/_open", "???????"),
        ("rollover", "POST /{index}/_rollover", "???????", None, "/{prefix}-alias/_rollover/{prefix}-events-2032.01"),
        ("shrink", "PUT /{index}/_shrink/{target}", "???????", '{"settings":{"index.blocks.write":null}}', "/{index}/_shrink/{prefix}-small"),
        ("split", "PUT /{index}/_split/{target}", "???????", '{"settings":{"index.number_of_shards":2}}', "/{index}/_split/{prefix}-large"),
        ("clone", "PUT /{index}/_clone/{target}", "???????", None, "/{index}/_clone/{prefix}-clone"),
        ("scale", "POST /{index}/_scale", "???????", '{"search_only":true}'),
        ("tier", "POST /{index}/_tier/warm", "???????"),
        ("block writes", "PUT /{index}/_block/{block}", "???????", None, "/{index}/_block/write", ("PUT", "/{index}/_settings", '{"index.blocks.write":null}')),
        ("block reads", "PUT /{index}/_block/{block}", "???????", None, "/{index}/_block/read", ("PUT", "/{index}/_settings", '{"index.blocks.read":null}')),
        ("refresh", "POST /{index}/_refresh", "???????"),
        ("flush", "POST /{index}/_flush", "???????"),
        ("synced flush", "POST /{index}/_flush/synced", "???????"),
        ("force merge", "POST /{index}/_forcemerge", "???????"),
        ("upgrade segments", "POST /{index}/_upgrade", "???????"),
        ("clear caches", "POST /{index}/_cache/clear", "???????"),
        ("pause ingestion", "POST /{index}/ingestion/_pause", "???????"),
        ("resume ingestion", "POST /{index}/ingestion/_resume", "???????", "{}"),
    ),
    *_group(
        "aliases",
        ("add an alias", "POST /_aliases", "???????", '{"actions":[{"add":{"index":"{index}","alias":"{prefix}-new"}}]}'),
        (
            "an alias of a partition's name that is to be",
            "POST /_aliases",
            "???????",
            '{"actions":[{"add":{"index":"{index}","alias":"{prefix}-events-2033.01","is_write_index":true}}]}',
            None,
            ("DELETE", "/{index}/_alias/{prefix}-events-2033.01", None),
        ),
        ("put an alias with a filter", "PUT /{index}/_alias/{name}", "???????", '{"filter":{"term":{"action":"x"}}}', "/{index}/_alias/{prefix}-filtered"),
        ("remove an alias", "DELETE /{index}/_alias/{name}", "???????", None, "/{index}/_alias/{prefix}-alias", ("PUT", "/{index}/_alias/{prefix}-alias", '{"is_write_index":true}')),
        ("remove an alias, in the other spelling", "DELETE /{index}/_aliases/{name}", "???????", None, "/{index}/_aliases/{prefix}-alias", ("PUT", "/{index}/_alias/{prefix}-alias", '{"is_write_index":true}')),
        ("delete an index by an alias action", "POST /_aliases", "???????", '{"actions":[{"remove_index":{"index":"{index}"}}]}'),
    ),
    *_group(
        "settings",
        ("lift the write block", "PUT /{index}/_settings", "???????", '{"index.blocks.write":null}'),
        ("replicas", "PUT /{index}/_settings", "???????", '{"index.number_of_replicas":0}'),
        ("let go of append-only", "PUT /{index}/_settings", "???????", '{"index.append_only.enabled":false}'),
        ("hide a partition", "PUT /{index}/_settings", "???????", '{"index.hidden":true}', None, ("PUT", "/{index}/_settings", '{"index.hidden":null}')),
        ("an ingest pipeline for it", "PUT /{index}/_settings", "???????", '{"index.final_pipeline":"{prefix}-none"}', None, ("PUT", "/{index}/_settings", '{"index.final_pipeline":null}')),
        ("a search pipeline for it", "PUT /{index}/_settings", "???????", '{"index.search.default_pipeline":"{prefix}-cut"}', None, ("PUT", "/{index}/_settings", '{"index.search.default_pipeline":null}')),
    ),
    *_group(
        "mappings",
        ("add a field", "PUT /{index}/_mapping", "???????", '{"properties":{"x":{"type":"keyword"}}}'),
        ("add a field, in the other spelling", "PUT /{index}/_mappings", "???????", '{"properties":{"y":{"type":"keyword"}}}'),
        ("leave fields out of _source", "PUT /{index}/_mapping", "???????", '{"_source":{"excludes":["action"]}}'),
        ("a derived field of a stored name", "PUT /{index}/_mapping", "???????", '{"derived":{"action":{"type":"keyword","script":{"source":"emit(1)"}}}}'),
    ),
    *_group(
        "templates",
        ("change the index template", "PUT /_index_template/{name}", "???????", '{"index_patterns":["{prefix}-none-*"],"priority":500}', "/_index_template/{prefix}-events"),
        (
            "a template of a higher priority",
            "PUT /_index_template/{name}",
            "???????",
            '{"index_patterns":["{prefix}-events-*"],"priority":900,"template":{"mappings":{"_source":{"enabled":false}}}}',
            "/_index_template/{prefix}-over",
            ("DELETE", "/_index_template/{prefix}-over", None),
        ),
        (
            "a data stream's template of a higher priority",
            "PUT /_index_template/{name}",
            "???????",
            '{"index_patterns":["{prefix}-events-*"],"priority":901,"data_stream":{}}',
            "/_index_template/{prefix}-stream",
            ("DELETE", "/_index_template/{prefix}-stream", None),
        ),
        ("delete the index template", "DELETE /_index_template/{name}", "???????", None, "/_index_template/{prefix}-spare"),
        ("put a component template", "PUT /_component_template/{name}", "???????", '{"template":{}}', "/_component_template/{prefix}-part"),
        ("delete a component template", "DELETE /_component_template/{name}", "???????", None, "/_component_template/{prefix}-spare"),
        ("put an old template", "PUT /_template/{name}", "???????", '{"index_patterns":["{prefix}-older-*"]}', "/_template/{prefix}-old"),
        ("delete an old template", "DELETE /_template/{name}", "???????", None, "/_template/{prefix}-spare"),
    ),
    *_group(
        "data streams",
        ("create", "PUT /_data_stream/{name}", "???????", None, "/_data_stream/{prefix}-flow-x"),
        ("delete", "DELETE /_data_stream/{name}", "???????", None, "/_data_stream/{prefix}-flow-y"),
    ),
    *_group(
        "pipelines and scripts",
        ("put an ingest pipeline", "PUT /_ingest/pipeline/{id}", "???????", '{"processors":[]}', "/_ingest/pipeline/{prefix}-in"),
        ("delete an ingest pipeline", "DELETE /_ingest/pipeline/{id}", "???????", None, "/_ingest/pipeline/{prefix}-spare"),
        ("put a search pipeline", "PUT /_search/pipeline/{id}", "???????", '{"request_processors":[]}', "/_search/pipeline/{prefix}-sp"),
        ("delete a search pipeline", "DELETE /_search/pipeline/{id}", "???????", None, "/_search/pipeline/{prefix}-spare"),
        ("put a script", "PUT /_scripts/{id}", "???????", SCRIPT, "/_scripts/{prefix}-s"),
        ("delete a script", "DELETE /_scripts/{id}", "???????", None, "/_scripts/{prefix}-spare"),
    ),
    *_group(
        "tasks and contexts",
        ("cancel tasks", "POST /_tasks/_cancel", "???????", None, "/_tasks/_cancel?actions=none*"),
        ("clear a scroll", "DELETE /_search/scroll", "???????", '{"scroll_id":"{scroll}"}'),
        ("open a point in time", "POST /{index}/_search/point_in_time", "???????", None, "/{index}/_search/point_in_time?keep_alive=1m"),
        ("delete points in time", "DELETE /_search/point_in_time", "???????", '{"pit_id":["{pit}"]}'),
        ("delete everybody's points in time", "DELETE /_search/point_in_time/_all", "???????"),
    ),
    *_group(
        "the cluster",
        ("settings", "PUT /_cluster/settings", "???????", '{"transient":{"cluster.max_shards_per_node":2000}}'),
        ("reroute", "POST /_cluster/reroute", "???????", '{"commands":[]}'),
        ("take an empty shard for primary", "POST /_cluster/reroute", "???????", '{"commands":[{"allocate_empty_primary":{"index":"{index}","shard":0,"node":"node-1","accept_data_loss":true}}]}'),
        ("exclude from voting", "POST /_cluster/voting_config_exclusions", "???????", None, "/_cluster/voting_config_exclusions?node_names=ghost&timeout=1s"),
        ("end exclusions from voting", "DELETE /_cluster/voting_config_exclusions", "???????", None, "/_cluster/voting_config_exclusions?wait_for_removal=false"),
        ("decommission", "PUT /_cluster/decommission/awareness/{awareness_attribute_name}/{awareness_attribute_value}", "???????", None, "/_cluster/decommission/awareness/zone/a"),
        ("end a decommission", "DELETE /_cluster/decommission/awareness", "???????"),
        ("weigh routing", "PUT /_cluster/routing/awareness/{attribute}/weights", "???????", '{"weights":{"a":"1"},"_version":-1}', "/_cluster/routing/awareness/zone/weights"),
        ("end weighing", "DELETE /_cluster/routing/awareness/weights", "???????"),
        ("reload secure settings", "POST /_nodes/reload_secure_settings", "???????"),
        ("prune the file cache", "POST /_filecache/prune", "???????"),
        ("import a dangling index", "POST /_dangling/{index_uuid}", "???????", None, "/_dangling/abcdefghijklmnopqrstuv?accept_data_loss=true"),
        ("delete a dangling index", "DELETE /_dangling/{index_uuid}", "???????", None, "/_dangling/abcdefghijklmnopqrstuv?accept_data_loss=true"),
        ("restore from a remote store", "POST /_remotestore/_restore", "???????", '{"indices":["{index}"]}'),
    ),
    *_group(
        "snapshots",
        ("register a repository", "PUT /_snapshot/{repository}", "???????", '{"type":"fs","settings":{"location":"{prefix}-second"}}', "/_snapshot/{prefix}-second"),
        ("forget a repository", "DELETE /_snapshot/{repository}", "???????", None, "/_snapshot/{prefix}-spare"),
        ("clean a repository up", "POST /_snapshot/{repository}/_cleanup", "???????", None, "/_snapshot/{prefix}-repo/_cleanup"),
        ("verify a repository", "POST /_snapshot/{repository}/_verify", "???????", None, "/_snapshot/{prefix}-repo/_verify"),
        ("take a snapshot", "PUT /_snapshot/{repository}/{snapshot}", "???????", '{"indices":"{index}"}', "/_snapshot/{prefix}-repo/{fresh}?wait_for_completion=true"),
        ("clone a snapshot", "PUT /_snapshot/{repository}/{snapshot}/_clone/{target_snapshot}", "???????", '{"indices":"{index}"}', "/_snapshot/{prefix}-repo/first/_clone/{fresh}"),
        ("delete a snapshot", "DELETE /_snapshot/{repository}/{snapshot}", "???????", None, "/_snapshot/{prefix}-repo/first"),
        ("restore over a partition", "POST /_snapshot/{repository}/{snapshot}/_restore", "???????", '{"indices":"{index}"}', "/_snapshot/{prefix}-repo/first/_restore?wait_for_completion=true"),
        (
            "restore as another partition",
            "POST /_snapshot/{repository}/{snapshot}/_restore",
            "???????",
            '{"indices":"{index}","rename_pattern":".+","rename_replacement":"{prefix}-events-2034.01"}',
            "/_snapshot/{prefix}-repo/first/_restore?wait_for_completion=true",
        ),
        (
            "restore without append-only",
            "POST /_snapshot/{repository}/{snapshot}/_restore",
            "???????",
            '{"indices":"{index}","rename_pattern":".+","rename_replacement":"{prefix}-events-2035.01","index_settings":{"index.append_only.enabled":false}}',
            "/_snapshot/{prefix}-repo/first/_restore?wait_for_completion=true",
        ),
        (
            "restore for verification",
            "POST /_snapshot/{repository}/{snapshot}/_restore",
            "???????",
            '{"indices":"{index}","rename_pattern":".+","rename_replacement":"indelible-{prefix}-verify-{fresh}"}',
            "/_snapshot/{prefix}-repo/first/_restore?wait_for_completion=true",
        ),
    ),
    *_group(
        "the security plugin",
        ("put a user", f"PUT {SECURITY}/internalusers/{{name}}", "???????", '{"password":"Correct-horse-battery-1"}', f"{SECURITY}/internalusers/{{prefix}}-m"),
        ("delete a user", f"DELETE {SECURITY}/internalusers/{{name}}", "???????", None, f"{SECURITY}/internalusers/{{prefix}}-spare"),
        ("patch a user", f"PATCH {SECURITY}/internalusers/{{name}}", "???????", PATCH_DESCRIPTION, f"{SECURITY}/internalusers/spare"),
        ("patch users", f"PATCH {SECURITY}/internalusers", "???????", '[{"op":"add","path":"/spare/description","value":"x"}]'),
        ("a user's token", f"POST {SECURITY}/internalusers/{{name}}/authtoken", "???????", None, f"{SECURITY}/internalusers/spare/authtoken"),
        ("put a user, as it was called", f"PUT {SECURITY}/user/{{name}}", "???????", '{"password":"Correct-horse-battery-1"}', f"{SECURITY}/user/{{prefix}}-n"),
        ("delete a user, as it was called", f"DELETE {SECURITY}/user/{{name}}", "???????", None, f"{SECURITY}/user/{{prefix}}-spare"),
        ("a user's token, as it was called", f"POST {SECURITY}/user/{{name}}/authtoken", "???????", None, f"{SECURITY}/user/spare/authtoken"),
        ("put a role", f"PUT {SECURITY}/roles/{{name}}", "???????", '{"cluster_permissions":["*"]}', f"{SECURITY}/roles/{{prefix}}-m"),
        ("widen a role of the log", f"PUT {SECURITY}/roles/{{name}}", "???????", '{"cluster_permissions":["*"]}', f"{SECURITY}/roles/audit_writer"),
        ("delete a role", f"DELETE {SECURITY}/roles/{{name}}", "???????", None, f"{SECURITY}/roles/{{prefix}}-spare"),
        ("patch a role", f"PATCH {SECURITY}/roles/{{name}}", "???????", PATCH_DESCRIPTION, f"{SECURITY}/roles/spare"),
        ("patch roles", f"PATCH {SECURITY}/roles", "???????", '[{"op":"add","path":"/spare/description","value":"x"}]'),
        ("map a role", f"PUT {SECURITY}/rolesmapping/{{name}}", "???????", '{"users":["spare"]}', f"{SECURITY}/rolesmapping/spare"),
        ("delete a mapping", f"DELETE {SECURITY}/rolesmapping/{{name}}", "???????", None, f"{SECURITY}/rolesmapping/{{prefix}}-spare"),
        ("patch a mapping", f"PATCH {SECURITY}/rolesmapping/{{name}}", "???????", PATCH_DESCRIPTION, f"{SECURITY}/rolesmapping/spare"),
        ("patch mappings", f"PATCH {SECURITY}/rolesmapping", "???????", '[{"op":"add","path":"/spare/description","value":"x"}]'),
        ("put an action group", f"PUT {SECURITY}/actiongroups/{{name}}", "???????", '{"allowed_actions":["indices:data/read/get"]}', f"{SECURITY}/actiongroups/group-spare"),
        ("put an action group, as it was called", f"PUT {SECURITY}/actiongroup/{{name}}", "???????", '{"allowed_actions":["indices:data/read/get"]}', f"{SECURITY}/actiongroup/group-spare"),
        ("delete an action group", f"DELETE {SECURITY}/actiongroups/{{name}}", "???????", None, f"{SECURITY}/actiongroups/group-{{prefix}}-spare"),
        ("delete an action group, as it was called", f"DELETE {SECURITY}/actiongroup/{{name}}", "???????", None, f"{SECURITY}/actiongroup/group-{{prefix}}-spare"),
        ("patch an action group", f"PATCH {SECURITY}/actiongroups/{{name}}", "???????", PATCH_DESCRIPTION, f"{SECURITY}/actiongroups/group-spare"),
        ("put a tenant", f"PUT {SECURITY}/tenants/{{name}}", "???????", '{"description":"x"}', f"{SECURITY}/tenants/spare"),
        ("delete a tenant", f"DELETE {SECURITY}/tenants/{{name}}", "???????", None, f"{SECURITY}/tenants/{{prefix}}-spare"),
        ("patch a tenant", f"PATCH {SECURITY}/tenants/{{name}}", "???????", PATCH_DESCRIPTION, f"{SECURITY}/tenants/spare"),
        ("tenancy", f"PUT {SECURITY}/tenancy/config", "???????", '{"multitenancy_enabled":true}'),
        ("the plugin's configuration", f"PUT {SECURITY}/securityconfig/config", "???????", "{}"),
        ("patch the plugin's configuration", f"PATCH {SECURITY}/securityconfig", "???????", "[]"),
        ("limiters of logins", f"PUT {SECURITY}/authfailurelisteners/{{name}}", "???????", "{}", f"{SECURITY}/authfailurelisteners/spare"),
        ("delete a limiter of logins", f"DELETE {SECURITY}/authfailurelisteners/{{name}}", "???????", None, f"{SECURITY}/authfailurelisteners/spare"),
        ("names of nodes", f"PUT {SECURITY}/nodesdn/{{name}}", "???????", '{"nodes_dn":["CN=x"]}', f"{SECURITY}/nodesdn/spare"),
        ("delete names of nodes", f"DELETE {SECURITY}/nodesdn/{{name}}", "???????", None, f"{SECURITY}/nodesdn/{{prefix}}-spare"),
        ("patch names of nodes", f"PATCH {SECURITY}/nodesdn", "???????", "[]"),
        ("the allow list", f"PUT {SECURITY}/allowlist", "???????", '{"enabled":false,"requests":{}}'),
        ("patch the allow list", f"PATCH {SECURITY}/allowlist", "???????", "[]"),
        ("the plugin's own audit", f"PUT {SECURITY}/audit/config", "???????", "{}"),
        ("patch the plugin's own audit", f"PATCH {SECURITY}/audit", "???????", "[]"),
        ("flush the plugin's cache", f"DELETE {SECURITY}/cache", "???????"),
        ("flush a user's cache", f"DELETE {SECURITY}/cache/user/{{username}}", "???????", None, f"{SECURITY}/cache/user/spare"),
        ("reload certificates", f"PUT {SECURITY}/ssl/{{certType}}/reloadcerts", "???????", None, f"{SECURITY}/ssl/http/reloadcerts"),
        ("reload certificates of HTTP", f"PUT {SECURITY}/ssl/http/reloadcerts", "???????"),
        ("reload certificates of transport", f"PUT {SECURITY}/ssl/transport/reloadcerts", "???????"),
        ("upgrade the plugin's configuration", f"POST {SECURITY}/_upgrade_perform", "???????", "{}"),
        ("roll the plugin's configuration back", f"POST {SECURITY}/version/rollback", "???????"),
        ("its own password", f"PUT {SECURITY}/account", "???????", '{"password":"Correct-horse-battery-2","current_password":"wrong"}'),
        ("a token on behalf of somebody", "POST /_plugins/_security/generateonbehalfoftoken", "???????", '{"description":"x"}'),
        ("reload the plugin's configuration", "PUT /_plugins/_security/configupdate", "???????", None, "/_plugins/_security/configupdate?config_types=roles"),
        ("share a resource", "PUT /_plugins/_security/share", "???????", "{}"),
        ("change what is shared", "PATCH /_plugins/_security/share", "???????", "{}"),
        ("migrate shared resources", "POST /_plugins/_security/resources/migrate", "???????", "{}"),
    ),
]
