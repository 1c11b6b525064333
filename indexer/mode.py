"""Who seals and who deletes on a cluster: found by asking it.

Where `immutable_indices` covers the partitions, ISM's delete fails like everybody's who has not the
admin certificate; then the plugin only seals (`worm`). Else it deletes too (`ism`). Without the
plugin our executor does all of it.
"""

from http import HTTPStatus
from typing import Final, Literal

import msgspec
from msgspec import Struct
from opensearchpy import OpenSearch

from indexer.client import Reply, ask, refusal
from indexer.errors import DeletionBlockedError
from indexer.names import events_pattern
from indexer.policy import events_policy
from indexer.settings import IndexSettings, LifecycleSettings

ISM: Final = "/_plugins/_ism"

_IMMUTABLE: Final = "Index is immutable"
_NO_HANDLER: Final = "no handler found"


class Mode(Struct, frozen=True):
    """Who seals and deletes on a cluster."""

    name: Literal["worm", "ism"]
    """`ism`: the plugin deletes; `worm`: `indelible lifecycle` does."""
    plugin: bool
    """Whether the plugin is there."""
    immutable: bool | None
    """Whether `immutable_indices` covers the partitions; None where the cluster does not say."""
    why: str

    @property
    def may_delete(self) -> bool:
        """Whether ISM could delete a partition: also by a policy that has its delete still."""
        return self.plugin and not self.immutable


def find_mode(client: OpenSearch, settings: IndexSettings, lifecycle: LifecycleSettings) -> Mode:
    """Ask the cluster who can do what there, and decide with the setting.

    Raises:
        RefusedError: the cluster refused to say whether the plugin is there.
        NoAnswerError: it did not answer.
    """
    plugin = has_plugin(client, settings)
    immutable = is_immutable(client, settings)
    if not plugin:
        return Mode(
            "worm", plugin, immutable, "no ISM plugin: `indelible lifecycle` does all of it"
        )
    if lifecycle.mode == "worm":
        return Mode(
            "worm",
            plugin,
            immutable,
            "lifecycle.mode is worm: ISM seals, `indelible lifecycle` deletes",
        )
    if immutable:
        why = (
            "immutable_indices is set: ISM seals, and could not delete; `indelible lifecycle` does"
        )
        return Mode("worm", plugin, immutable, why)
    if lifecycle.mode == "ism" or immutable is False:
        return Mode("ism", plugin, immutable, "ISM seals and deletes")
    why = (
        "the cluster does not say whether immutable_indices is set, so ISM seals only;"
        " set lifecycle.mode to ism if it may delete"
    )
    return Mode("worm", plugin, immutable, why)


def has_plugin(client: OpenSearch, settings: IndexSettings) -> bool:
    """Whether something answers under the plugin's paths.

    Raises:
        RefusedError: it does, and lets this user not see a policy.
        NoAnswerError: the cluster did not answer.
    """
    path = f"{ISM}/policies/{events_policy(settings)}"
    reply = ask(client, "GET", path)
    if reply.status == HTTPStatus.BAD_REQUEST and _NO_HANDLER in reply.text:
        return False
    if reply.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
        raise refusal(client, "GET", path, reply)
    return True


def is_immutable(client: OpenSearch, settings: IndexSettings) -> bool | None:
    """Whether `plugins.security.compliance.immutable_indices` covers partitions; None if unsure.

    The setting is shown by no API. But the security plugin refuses to close an index that it
    covers, existing or not, before it looks at who asks (tried on 3.4.0); so closing one that
    cannot exist tells, and does nothing. To the admin certificate it tells nothing.
    """
    reply = try_to_close(client, settings)
    if reply.status == HTTPStatus.FORBIDDEN and _IMMUTABLE in reply.text:
        return True
    return False if reply.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND) else None


def try_to_close(client: OpenSearch, settings: IndexSettings) -> Reply:
    """What the cluster says to closing a partition that cannot exist; it changes nothing."""
    path = f"/{events_pattern(settings).removesuffix('*')}0000.00/_close"
    return ask(client, "POST", path, safe=True)


def check_deletion(client: OpenSearch, settings: IndexSettings) -> None:
    """Refuse a policy that deletes to whoever may not delete: ISM has no more rights than he has.

    They are kept with the policy, as they are when it is put (tried on 3.4.0: a role that came
    later changes nothing). So one is to be deleted whose name no index can have.

    Raises:
        DeletionBlockedError: he may not.
        NoAnswerError: the cluster did not answer.
    """
    path = f"/{events_pattern(settings).removesuffix('*')}NONE"
    if ask(client, "DELETE", path, safe=True).status == HTTPStatus.FORBIDDEN:
        raise DeletionBlockedError(
            "ISM deletes with the rights that the lifecycle user has when it puts the policy, and"
            " it may not delete partitions; no policy was changed",
            hint="give it the role audit_deletion, then indelible indices apply again; or set"
            " INDELIBLE_LIFECYCLE_MODE=worm, and indelible lifecycle deletes",
        )


def is_let_in(client: OpenSearch, settings: IndexSettings) -> bool:
    """Whether whoever asks passes `immutable_indices`: with it, the admin certificate alone does.

    Raises:
        NoAnswerError: there was no answer, as to a certificate of an unknown authority.
    """
    reply = try_to_close(client, settings)
    if reply.status == HTTPStatus.UNAUTHORIZED:
        return False
    return not (reply.status == HTTPStatus.FORBIDDEN and _IMMUTABLE in reply.text)


def resolve(lifecycle: LifecycleSettings, mode: Mode) -> LifecycleSettings:
    """The settings with the mode as it was found, as `plan` takes them."""
    return msgspec.structs.replace(lifecycle, mode=mode.name)
