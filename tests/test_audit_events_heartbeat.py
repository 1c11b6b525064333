"""A source says that it lives, whatever else it says, and that it ends when it ends well."""

import json
import os
import signal
import subprocess
import sys
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from audit_events import open_log
from audit_events.draft import Draft
from audit_events.errors import SinkError
from audit_events.event import HEARTBEAT_INTERVAL_KEY as INTERVAL_KEY
from audit_events.event import SOURCE_CLOSED as CLOSED
from audit_events.event import SOURCE_HEARTBEAT as HEARTBEAT
from audit_events.heartbeat import LOOKS, Beat, Pulse
from audit_events.validation import Chains, check_line
from tests.waiting import wait_until


class Log:
    """A log whose lines are kept, in place of a file."""

    def __init__(self, seq: int = 0) -> None:
        self.source_id = "01a209bf-4543-70d7-aa30-f320c8494f5f"
        self.service = "members"
        self.seq = seq
        self.is_full = False
        self.said: list[dict[str, Any]] = []

    def speak(self, draft: Draft) -> None:
        if self.is_full:
            raise SinkError(Path("/f"), "append to", OSError(28, "No space left on device"), "")
        self.seq += 1
        self.said.append(json.loads(draft.encode()))


def beat_of(*, opened_here: bool = True, announced: bool = False, closed_seq: int = -1) -> Beat:
    return Beat(60.0, opened_here, 1000.0, announced, closed_seq)


@pytest.mark.parametrize(
    ("beat", "seq", "now", "expected"),
    [
        pytest.param(beat_of(), 0, 1059.0, False, id="just configured"),
        pytest.param(beat_of(), 0, 1060.0, True, id="configured for an interval"),
        pytest.param(beat_of(opened_here=False), 0, 9999.0, False, id="child that records nothing"),
        pytest.param(beat_of(opened_here=False), 1, 1015.0, True, id="child that recorded"),
        pytest.param(beat_of(), 5, 1014.0, False, id="busy, and very young"),
        pytest.param(beat_of(), 5, 1015.0, True, id="busy, and nobody knows its interval"),
        pytest.param(beat_of(announced=True), 6, 1059.0, False, id="said it lately"),
        pytest.param(beat_of(announced=True), 6, 1060.0, True, id="said it an interval ago"),
        pytest.param(beat_of(announced=True, closed_seq=6), 6, 9999.0, False, id="ended"),
        pytest.param(beat_of(announced=True, closed_seq=6), 7, 1060.0, True, id="ended, but no"),
    ],
)
def test_when_a_source_says_that_it_lives(
    beat: Beat, seq: int, now: float, *, expected: bool
) -> None:
    assert beat.is_due(seq, now) is expected


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_source_says_it_once_an_interval_whatever_flows(*, is_busy: bool) -> None:
    log, pulse, interval = Log(1), Pulse(), 60.0
    log_beat = Beat(interval, is_opened_here=True, said=0.0)
    pulse._beats[log] = log_beat
    spoken, now = [0.0], 0.0
    for look in range(100):
        now = look * interval / LOOKS
        log.seq += is_busy
        pulse.look(now)
        if len(log.said) == len(spoken):
            spoken.append(now)
    pauses = [after - before for before, after in pairwise(spoken)]
    assert max(pauses) <= interval * (1 + 1 / LOOKS)
    assert len(log.said) <= 100 / LOOKS + 1


