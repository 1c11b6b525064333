"""What can go wrong on the way into OpenSearch; each error says what, why and the next step.

IndexerError              .hint is the next step for the operator
├── SettingsError         settings that are wrong, all of them at once (.problems)
│   └── ConnectionFileError   the CA or client certificate cannot be used
├── NoAnswerError         no answer, or one that was cut: what was asked may have happened
├── RefusedError          the cluster answered, and refused (.status, .error_type)
├── VersionError          a node is too old for what is to be installed
├── PolicyError           a lifecycle policy that cannot be carried out (.problems)
├── PolicyConflictError   somebody else changed a policy of the ISM plugin at the same moment
├── ManagedIndexError     the ISM plugin left indices as they were (.failed)
├── DeadLetterError       the dead letter could not be made durable
├── DigestError           a partition could not be read as a whole
├── StoreError            something of what is stored could not be read as a whole
├── AliasError            an alias stands where an index has to be
├── ArchiveError          a snapshot cannot be taken, restored or trusted
├── ReplayError           dead letters cannot be replayed now
├── JournalError          the journal cannot be written or read whole
│   └── IncompleteJournalError    a part of it does not answer now
├── LeaseLostError        another process looks after the partitions now
├── DeletionBlockedError  the partitions that are due cannot be deleted by this process
├── ClockError            this host's clock is not that of the cluster
├── StepError             a step of a partition's lifecycle must not be taken now
├── HoldError             a hold cannot be placed or released as it was asked for
└── Interrupted           stopped while waiting; nothing of the batch may be checkpointed
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal

from indexer.answer import BLOCK_TYPES

Disbelief = Literal["untimely", "unknown"]
"""A certificate that this host's clock does not allow now; one of nobody, or for another name."""


class IndexerError(Exception):
    """Base of the tree: `str()` says what and why, `hint` what to do next."""

    hint: str = ""


class HintedError(IndexerError):
    """An error whose next step depends on where it happened."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(IndexerError):
    """Settings that are wrong: `problems` has every one of them, each naming its variable or key.

    Secrets never appear in a problem.
    """

    hint = "correct them in the environment or in the file that INDELIBLE_CONFIG names"

    def __init__(
        self, problems: tuple[str, ...], document: Mapping[str, object] | None = None
    ) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
        self.document: Mapping[str, object] = document or {}
        """What could be read of the file all the same: its groups may have problems of their own,
        and all are to be reported at once."""


class ConnectionFileError(SettingsError):
    """A certificate or key file that the connection needs cannot be used."""

    hint = "check that the path is right and that this user may read it"

    def __init__(self, path: Path, cause: OSError) -> None:
        why = cause.strerror or str(cause)
        super().__init__((f"cannot use {path} for the connection to OpenSearch: {why}",))
        self.path = path


class NoAnswerError(IndexerError):
    """The cluster did not answer, or its answer was cut: what was asked may have happened."""

    def __init__(
        self, url: str, cause: str, *, sent: bool = True, disbelief: Disbelief | None = None
    ) -> None:
        super().__init__(f"no answer from {url}: {cause}")
        self.url = url
        self.sent = sent
        """Whether anything of the request may have gone out."""
        self.disbelief = disbelief
        self.hint = _NO_ANSWER if disbelief is None else _NOT_BELIEVED[disbelief]


_NO_ANSWER = "check that OpenSearch runs there and that INDELIBLE_OPENSEARCH_URL is right"
_NOT_BELIEVED: Mapping[Disbelief, str] = {
    "untimely": "renew the certificate of the cluster, or of the authority that signed it; if it is"
    " valid, set the clock of this host right (NTP)",
    "unknown": "set INDELIBLE_OPENSEARCH_CA_FILE to the certificate of the authority that signed"
    " the cluster's, and INDELIBLE_OPENSEARCH_URL to a name that stands in it; a node of"
    " `indelible up` is found by INDELIBLE_HOME alone, set as it was there",
}


class RefusedError(IndexerError):
    """The cluster refused a request of ours, or answered with something that is not its own."""

    def __init__(
        self, request: str, status: int, error_type: str, reason: str, *, asker: str = ""
    ) -> None:
        # A proxy's answer, and a 401 of the cluster itself, has neither type nor reason.
        why = ": ".join(part for part in (error_type, reason) if part)
        said = f"{request} was refused with {status}" + (f" for {asker}" if asker else "")
        super().__init__(f"{said}: {why}" if why else said)
        self.status = status
        self.error_type = error_type
        self.hint = _HINTS.get(status, "look into the log of the cluster")
        if status == HTTPStatus.SERVICE_UNAVAILABLE and error_type in _LEADERLESS_TYPES:
            self.hint = _LEADERLESS
        elif error_type in BLOCK_TYPES:
            self.hint = _CLUSTER_BLOCKED if _CLUSTER_BLOCK.search(reason) else _BLOCKED


_HINTS = {
    401: "check the user name and the password of this role"
    " (INDELIBLE_OPENSEARCH_<ROLE>_USERNAME and …_PASSWORD)",
    403: "check that the role of this user allows it (docs/operations.md, section The cluster)",
    404: "check that the URL is that of an OpenSearch cluster",
}

_LEADERLESS_TYPES: Final = {"cluster_manager_not_discovered_exception", *BLOCK_TYPES}
_LEADERLESS = (
    "the cluster elects its cluster manager, which takes seconds, or has too few nodes for that:"
    " start those that are away, and see that they reach each other"
)
_CLUSTER_BLOCK: Final = re.compile(r"FORBIDDEN/\d+/cluster ")
_CLUSTER_BLOCKED = (
    "somebody set that block for the whole cluster, or its disks are full: look at cluster.blocks.*"
    " in GET _cluster/settings"
)
_BLOCKED = (
    "somebody set that block, or a disk is full: look at index.blocks.* of the index; metadata can"
    ' only be lifted alone, PUT <index>/_settings {"index.blocks.metadata": false}'
)


class VersionError(IndexerError):
    """Nodes of the cluster are too old for the index template."""

    hint = (
        "nothing was changed: upgrade the cluster and run `indelible indices apply` again (README,"
        " section Run it for real, says which version can do what)"
    )

    def __init__(self, older: Mapping[str, str], needed: str) -> None:
        found = ", ".join(f"{name} is {version}" for name, version in sorted(older.items()))
        super().__init__(f"OpenSearch {needed} or newer is needed, and {found}")


class PolicyError(IndexerError):
    """A lifecycle policy has what cannot be carried out; `problems` has every one of them."""

    hint = "correct the policy's file in index_templates/; nothing was sealed or deleted by it"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("the lifecycle policy cannot be carried out: " + "; ".join(problems))
        self.problems = problems


class PolicyConflictError(IndexerError):
    """A policy is not any more what it was compared with: it was not replaced."""

    hint = "look at what changed: indelible indices apply --dry-run; then apply it again"

    def __init__(self, policy_id: str) -> None:
        super().__init__(
            f"the policy {policy_id} was changed by somebody else at the same moment, and was left"
        )
        self.policy_id = policy_id


class ManagedIndexError(IndexerError):
    """The ISM plugin did not do as told with some indices; `failed` has each with its reason."""

    hint = "GET _plugins/_ism/explain/<index> says more; then indelible indices apply again"

    def __init__(self, verb: str, failed: tuple[tuple[str, str], ...]) -> None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failed)
        super().__init__(f"the ISM plugin did not {verb.replace('_', ' ')} {reasons}")
        self.failed = failed


class DeadLetterError(IndexerError):
    """The dead letter could not be made durable, so what it should hold is not settled."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"cannot write the dead letter {path}: {cause.strerror or cause}")
        self.path = path
        self.hint = f"free space on the disk of {path.parent}, or let this user write there"


