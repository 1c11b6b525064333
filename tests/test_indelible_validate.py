"""`indelible validate`: files of events against the format."""

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from click.testing import CliRunner, Result

from audit_events import open_log
from audit_events.errors import CatalogueError
from indelible.event_lines import EventLines
from indelible.exported import ExportedChains
from indelible.repeated_ids import RepeatedIds
from indelible.validate import command
from tests.test_audit_events_catalogue_file import GOOD, write
from webapi import csv_rows


@pytest.fixture
def lines(tmp_path: Path) -> list[bytes]:
    """Five events of one source."""
    path = tmp_path / "emitted.jsonl"
    log = open_log(path, service="s", host="h")
    for _ in range(5):
        log.info("member.invited", organization_id="o", actor={"type": "user", "id": "u"})
    return path.read_bytes().splitlines(keepends=True)


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command, arguments, input=stdin)


def found(result: Result) -> list[tuple[int, str]]:
    return [(one["line"], one["kind"]) for one in json.loads(result.stdout)["problems"]]


def test_what_we_write_is_valid(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(lines))
    result = run("--complete", str(path))
    assert result.exit_code == 0
    assert "1 file, 5 lines, 5 events of 1 source, 20" in result.stdout
    assert result.stdout.endswith("valid: 0 errors, 0 warnings\n")


@pytest.mark.parametrize(
    ("change", "expected", "code"),
    [
        pytest.param(lambda one: one, [], 0, id="as it was"),
        pytest.param(lambda one: [*one[:2], *one[3:]], [(3, "gap")], 1, id="one is missing"),
        pytest.param(lambda one: [*one[:2], *one[3:], one[2]], [(5, "late")], 0, id="one late"),
        pytest.param(
            lambda one: [*one, one[4]], [(6, "order"), (6, "duplicate")], 1, id="one twice"
        ),
        pytest.param(lambda one: one[2:], [(1, "beginning")], 0, id="rotated"),
        pytest.param(
            lambda one: [*one[:4], one[4].replace(b'"o"', b'"p"')],
            [(5, "altered")],
            1,
            id="altered",
        ),
        pytest.param(lambda one: [*one, b'{"action":'], [(6, "torn")], 1, id="torn at the end"),
        pytest.param(
            lambda one: [*one[:4], one[4][:-1]], [(5, "torn")], 1, id="no newline at the end"
        ),
        pytest.param(
            lambda one: [one[0], b'{"action":\n', *one[1:]], [(2, "torn")], 1, id="torn inside"
        ),
        pytest.param(lambda one: [*one, b"\n"], [(6, "json")], 0, id="empty line"),
        pytest.param(
            lambda one: [*one[:2], b"\n" * 600, *one[2:4], b"\n", one[4].replace(b'"o"', b'"p"')],
            [(3, "json"), (605, "json"), (606, "altered")],
            1,
            id="a line that a full disk tore, blanked with newlines",
        ),
        pytest.param(
            lambda one: [b"x" * 200_000 + b"\n", *one], [(1, "size")], 1, id="over-long line"
        ),
        pytest.param(lambda one: [*one, b"x" * 70_000], [(6, "size")], 1, id="over-long last line"),
        pytest.param(
            lambda one: [one[0].replace(b"member.invited", b"member.invited2"), *one[1:]],
            [(1, "altered"), (1, "unknown_action")],
            1,
            id="unknown action",
        ),
        pytest.param(
            lambda one: [one[0].replace(b'"user"', b'"root"'), *one[1:]],
            [(1, "shape"), (1, "altered")],
            1,
            id="shape",
        ),
        pytest.param(lambda _: [], [], 0, id="empty file"),
    ],
)
def test_each_kind_of_flaw_is_told_with_its_line(
    lines: list[bytes], change: Callable[[list[bytes]], list[bytes]], expected: Any, code: int
) -> None:
    data = b"".join(change(lines))
    for content in (data, gzip.compress(data)):
        result = run("--json", "-", stdin=content)
        assert (found(result), result.exit_code) == (expected, code)
        assert json.loads(result.stdout)["valid"] is (code == 0)


def exported(lines: list[bytes], after: bytes = b"") -> list[bytes]:
    """Return the lines with the one that ends an export, which may go on behind an event."""
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    claim: dict[str, object] = {"events": len(lines), "format": "ndjson", "sha256": digest}
    if after:
        claim["filters"] = {"after": [json.loads(after)["id"]]}
    return [*lines, json.dumps({"export": claim}, separators=(",", ":")).encode() + b"\n"]


