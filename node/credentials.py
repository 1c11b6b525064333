"""The credentials file of a home: who may ask its nodes what, and how to trust them."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from typing_extensions import override

from node.errors import CredentialsError, NodeMissingError
from node.file import write_file
from node.layout import Layout
from node.security import USERS, make_passwords


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach the nodes of a home: `users` is name to password; it never shows them."""

    users: dict[str, str]
    ca_file: Path
    admin_cert_file: Path
    admin_key_file: Path

    @override
    def __repr__(self) -> str:
        return f"Credentials(users={sorted(self.users)}, ca_file={str(self.ca_file)!r})"


class _File(msgspec.Struct, frozen=True, kw_only=True):
    users: dict[str, str]
    # Relative to the file: a home can be moved.
    ca_file: str = "authority/ca.pem"
    admin_cert_file: str = "authority/admin.pem"
    admin_key_file: str = "authority/admin.key"


def read_credentials(path: Path) -> Credentials:
    """Return the content of a credentials file; paths in it are relative to it.

    Raises:
        NodeMissingError: there is no such file.
        CredentialsError: this user may not read it, or it is not a credentials file.
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError as error:
        raise NodeMissingError(
            f"no node was ever started in {path.parent}", hint="start it: indelible node start"
        ) from error
    except PermissionError as error:
        raise CredentialsError(
            f"{path} may be read by its owner only",
            hint="run as that user, or name the cluster's users by INDELIBLE_OPENSEARCH_…",
        ) from error
    except msgspec.DecodeError as error:
        raise CredentialsError(
            f"{path} is not a credentials file: {error}",
            hint="restore it from a backup; passwords are kept nowhere else",
        ) from error
    return Credentials(
        content.users,
        path.parent / content.ca_file,
        path.parent / content.admin_cert_file,
        path.parent / content.admin_key_file,
    )


def have_credentials(layout: Layout) -> Credentials:
    """Return the credentials of a home, made when it has no data yet.

    Raises:
        CredentialsError: the node's data know passwords that the home has no more.
    """
    if not layout.credentials.exists():
        if layout.initialised.exists():
            raise CredentialsError(
                f"{layout.credentials} is gone, but {layout.place} has data under its passwords",
                hint="restore the file; or give up the data: indelible up --fresh",
            )
        _write(layout, _File(users=make_passwords()))
    _add_missing_users(layout)
    return read_credentials(layout.credentials)


def _add_missing_users(layout: Layout) -> None:
    """Give a password to each user that an older version of the home did not have."""
    users = read_credentials(layout.credentials).users
    missing = [name for name in USERS if name not in users]
    if missing:
        content = msgspec.json.decode(layout.credentials.read_bytes(), type=_File)
        added = msgspec.structs.replace(content, users={**users, **make_passwords(missing)})
        _write(layout, added)


def _write(layout: Layout, content: _File) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(content), indent=2)
    write_file(layout.credentials, encoded, mode=0o600)
