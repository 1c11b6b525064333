"""The lock file: what it says, and what it says wrong."""

import pytest

from node.artifact import Artifact, format_lock, parse_lock, read_lock
from node.distribution import DISTRIBUTIONS, MODULES, SECURITY_DIRECTORY, Distribution
from node.errors import LockError

DISTRIBUTED = pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)

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


@DISTRIBUTED
def test_the_pinned_file_is_what_format_lock_writes(distribution: Distribution) -> None:
    artifacts = read_lock(distribution.version)
    assert parse_lock(format_lock(artifacts)) == artifacts
    assert len({artifact.coordinates for artifact in artifacts}) == len(artifacts)


@DISTRIBUTED
def test_every_part_of_the_distribution_is_pinned(distribution: Distribution) -> None:
    pinned = {
        (artifact.coordinates, directory)
        for artifact in read_lock(distribution.version)
        for directory in artifact.directories
    }
    wanted = {
        (one, part.directory) for part in distribution.parts for one in (*part.roots, *part.alone)
    }
    assert wanted <= pinned
    directories = {directory for _, directory in pinned}
    assert {f"modules/{module.name}" for module in MODULES} <= directories
    assert SECURITY_DIRECTORY in directories


def test_without_the_security_plugin_nothing_of_it_is_taken() -> None:
    whole, bare = read_lock(), read_lock(security=False)
    missing = set(whole) - set(bare)
    assert {one.directories for one in missing} == {(SECURITY_DIRECTORY,)}
    assert set(bare) < set(whole)


@DISTRIBUTED
def test_no_module_brings_a_jar_that_the_library_has(distribution: Distribution) -> None:
    for artifact in read_lock(distribution.version):
        if "lib" in artifact.directories:
            assert artifact.directories == ("lib",), artifact.coordinates