class DigestError(IndexerError):
    """A partition could not be read as a whole, so nothing is said of what it holds."""

    hint = "try again; if it stays, look at the index with `indelible indices status`"

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name} cannot be digested: {cause}")
        self.name = name


class HeadError(IndexerError):
    """A signed head, or a key for it, is not what it should be; the text says why."""

    hint = "`indelible head --help` says what a head is, and which key it is checked with"


class StoreError(IndexerError):
    """Something of what is stored could not be read as a whole, so nothing is said of it."""

    hint = "look at `indelible status`; once the cluster answers in whole, begin again"


class AliasError(IndexerError):
    """An alias has the name of an index of ours, so what is asked of it is another index's."""

    hint = "find out who made it, and remove the alias"

    def __init__(self, name: str, indices: Iterable[str]) -> None:
        super().__init__(f"{name} is an alias of {', '.join(sorted(indices))}, and no index")


class ArchiveError(HintedError):
    """A snapshot cannot be taken, found, restored or trusted, or the repository is not usable."""


class ReplayError(HintedError):
    """Dead letters cannot be replayed now; those that were not are as they were."""


class JournalError(HintedError):
    """The journal cannot be used: what is recorded there must be whole, and stay as it is."""


class IncompleteJournalError(JournalError):
    """A part of the journal does not answer now, and what is missing might be a hold."""


class ClockError(IndexerError):
    """This host's clock is so far from the cluster's that nobody can tell what is due."""

    hint = "set the clock of this host right, or those of the cluster's nodes (NTP)"


class LeaseLostError(IndexerError):
    """Another process holds the lease, or this one could not renew it in time."""

    hint = "nothing is lost: whoever has the lease does the work"


class DeletionBlockedError(HintedError):
    """This process may not delete partitions; everything else goes on."""


class StepError(HintedError):
    """A step of a partition's lifecycle must not be taken: something is not as it has to be."""


class HoldError(HintedError):
    """A hold cannot be placed or released as it was asked for."""


class Interrupted(IndexerError):  # noqa: N818  # not a failure: the caller asked for it
    """`stop` was set while a batch was not settled: it must be read and sent again."""

    hint = "nothing is lost: what was not settled is sent again at the next start"

    def __init__(self) -> None:
        super().__init__("stopped before the batch was settled")