@pytest.mark.parametrize(
    ("change", "links", "expected"),
    [
        pytest.param(lambda one: exported(one[::-1]), 5, [], id="newest first"),
        pytest.param(exported, 5, [], id="oldest first"),
        pytest.param(lambda one: exported([one[4], one[3], one[1]]), 1, [], id="a share"),
        pytest.param(lambda _: exported([]), 0, [], id="empty"),
        pytest.param(
            lambda one: exported(one[:2]) + exported(one[2:]), 5, [], id="gone on with by hand"
        ),
        pytest.param(
            lambda one: [*one[:2], *exported(one[2:], after=one[1])],
            5,
            [],
            id="cut off, and gone on with by the API",
        ),
        pytest.param(
            lambda one: [*one[:2], *exported(one[2:], after=one[1])[1:]],
            3,
            [(5, "gap"), (5, "altered")],
            id="gone on with, and one is missing",
        ),
        pytest.param(
            lambda one: [*one[:2], *exported(one[3:], after=one[2])],
            3,
            [(5, "gap"), (5, "altered")],
            id="gone on with behind one that is not there",
        ),
        pytest.param(
            lambda one: exported(one[::-1])[1:],
            4,
            [(5, "gap"), (5, "altered")],
            id="one is missing",
        ),
        pytest.param(
            lambda one: [one[0], *exported(one[1:])],
            5,
            [(6, "gap"), (6, "altered")],
            id="one more",
        ),
        pytest.param(
            lambda one: exported([one[2].replace(b'"o"', b'"p"'), one[1]]),
            1,
            [(2, "altered")],
            id="altered, and the digest made to fit",
        ),
        pytest.param(
            lambda one: [b"x\n", *exported(one)[1:]],
            3,
            [(1, "json"), (6, "altered")],
            id="no event",
        ),
        pytest.param(
            lambda one: exported([one[4], one[4]]), 0, [(2, "duplicate")], id="one id twice"
        ),
    ],
)
def test_an_export_is_held_against_its_last_line(
    tmp_path: Path,
    lines: list[bytes],
    change: Callable[[list[bytes]], list[bytes]],
    links: int,
    expected: Any,
) -> None:
    data = b"".join(change(lines))
    path = tmp_path / "export.ndjson"
    for content in (data, gzip.compress(data)):
        path.write_bytes(content)
        result = run("--json", "--complete", str(path))
        assert (found(result), result.exit_code) == (expected, int(bool(expected)))
        summary = json.loads(result.stdout)["summary"]
        assert (summary["exports"], summary["exportedLinks"]) == (1, links)


@pytest.mark.parametrize(
    ("second", "overlapping", "expected", "told"),
    [
        pytest.param(lambda one: exported(one[3:]), 2, [], "", id="the same events"),
        pytest.param(
            lambda one: exported([one[4].replace(b'"u"', b'"v"')]),
            *(0, [(1, "duplicate")], "an event never changes"),
            id="one was altered, and the digest made to fit",
        ),
        pytest.param(
            lambda one: exported([one[4], one[4]]),
            *(1, [(2, "duplicate")], "an export has each event once"),
            id="one of them has it twice",
        ),
        pytest.param(
            lambda one: [one[0]], 0, [(1, "duplicate")], "check logs and exports apart", id="a log"
        ),
    ],
)
def test_exports_may_overlap_as_long_as_the_events_are_the_same(  # noqa: PLR0917
    tmp_path: Path,
    lines: list[bytes],
    second: Callable[[list[bytes]], list[bytes]],
    overlapping: int,
    expected: Any,
    told: str,
) -> None:
    first, other = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    first.write_bytes(b"".join(exported(lines)))
    other.write_bytes(b"".join(second(lines)))
    result = run("--json", str(first), str(other))
    assert (found(result), result.exit_code) == (expected, int(bool(expected)))
    document = json.loads(result.stdout)
    assert document["summary"]["overlapping"] == overlapping
    assert all(told in one["next"] for one in document["problems"])


