"""Put the distribution together from the cache: hard links, descriptors, and the plugin's zip.

The result is one read-only directory, named after the lock it was made from and shared by all nodes
of a place. It is made beside its final name and renamed, so it is whole or not there.
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from node.artifact import Artifact, format_lock
from node.cache import Progress, Report
from node.distribution import MODULES, SECURITY_DIRECTORY

_READABLE = 0o644


def server_name(artifacts: Sequence[Artifact]) -> str:
    """Return the directory's name for exactly these artifacts."""
    return "server-" + hashlib.sha256(format_lock(artifacts).encode()).hexdigest()[:12]


def assemble_server(
    artifacts: Sequence[Artifact], version: str, cache: Path, place: Path, report: Report
) -> Path:
    """Return the server's directory in `place`, made from verified files of `cache` if need be."""
    server = place / server_name(artifacts)
    if server.exists():
        return server
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".server-", dir=place) as scratch:
        fresh = Path(scratch) / server.name
        report(Progress("assemble", server.name, 0, len(artifacts)))
        for artifact in artifacts:
            for directory in artifact.directories:
                _put(cache / artifact.path, fresh / directory)
        # The server insists on them and must not be able to make them.
        (fresh / "bin").mkdir()
        (fresh / "plugins").mkdir(exist_ok=True)
        for module in MODULES:
            descriptor = fresh / "modules" / module.name / "plugin-descriptor.properties"
            descriptor.write_text(module.descriptor(version), "utf-8")
        plugin = fresh / SECURITY_DIRECTORY / "plugin-descriptor.properties"
        if plugin.exists():
            _adapt(plugin, version)
        _open_directories(fresh)
        try:
            fresh.rename(server)
        except OSError:
            # Another start made the same directory meanwhile.
            if not server.exists():
                raise
    return server


def _put(file: Path, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            archive.extractall(directory)
    else:
        link_or_copy(file, directory / file.name)


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Make `target` a hard link to `source` where all may read it, else a readable copy."""
    mode = Path(source).stat().st_mode
    if mode & _READABLE == _READABLE:
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            return
    shutil.copyfile(source, target)
    Path(target).chmod(mode | _READABLE)


def _adapt(descriptor: Path, version: str) -> None:
    """Free a plugin of the siblings that it names, and let it say that it is for this server.

    The siblings are not published, and only optional extension points use them.
    """
    said = {"extended.plugins": "", "opensearch.version": version}
    lines = [line.partition("=") for line in descriptor.read_text("utf-8").splitlines()]
    kept = [f"{key}{sign}{said.get(key, value)}\n" for key, sign, value in lines]
    descriptor.write_text("".join(kept), "utf-8")


def _open_directories(root: Path) -> None:
    """Let every user in, whatever the umask: root's server runs as another one."""
    for directory, _, files in os.walk(root):
        Path(directory).chmod(0o755)
        for name in files:
            file = Path(directory, name)
            if file.stat().st_mode & _READABLE != _READABLE:
                file.chmod(_READABLE)


def copy_tree(source: Path, target: Path) -> None:
    """Make a readable twin of `source`, by hard links where possible; whole or not there."""
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=target.parent) as scratch:
        fresh = Path(scratch) / target.name
        shutil.copytree(source, fresh, copy_function=link_or_copy)
        _open_directories(fresh)
        try:
            fresh.rename(target)
        except OSError:
            if not target.exists():
                raise
