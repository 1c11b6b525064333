"""The lifecycle by the ISM plugin of a cluster: its policies installed, attached and updated.

The plugin refuses an update that does not name the version that it replaces (`if_seq_no`,
`if_primary_term`), and lets an index go by the version of the policy that it began with until it is
told to change (`change_policy`). The job of an index that failed, or came to the end of its policy,
sleeps for good and hears nothing more; only a new one does. In mode `worm` (`indexer.mode`) its
policies go without their delete.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Literal, cast

import msgspec
from msgspec import Struct
from opensearchpy import OpenSearch

from audit_events.event import Resource
from indexer.client import request, request_shape
from indexer.errors import ManagedIndexError, PolicyConflictError, RefusedError
from indexer.ism_policy import differ_policy, simplify
from indexer.journal import Journal, Key
from indexer.mode import ISM, Mode, check_deletion
from indexer.names import EXPAND_ALL, events_pattern, index_kind, late_pattern
from indexer.policy import Body, events_policy, late_policy, read, render, without_delete
from indexer.settings import IndexSettings, LifecycleSettings
from indexer.span import span_of
from indexer.templates import Change, Difference, Drift

AUTO_MANAGE: Final = "index.plugins.index_state_management.auto_manage"
"""An index setting of the plugin, false on an index that was taken out of it."""
APPLIED: Final = "audit_log.policy_applied"
NAMES_CHARACTERS: Final = 3000
"""How much of a request's first line names may take: OpenSearch reads 4 KiB of it."""

_NOTHING_TO_REMOVE: Final = "does not have a policy"
_HAS_ONE: Final = "already has a policy"


def install_policies(
    client: OpenSearch,
    settings: IndexSettings,
    lifecycle: LifecycleSettings,
    mode: Mode,
    *,
    dry_run: bool = False,
) -> list[Change]:
    """Put the policies that differ, attach them to every index, and say what that changed.

    An index that was taken out (`take_out`) stays out. One whose job failed begins anew.

    Args:
        client: of the role `lifecycle`.
        settings: how events are laid into indices.
        lifecycle: what is done with them.
        mode: as `find_mode` found it; without the plugin nothing happens.
        dry_run: only say what would change.

    Raises:
        PolicyError: a file has what our own executor could not do; nothing was changed.
        DeletionBlockedError: ISM is to delete, and would not be let; nothing was changed.
        PolicyConflictError: somebody else changed a policy at the same moment.
        ManagedIndexError: the plugin left some indices as they were.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    if not mode.plugin:
        return []
    managed = _explain(client, settings)
    changes: list[Change] = []
    current: dict[str, int | None] = {}
    if mode.name == "ism" and not dry_run:
        check_deletion(client, settings)
    for policy_id, body in _wanted(settings, lifecycle, mode, managed).items():
        found = _policy(client, policy_id)
        change = _compare(policy_id, body, found)
        current[policy_id] = None if found is None else found.seq_no
        if change is not None:
            changes.append(change)
            current[policy_id] = None
            if not dry_run:
                current[policy_id] = _put(client, policy_id, body, found)
    changed = {one.name for one in changes}
    attachments = list(_attachments(managed, current, changed, settings))
    if not dry_run:
        _attach(client, attachments, settings)
    return changes + attachments


def compare_policies(
    client: OpenSearch, settings: IndexSettings, lifecycle: LifecycleSettings, mode: Mode
) -> list[Drift]:
    """Where the plugin's policies, and what they are attached to, differ from the files.

    Raises:
        PolicyError, RefusedError, NoAnswerError: see `install_policies`.
    """
    changes = install_policies(client, settings, lifecycle, mode, dry_run=True)
    missing = (Difference("policy", "installed", None),)
    return [Drift(one.kind, one.name, one.differences or missing) for one in changes]


def record_policies(client: OpenSearch, settings: IndexSettings, mode: Mode) -> None:
    """Record each policy of the plugin in the journal, as it is; once for each version of it.

    Raises:
        JournalError, AliasError: see `Journal.prepare`.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    journal = Journal(client, settings)
    for policy_id in (events_policy(settings), late_policy(settings)):
        found = _policy(client, policy_id)
        if found is None:
            raise PolicyConflictError(policy_id)
        changed = datetime.fromtimestamp(found.last_updated / 1000, UTC)
        journal.record(
            APPLIED,
            key=Key(f"{policy_id}/{found.seq_no}/{found.primary_term}", changed),
            context={"mode": mode.name, "policy": simplify(found.policy)},
            resource=Resource(type="policy", id=policy_id),
        )


