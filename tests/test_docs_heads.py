"""docs/heads.md: its example is what the code computes, and its verifier finds what ours finds."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from joserfc.jwk import OKPKey

from indelible import head
from indexer.errors import HeadError
from tests.app_traffic import ROOT
from tests.heads_example import DOCUMENT, blocks, blocks_of, lines
from tests.sealed_world import SealedWorld, events_at, export, in_order, read
from tests.test_indelible_completeness import run


def test_each_block_of_the_example_is_what_the_code_computes() -> None:
    written = dict(blocks_of(DOCUMENT.read_text()))
    del written["verifier"]
    assert written == blocks()


def test_who_has_the_wheel_alone_is_told_to_read_what_he_has() -> None:
    """The documents are not in it."""
    sources = [*(ROOT / "indelible").glob("*.py"), *(ROOT / "indexer").glob("*.py")]
    assert [path.name for path in sources if DOCUMENT.name in path.read_text()] == []
    assert "`indelible head --help` says what a head is" in HeadError.hint
    told = CliRunner().invoke(head.command, ["--help"]).output
    assert "A head is what a partition" in told
    assert "public half of the key" in told


@pytest.fixture
def verifier(tmp_path: Path) -> Path:
    path = tmp_path / "verifier.py"
    path.write_text(blocks_of(DOCUMENT.read_text())["verifier"])
    return path


def verify(verifier: Path, *paths: Path) -> str:
    done = subprocess.run(
        [sys.executable, verifier, *paths], capture_output=True, text=True, check=False
    )
    told = done.stdout or done.stderr
    is_proven = bool(told) and all(line.endswith(" proven") for line in told.splitlines())
    assert (done.returncode == 0) is is_proven
    return told


@pytest.fixture
def world(tmp_path: Path) -> SealedWorld:
    """The files of the example."""
    written = blocks_of(DOCUMENT.read_text())
    world = SealedWorld(tmp_path)
    world.key_path.write_text(written["key"])
    (tmp_path / "heads.json").write_text(written["document"])
    export(tmp_path / "august.ndjson", lines(), organizationId="org_acme")
    return world


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        pytest.param(
            "heads.json",
            lambda one: one,
            ("audit-events-2026.08 proven\n", "proven, 3"),
            id="whole",
        ),
        pytest.param(
            "august.ndjson",
            lambda one: one.replace('"u_1"', '"u_2"'),
            ("audit-events-2026.08 NOT PROVEN\n", "DOES NOT MATCH"),
            id="an event was altered",
        ),
        pytest.param(
            "heads.json",
            lambda one: one.replace('"events": 3', '"events": 4'),
            ("audit-events-2026.08 NOT PROVEN\n", "is no share of org_acme"),
            id="a share was forged",
        ),
        pytest.param(
            "heads.json",
            lambda one: re.sub(r"\.[\w-](?=[\w-]{85}\")", ".-", one),
            ("InvalidSignature", "one of these keys signed: it or its signature was altered"),
            id="a signature was forged",
        ),
    ],
)
def test_the_verifier_of_the_document_finds_what_ours_finds(
    world: SealedWorld,
    verifier: Path,
    name: str,
    change: Callable[[str], str],
    told: tuple[str, str],
) -> None:
    theirs, ours = told
    path = world.home / name
    path.write_text(change(path.read_text()))
    heads, exported = world.home / "heads.json", world.home / "august.ndjson"
    assert theirs in verify(verifier, world.key_path, heads, exported)
    assert ours in run(world, exported, heads=[heads]).stdout


def test_the_verifier_takes_a_document_without_a_share_for_no_proof(
    world: SealedWorld, verifier: Path
) -> None:
    heads = world.home / "heads.json"
    heads.write_text('{"organizationId":"org_acme","heads":[]}')
    assert verify(verifier, world.key_path, heads, world.home / "august.ndjson") == ""


def test_the_verifier_knows_trees_of_each_size(tmp_path: Path, verifier: Path) -> None:
    world = SealedWorld(tmp_path)
    everything: list[bytes] = []
    for count in range(1, 10):
        moments = [
            (f"org_{number}", f"2026-08-{count:02d}T10:00:{second:02d}Z")
            for number in range(count)
            for second in range(number + 1)
        ]
        some = events_at(tmp_path / f"{count}.log", moments)
        world.seal(f"audit-events-2026.08.{count:02d}", some)
        everything += some
    for whose in ("org_0", "org_4", "org_8"):
        own = in_order(one for one in everything if read(one)["organizationId"] == whose)
        path = export(tmp_path / f"{whose}.ndjson", own, organizationId=whose)
        heads = world.document(world.heads(whose), f"{whose}.json")
        told = verify(verifier, world.key_path, heads, path).splitlines()
        shared = [one for one in json.loads(heads.read_text())["heads"] if one["share"]]
        assert len(told) == len(shared) > 0
        assert all(line.endswith(" proven") for line in told)
        assert f"heads: {len(shared)} of 9 sealed" in run(world, path, heads=[heads]).stdout


def test_a_key_that_did_not_sign_is_told_with_the_one_that_did(world: SealedWorld) -> None:
    named = json.loads(world.key_path.read_text())["kid"]
    world.key_path.write_text(json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=False)))
    told = run(world, world.home / "august.ndjson", heads=[world.home / "heads.json"]).stdout
    assert f"one of these keys signed: it names the key '{named}'\n" in told
    assert "next: name the key of that time by `--key`, too, or fetch" in told


def test_exports_that_overlap_prove_what_each_proves(world: SealedWorld) -> None:
    again = export(world.home / "again.ndjson", lines(), organizationId="org_acme")
    done = run(world, world.home / "august.ndjson", again, heads=[world.home / "heads.json"])
    assert "3 of these events repeat one of another export\n" in done.stdout
    assert "proven, 3 events" in done.stdout
    assert done.exit_code == 0


def test_an_export_that_lacks_an_event_is_told_with_how_many(world: SealedWorld) -> None:
    part = export(world.home / "part.ndjson", lines()[1:], organizationId="org_acme")
    told = run(world, part, heads=[world.home / "heads.json"]).stdout
    assert "DOES NOT MATCH; the exports lack 1 of its 3 events\n" in told
