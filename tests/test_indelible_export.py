"""`indelible export`: a file that is whole, or a part that can be gone on with."""

import hashlib
import json
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from indelible import validate
from indelible.errors import CommandError
from indelible.export import command
from indelible.export_part import asked_of, part_of, read_part
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import Api, store, write_events
from tests.webapi_process import ROOT, environment
from webapi.audit_log import PATH

pytestmark = pytest.mark.opensearch

NAMES = ("Ana", '=cmd|"x"', 'line\r\nbreak"\r\n', "end\n")
EVENTS: list[dict[str, object]] = [
    {"action": "app.created", "resource": {"type": "app", "id": f"app_{at}", "name": name}}
    for at, name in enumerate(NAMES * 5)
]


class Exporting:
    """The command, on an index of its own."""

    def __init__(self, environ: dict[str, str], lines: list[bytes], home: Path) -> None:
        self.environ = environ
        self.lines = lines
        self.path = home / "out" / "events"
        self.path.parent.mkdir()

    def __call__(self, *arguments: str) -> Result:
        given = ["--output", str(self.path), *arguments]
        return CliRunner().invoke(command, given, env=self.environ)

    def done(self, *arguments: str) -> dict[str, Any]:
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.output
        assert {one.name for one in self.path.parent.iterdir()} == {self.path.name}
        found: dict[str, Any] = json.loads(result.stdout)
        return found


