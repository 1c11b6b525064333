"""The endpoints of the ISM plugin, which the node of the tests does not have, and an account.

A real HTTP server (`tests.fault_proxy`) passes on to the real node what is not the plugin's. What
is answered here is what the plugin 3.4.0.0 answered (`tests/test_indexer_ism_plugin.py` asks it
again where it is given).
"""

import copy
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec

from indexer.client import ask
from indexer.ism import AUTO_MANAGE
from tests.cluster import Cluster
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.faults import Answer

PREFIX: Final = "/_plugins/_ism/"
POLICY_ID: Final = "index.plugins.index_state_management.policy_id"
LEGACY_POLICY_ID: Final = "index.opendistro.index_state_management.policy_id"


@dataclass
class Stored:
    """A policy as it lies in the plugin's index."""

    policy: dict[str, Any]
    seq_no: int
    version: int = 1


@dataclass
class Job:
    """One managed index; `seq_no` is None until its job ran first.

    `begun_with` is the version at which it was attached, which it takes at its first run.
    """

    policy_id: str
    seq_no: int | None = None
    begun_with: int | None = None
    changes_to: str | None = None
    completed: bool = False
    failure: dict[str, str] | None = None
    """What it says since its action failed for the last time."""


@dataclass
class IsmStandIn:
    """The plugin; whatever is public may be looked at and changed by a test."""

    cluster: Cluster
    immutable: bool = False
    """Whether the security plugin says so of partitions."""
    may_delete: bool = True
    """Whether the user of the lifecycle has the role `audit_deletion`."""
    requests: list[tuple[str, str, Any]] = field(default_factory=list[tuple[str, str, Any]])
    """Method, path with query, and body of each that changes something."""
    policies: dict[str, Stored] = field(default_factory=dict[str, Stored])
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    taken_out: set[str] = field(default_factory=set[str])
    refuses: dict[str, str] = field(default_factory=dict[str, str])
    """Indices that the plugin leaves as they are, and why."""
    before_update: Callable[[], None] = lambda: None
    """Called when an update has arrived: somebody else may be quicker."""
    seq_no: int = 0

    def answer(self, method: str, target: str, body: bytes) -> Answer | None:
        """Answer in the place of the node, None for what is the node's."""
        parts = urlsplit(target)
        if not parts.path.startswith(PREFIX):
            return self._answer_beside(method, parts, body)
        verb, _, name = parts.path.removeprefix(PREFIX).partition("/")
        content = msgspec.json.decode(body) if body else None
        if method != "GET":
            self.requests.append((method, target, content))
        if verb == "policies":
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            return self._get(name) if method == "GET" else self._put(name, content, query)
        if verb == "explain":
            return self._explain(name)
        return self._manage(verb, name.split(","), content)

    def _answer_beside(self, method: str, parts: SplitResult, body: bytes) -> Answer | None:
        """What is no endpoint of the plugin, and yet another answer where it is."""
        if parts.path.endswith("0000.00/_close") and not self.immutable:
            return _error(403, "security_exception", "no permissions for [indices:admin/close]")
        if method == "DELETE" and parts.path.endswith("-NONE"):
            if self.may_delete:
                return _error(404, "index_not_found_exception", "no such index")
            return _error(403, "security_exception", "no permissions for [indices:admin/delete]")
        if AUTO_MANAGE in parts.path:
            return self._settings(parts.path, parts.query)
        if method == "PUT" and AUTO_MANAGE.encode() in body:
            self.taken_out.discard(parts.path.split("/")[1])
            return _ok({"acknowledged": True})
        return None

    def edit(self, policy_id: str, change: Callable[[Any], object]) -> None:
        """Somebody changes a policy by other means."""
        stored = self.policies[policy_id]
        change(stored.policy)
        stored.seq_no = self._next()
        stored.version += 1

    def run_jobs(self) -> None:
        """All managed indices take the version that they shall go by, as their jobs do.

        One that failed or came to its end sleeps.
        """
        for job in self.jobs.values():
            if job.completed or job.failure is not None:
                continue
            if job.changes_to is not None:
                job.policy_id = job.changes_to
                job.seq_no = self.policies[job.policy_id].seq_no
                job.changes_to = None
            elif job.seq_no is None:
                job.seq_no = job.begun_with

    def _next(self) -> int:
        self.seq_no += 1
        return self.seq_no

    def _get(self, policy_id: str) -> Answer:
        stored = self.policies.get(policy_id)
        if stored is None:
            return _error(404, "status_exception", "Policy not found")
        return _ok(self._body(policy_id, stored, stored.policy))

    def _put(self, policy_id: str, body: Any, query: dict[str, str]) -> Answer:
        self.before_update()
        stored = self.policies.get(policy_id)
        wanted = (query.get("if_seq_no"), query.get("if_primary_term"))
        found = (None, None) if stored is None else (str(stored.seq_no), "1")
        if wanted != found:
            reason = f"[{policy_id}]: version conflict"
            return _error(409, "version_conflict_engine_exception", reason)
        self.seq_no += 1
        version = 1 if stored is None else stored.version + 1
        policy = _fill_in(policy_id, body["policy"])
        self.policies[policy_id] = Stored(policy, self.seq_no, version)
        answer = self._body(policy_id, self.policies[policy_id], {"policy": policy})
        return (201 if stored is None else 200), {}, _json(answer)

    def _body(self, policy_id: str, stored: Stored, policy: Any) -> dict[str, Any]:
        return {
            "_id": policy_id,
            "_version": stored.version,
            "_primary_term": 1,
            "_seq_no": stored.seq_no,
            "policy": policy,
        }

    def _indices(self, patterns: str, query: str = "flat_settings=true") -> dict[str, Any]:
        with self.cluster.admin() as admin:
            reply = ask(admin, "GET", f"/{patterns}/_settings?{query}")
        found: dict[str, Any] = msgspec.json.decode(reply.text)
        return found

    def _settings(self, path: str, query: str) -> Answer:
        answer = {
            name: {"settings": {"index.uuid": one["settings"]["index.uuid"]}}
            for name, one in self._indices(path.split("/")[1], query).items()
        }
        for name in self.taken_out & answer.keys():
            answer[name]["settings"][AUTO_MANAGE] = "false"
        return _ok(answer)

    def _explain(self, patterns: str) -> Answer:
        found = self._indices(patterns, "flat_settings=true&expand_wildcards=all")
        if not found:
            reason = "Validation Failed: 1: no documents to get;"
            return _error(400, "action_request_validation_exception", reason)
        answer: dict[str, Any] = {"total_managed_indices": len(self.jobs)}
        for name in found:
            job = self.jobs.get(name)
            policy_id = job.policy_id if job else None
            answer[name] = {POLICY_ID: policy_id, LEGACY_POLICY_ID: policy_id, "enabled": None}
            if job is not None:
                answer[name] |= {"index": name, "policy_id": policy_id, **_explain_job(job)}
        return _ok(answer)

    def _manage(self, verb: str, names: list[str], body: Any) -> Answer:
        failed: dict[str, str] = {}
        for name in names:
            reason = self.refuses.get(name) or self._manage_one(verb, name, body)
            if reason:
                failed[name] = reason
        return _ok(
            {
                "updated_indices": len(names) - len(failed),
                "failures": bool(failed),
                "failed_indices": [
                    {"index_name": name, "index_uuid": "u", "reason": reason}
                    for name, reason in failed.items()
                ],
            }
        )

    def _manage_one(self, verb: str, name: str, body: Any) -> str | None:
        if verb == "add" and name in self.jobs:
            return (
                "This index already has a policy, use the update policy API to update index"
                " policies"
            )
        if verb == "add":
            stored = self.policies.get(body["policy_id"])
            # It stays marked as taken out: `add` does not lift that.
            self.jobs[name] = Job(
                body["policy_id"], begun_with=None if stored is None else stored.seq_no
            )
        elif name not in self.jobs:
            return {
                "remove": "This index does not have a policy to remove",
                "change_policy": "This index is not being managed",
            }[verb]
        elif verb == "remove":
            del self.jobs[name]
            self.taken_out.add(name)
        else:
            self.jobs[name].changes_to = body["policy_id"]
        return None


