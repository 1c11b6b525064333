"""The lock file: what it says, and what it says wrong."""

import pytest

from node.artifact import Artifact, format_lock, parse_lock, read_lock
from node.distribution import MODULES, PARTS, SECURITY_DIRECTORY
from node.errors import LockError

DIGEST = "0" * 64
LINE = f"{DIGEST}  12  org.example:thing:jar:1.0  lib"


def test_an_artifact_knows_its_place_in_a_maven_repository() -> None:
    (artifact,) = parse_lock(LINE)
    assert artifact == Artifact("org.example:thing:jar:1.0", DIGEST, 12, ("lib",))
    assert str(artifact.path) == "org/example/thing/1.0/thing-1.0.jar"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "empty", id="nothing"),
        pytest.param("# only a comment\n", "empty", id="only a comment"),
        pytest.param(f"# first\n{LINE} more", "line 2: 5 fields", id="a field too many"),
        pytest.param(LINE.replace(DIGEST, "abc"), "line 1: not readable", id="short digest"),
        pytest.param(LINE.replace(DIGEST, "G" * 64), "not readable", id="digest that is no hex"),
        pytest.param(LINE.replace("  12  ", "  -12  "), "not readable", id="negative size"),
        pytest.param(LINE.replace(":jar", ""), "not readable", id="coordinates without packaging"),
        pytest.param(LINE.replace("thing", "../../x"), "not readable", id="path in coordinates"),
        pytest.param(LINE.replace("  lib", "  ../lib"), "not readable", id="directory outside"),
    ],
)
def test_a_bad_lock_file_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(LockError, match=said) as caught:
        parse_lock(text)
    assert "python -m node.lock" in caught.value.hint


def test_the_pinned_file_is_what_format_lock_writes() -> None:
    artifacts = read_lock()
    assert parse_lock(format_lock(artifacts)) == artifacts
    assert len({artifact.coordinates for artifact in artifacts}) == len(artifacts)


def test_every_part_of_the_distribution_is_pinned() -> None:
    pinned = {
        (artifact.coordinates, directory)
        for artifact in read_lock()
        for directory in artifact.directories
    }
    wanted = {(one, part.directory) for part in PARTS for one in (*part.roots, *part.alone)}
    assert wanted <= pinned
    directories = {directory for _, directory in pinned}
    assert {f"modules/{module.name}" for module in MODULES} <= directories
    assert SECURITY_DIRECTORY in directories


def test_no_module_brings_a_jar_that_the_library_has() -> None:
    for artifact in read_lock():
        if "lib" in artifact.directories:
            assert artifact.directories == ("lib",), artifact.coordinates
