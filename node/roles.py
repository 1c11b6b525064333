"""Bring the roles and users of an existing home up to this version's.

The security plugin reads its files at the very first start only. A newer version that needs another
permission would otherwise get 403 from every home that an older one has made, and a user that is
new would be known to no node of it.
"""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from node.errors import NodeError
from node.probe import Probe
from node.security import USERS, Role, describe_user, read_role

_API = "/_plugins/_security/api"


def renew_roles(admin: Probe, passwords: Mapping[str, str]) -> list[str]:
    """Write each role that differs from its file and each user that is not known.

    Returns:
        The names of what was written.
    """
    renewed = [name for name in USERS if not _is_current(admin, name)]
    for name in renewed:
        _put(admin, f"roles/{name}", read_role(name))
    added = [name for name in USERS if not _is_known(admin, name)]
    for name in added:
        # The user comes last: one that is known has its role.
        _put(admin, f"rolesmapping/{name}", {"users": [name]})
        _put(admin, f"internalusers/{name}", describe_user(name, passwords[name]))
    return [*renewed, *(name for name in added if name not in renewed)]


def _put(admin: Probe, path: str, body: object) -> None:
    answer = admin.ask("PUT", f"{_API}/{path}", body)
    if answer is None or answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
        raise NodeError(
            f"{path} could not be written to the node: {answer}",
            hint="restart the node: indelible node stop, then indelible node start",
        )


def _is_current(admin: Probe, name: str) -> bool:
    answer = admin.ask("GET", f"{_API}/roles/{name}")
    if answer is None or answer.status != HTTPStatus.OK:
        return False
    present = msgspec.json.decode(answer.body, type=dict[str, Role])
    return present.get(name) == read_role(name)


def _is_known(admin: Probe, name: str) -> bool:
    answer = admin.ask("GET", f"{_API}/internalusers/{name}")
    return answer is not None and answer.status == HTTPStatus.OK