@contextmanager
def ism_plugin(cluster: Cluster, *, immutable: bool) -> Generator[tuple[IsmStandIn, FaultProxy]]:
    """Run a server before the node that has the plugin."""
    plugin = IsmStandIn(cluster, immutable=immutable)
    with fault_proxy(cluster.url, cluster.ca_file if cluster.secured else None) as proxy:
        proxy.stand_in = plugin.answer
        yield plugin, proxy


def _explain_job(job: Job) -> dict[str, Any]:
    enabled = not job.completed and job.failure is None
    if job.seq_no is None:
        return {"enabled": enabled}
    answer = {"policy_seq_no": job.seq_no, "policy_primary_term": 1, "enabled": enabled}
    if job.completed:
        return answer | {"policy_completed": True}
    action = {"name": "transition", "index": -1, "failed": job.failure is not None}
    return answer | {
        "state": {"name": "open", "start_time": 1},
        "action": action,
        "retry_info": {"failed": False, "consumed_retries": 0},
        "info": job.failure or {"message": "Evaluating transition conditions"},
    }


def _fill_in(policy_id: str, given: dict[str, Any]) -> dict[str, Any]:
    policy = copy.deepcopy(given)
    for state in policy["states"]:
        state["actions"] = [
            {"retry": {"count": 3, "backoff": "exponential", "delay": "1m"}} | action
            for action in state["actions"]
        ]
    for template in policy.get("ism_template") or ():
        template["last_updated_time"] = 1_790_000_000_000
    return {
        "policy_id": policy_id,
        "description": "",
        "last_updated_time": 1_790_000_000_000,
        "schema_version": 25,
        "error_notification": None,
        "ism_template": None,
        **policy,
    }


def _ok(content: object) -> Answer:
    return 200, {}, _json(content)


def _error(status: int, kind: str, reason: str) -> Answer:
    cause = {"type": kind, "reason": reason}
    return status, {}, _json({"error": {"root_cause": [cause], **cause}, "status": status})


def _json(content: object) -> str:
    return msgspec.json.encode(content).decode()
