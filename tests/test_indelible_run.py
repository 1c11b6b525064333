"""What `up` makes of the cluster's answers while it waits to be ready."""

import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import msgspec
import pytest
from typing_extensions import override

from indelible.configuration import load
from indelible.display import Display
from indelible.errors import ChildFailedError, NotReadyError
from indelible.plan import Options
from indelible.processes import Identity, Program
from indelible.run import Run
from indelible.run_record import lock
from indelible.stopping import Stopping
from indexer.client import connect
from indexer.errors import NoAnswerError, RefusedError
from tests.waiting import wait_until

OPTIONS: Final = Options(example=True, fresh=False, yes=False, example_port=8251, as_json=False)
PATIENCE_SECONDS: Final = 3
SILENCE: Final = 0
NO_SHARD: Final = (
    b'{"error":{"type":"search_phase_execution_exception","reason":"all shards failed"}}'
)
DENIED: Final = b'{"error":{"type":"security_exception","reason":"no permissions"}}'


class Answers(BaseHTTPRequestHandler):
    """Answers with what the test has laid out, one after the other."""

    protocol_version = "HTTP/1.1"
    laid_out: Final[list[tuple[int, bytes]]] = []
    over: Final = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.laid_out.pop(0)
        if status == SILENCE:
            self.over.wait(60)
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    Answers.over.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    environ = {
        "INDELIBLE_HOME": str(tmp_path),
        "INDELIBLE_OPENSEARCH_URL": f"http://127.0.0.1:{server.server_port}",
        "INDELIBLE_OPENSEARCH_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
    }
    yield Run(load(environ), OPTIONS, Display(), Stopping())
    Answers.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def count(found: int) -> tuple[int, bytes]:
    return 200, f'{{"count":{found}}}'.encode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([count(5), count(1)], True, id="both printed questions have answers"),
        pytest.param([count(4)], False, id="too few events"),
        pytest.param([count(5), count(0)], False, id="no change of a role yet"),
        pytest.param([(503, NO_SHARD)], False, id="a partition that was just made"),
        pytest.param([(404, b"{}")], False, id="no partition yet"),
    ],
)
def test_up_is_ready_when_what_it_prints_has_answers(
    answers: list[tuple[int, bytes]], run: Run, *, expected: bool
) -> None:
    Answers.laid_out[:] = answers
    with connect(run.configuration.connection, role="reader") as client:
        holds = run.find_delay(lambda: run.has_events(client)) is None
    assert holds == expected
    assert Answers.laid_out == []


@pytest.mark.slow
def test_a_refusal_that_waiting_does_not_mend_is_an_error(run: Run) -> None:
    Answers.laid_out[:] = [(403, DENIED)]
    with (
        connect(run.configuration.connection, role="reader") as client,
        pytest.raises(RefusedError, match="no permissions"),
    ):
        run.find_delay(lambda: run.has_events(client))


@pytest.mark.slow
def test_a_cluster_that_is_slow_to_answer_is_waited_for_and_that_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("indelible.run.TELL_SECONDS", 0.0)
    Answers.laid_out[:] = [(SILENCE, b""), (503, NO_SHARD), (429, b"{}"), count(5), count(1)]
    with connect(run.configuration.connection, role="reader") as client:
        run.await_(lambda: run.has_events(client), "agent")
    assert Answers.laid_out == []
    told = r"Waiting for agent, \d+ s by now: no answer from http"
    assert re.search(told, capsys.readouterr().err)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_not_waited_for(run: Run) -> None:
    nowhere = msgspec.structs.replace(run.configuration.connection, url="http://127.0.0.1:9")
    with connect(nowhere, role="reader") as client, pytest.raises(NoAnswerError, match="refused"):
        run.find_delay(lambda: run.has_events(client))


@pytest.mark.slow
def test_a_node_that_ends_while_it_is_waited_for_is_told(run: Run) -> None:
    nowhere = msgspec.structs.replace(run.configuration.connection, url="http://127.0.0.1:9")
    run.node = Identity(os.getpid(), "another start")
    with (
        connect(nowhere, role="reader") as client,
        pytest.raises(ChildFailedError, match="the OpenSearch node ended"),
    ):
        run.await_(lambda: run.has_events(client), "agent")


@pytest.mark.slow
def test_what_never_comes_is_given_up_with_the_end_of_its_log(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indelible.run.GIVE_UP_SECONDS", 1.0)
    with lock(run.configuration.home):
        says = "import time; print('reads on'); time.sleep(60)"
        run.children.start(Program("agent", ("-c", says), 1))
        try:
            wait_until(lambda: "reads on" in run.children.log_tail("agent"), "it says nothing")
            with pytest.raises(NotReadyError, match=r"agent was not ready after 1 s") as caught:
                run.await_(lambda: False, "agent")
        finally:
            run.children.kill()
    assert "reads on" in str(caught.value)
