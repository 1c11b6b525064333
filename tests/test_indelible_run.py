"""What `up` makes of the cluster's answers while it waits to be ready."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
from typing_extensions import override

from indelible.configuration import load
from indelible.display import Display
from indelible.plan import Options
from indelible.run import Run
from indelible.stopping import Stopping
from indexer.client import connect
from indexer.errors import RefusedError

OPTIONS: Final = Options(example=True, fresh=False, yes=False, example_port=8251, as_json=False)
NO_SHARD: Final = (
    b'{"error":{"type":"search_phase_execution_exception","reason":"all shards failed"}}'
)
DENIED: Final = b'{"error":{"type":"security_exception","reason":"no permissions"}}'


class Answers(BaseHTTPRequestHandler):
    """Answers with what the test has laid out, one after the other."""

    protocol_version = "HTTP/1.1"
    laid_out: Final[list[tuple[int, bytes]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.laid_out.pop(0)
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
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    environ = {
        "INDELIBLE_HOME": str(tmp_path),
        "INDELIBLE_OPENSEARCH_URL": f"http://127.0.0.1:{server.server_port}",
    }
    yield Run(load(environ), OPTIONS, Display(), Stopping())
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
        assert run.has_events(client) == expected
    assert Answers.laid_out == []


@pytest.mark.slow
def test_a_refusal_that_waiting_does_not_mend_is_an_error(run: Run) -> None:
    Answers.laid_out[:] = [(403, DENIED)]
    with (
        connect(run.configuration.connection, role="reader") as client,
        pytest.raises(RefusedError, match="no permissions"),
    ):
        run.has_events(client)
