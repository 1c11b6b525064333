"""The distribution is put together whole, from hard links where that is possible."""

import hashlib
import io
import os
import stat
import zipfile
from pathlib import Path

from node.artifact import Artifact
from node.assembly import assemble_server, copy_tree, link_or_copy, server_name
from node.distribution import MODULES, SECURITY_DIRECTORY


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(
            "plugin-descriptor.properties",
            "name=s\nextended.plugins=a,b\nopensearch.version=1.0\nlast=1\n",
        )
    return content.getvalue()


def _fill(cache: Path) -> tuple[Artifact, ...]:
    jar = tuple(f"modules/{module.name}" for module in MODULES)
    artifacts = []
    for coordinates, directories, content in (
        ("org.example:jar:jar:1", ("lib", *jar), b"jar"),
        ("org.example:plugin:zip:1", (SECURITY_DIRECTORY,), _zip()),
    ):
        digest = hashlib.sha256(content).hexdigest()
        artifact = Artifact(coordinates, digest, len(content), directories)
        path = cache / artifact.path
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        path.chmod(0o644)
        artifacts.append(artifact)
    return tuple(artifacts)


def test_it_is_made_of_links_and_everybody_can_read_it(tmp_path: Path) -> None:
    artifacts = _fill(tmp_path / "cache")
    before = os.umask(0o077)
    try:
        server = assemble_server(
            artifacts, "9.9.9", tmp_path / "cache", tmp_path / "place", lambda _: None
        )
    finally:
        os.umask(before)
    assert server.name == server_name(artifacts)
    assert (server / "lib/jar-1.jar").stat().st_nlink > 1
    assert "classname=" in (server / "modules/reindex/plugin-descriptor.properties").read_text()
    descriptor = (server / SECURITY_DIRECTORY / "plugin-descriptor.properties").read_text()
    assert descriptor == "name=s\nextended.plugins=\nopensearch.version=9.9.9\nlast=1\n"
    for path in (server, *server.rglob("*")):
        wanted = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert [one.name for one in (tmp_path / "place").iterdir()] == [server.name]


def test_another_lock_makes_another_directory(tmp_path: Path) -> None:
    artifacts = _fill(tmp_path / "cache")
    assert server_name(artifacts) != server_name(artifacts[:1])


def test_a_file_that_others_may_not_read_is_copied_not_opened(tmp_path: Path) -> None:
    """A link shares its mode: opening it would open the original, which is not ours."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x")
    source.chmod(0o700)
    link_or_copy(source, target)
    assert stat.S_IMODE(source.stat().st_mode) == 0o700
    assert stat.S_IMODE(target.stat().st_mode) == 0o744


def test_a_tree_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "source/bin").mkdir(parents=True)
    (tmp_path / "source/bin/java").write_bytes(b"x")
    (tmp_path / "source/bin/java").chmod(0o755)
    copy_tree(tmp_path / "source", tmp_path / "twin")
    assert os.access(tmp_path / "twin/bin/java", os.X_OK)
    copy_tree(tmp_path / "source", tmp_path / "twin")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["source", "twin"]
