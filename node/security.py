"""Users, roles and passwords, as the security plugin reads them at the very first start.

A role is the file `index_templates/<name>.role.json`, the body of the plugin's REST API, so that
any other cluster gets the same by `PUT _plugins/_security/api/roles/<name>`.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping
from importlib import resources

import msgspec

from node.certificates import NODE_NAMES

# Of each role, one user of the same name. `audit_deletion` is for clusters that are not immutable.
USERS = ("audit_writer", "audit_reader", "audit_lifecycle", "audit_auditor", "audit_tokens")
# The passwords have 256 random bits: stretching would only make the first request slow.
PBKDF2_ITERATIONS = 10_000
_PBKDF2_BYTES = 32
_SHA256 = 3  # password4j's number of the function


class IndexPermission(msgspec.Struct, frozen=True, kw_only=True):
    """What a role may do with some indices."""

    index_patterns: tuple[str, ...]
    allowed_actions: tuple[str, ...]


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of the body of a role; the plugin adds empty fields of its own."""

    description: str = ""
    cluster_permissions: tuple[str, ...] = ()
    index_permissions: tuple[IndexPermission, ...] = ()


def make_passwords(users: Iterable[str] = USERS) -> dict[str, str]:
    """Return a random password for each user."""
    return {user: secrets.token_urlsafe(32) for user in users}


def hash_password(password: str, salt: bytes) -> str:
    """Return PBKDF2-HMAC-SHA256 in the notation of the password4j library.

    `$algorithm$iterations << 32 | bits$salt$hash`, the last two in Base64.
    """
    digest = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), salt, PBKDF2_ITERATIONS, _PBKDF2_BYTES
    )
    configuration = PBKDF2_ITERATIONS << 32 | _PBKDF2_BYTES * 8
    return f"${_SHA256}${configuration}${_base64(salt)}${_base64(digest)}"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def read_role(name: str) -> Role:
    """Return a role from its file."""
    file = resources.files("index_templates").joinpath(f"{name}.role.json")
    return msgspec.json.decode(file.read_bytes(), type=Role)


def describe_user(name: str, password: str) -> dict[str, object]:
    """Return the body of a user, with a hash of the password."""
    return {
        "hash": hash_password(password, secrets.token_bytes(16)),
        "description": f"Indelible: {name}",
    }


def render(passwords: Mapping[str, str]) -> dict[str, object]:
    """Return the plugin's configuration: file name to content (JSON is YAML)."""
    users = {user: {"reserved": True, **describe_user(user, passwords[user])} for user in USERS}
    mapping = {user: {"reserved": True, "users": [user]} for user in USERS}
    roles = {user: {"reserved": True, **msgspec.to_builtins(read_role(user))} for user in USERS}
    return {
        "config.yml": _document("config", {"config": {"dynamic": _DYNAMIC}}),
        "internal_users.yml": _document("internalusers", users),
        "roles.yml": _document("roles", roles),
        "roles_mapping.yml": _document("rolesmapping", mapping),
        "action_groups.yml": _document("actiongroups", {}),
        "tenants.yml": _document("tenants", {}),
        "nodes_dn.yml": _document("nodesdn", {"indelible": {"nodes_dn": [NODE_NAMES]}}),
        "allowlist.yml": _document("allowlist", {"config": {"enabled": False, "requests": {}}}),
        "audit.yml": _document("audit", {"config": _AUDIT}),
    }


def _document(kind: str, content: Mapping[str, object]) -> dict[str, object]:
    return {"_meta": {"type": kind, "config_version": 2}, **content}


_DYNAMIC = {
    "http": {"anonymous_auth_enabled": False, "xff": {"enabled": False}},
    "authc": {
        "basic_internal_auth_domain": {
            "http_enabled": True,
            "transport_enabled": True,
            "order": 0,
            "http_authenticator": {"type": "basic", "challenge": True},
            "authentication_backend": {"type": "internal"},
        }
    },
}

# Immutable indices are a matter of the plugin's compliance part; its own audit log stays off.
_AUDIT = {
    "enabled": True,
    "audit": {"enable_rest": False, "enable_transport": False},
    "compliance": {"enabled": True, "internal_config": False, "external_config": False},
}
