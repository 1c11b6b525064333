"""`indelible dead-letter`: found, read, sent again, acknowledged; and no terminal obeys a line."""

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from indelible.dead_letter import command, filter_of
from indelible.errors import CommandError
from indexer.dead_letter import DeadLetter, Refusal
from indexer.errors import ReplayError
from indexer.replay import hold
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.lines import event_line

EVENT_ID = "0190a1b2-7c3d-7000-8000-00000000000a"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066\r\x00"
GARBAGE = b"2026-11-23 INFO started \x1b[31m\xff"


def refusal(line: bytes | None, **fields: Any) -> Refusal:
    said: dict[str, Any] = {
        "path": "/var/log/a.log",
        "offset": 0,
        "reason": "mapper_parsing_exception: failed to parse field [ipAddress]",
        "status": 400,
        "time": "2026-11-23T18:00:00.000000Z",
    }
    return Refusal(line=line, **{**said, **fields})


RECORDS = [
    refusal(event_line({"ipAddress": "999.1.1.1"}, event_id=EVENT_ID)),
    refusal(
        GARBAGE,
        offset=700,
        reason="not an event: JSON is malformed",
        status=None,
        time="2026-11-23T19:00:00.000000Z",
    ),
    refusal(
        None,
        path="/var/log/b.log",
        reason="longer than 65536 bytes",
        status=None,
        length_bytes=10**9,
        sha256="ab" * 32,
        time="2026-11-24T00:00:00.000000Z",
    ),
]
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the dead letter of an agent that has no cluster."""
    monkeypatch.setenv("INDELIBLE_HOME", str(tmp_path))
    monkeypatch.setenv("INDELIBLE_OPENSEARCH_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("INDELIBLE_AGENT_STATE_DIRECTORY", str(tmp_path / "agent"))
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(command, list(arguments))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def letter(tmp_path: Path) -> DeadLetter:
    dead_letter = DeadLetter(tmp_path / "agent")
    dead_letter.append(RECORDS)
    return dead_letter


def listed(run: Run, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("list", "--json", *arguments).output.splitlines()]


def test_nothing_is_no_error(run: Run, tmp_path: Path) -> None:
    result = run("list")
    assert result.exit_code == 0
    assert result.output == f"nothing open in {tmp_path}/agent/dead-letter.jsonl\n"
    assert run("list", "--json").output == ""


@pytest.mark.usefixtures("letter")
def test_the_list_says_what_where_and_why(run: Run) -> None:
    output = run("list").output
    for text in (
        "refused (400)",
        "failed to parse field",
        "/var/log/a.log:700",
        EVENT_ID,
        "member.role_changed",
        "2026-11-23T19:00:00Z",
        "1 refused, 1 malformed, 1 over_long",
    ):
        assert text in output
    (first, *_) = listed(run)
    assert first.pop("key")
    assert first == {
        "number": 1,
        "time": "2026-11-23T18:00:00.000000Z",
        "kind": "refused",
        "status": 400,
        "reason": "mapper_parsing_exception: failed to parse field [ipAddress]",
        "path": "/var/log/a.log",
        "offset": 0,
        "lines": 1,
        "eventId": EVENT_ID,
        "action": "member.role_changed",
        "outcome": "open",
    }


@pytest.mark.usefixtures("letter")
@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        pytest.param((), [1, 2, 3], id="all"),
        pytest.param(("--reason", "malformed"), [2], id="kind"),
        pytest.param(("--reason", "IPADDRESS"), [1], id="part of the reason"),
        pytest.param(("--since", "2026-11-23T19:00:00Z"), [2, 3], id="since an instant"),
        pytest.param(("--since", "2026-11-24"), [3], id="since a date"),
        pytest.param(("--path", "b.log"), [3], id="path"),
        pytest.param(("--limit", "2"), [2, 3], id="the newest"),
    ],
)
def test_the_list_is_filtered(run: Run, arguments: tuple[str, ...], numbers: list[int]) -> None:
    assert [one["number"] for one in listed(run, *arguments)] == numbers


@pytest.mark.usefixtures("letter")
def test_where_no_open_record_is_meant_it_is_not_said_that_none_is_open(
    run: Run, tmp_path: Path
) -> None:
    result = run("list", "--reason", "confict")
    assert result.exit_code == 0
    said = f"none of 3 in {tmp_path}/agent/dead-letter.jsonl is meant"
    assert result.output == f"{said}: look at --reason, --since, --path\n"
    run("acknowledge", "--all")
    assert run("list", "--reason", "confict").output.startswith("nothing open in ")


@pytest.mark.parametrize("name", ["list", "acknowledge", "replay"])
def test_a_directory_that_is_not_there_is_told(run: Run, name: str, tmp_path: Path) -> None:
    typo = str(tmp_path / "agnet")
    result = run(name, *([] if name == "list" else ["--all"]), "--state-directory", typo)
    assert result.exit_code == 2
    assert f"--state-directory: {typo} is no directory" in result.stderr


def test_the_list_counts_what_it_does_not_show(run: Run, letter: DeadLetter) -> None:
    assert "the newest 1 of 3" in run("list", "--limit", "1").output
    assert str(letter.path) in run("list").output


@pytest.mark.usefixtures("letter")
def test_a_since_that_nobody_understands_is_told(run: Run) -> None:
    result = run("list", "--since", "yesterday")
    assert result.exit_code == 2
    assert "expected RFC 3339" in result.output


@pytest.mark.usefixtures("letter")
def test_a_record_is_shown_whole_with_the_next_step(run: Run) -> None:
    for name in ("1", EVENT_ID, listed(run)[0]["key"]):
        output = run("show", name).output
        assert '\n  "ipAddress": "999.1.1.1",\n' in output
        assert "next     The cluster cannot store this value" in output
    output = run("show", "2", "3").output
    assert "2026-11-23 INFO started \\u001b[31m\\xff" in output
    assert "length   1000000000" in output
    assert "(the line is not here)" in output
    shown = json.loads(run("show", "1", "--json").output)
    assert json.loads(shown["line"])["ipAddress"] == "999.1.1.1"


@pytest.mark.usefixtures("letter")
def test_a_record_that_is_not_there_is_an_error(run: Run) -> None:
    for arguments in (("show", "4"), ("replay", "1", "nobody"), ("acknowledge", "0")):
        with pytest.raises(CommandError, match="no such record") as raised:
            run(*arguments)
        assert "list --all" in raised.value.hint


@pytest.mark.usefixtures("letter")
def test_a_name_that_is_empty_is_not_that_of_all_records_whose_line_has_no_id(run: Run) -> None:
    """As `acknowledge "$KEY"` with a variable that is not set."""
    with pytest.raises(CommandError, match="no such record"):
        run("acknowledge", "")


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("list", "--json"), ("show", "1"), ("show", "1", "--json"), ("show", "2")],
)
def test_no_terminal_obeys_what_others_wrote(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    event = event_line({"action": HOSTILE, "userAgent": HOSTILE}, event_id=HOSTILE)
    raw = HOSTILE.encode()
    DeadLetter(tmp_path / "agent").append(
        [
            refusal(event, path=f"/var/{HOSTILE}", reason=HOSTILE),
            refusal(raw, path=f"/var/{HOSTILE}", reason=HOSTILE),
        ]
    )
    output = run(*arguments).output
    assert "owned" in output
    assert not set(output) & set("\x1b\x07\x9b\u202e\u2066\r\x00")


@pytest.mark.usefixtures("letter")
def test_what_is_acknowledged_is_open_no_more(run: Run) -> None:
    before = [one["key"] for one in listed(run)]
    output = run("acknowledge", "2", "--note", "a colleague's debug line").output
    assert output == "1 acknowledged\n"
    assert [one["number"] for one in listed(run)] == [1, 3]
    everything = listed(run, "--all")
    assert [one["key"] for one in everything] == before
    assert [one["outcome"] for one in everything] == ["open", "acknowledged", "open"]
    assert "a colleague's debug line" in run("show", "2").output
    (marked,) = [one for one in listed(run, "--all") if one["outcome"] == "acknowledged"]
    again = run("acknowledge", "2", "--note", "another note")
    assert again.exit_code == 0
    first, second = again.output.splitlines()
    assert first == "0 acknowledged"
    assert second.startswith("record 2: already acknowledged at 20")
    assert second.endswith("Z; the note was not changed")
    assert "a colleague's debug line" in run("show", marked["key"]).output
    assert "note" not in run("acknowledge", "2", "3").output
    assert run("acknowledge", "--all").output == "1 acknowledged\n", "only named ones are told"


@pytest.mark.usefixtures("letter")
@pytest.mark.parametrize("name", ["replay", "acknowledge"])
def test_nothing_is_meant_by_default(run: Run, name: str) -> None:
    result = run(name)
    assert result.exit_code == 2
    assert "--all" in result.output


@pytest.mark.usefixtures("letter")
def test_a_dry_run_asks_nobody_and_marks_nothing(run: Run) -> None:
    result = run("replay", "--all", "--dry-run")
    assert result.exit_code == 0
    assert result.output == "1 would be sent, 2 are no events\n"
    assert len(listed(run)) == 3


@pytest.mark.usefixtures("letter")
def test_a_dead_letter_that_cannot_be_read_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "agent" / "dead-letter-marks.jsonl").mkdir()
    with pytest.raises(CommandError, match="cannot read the dead letter"):
        run("list")


def test_two_replays_at_once_are_refused(run: Run, letter: DeadLetter) -> None:
    with hold(letter.path.parent), pytest.raises(ReplayError, match="another replay"):
        run("replay", "--all")


@pytest.mark.slow
def test_ten_megabytes_are_listed_fast(run: Run, tmp_path: Path) -> None:
    DeadLetter(tmp_path / "agent").append(
        [refusal(event_line(), offset=offset) for offset in range(12_000)]
    )
    began = time.process_time()
    assert "the newest 50 of 12,000" in run("list").output
    assert time.process_time() - began < 3


def test_of_a_conflict_the_command_that_shows_the_other_event_is_said(
    run: Run, tmp_path: Path
) -> None:
    line = event_line({"organizationId": f"o'1{HOSTILE}"}, event_id=EVENT_ID)
    DeadLetter(tmp_path / "agent").append([refusal(line, status=409, reason="another event")])
    output = run("show", "1").output
    assert f"event id {EVENT_ID}\n" in output
    (command_line,) = [one for one in output.splitlines() if one.startswith("stored ")]
    words = shlex.split(command_line)
    assert words[1:4] == ["indelible", "search", "--organization"]
    assert words[4].startswith("o'1")
    assert words[5:] == ["--json", EVENT_ID]


@pytest.fixture
def reachable(
    run: Run, opensearch: Cluster, index: IndexSettings, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """The command, which reaches the cluster, on an index of its own."""
    connection = opensearch.connection()
    password = connection.writer_password
    assert password is not None
    for name, value in {
        "INDELIBLE_OPENSEARCH_URL": connection.url,
        "INDELIBLE_OPENSEARCH_CA_FILE": str(connection.ca_file),
        "INDELIBLE_OPENSEARCH_WRITER_USERNAME": "audit_writer",
        "INDELIBLE_OPENSEARCH_WRITER_PASSWORD": password.reveal(),
        "INDELIBLE_INDEX_PREFIX": index.prefix,
        "INDELIBLE_INDEX_REPLICAS": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return run


@pytest.mark.opensearch
def test_what_is_refused_again_is_told_once_and_not_by_the_log(
    reachable: Run, tmp_path: Path
) -> None:
    """The log is the agent's: JSON over an operator's terminal, which names the wrong next step."""
    lines = [event_line({"result": one}, event_id=EVENT_ID) for one in ("success", "denied")]
    DeadLetter(tmp_path / "agent").append(
        [refusal(line, status=413, offset=n) for n, line in enumerate(lines)]
    )
    result = reachable("replay", "--all")
    assert result.exit_code == 1
    assert result.output == "1 stored, 1 refused for another reason, under new numbers\n"
    assert "events_refused" not in result.stderr


@pytest.mark.opensearch
def test_what_can_be_stored_is_replayed(reachable: Run, tmp_path: Path) -> None:
    run = reachable
    good = [refusal(event_line(), status=413, reason="too large", offset=n) for n in range(3)]
    DeadLetter(tmp_path / "agent").append([*good, *RECORDS[1:]])
    result = run("replay", "--reason", "too_large", "--json")
    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "stored": 3,
        "replaced": 0,
        "unchanged": 0,
        "noEvents": 0,
    }
    result = run("replay", "--all")
    assert result.exit_code == 1
    assert result.output == "0 stored, 2 are no events and cannot be sent\n"
    assert [one["outcome"] for one in listed(run, "--all")] == [*["stored"] * 3, "open", "open"]
    again = run("replay", "1")
    assert (again.exit_code, again.output) == (0, "nothing open was named\n")


def test_a_run_is_shown_line_by_line_and_counted_as_what_it_is(run: Run, tmp_path: Path) -> None:
    text = b"one\x1b\ntwo\n\nthree"
    record = Refusal(
        path="/var/log/a.log", offset=7, reason="not an event: JSON is malformed",
        time="2026-11-23T19:00:00.000000Z", line=text, lines=3, length_bytes=len(text),
    )  # fmt: skip
    DeadLetter(tmp_path / "agent").append([record])
    assert "3 lines" in run("list").output
    assert listed(run)[0]["lines"] == 3
    shown = run("show", "1").output
    assert "3, side by side" in shown
    assert "\none\\u001b\ntwo\n\nthree\n" in shown
    assert json.loads(run("show", "1", "--json").output)["line"] == text.decode()
    assert run("replay", "--all").output == "0 stored, 1 are no events and cannot be sent\n"
    assert run("acknowledge", "--all").output == "1 acknowledged\n"
    assert listed(run) == []


def test_a_key_of_digits_alone_is_a_key_and_no_number() -> None:
    key = "1234567890123456"
    found = filter_of(("12", key), "", "", "")
    assert found.numbers == {12}
    assert found.ids == (key,)