def test_of_an_export_is_said_what_was_checked(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "export.ndjson"
    path.write_bytes(b"".join(exported(lines[::-1])))
    told = run(str(path)).stdout
    assert "1 export: checked count and sha256, the form" in told
    assert "5 links of chains; not the order" in told
    assert told.endswith("valid: 0 errors, 0 warnings\n")


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def of_zip(lines: list[bytes]) -> dict[str, bytes]:
    """Return what an export of some lines as a zip holds."""
    manifest = json.loads(exported(lines)[-1])["export"]
    return {
        "events.ndjson": b"".join(lines),
        "manifest.json": json.dumps(manifest, indent=2).encode(),
    }


@pytest.mark.parametrize(
    ("change", "links", "expected"),
    [
        pytest.param(lambda one: of_zip(one[::-1]), 5, [], id="newest first"),
        pytest.param(lambda _: of_zip([]), 0, [], id="empty"),
        pytest.param(
            lambda one: of_zip(one) | {"events.ndjson": b"".join(one[1:])},
            3,
            [(5, "gap"), (5, "altered")],
            id="a line was taken away",
        ),
        pytest.param(
            lambda one: of_zip([one[2].replace(b'"o"', b'"p"'), one[1]]),
            1,
            [(2, "altered")],
            id="altered, with a digest that fits",
        ),
        pytest.param(
            lambda one: {"events.ndjson": b"".join(one)}, 0, [(1, "torn")], id="no manifest"
        ),
        pytest.param(
            lambda one: of_zip(one) | {"manifest.json": b'{"events":'},
            0,
            [(1, "torn")],
            id="half a manifest",
        ),
        pytest.param(
            lambda one: {"manifest.json": of_zip(one)["manifest.json"]},
            0,
            [(1, "torn")],
            id="no events",
        ),
    ],
)
def test_a_zip_is_held_against_its_manifest(
    tmp_path: Path,
    lines: list[bytes],
    change: Callable[[list[bytes]], dict[str, bytes]],
    links: int,
    expected: list[tuple[int, str]],
) -> None:
    result = run("--json", str(zipped(tmp_path / "export.zip", change(lines))))
    assert found(result) == expected
    assert json.loads(result.stdout)["summary"]["exportedLinks"] == links


@pytest.mark.parametrize("cut", [20, -20])
def test_a_zip_that_was_cut_off_is_told(tmp_path: Path, lines: list[bytes], cut: int) -> None:
    path = zipped(tmp_path / "export.zip", of_zip(lines))
    path.write_bytes(path.read_bytes()[:cut])
    result = run(str(path))
    assert f"{path}:1: error: cannot be read: it has no table of contents" in result.stdout
    assert result.exit_code == 1


def test_a_zip_through_a_pipe_is_told_to_be_named(tmp_path: Path, lines: list[bytes]) -> None:
    path = zipped(tmp_path / "export.zip", of_zip(lines))
    command = [sys.executable, "-m", "indelible", "validate", "-"]
    piped = subprocess.run(command, input=path.read_bytes(), capture_output=True, check=False)
    assert b"-:1: error: is a zip archive that is piped" in piped.stdout
    assert b"next: name the zip as a file" in piped.stdout
    with path.open("rb") as file:
        read = subprocess.run(command, stdin=file, capture_output=True, check=False)
    assert read.stdout.endswith(b"valid: 0 errors, 0 warnings\n")


def test_events_that_were_taken_out_of_their_zip_are_told_so(
    tmp_path: Path, lines: list[bytes]
) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(of_zip(lines[::-1])["events.ndjson"])
    assert "taken out of its zip" in run(str(path)).stdout


def test_an_export_through_a_pipe_is_told_to_be_named(lines: list[bytes]) -> None:
    data = b"".join(exported(lines))
    command = [sys.executable, "-m", "indelible", "validate", "-"]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"-:6: error: ends an export" in done.stdout
    assert b"name the export as a file" in done.stdout


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(csv_rows.header() + b'"a","b"\r\n' * 3, "as a table (CSV)", id="csv"),
        pytest.param(
            csv_rows.BOM + csv_rows.header(), "as a table (CSV)", id="csv for a spreadsheet"
        ),
    ],
)
def test_an_export_that_is_no_lines_is_told_once(
    tmp_path: Path, content: bytes, said: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "export"
    path.write_bytes(pack(content))
    result = run(str(path))
    assert result.exit_code == 1
    problem, next_step, _, verdict = result.stdout.splitlines()
    assert problem.startswith(f"{path}:1: error: is ")
    assert said in problem
    assert "ndjson" in next_step
    assert verdict == "invalid: 1 error, 0 warnings (1 json)"


def test_a_file_of_something_else_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"hello\n")
    assert f"{path}:1: error: JSON is malformed" in run(str(path)).stdout


def test_what_is_kept_of_exported_sources_is_bounded(lines: list[bytes]) -> None:
    text = [line.removesuffix(b"\n") for line in lines[::-1]]
    kept, forgetful = ExportedChains(), ExportedChains(held_bytes=len(text[0]) - 1)
    for line in text:
        kept.check(line)
        forgetful.check(line)
    assert (kept.sources, kept.links) == (1, 5)
    assert (forgetful.sources, forgetful.links) == (5, 1)


def test_files_are_one_log_in_the_order_given(tmp_path: Path, lines: list[bytes]) -> None:
    paths = [tmp_path / "audit.jsonl.1.gz", tmp_path / "audit.jsonl"]
    paths[0].write_bytes(gzip.compress(b"".join(lines[:3])))
    paths[1].write_bytes(b"".join(lines[3:]))
    in_order = run("--complete", *map(str, paths))
    assert "2 files, 5 lines, 5 events of 1 source" in in_order.stdout
    assert in_order.exit_code == 0
    reverse = run("--complete", "--json", *map(str, reversed(paths)))
    assert found(reverse) == [(1, "gap"), (1, "order"), (2, "order"), (3, "order")]


