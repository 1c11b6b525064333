"""Make `artifacts.lock`: `python -m node.lock > node/artifacts.lock` (needs the network).

Resolves the parts of a distribution with all dependencies and pins what it got. Run it when a
version in `node.distribution` changes, and review the difference like code. For a version that is
not the default: `python -m node.lock 3.8.0 > node/artifacts-3.8.0.lock`.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver

from node.artifact import Artifact, format_lock
from node.distribution import (
    DISTRIBUTIONS,
    LIBRARY_DIRECTORY,
    OPENSEARCH_VERSION,
    Distribution,
    Part,
)


def place(parts: Iterable[tuple[Part, Iterable[str]]]) -> dict[str, list[str]]:
    """Return the directories of each coordinate.

    The library is the parent of every module: what it has, a module must not bring again, or the
    server refuses to start ("jar hell"). Plugins are zips and bring their own.
    """
    directories: dict[str, list[str]] = {}
    for part, coordinates in parts:
        # Once: jars that differ in their classifier alone (a platform's) have one name here.
        for one in dict.fromkeys(coordinates):
            if LIBRARY_DIRECTORY not in directories.get(one, ()):
                directories.setdefault(one, []).append(part.directory)
    return directories


def resolve(context: MavenContext, distribution: Distribution) -> Iterator[Artifact]:
    """Resolve and download the whole distribution, and pin each file of it."""
    resolved = [(part, list(_coordinates(context, part))) for part in distribution.parts]
    for coordinates, directories in place(resolved).items():
        group, artifact, packaging, version = coordinates.split(":")
        component = context.project(group, artifact).at_version(version)
        content = component.artifact(packaging=packaging).resolve().read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        yield Artifact(coordinates, digest, len(content), tuple(directories))


def _coordinates(context: MavenContext, part: Part) -> Iterator[str]:
    yield from part.alone
    if not part.roots:
        return
    dependencies = [context.create_dependency(_for_jgo(root)) for root in part.roots]
    # Both are needed: resolve() leaves what was asked for out of the transitive dependencies.
    asked, transitive = context.resolver.resolve(dependencies)
    for one in (*asked, *transitive):
        yield f"{one.groupId}:{one.artifactId}:{one.artifact.packaging}:{one.version}"


def _for_jgo(coordinates: str) -> str:
    group, artifact, _, version = coordinates.split(":")
    return f"{group}:{artifact}:{version}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        fresh = MavenContext(repo_cache=Path(scratch), resolver=PythonResolver(), timeout=60)
        chosen = DISTRIBUTIONS[sys.argv[1] if sys.argv[1:] else OPENSEARCH_VERSION]
        sys.stdout.write(format_lock(resolve(fresh, chosen)))
