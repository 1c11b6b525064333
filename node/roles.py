"""Bring the roles of an existing home up to this version's files.

The security plugin reads its files at the very first start only. A newer version that needs another
permission would otherwise get 403 from every home that an older one has made.
"""

from http import HTTPStatus

import msgspec

from node.errors import NodeError
from node.probe import Probe
from node.security import USERS, Role, read_role

_ROLES = "/_plugins/_security/api/roles"


def renew_roles(admin: Probe) -> list[str]:
    """Write each role that differs from its file, and return their names."""
    renewed = [name for name in USERS if not _is_current(admin, name)]
    for name in renewed:
        answer = admin.ask("PUT", f"{_ROLES}/{name}", read_role(name))
        if answer is None or answer.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise NodeError(
                f"the role {name} could not be renewed: {answer}",
                hint="restart the node: indelible node stop, then indelible node start",
            )
    return renewed


def _is_current(admin: Probe, name: str) -> bool:
    answer = admin.ask("GET", f"{_ROLES}/{name}")
    if answer is None or answer.status != HTTPStatus.OK:
        return False
    present = msgspec.json.decode(answer.body, type=dict[str, Role])
    return present.get(name) == read_role(name)
