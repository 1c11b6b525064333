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


def has_events(run: Run, *answers: tuple[int, bytes]) -> list[bool]:
    Answers.laid_out[:] = answers
    with connect(run.configuration.connection, role="reader") as client:
        return [run.has_events(client) for _ in answers]


def test_a_partition_that_was_just_made_is_asked_again(run: Run) -> None:
    counts = ((503, NO_SHARD), (200, b'{"count":0}'), (200, b'{"count":3}'))
    assert has_events(run, *counts) == [False, False, True]


def test_a_refusal_that_waiting_does_not_mend_is_an_error(run: Run) -> None:
    with pytest.raises(RefusedError, match="no permissions"):
        has_events(run, (403, DENIED))