@pytest.fixture
def exporting(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Exporting:
    lines = write_events(tmp_path / "e.log", EVENTS, "2026-03-15T09:00:00Z")
    with opensearch.client("writer") as writer:
        store(writer, index, lines)
    for name in ("INDELIBLE_TEST_OPENSEARCH_URL", "INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    return Exporting(environment(opensearch, index, tmp_path), lines, tmp_path)


def test_it_is_what_the_api_answers(
    exporting: Exporting, opensearch: Cluster, index: IndexSettings
) -> None:
    api = Api(opensearch.client("reader"), index)
    for kind in ("ndjson", "csv"):
        done = exporting.done("--format", kind, "--since", "2026-03-15T09:00:03Z", "--order", "asc")
        written = exporting.path.read_bytes()
        query = f"format={kind}&since=2026-03-15T09:00:03Z&order=asc"
        answer = api.get(query, path=f"{PATH}/export").get_data()
        # All but the moment and how the question was spelled.
        count = 17 if kind == "ndjson" else len(answer.splitlines())
        assert written.splitlines()[:count] == answer.splitlines()[:count]
        assert (done["export"]["events"], done["export"]["format"]) == (17, kind)
        assert (done["bytes"], done["resumed"]) == (len(written), False)
        exporting.path.unlink()


def test_the_last_line_says_what_is_in_it(exporting: Exporting) -> None:
    done = exporting.done("--action", "app.*")
    *lines, last = exporting.path.read_bytes().splitlines(keepends=True)
    assert [line.rstrip(b"\n") for line in lines] == exporting.lines[::-1]
    assert json.loads(last)["export"] == done["export"]
    checked = CliRunner().invoke(validate.command, [str(exporting.path)])
    assert checked.exit_code == 0, checked.output
    assert "1 export: checked count and sha256, the form" in checked.output
    assert f"{len(lines)} links of chains" in checked.output
    assert done["export"]["sha256"] == hashlib.sha256(b"".join(lines)).hexdigest()
    assert done["export"]["filters"] == {"action": ["app.*"]}
    nobody = {"verdict": "unknown", "completeUntil": None, "losses": 0}
    assert done["export"]["completeness"] == nobody, "no process says that it lives"


def test_a_zip_is_one(exporting: Exporting) -> None:
    exporting.done("--format", "zip")
    with zipfile.ZipFile(exporting.path) as archive:
        assert archive.read("events.ndjson").splitlines() == exporting.lines[::-1]
        assert json.loads(archive.read("manifest.json"))["events"] == 20
    checked = CliRunner().invoke(validate.command, [str(exporting.path)])
    assert checked.output.endswith("valid: 0 errors, 0 warnings\n"), checked.output
    assert exporting("--format", "zip", "--resume").exit_code == 2


def test_people_read_what_was_done(exporting: Exporting) -> None:
    result = exporting()
    assert result.exit_code == 0
    assert "20 events of org_a in " in result.stdout
    assert "sha256 " in result.stdout


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_wherever_it_was_cut_off_it_is_the_same_in_the_end(exporting: Exporting, kind: str) -> None:
    done = exporting.done("--format", kind)
    whole = exporting.path.read_bytes()
    asked = {
        "organizationId": "org_a", "pairs": [], "format": kind, "asOf": done["export"]["asOf"],
    }  # fmt: skip
    exporting.path.unlink()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for at in (0, 1, ends[0], ends[0] + 9, *ends[2:6], ends[7] - 1, ends[-1] - 3, len(whole)):
        asked_of(exporting.path).write_text(json.dumps(asked))
        part_of(exporting.path).write_bytes(whole[:at])
        again = exporting.done("--format", kind, "--resume")
        assert exporting.path.read_bytes() == whole, at
        assert again["export"] == done["export"]
        assert again["resumed"]
        exporting.path.unlink()
    asked_of(exporting.path).write_text(json.dumps(asked))
    assert exporting.done("--format", kind, "--resume")["export"] == done["export"], "no part yet"


IDS = tuple(f"0190a1b2-7c3d-7000-8000-00000000000{digit}" for digit in "123")
ROWS = [
    b'"id","name"\r\n',
    b'"%s","a\r\nb"\r\n' % IDS[0].encode(),
    b'"%s","say ""x""\r\n"\r\n' % IDS[1].encode(),
]
LINES = [b'{"id":"%s"}\n' % one.encode() for one in IDS[:2]]


@pytest.mark.parametrize(
    ("kind", "whole", "rest"),
    [
        ("csv", ROWS, [b'"%s","cut\r\n' % IDS[2].encode()]),
        ("csv", ROWS, [b'"","no id"\r\n', b'"%s",""\r\n' % IDS[2].encode()]),
        ("csv", ROWS, [b'"x/..","no event"\r\n']),
        ("ndjson", LINES, [b'{"id":"%s"' % IDS[2].encode()]),
        ("ndjson", LINES, [b"{}\n", b'{"id":"%s"}\n' % IDS[2].encode()]),
        ("ndjson", LINES, [b'{"id":"x/.."}\n']),
    ],
)
def test_what_a_part_holds_is_read_up_to_its_last_whole_event(
    tmp_path: Path, kind: str, whole: list[bytes], rest: list[bytes]
) -> None:
    """Behind what is no event no export can be gone on with: nothing finds it again."""
    part = tmp_path / "x.part"
    part.write_bytes(b"".join([*whole, *rest]))
    written = read_part(part, kind)
    assert (written.events, written.first, written.last_id) == (2, *IDS[:2])
    assert part.read_bytes()[: written.size] == b"".join(whole)


def test_nothing_that_is_there_is_overwritten(exporting: Exporting) -> None:
    exporting.path.write_text("mine")
    assert isinstance(exporting().exception, CommandError)
    assert exporting.path.read_text() == "mine"
    exporting.path.unlink()
    part_of(exporting.path).write_text("also mine")
    error = exporting().exception
    assert isinstance(error, CommandError)
    assert "--resume" in error.hint
    assert part_of(exporting.path).read_text() == "also mine"


def test_only_the_same_question_is_gone_on_with(exporting: Exporting) -> None:
    error = exporting("--resume").exception
    assert isinstance(error, CommandError)
    assert (str(error), error.hint) == (
        f"there is no unfinished export {exporting.path}",
        "export it without --resume",
    )
    done = exporting.done("--action", "app.created")
    exporting.path.rename(part_of(exporting.path))
    asked = {
        "organizationId": "org_a", "pairs": [("action", "app.created")], "format": "ndjson",
        "asOf": done["export"]["asOf"],
    }  # fmt: skip
    asked_of(exporting.path).write_text(json.dumps(asked))
    part = part_of(exporting.path).read_bytes()
    for arguments in ((), ("--action", "app.created", "--format", "csv")):
        error = exporting("--resume", *arguments).exception
        assert isinstance(error, CommandError)
        assert "another question" in str(error)
    lines = part.splitlines(keepends=True)
    altered = lines[4].replace(b"app_", b"apx_")
    part_of(exporting.path).write_bytes(b"".join([*lines[:4], altered]))
    error = exporting("--resume", "--action", "app.created").exception
    assert isinstance(error, CommandError)
    assert "not what is stored" in str(error)


def test_a_pipe_is_no_file(exporting: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exporting.path.parent)
    result = exporting("--output", "-")
    assert result.exit_code == 2
    assert "--output: an export is a file" in result.stderr
    assert not list(exporting.path.parent.iterdir())


def test_a_wrong_option_leaves_nothing_behind(exporting: Exporting) -> None:
    for arguments in (("--since", "yesterday"), ("--action", "nobody.knows")):
        result = exporting(*arguments)
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, click.UsageError | SystemExit)
        assert list(exporting.path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["ndjson", "csv", "zip"])
def test_what_failed_before_its_first_event_is_nothing_to_go_on_with(
    exporting: Exporting, kind: str
) -> None:
    right = exporting.environ["INDELIBLE_OPENSEARCH_READER_PASSWORD"]
    exporting.environ["INDELIBLE_OPENSEARCH_READER_PASSWORD"] = "wrong"  # noqa: S105  # on purpose
    question = ("--organization", "org_a", "--format", kind)
    assert exporting(*question).exit_code == 1
    assert not list(exporting.path.parent.iterdir())
    exporting.environ["INDELIBLE_OPENSEARCH_READER_PASSWORD"] = right
    assert exporting.done(*question)["export"]["events"] == len(exporting.lines)


def test_a_disk_that_is_full_is_told_and_gone_on_with(exporting: Exporting) -> None:
    """The limit of a file's size takes a part of a write first, as a disk does that fills."""
    most = sum(map(len, exporting.lines[:7]))
    done = subprocess.run(
        [sys.executable, "-m", "indelible", "export", "--output", str(exporting.path)],
        env=exporting.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert done.returncode == 1, done.stderr
    assert "cannot be written" in done.stderr
    assert "--resume" in done.stderr
    assert part_of(exporting.path).stat().st_size == most
    assert not exporting.path.exists()
    again = exporting.done("--resume")
    *lines, _ = exporting.path.read_bytes().splitlines()
    assert lines == exporting.lines[::-1]
    assert again["export"]["events"] == 20


def test_a_disk_that_was_full_from_the_start_is_nothing_to_go_on_with(exporting: Exporting) -> None:
    """It has no room for what is asked."""
    asked = ("export", "--output", str(exporting.path))
    done = subprocess.run(
        [sys.executable, "-m", "indelible", *asked],
        env=exporting.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
    )
    assert done.returncode == 1, done.stderr
    assert "and export again" in done.stderr
    assert not list(exporting.path.parent.iterdir())
    assert exporting.done()["export"]["events"] == 20


def test_a_directory_that_is_not_there_is_nothing_to_go_on_with(exporting: Exporting) -> None:
    exporting.path.parent.rmdir()
    result = exporting()
    assert isinstance(result.exception, CommandError)
    assert "events.part cannot be written: No such file" in str(result.exception)
    assert result.exception.hint == "make that directory, or name another, and export again"