def take_out(client: OpenSearch, name: str) -> bool:
    """Take a partition out of ISM, which then neither seals nor deletes it; False if it is out.

    Raises:
        ManagedIndexError: the plugin left it in.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    return _manage(client, "remove", [name], None, fine=_NOTHING_TO_REMOVE) > 0


def give_back(client: OpenSearch, name: str, settings: IndexSettings) -> bool:
    """Give a partition that was taken out back to ISM; False if it has a policy already.

    Raises:
        ManagedIndexError: the plugin did not take it.
        RefusedError, NoAnswerError: see `indexer.client.request`.
    """
    given = _manage(client, "add", [name], _policy_body(name, settings), fine=_HAS_ONE) > 0
    if given:
        _lift_mark(client, name)
    return given


class _Failable(Struct):
    failed: bool = False


class _Managed(Struct):
    """What the plugin says of one index."""

    policy_id: str | None = msgspec.field(
        name="index.plugins.index_state_management.policy_id", default=None
    )
    policy_seq_no: int | None = None
    """Of the version that it goes by; None before it began."""
    policy_completed: bool = False
    action: _Failable | None = None
    retry_info: _Failable | None = None
    info: dict[str, object] | None = None
    taken_out: bool = False

    @property
    def failure(self) -> str | None:
        """Why the plugin gave up on it; None where it did not."""
        if not any(one is not None and one.failed for one in (self.action, self.retry_info)):
            return None
        said = [(self.info or {}).get(key) for key in ("message", "cause")]
        return ": ".join(str(one) for one in said if one) or "it does not say why"


class _Found(Struct):
    policy: Body
    seq_no: int = msgspec.field(name="_seq_no")
    primary_term: int = msgspec.field(name="_primary_term")

    @property
    def last_updated(self) -> int:
        """Unix milliseconds."""
        return msgspec.convert(self.policy.get("last_updated_time", 0), int)


class _Put(Struct):
    seq_no: int = msgspec.field(name="_seq_no")


class _Failed(Struct):
    index_name: str
    reason: str


class _Status(Struct):
    updated_indices: int
    failed_indices: list[_Failed] = []


class _Settings(Struct):
    settings: dict[str, str] = {}


def _wanted(
    settings: IndexSettings, lifecycle: LifecycleSettings, mode: Mode, names: Iterable[str]
) -> dict[str, Body]:
    spans = [span_of(name, settings) for name in names if index_kind(name, settings) == "events"]
    longest = max(((span.end - span.start).days for span in spans if span is not None), default=0)
    rendered = render(settings, lifecycle, longest_days=longest)
    for body in rendered.values():
        read(body)
    if mode.name == "ism":
        return rendered
    return {policy_id: without_delete(body) for policy_id, body in rendered.items()}


def _policy(client: OpenSearch, policy_id: str) -> _Found | None:
    return request_shape(client, "GET", f"{ISM}/policies/{policy_id}", _Found)


def _compare(policy_id: str, body: Body, found: _Found | None) -> Change | None:
    if found is None:
        return Change("create", policy_id, (), "policy")
    differences = differ_policy(cast("Body", body["policy"]), found.policy)
    return Change("update", policy_id, differences, "policy") if differences else None


def _put(client: OpenSearch, policy_id: str, body: Body, found: _Found | None) -> int:
    params: dict[str, str] = {}
    if found is not None:
        params = {
            "if_seq_no": str(found.seq_no),
            "if_primary_term": str(found.primary_term),
        }
    path = f"{ISM}/policies/{policy_id}"
    try:
        answer = request_shape(client, "PUT", path, _Put, params=params, body=body)
    except RefusedError as error:
        if error.status == HTTPStatus.CONFLICT:
            raise PolicyConflictError(policy_id) from error
        raise
    if answer is None:
        # There was a policy, or a plugin, and there is none any more.
        raise PolicyConflictError(policy_id)
    return answer.seq_no


def _explain(client: OpenSearch, settings: IndexSettings) -> dict[str, _Managed]:
    """Every partition and index of late events, with what the plugin says of it."""
    patterns = f"{events_pattern(settings)},{late_pattern(settings)}"
    path = f"/{patterns}/_settings/index.uuid,{AUTO_MANAGE}"
    params = {"flat_settings": "true", **EXPAND_ALL}
    found = request_shape(client, "GET", path, dict[str, _Settings], params=params) or {}
    if not found:
        # Asked of nothing, the plugin says 400: "no documents to get".
        return {}
    answer = request_shape(client, "GET", f"{ISM}/explain/{patterns}", dict[str, object]) or {}
    managed: dict[str, _Managed] = {}
    for name in sorted(found):
        one = msgspec.convert(answer.get(name, {}), _Managed)
        one.taken_out = found[name].settings.get(AUTO_MANAGE) == "false"
        managed[name] = one
    return managed


def _attachments(
    managed: dict[str, _Managed],
    current: dict[str, int | None],
    changed: set[str],
    settings: IndexSettings,
) -> Iterator[Change]:
    """What has to be said of each index, so that it goes by the present version of its policy."""
    for name, one in managed.items():
        policy_id = _policy_of(name, settings)
        # A job that has not begun yet does not say which version it has.
        is_old = (
            policy_id in changed
            if one.policy_seq_no is None
            else one.policy_seq_no != current[policy_id]
        )
        action: Literal["update", "restart"] = "restart" if one.policy_completed else "update"
        if one.policy_id is None:
            if not one.taken_out and span_of(name, settings) is not None:
                yield Change("attach", name, (Difference("policy", policy_id, None),), "index")
        elif one.failure is not None:
            difference = Difference("policy", policy_id, f"{one.policy_id}, failed: {one.failure}")
            yield Change("restart", name, (difference,), "index")
        elif one.policy_id != policy_id:
            difference = Difference("policy", policy_id, one.policy_id)
            yield Change(action, name, (difference,), "index")
        elif is_old:
            difference = Difference("policy", f"{policy_id}, as it is", f"{policy_id}, as it was")
            yield Change(action, name, (difference,), "index")


def _attach(client: OpenSearch, attachments: list[Change], settings: IndexSettings) -> None:
    groups: dict[tuple[str, str], list[str]] = {}
    for one in attachments:
        groups.setdefault((one.action, _policy_of(one.name, settings)), []).append(one.name)
    failed: list[tuple[str, str]] = []
    for (action, _), names in groups.items():
        # One by one, what is to begin anew: of several, some would be out and never in again.
        for some in ([name] for name in names) if action == "restart" else _in_lines(names):
            body = _policy_body(some[0], settings)
            try:
                if action == "restart":
                    _manage(client, "remove", some, None, fine=_NOTHING_TO_REMOVE)
                    _lift_mark(client, some[0])
                if action == "update":
                    _manage(client, "change_policy", some, body, fine="")
                else:
                    _manage(client, "add", some, body, fine=_HAS_ONE)
            except ManagedIndexError as error:
                # One that is closed must not keep the others from their policy.
                failed += error.failed
    if failed:
        raise ManagedIndexError("take", tuple(failed))


def _lift_mark(client: OpenSearch, name: str) -> None:
    """Say that it is no longer out: `add` does not."""
    request(client, "PUT", f"/{name}/_settings", body={AUTO_MANAGE: None})


def _in_lines(names: list[str]) -> Iterator[list[str]]:
    """Cut names into runs, each short enough for the first line of a request."""
    some: list[str] = []
    for name in names:
        if some and sum(map(len, some)) + len(some) + len(name) > NAMES_CHARACTERS:
            yield some
            some = []
        some.append(name)
    if some:
        yield some


def _manage(
    client: OpenSearch, verb: str, names: list[str], body: Body | None, *, fine: str
) -> int:
    path = f"{ISM}/{verb}/{','.join(names)}"
    answer = request_shape(client, "POST", path, _Status, body=body)
    if answer is None:
        raise ManagedIndexError(verb, tuple((name, "there is no such index") for name in names))
    failed = tuple(
        (one.index_name, one.reason)
        for one in answer.failed_indices
        if not fine or fine not in one.reason
    )
    if failed:
        raise ManagedIndexError(verb, failed)
    return answer.updated_indices


def _policy_body(name: str, settings: IndexSettings) -> Body:
    return {"policy_id": _policy_of(name, settings)}


def _policy_of(name: str, settings: IndexSettings) -> str:
    late = index_kind(name, settings) == "late"
    return late_policy(settings) if late else events_policy(settings)