def test_an_unknown_action_is_a_warning_with_the_nearest_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    log = open_log(path, service="s", host="h")
    for _ in range(3):
        log.info("member.role_change", organization_id="o", actor={"type": "user"})
    result = run(str(path))
    assert result.exit_code == 0
    assert result.stdout.count("member.role_change is in no catalogue") == 1
    assert "did you mean member.role_changed" in result.stdout


def test_an_action_of_the_configured_catalogue_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = write(tmp_path, GOOD)
    path = tmp_path / "a.jsonl"
    log = open_log(path, service="s", host="h")
    for action in ("invoice.approved", "invoice.accepted", "invoice.approve"):
        log.info(action, organization_id="o", actor={"type": "user"})
    assert json.loads(run("--json", str(path)).stdout)["summary"]["warnings"] == 3
    monkeypatch.setenv("INDELIBLE_CATALOGUE_PATH", str(catalogue))
    told = json.loads(run("--json", str(path)).stdout)["problems"]
    assert [one["line"] for one in told] == [3]
    assert told[0]["next"].startswith("did you mean invoice.approved,")


def test_a_wrong_catalogue_is_told_before_anything_is_read(
    tmp_path: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDELIBLE_CATALOGUE_PATH", str(tmp_path / "none.toml"))
    result = run("-", stdin=b"".join(lines))
    assert isinstance(result.exception, CatalogueError)
    assert result.stdout == ""


def test_validate_needs_no_home_that_can_be_read(
    tmp_path: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("INDELIBLE_HOME", str(tmp_path / "file"))
    assert run("-", stdin=b"".join(lines)).exit_code == 0


def test_an_archive_that_is_cut_off_is_told_after_its_last_line(lines: list[bytes]) -> None:
    packed = gzip.compress(b"".join(lines) * 50)
    result = run("--json", "--limit", "1000", "-", stdin=packed[:-20])
    problem = json.loads(result.stdout)["problems"]
    assert any(one["kind"] == "torn" and "cannot be read" in one["problem"] for one in problem)
    assert result.exit_code == 1


def test_what_is_told_is_bounded_and_all_is_counted(lines: list[bytes]) -> None:
    result = run("--limit", "2", "-", stdin=b"x\n" * 50 + b"".join(lines))
    assert result.stdout.count(": error: ") == 2
    assert "and 48 more, counted below" in result.stdout
    assert "invalid: 50 errors, 0 warnings (50 json)" in result.stdout


def test_a_line_says_file_place_and_next_step(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines[0].replace(b'"seq":0', b'"seq":-1'))
    first, hint = run(str(path)).stdout.splitlines()[:2]
    assert first.startswith(f"{path}:1: error: source.seq: ")
    assert hint == "  next: an integer, from 0, one more for each event of the source"


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    result = run("-", stdin='{"a\\u001b[2J\u202e":1,"id":5}\n'.encode())
    assert not {"\x1b", "\u202e"} & set(result.stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no file"),
        pytest.param(["/nonexistent/a.jsonl"], id="not there"),
        pytest.param(["/"], id="a directory"),
        pytest.param(["--limit", "-1", "-"], id="limit"),
    ],
)
def test_arguments_that_are_wrong_are_exit_code_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("wrong", [0, 1], ids=["at the end", "while it tells"])
def test_where_nobody_can_be_told_there_is_no_verdict(
    tmp_path: Path, lines: list[bytes], wrong: int
) -> None:
    """Scripts take 1 for a file that is wrong."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x\n" * wrong + b"".join(lines))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "indelible", "validate", str(path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: what this prints cannot be written: No space left")


def test_where_ids_have_no_room_there_is_no_verdict(
    tmp_path: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(lines))
    monkeypatch.setattr("indelible.validation.RepeatedIds", partial(RepeatedIds, run_ids=2))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    result = run(str(path))
    assert result.exit_code == 2
    assert "TMPDIR" in result.stderr


def test_repeated_ids_are_found_beyond_what_memory_holds() -> None:
    ids = RepeatedIds(run_ids=7)
    for place in range(100):
        ids.add(
            f"01a209bf-4543-70d7-aa30-{place % 90:012x}",
            place,
            b"%d" % (place % (90 if place < 95 else 100)),
        )
    assert [(one.first, one.again, one.is_same) for one in ids.find()] == [
        (place, place + 90, place < 5) for place in range(10)
    ]
    ids.close()


@pytest.mark.slow
def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    assert [(line.length, line.text) for line in EventLines(str(path)).read()] == [(200 << 20, b"")]
