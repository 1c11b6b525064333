"""Servers of the API as processes of their own."""

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.webapi_api import SECRET

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
GUNICORN = ("-m", "gunicorn", "-c", "python:webapi.gunicorn_settings", "webapi.wsgi:create()")
LIMITED = ("LIST", "SEARCH", "INCIDENT", "EXPORT", "STREAM")


def environment(cluster: Cluster, index: IndexSettings, home: Path, **more: str) -> dict[str, str]:
    """Return the variables under which a command finds this cluster and this index."""
    connection = cluster.connection()
    assert connection.reader_password is not None
    assert connection.tokens_password is not None
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INDELIBLE_")}
    return {
        **kept,
        "INDELIBLE_HOME": str(home),
        "INDELIBLE_OPENSEARCH_URL": connection.url,
        "INDELIBLE_OPENSEARCH_CA_FILE": str(connection.ca_file),
        "INDELIBLE_OPENSEARCH_READER_USERNAME": "audit_reader",
        "INDELIBLE_OPENSEARCH_READER_PASSWORD": connection.reader_password.reveal(),
        "INDELIBLE_OPENSEARCH_TOKENS_USERNAME": "audit_tokens",
        "INDELIBLE_OPENSEARCH_TOKENS_PASSWORD": connection.tokens_password.reveal(),
        "INDELIBLE_INDEX_PREFIX": index.prefix,
        "INDELIBLE_WEB_JWT_SECRET": SECRET,
        # A test asks as often as it likes, unless it is about the limits.
        **{f"INDELIBLE_WEB_{kind}_PER_MINUTE": "0" for kind in LIMITED},
        **more,
    }


def ask(url: str, bearer: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (names in lower case) and body, whatever the status is."""
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # of this test
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # of this test
            return response.status, lower(response.headers.items()), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, lower(error.headers.items()), error.read()


def lower(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


@contextmanager
def serving(
    arguments: Sequence[str], environ: dict[str, str], port: int, log: Path
) -> Generator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block, and hand it over once it answers."""
    with log.open("wb") as errors:
        process = subprocess.Popen(  # our own interpreter
            [sys.executable, *arguments], cwd=ROOT, env=environ, stdout=errors, stderr=errors
        )
        try:
            await_answer(f"http://127.0.0.1:{port}/healthz", process, log)
            yield process
        finally:
            process.terminate()
            process.wait(30)


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers, or fail with what it said."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if ask(url)[0] == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server does not answer: {log.read_text()[-2000:]}")


def log_lines(log: Path) -> list[dict[str, object]]:
    """Return what the process logged, all of which must be JSON lines."""
    decode = msgspec.json.Decoder(dict[str, object]).decode
    return [decode(line) for line in log.read_bytes().splitlines()]
