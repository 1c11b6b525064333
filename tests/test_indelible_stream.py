"""`indelible stream` on the real node and API: all of it comes, whatever is killed."""

import fcntl
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from opensearchpy import OpenSearch
from werkzeug.serving import make_server

from audit_events.envelope import decode_envelope
from indelible.cursor_file import hold
from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.conftest import free_ports
from tests.stream_reading import api_of, ship
from tests.waiting import wait_until
from tests.webapi_api import token, write_events
from tests.webapi_process import GUNICORN, ROOT, environment, serving

pytestmark = pytest.mark.opensearch

EVENTS: list[dict[str, object]] = [{"action": "app.created"}]
LARGE: list[dict[str, object]] = [{"action": "app.created", "context": {"text": "n" * 6000}}]
PAGE_BYTES = 4096
"""The least that a pipe holds: a large event does not go into it at once."""
COMMAND = (sys.executable, "-P", "-m", "indelible", "stream")
IMPATIENT = """
from indelible import cli, stream
stream.ONCE_SECONDS = stream.MAX_WAIT_SECONDS = 3
cli.main()
"""
"""The API of these tests has settled what was stored a second ago."""


class Streaming:
    """The command beside an API that settles soon, its output in a file."""

    def __init__(self, url: str, directory: Path, command: Sequence[str] = COMMAND) -> None:
        self.command = command
        self.token_file = directory / "token"
        self.token_file.write_text(f"{token()}\n")
        self.token_file.chmod(0o600)
        self.output = directory / "out.ndjson"
        self.errors = directory / "errors"
        self.cursor = directory / "cursor"
        self.started: list[subprocess.Popen[bytes]] = []
        self.environ = {
            "PATH": os.environ["PATH"],
            "INDELIBLE_STREAM_URL": url,
            "INDELIBLE_STREAM_TOKEN_FILE": str(self.token_file),
        }

    def start(self, *arguments: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as out, self.errors.open("ab") as errors:
            process = subprocess.Popen(
                [*self.command, *arguments],
                cwd=ROOT,
                env=self.environ,
                stdout=out if stdout is None else stdout,
                stderr=errors,
            )
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()

    def run(self, *arguments: str) -> int:
        return self.start(*arguments).wait(90)

    def run_once_until(self, wanted: Sequence[str], *arguments: str) -> None:
        """Again and again: what was stored just before is answered some seconds later.

        With a file for the cursor nothing may come twice by that, whatever `--start` says.
        """

        def is_all_there() -> bool:
            assert self.run(*arguments, "--once") == 0
            found = self.ids()
            assert found == wanted[: len(found)], "the cursor beats --start"
            return len(found) == len(wanted)

        wait_until(is_all_there, "not all came")

    def keeping(self) -> tuple[str, ...]:
        return ("--cursor-file", str(self.cursor))

    def ids(self) -> list[str]:
        """Those of all lines that are whole: a kill may cut one, which comes again."""
        found: list[str] = []
        for line in self.output.read_bytes().splitlines():
            try:
                found.append(json.loads(line)["id"])
            except ValueError:
                continue
        return found


@pytest.fixture
def streaming(opensearch: Cluster, index: IndexSettings, tmp_path: Path) -> Iterator[Streaming]:
    server = make_server("127.0.0.1", 0, api_of(opensearch, index).app, threaded=True)
    serve = threading.Thread(target=server.serve_forever, daemon=True)
    serve.start()
    command = (sys.executable, "-P", "-c", IMPATIENT, "stream")
    with closing(Streaming(f"http://127.0.0.1:{server.port}/", tmp_path, command)) as found:
        yield found
    server.shutdown()
    serve.join()
    server.server_close()


@pytest.fixture
def writer(opensearch: Cluster) -> Iterator[OpenSearch]:
    with opensearch.client("writer") as client:
        yield client


def test_each_event_comes_once_over_restarts_byte_for_byte(
    streaming: Streaming, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    ship(writer, index, write_events(tmp_path / "old", EVENTS, "2026-03-14"))
    process = streaming.start(*streaming.keeping())
    wait_until(streaming.cursor.exists, "no cursor: from now on is not kept")
    lines = write_events(tmp_path / "new", EVENTS * 40, "2026-03-15")
    wanted = ship(writer, index, lines[:20])
    wait_until(lambda: len(streaming.ids()) == 20, "not all came")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    wanted += ship(writer, index, lines[20:])
    streaming.run_once_until(wanted, *streaming.keeping(), "--start", "beginning")
    stamp = b',"ingestedAt":"2026-03-15T09:00:00.000000Z"}'
    assert streaming.output.read_bytes().splitlines() == [one[:-1] + stamp for one in lines]
    assert streaming.errors.read_bytes() == b""


def test_filters_are_those_of_a_search(
    streaming: Streaming, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    events: list[dict[str, object]] = [
        {"action": "member.invited", "target_user": {"email": "m@company.com"}},
        {"action": "app.created", "result": "denied"},
        {"action": "member.removed", "result": "denied"},
    ]
    wanted = ship(writer, index, write_events(tmp_path / "e", events, "2026-03-15"))
    asked = ("--action", "member.*", "result:denied", "--start", "beginning")
    streaming.run_once_until([wanted[2]], *asked, *streaming.keeping())
    assert streaming.run(*streaming.keeping()) == 1, "a cursor is of its filters"
    assert f"the cursor in {streaming.cursor} is refused" in streaming.errors.read_text()
    assert streaming.run("--action", "member.invitd") == 2
    assert "--action: 'member.invitd' is no known action" in streaming.errors.read_text()
    assert streaming.run("--start", "yesterday") == 2
    assert "--start: expected now, beginning or an instant" in streaming.errors.read_text()


def test_one_process_has_a_cursor(streaming: Streaming) -> None:
    first = streaming.start(*streaming.keeping())
    wait_until(streaming.cursor.exists, "no cursor")
    assert streaming.run(*streaming.keeping()) == 1
    assert f"another process reads on from {streaming.cursor} (process {first.pid}" in (
        streaming.errors.read_text()
    )
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 0
    with hold(streaming.cursor) as kept:
        assert not kept.is_behind_cut


def test_a_reader_that_is_gone_ends_it_without_a_word(
    streaming: Streaming, writer: OpenSearch, index: IndexSettings, tmp_path: Path
) -> None:
    wanted = ship(writer, index, write_events(tmp_path / "e", EVENTS * 200, "2026-03-15"))
    process = streaming.start(*streaming.keeping(), "--start", "beginning", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["id"] in wanted
    process.stdout.close()
    assert process.wait(60) == 1
    assert streaming.errors.read_bytes() == b""
    assert not streaming.cursor.exists(), "the page was not taken"


def test_a_reader_that_is_gone_ends_it_where_no_event_comes(streaming: Streaming) -> None:
    process = streaming.start("--start", "2026-03-15", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 1
    assert streaming.errors.read_bytes() == b""


@pytest.mark.parametrize(
    ("bearer", "said"),
    [
        (token(exp=1), "error: the token is refused: it expired; sign in again"),
        (token(role="member"), "error: the token may not read this: this needs the role owner"),
    ],
)
def test_a_token_that_does_not_do_ends_it_and_is_not_told(
    streaming: Streaming, bearer: str, said: str
) -> None:
    streaming.token_file.write_text(bearer)
    assert streaming.run() == 1
    told = streaming.errors.read_text()
    assert told.startswith(said)
    assert "\nnext: " in told
    assert bearer not in told


@pytest.fixture
def narrow() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that holds a part of a large event."""
    source, sink = os.pipe()
    fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, PAGE_BYTES)
    yield source, sink
    os.close(source)


def wait_until_full(source: int) -> None:
    def waiting() -> int:
        return int.from_bytes(fcntl.ioctl(source, termios.FIONREAD, bytes(4)), sys.byteorder)

    wait_until(lambda: waiting() == PAGE_BYTES, "nothing was written")


def test_behind_a_line_that_a_kill_cut_there_is_a_new_one(
    streaming: Streaming,
    writer: OpenSearch,
    index: IndexSettings,
    tmp_path: Path,
    narrow: tuple[int, int],
) -> None:
    source, sink = narrow
    (wanted,) = ship(writer, index, write_events(tmp_path / "e", LARGE, "2026-03-15"))
    asked = ("--start", "beginning", *streaming.keeping())
    process = streaming.start(*asked, stdout=sink)
    wait_until_full(source)
    process.kill()
    process.wait()
    process = streaming.start(*asked, stdout=sink)
    os.close(sink)
    with os.fdopen(os.dup(source), "rb") as file:
        cut = file.readline()
        assert len(cut) == PAGE_BYTES + 1
        assert json.loads(file.readline())["id"] == wanted
    wait_until(streaming.cursor.exists, "no cursor")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    with hold(streaming.cursor) as kept:
        assert not kept.is_behind_cut


def test_asked_to_end_it_first_writes_what_it_has_begun(
    streaming: Streaming,
    writer: OpenSearch,
    index: IndexSettings,
    tmp_path: Path,
    narrow: tuple[int, int],
) -> None:
    source, sink = narrow
    wanted = ship(writer, index, write_events(tmp_path / "e", LARGE * 3, "2026-03-15"))
    asked = ("--start", "beginning", *streaming.keeping())
    process = streaming.start(*asked, stdout=sink)
    os.close(sink)
    wait_until_full(source)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    with os.fdopen(os.dup(source), "rb") as file:
        assert [json.loads(line)["id"] for line in file] == wanted
    assert process.wait(60) == 0
    with hold(streaming.cursor) as kept:
        assert kept.cursor is not None
        assert not kept.is_behind_cut


@contextmanager
def read_slowly(path: Path) -> Generator[int]:
    """A pipe that outlives its writers, so that a kill meets one that waits to write."""
    source, sink = os.pipe()

    def read() -> None:
        with path.open("ab", buffering=0) as file:
            while piece := os.read(source, 32_768):
                file.write(piece)
                time.sleep(0.03)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    yield sink
    os.close(sink)
    reading.join()
    os.close(source)


@contextmanager
def emitting(writer: OpenSearch, index: IndexSettings, lines: Sequence[bytes]) -> Generator[None]:
    """Some events at a time, until all of them are stored."""

    def emit() -> None:
        for at in range(0, len(lines), 50):
            ship(writer, index, lines[at : at + 50])
            time.sleep(0.4)

    thread = threading.Thread(target=emit, daemon=True)
    thread.start()
    yield
    thread.join()


def kill_until_all_came(streaming: Streaming, sink: int, wanted: set[str]) -> int:
    """Start and kill until each event came in whole; returns how often."""
    chance = random.Random(7)  # noqa: S311  # moments of kills
    deadline = time.monotonic() + 200
    streaming.output.touch()
    for kills in itertools.count(1):
        size = streaming.output.stat().st_size
        process = streaming.start("--start", "beginning", *streaming.keeping(), stdout=sink)
        if kills % 4:
            wait_until(lambda: streaming.output.stat().st_size > size, "nothing came")  # noqa: B023
        time.sleep(chance.uniform(0.0, 2.0))
        process.kill()
        process.wait()
        if wanted <= set(streaming.ids()):
            return kills
        assert time.monotonic() < deadline, len(wanted - set(streaming.ids()))
    raise AssertionError


@pytest.mark.slow
def test_kills_at_any_moment_lose_nothing(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, writer: OpenSearch
) -> None:
    (port,) = free_ports(1)
    environ = environment(opensearch, index, tmp_path, INDELIBLE_WEB_PORT=str(port))
    lines = write_events(tmp_path / "e", [*EVENTS * 4, *LARGE] * 400, "2026-03-15")
    wanted = {decode_envelope(line).id for line in lines}
    streaming = Streaming(f"http://127.0.0.1:{port}", tmp_path)
    with (
        serving(GUNICORN, environ, port, tmp_path / "web.log"),
        emitting(writer, index, lines),
        read_slowly(streaming.output) as sink,
    ):
        kills = kill_until_all_came(streaming, sink, wanted)
    assert kills > 5
    assert set(streaming.ids()) == wanted
    assert len(wanted) == 2000


@pytest.mark.slow
def test_an_api_that_is_away_is_waited_for_and_told_once(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path, writer: OpenSearch
) -> None:
    (port,) = free_ports(1)
    environ = environment(opensearch, index, tmp_path, INDELIBLE_WEB_PORT=str(port))
    with closing(Streaming(f"http://127.0.0.1:{port}", tmp_path)) as streaming:
        with serving(GUNICORN, environ, port, tmp_path / "web.log") as api:
            process = streaming.start(*streaming.keeping())
            wait_until(streaming.cursor.exists, "no cursor")
            api.terminate()
            api.wait(60)
            wait_until(lambda: b"warning" in streaming.errors.read_bytes(), "it said nothing")
        wanted = ship(writer, index, write_events(tmp_path / "e", EVENTS * 3, "2026-03-15"))
        with serving(GUNICORN, environ, port, tmp_path / "web.log"):
            wait_until(lambda: len(streaming.ids()) == 3, "not all came")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    assert streaming.ids() == wanted
    warning, note = streaming.errors.read_text().splitlines()
    assert warning.startswith(f"warning: http://127.0.0.1:{port} does not answer: ")
    assert note == "note: the API answers again"
