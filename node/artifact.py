"""The pinned artifacts of the embedded node, as `artifacts.lock` lists them.

`python -m node.lock` makes that file. A line is

    sha256  bytes  group:artifact:packaging:version  directory[,directory…]
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath

from node.distribution import DISTRIBUTIONS, OPENSEARCH_VERSION, SECURITY_DIRECTORY
from node.errors import LockError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = r"[A-Za-z0-9_][\w.-]*"
_COORDINATES = re.compile(rf"{_WORD}(:{_WORD}){{3}}")
_DIRECTORIES = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*(,[a-z0-9-]+(/[a-z0-9-]+)*)*")
_HINT = "restore node/artifacts.lock, or make it anew: python -m node.lock > node/artifacts.lock"


@dataclass(frozen=True, slots=True, order=True)
class Artifact:
    """One pinned file: `group:artifact:packaging:version`, its digest, size and directories."""

    coordinates: str
    sha256: str
    size_bytes: int
    directories: tuple[str, ...]

    @property
    def filename(self) -> str:
        """Its name, the same in the repository, the cache and the distribution."""
        _, artifact, packaging, version = self.coordinates.split(":")
        return f"{artifact}-{version}.{packaging}"

    @property
    def path(self) -> PurePosixPath:
        """Where it lies in a Maven repository, relative to its root."""
        group, artifact, _, version = self.coordinates.split(":")
        return PurePosixPath(*group.split("."), artifact, version, self.filename)


def parse_lock(text: str) -> tuple[Artifact, ...]:
    """Return the artifacts of a lock file, in its order; `LockError` names a bad line."""
    lines = enumerate(text.splitlines(), start=1)
    artifacts = tuple(
        _parse_line(number, line) for number, line in lines if line and not line.startswith("#")
    )
    if not artifacts:
        raise LockError("artifacts.lock is empty", hint=_HINT)
    return artifacts


def _parse_line(number: int, line: str) -> Artifact:
    fields = line.split()
    if len(fields) != len(("sha256", "bytes", "coordinates", "directories")):
        raise LockError(f"artifacts.lock, line {number}: {len(fields)} fields, not 4", hint=_HINT)
    sha256, size, coordinates, directories = fields
    readable = (
        _SHA256.fullmatch(sha256)
        and size.isdecimal()
        and _COORDINATES.fullmatch(coordinates)
        and _DIRECTORIES.fullmatch(directories)
    )
    if not readable:
        raise LockError(f"artifacts.lock, line {number}: not readable: {line!r}", hint=_HINT)
    return Artifact(coordinates, sha256, int(size), tuple(directories.split(",")))


def format_lock(artifacts: Iterable[Artifact]) -> str:
    """Return the text of a lock file, sorted by coordinates; inverse of `parse_lock`."""
    lines = (
        f"{one.sha256}  {one.size_bytes:>8}  {one.coordinates}  {','.join(one.directories)}\n"
        for one in sorted(artifacts)
    )
    return "# Made by python -m node.lock: sha256, bytes, coordinates, directories\n" + "".join(
        lines
    )


def read_lock(version: str = OPENSEARCH_VERSION, *, security: bool = True) -> tuple[Artifact, ...]:
    """Return the artifacts that this package pins for a version, with or without the plugin."""
    file = resources.files("node").joinpath(DISTRIBUTIONS[version].lock)
    artifacts = parse_lock(file.read_text("utf-8"))
    return tuple(one for one in artifacts if security or one.directories != (SECURITY_DIRECTORY,))