def test_the_last_line_counts_unknown_actions(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    unknown = (
        'audit_events.get_logger().info("a.b", organization_id="o", actor={"type": "system"})\n'
    )
    run(CONFIGURE_QUIET + unknown * 2, str(path))
    context = json.loads(path.read_bytes().splitlines()[-1])["context"]
    assert (context["events"], context["unknownActions"]) == (2, 2)


def test_what_a_heartbeat_says() -> None:
    log, pulse = Log(3), Pulse()
    pulse._beats[log] = Beat(60.0, is_opened_here=True, said=0.0)
    pulse.look(15.0)
    said = log.said[0]
    assert said["action"] == HEARTBEAT
    assert said["organizationId"] == "_system"
    assert said["actor"] == {"type": "system", "name": "members"}
    assert said["resource"] == {"type": "source", "id": log.source_id}
    assert said["context"] == {"events": 3, INTERVAL_KEY: 60, "pid": os.getpid()}


def test_a_heartbeat_that_cannot_be_written_is_tried_again() -> None:
    log, pulse = Log(1), Pulse()
    pulse._beats[log] = Beat(60.0, is_opened_here=True, said=0.0)
    log.is_full = True
    pulse.look(15.0)
    log.is_full = False
    pulse.look(30.0)
    assert [one["action"] for one in log.said] == [HEARTBEAT]


def test_the_last_line_comes_once_and_again_after_more() -> None:
    log, pulse = Log(2), Pulse()
    pulse._beats[log] = Beat(60.0, is_opened_here=True, said=0.0, is_announced=True)
    pulse.close(log)
    pulse.close(log)
    pulse.look(1e9)
    assert [(one["action"], one["context"]["events"]) for one in log.said] == [(CLOSED, 2)]
    log.seq += 1
    pulse.end()
    assert [(one["action"], one["context"]["events"]) for one in log.said[1:]] == [(CLOSED, 4)]


def test_a_source_that_said_nothing_has_no_last_line() -> None:
    log, pulse = Log(), Pulse()
    pulse._beats[log] = Beat(60.0, is_opened_here=True, said=0.0)
    pulse.end()
    assert log.said == []


def test_without_heartbeats_there_is_no_last_line_and_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    script = (
        "import threading\n"
        f"log = audit_events.configure({str(path)!r}, service='s', heartbeat_seconds=None)\n"
        "emit()\n"
        "print(threading.active_count())\n"
    )
    assert run(script).stdout == "1\n"
    assert actions(path) == {"main": ["member.invited"]}


PREAMBLE = """
import os, sys, time, audit_events, audit_events.heartbeat
def emit():
    audit_events.get_logger().info(
        "member.invited", organization_id="o", actor={"type": "user", "id": "u"})
def wait(n):
    own = b'"pid":%d}' % os.getpid()
    deadline = time.monotonic() + 50
    while sum(b"source_heartbeat" in one and own in one for one in open(sys.argv[1], "rb")) < n:
        assert time.monotonic() < deadline
        time.sleep(0.02)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = start(script, *arguments)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, ""), stderr
    return subprocess.CompletedProcess([], 0, stdout, stderr)


def actions(path: Path) -> dict[str, list[str]]:
    """What each source said, in its order; every line is valid and every chain unbroken."""
    chains, found = Chains(is_whole=True), dict[str, list[str]]()
    for line in path.read_bytes().splitlines():
        assert [*check_line(line), *chains.check(line)[1]] == []
        event = json.loads(line)
        found.setdefault(event["source"]["id"], []).append(event["action"])
    names = ["main", *(f"child {at}" for at in range(1, len(found)))]
    return dict(zip(names, found.values(), strict=True))


CONFIGURE = "audit_events.configure(sys.argv[1], service='s', heartbeat_seconds=1)\n"
# For what is about other lines: it would say that it lives while a slow machine holds it up.
CONFIGURE_QUIET = CONFIGURE.replace("=1)", "=3600)")


def test_a_clean_end_writes_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run(CONFIGURE_QUIET + "emit(); emit()\n", str(path))
    assert actions(path) == {"main": ["member.invited", "member.invited", CLOSED]}
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert last["context"]["events"] == last["source"]["seq"] == 2
    assert last["context"]["unknownActions"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("sys.exit(3)", True, id="sys.exit"),
        pytest.param("raise RuntimeError", True, id="an exception"),
        pytest.param("audit_events.close(); os._exit(0)", True, id="closed by hand"),
        pytest.param("os._exit(0)", False, id="os._exit"),
        pytest.param("os.kill(os.getpid(), 9)", False, id="killed"),
    ],
)
def test_which_ends_have_a_last_line(tmp_path: Path, script: str, *, expected: bool) -> None:
    path = tmp_path / "a.jsonl"
    start(CONFIGURE_QUIET + f"emit()\n{script}\n", str(path)).communicate(timeout=60)
    assert (actions(path)["main"][-1] == CLOSED) is expected


def test_a_script_that_records_nothing_leaves_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run(CONFIGURE_QUIET, str(path))
    assert path.read_bytes() == b""


def test_an_event_in_a_late_exit_handler_is_kept_and_the_end_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run("import atexit\natexit.register(emit)\n" + CONFIGURE_QUIET + "emit()\n", str(path))
    assert actions(path)["main"][-2:] == ["member.invited", CLOSED]


@pytest.mark.slow
def test_an_idle_process_says_that_it_lives(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    run(CONFIGURE + "wait(3)\n", str(path))
    *said, last = actions(path)["main"]
    assert (set(said), last) == ({HEARTBEAT}, CLOSED)


@pytest.mark.slow
def test_a_busy_process_says_that_it_lives_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    script = "import threading\nt = threading.Thread(target=wait, args=(2,))\nt.start()\n"
    run(f"{CONFIGURE}{script}while t.is_alive(): emit(); time.sleep(0.01)\n", str(path))
    said = actions(path)["main"]
    first, second, *_ = (at for at, action in enumerate(said) if action == HEARTBEAT)
    assert set(said[first + 1 : second]) == {"member.invited"}
    assert said[-1] == CLOSED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            f"{CONFIGURE}emit()\npid = os.fork()\nif pid == 0:\n    time.sleep(2.5); sys.exit()\n"
            "os.waitpid(pid, 0)\n",
            [],
            id="a child that records nothing",
        ),
        pytest.param(
            f"{CONFIGURE}pid = os.fork()\nif pid == 0:\n    emit(); wait(1); sys.exit()\nemit()\n"
            "os.waitpid(pid, 0)\n",
            [["member.invited", HEARTBEAT, CLOSED]],
            id="a child that records",
        ),
        pytest.param(
            f"{CONFIGURE_QUIET}import multiprocessing as m\nemit()\n"
            "c = m.get_context('fork').Process(target=emit)\nc.start(); c.join()\n",
            [["member.invited", CLOSED]],
            id="multiprocessing by fork",
        ),
        pytest.param(
            f"{CONFIGURE_QUIET}def child():\n    {CONFIGURE_QUIET}    emit()\n"
            "import multiprocessing as m\nemit()\n"
            "c = m.get_context('fork').Process(target=child)\nc.start(); c.join()\n",
            [["member.invited", CLOSED]],
            id="a child that configures too",
        ),
    ],
)
def test_a_forked_child_is_a_source_of_its_own(
    tmp_path: Path, script: str, expected: list[list[str]]
) -> None:
    path = tmp_path / "a.jsonl"
    run(script, str(path))
    found = actions(path)
    main = found.pop("main")
    assert main.count("member.invited") == 1
    assert main[-1] == CLOSED
    # As often as it lived through an interval.
    assert [[one for one, _ in groupby(said)] for said in found.values()] == expected


@pytest.mark.slow
def test_spawned_processes_and_a_pool_end_with_their_last_line(tmp_path: Path) -> None:
    path, module = tmp_path / "a.jsonl", tmp_path / "work.py"
    module.write_text(
        "import sys, audit_events\n"
        "def work(at):\n"
        f"    audit_events.configure({str(path)!r}, service='s', heartbeat_seconds=1)\n"
        "    audit_events.get_logger().info('member.invited', organization_id='o',\n"
        "        actor={'type': 'user', 'id': 'u'})\n"
        "if __name__ == '__main__':\n"
        "    import multiprocessing\n"
        "    for method in ('spawn', 'forkserver'):\n"
        "        process = multiprocessing.get_context(method).Process(target=work, args=(0,))\n"
        "        process.start(); process.join()\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        pool.map(work, range(4)); pool.close(); pool.join()\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(module)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = actions(path)
    assert len(found) in (3, 4)
    assert {said[-1] for said in found.values()} == {CLOSED}


@pytest.mark.slow
def test_nothing_is_written_while_the_interpreter_ends(tmp_path: Path) -> None:
    # A heartbeat each few milliseconds, so that many ends meet one.
    for at in range(6):
        path = tmp_path / f"{at}.jsonl"
        process = start(
            f"{CONFIGURE}pulse = audit_events.heartbeat.PULSE\n"
            "for beat in pulse._beats.values(): beat.interval_seconds = 0.002\n"
            f"pulse._wake.set()\nemit(); wait(1 + {at * 5})\n",
            str(path),
        )
        _, stderr = process.communicate(timeout=60)
        assert (process.returncode, stderr) == (0, "")
        assert actions(path)["main"][-1] == CLOSED


@pytest.mark.slow
def test_a_preloaded_gunicorn_has_a_source_for_each_worker(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    (tmp_path / "service.py").write_text(
        "import audit_events\n"
        f"audit_events.configure({str(path)!r}, service='s', heartbeat_seconds=1)\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'']\n"
        "def post_worker_init(worker):\n"
        "    audit_events.get_logger().info('member.invited', organization_id='o',\n"
        "        actor={'type': 'user', 'id': 'u'})\n",
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", f"unix:{tmp_path}/s",
         "-c", "python:service", "--chdir", str(tmp_path), "service:app"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip

    def both_live() -> bool:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return all(
            len({json.loads(line)["source"]["id"] for line in lines if action.encode() in line})
            == sources
            for action, sources in (("member.invited", 2), (HEARTBEAT, 3))
        )

    wait_until(both_live, "both live, and who started them")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    found = sorted(actions(path).values(), key=len)
    assert len(found) == 3
    assert {said[-1] for said in found} == {CLOSED}
    assert sum(said[0] == "member.invited" for said in found) == 2


def test_open_log_has_no_heartbeat_unless_told(tmp_path: Path) -> None:
    log = open_log(tmp_path / "a.jsonl", service="s")
    log.info("member.invited", organization_id="o", actor={"type": "user"})
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == 1
