"""Lay out what a node needs before its process starts: directories, certificates, configuration.

Where root prepares a node for another user, that user's own directories are `data`, `logs`, `tmp`
and `archive`, and root writes into none of them. `config` is root's, with the sticky bit: the
server may add its keystore there, and may neither change nor replace what root has put there.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec

from node import certificates
from node.config import NodeConfig
from node.credentials import have_credentials
from node.errors import HomeError
from node.file import write_file
from node.layout import Layout, User
from node.render import render_log4j, render_opensearch
from node.security import render

_PRIVATE = 0o700
_STICKY_FOR_GROUP = 0o1770


def prepare(config: NodeConfig, layout: Layout, user: User | None) -> None:
    """Write everything that the server reads; keep its data and certificates.

    Raises:
        HomeError: the node has served from data that are gone.
        CredentialsError: see `have_credentials`.
    """
    _check_data(layout)
    credentials = have_credentials(layout)
    _have_directories(layout, user)
    _have_certificates(config, layout, user)
    _write(layout.config / "opensearch.yml", render_opensearch(config, layout), user)
    _write(layout.config / "log4j2.properties", render_log4j(), user)
    security = layout.config / "opensearch-security"
    for name, content in render(credentials.users).items():
        _write(security / name, msgspec.json.encode(content).decode(), user)
    record = msgspec.json.encode(replace(config, home=layout.home), enc_hook=str)
    write_file(layout.record, record, mode=0o644)


def read_record(layout: Layout) -> NodeConfig | None:
    """Return the configuration that the node was last started with, None before its first start."""
    try:
        return msgspec.json.decode(
            layout.record.read_bytes(), type=NodeConfig, dec_hook=lambda kind, value: kind(value)
        )
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _check_data(layout: Layout) -> None:
    """Refuse to begin anew by itself: a disk that is not mounted looks like a first start.

    Events would go into an empty store, and nothing would tell that those before are missing.
    """
    has_served = layout.initialised.exists() and layout.record.exists()
    if has_served and not (layout.data.exists() and any(layout.data.iterdir())):
        raise HomeError(
            f"{layout.data} is empty, and {layout.node_name} has kept events there",
            hint="mount it, or restore it from a backup; or begin with none (docs/operations.md,"
            f" The cluster is lost, says what else has its events): rm {layout.initialised}",
        )


def _have_directories(layout: Layout, user: User | None) -> None:
    shutil.rmtree(layout.temporary, ignore_errors=True)
    layout.node.mkdir(parents=True, exist_ok=True)
    layout.nodes.chmod(0o755)
    layout.node.chmod(0o755)
    for directory in (layout.config, layout.config / "opensearch-security"):
        directory.mkdir(exist_ok=True)
        if user is not None:
            os.chown(directory, 0, user.gid)
        directory.chmod(_PRIVATE if user is None else _STICKY_FOR_GROUP)
    for directory in (layout.data, layout.logs, layout.temporary, layout.archive):
        directory.mkdir(exist_ok=True)
        directory.chmod(_PRIVATE)
        if user is not None and directory.stat().st_uid != user.uid:
            _give(directory, user)


def _give(root: Path, user: User) -> None:
    """Hand a tree over; the tree may be another user's, so no link in it is followed."""
    for directory, _, files, descriptor in os.fwalk(root):
        os.chown(descriptor, user.uid, user.gid)
        for name in files:
            os.chown(name, user.uid, user.gid, dir_fd=descriptor, follow_symlinks=False)
        del directory


def _have_certificates(config: NodeConfig, layout: Layout, user: User | None) -> None:
    authority = certificates.have_authority(layout.authority)
    ca = (layout.authority / "ca.pem").read_text("ascii")
    copy = layout.config / "ca.pem"
    if copy.exists() and copy.read_text("ascii") == ca:
        return
    certificate, key = certificates.issue_node(authority, config.node_name)
    _write(layout.config / "node.key", key.decode(), user)
    _write(layout.config / "node.pem", certificate.decode(), user)
    # Last: with it, the three are complete.
    _write(copy, ca, user)


def _write(path: Path, text: str, user: User | None) -> None:
    mode, group = (0o600, None) if user is None else (0o640, user.gid)
    write_file(path, text.encode(), mode=mode, group=group)
