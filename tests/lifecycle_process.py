"""`indelible lifecycle run` and `indelible hold` as processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from click.testing import CliRunner, Result

from indelible import cli
from indexer.control import Control, ControlDocument
from indexer.errors import IndexerError, RefusedError
from indexer.settings import IndexSettings
from tests.cluster import Cluster

PATIENCE_SECONDS: Final = 60.0


def environ_of(cluster: Cluster, index: IndexSettings, home: Path, **more: str) -> dict[str, str]:
    """The environment of somebody who looks after this prefix."""
    users = cluster.credentials.users
    own = {
        f"INDELIBLE_OPENSEARCH_{role.upper()}_{part}": value
        for role in ("reader", "lifecycle")
        for part, value in (
            ("USERNAME", f"audit_{role}"),
            ("PASSWORD", users[f"audit_{role}"]),
        )
    }
    return {
        "INDELIBLE_HOME": str(home),
        "INDELIBLE_OPENSEARCH_URL": cluster.url,
        "INDELIBLE_OPENSEARCH_CA_FILE": str(cluster.ca_file),
        "INDELIBLE_INDEX_PREFIX": index.prefix,
        "INDELIBLE_INDEX_REPLICAS": "0",
        "INDELIBLE_LIFECYCLE_ADMIN_CERT_FILE": str(cluster.credentials.admin_cert_file),
        "INDELIBLE_LIFECYCLE_ADMIN_KEY_FILE": str(cluster.credentials.admin_key_file),
        "INDELIBLE_LIFECYCLE_LEASE_SECONDS": "5",
        "INDELIBLE_LIFECYCLE_INTERVAL_SECONDS": "1",
        "COLUMNS": "200",
        **own,
        **more,
    }


def run(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "indelible", *arguments],
        env={**clean_environ(), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def run_here(environ: Mapping[str, str], *arguments: str) -> Result:
    """Run one command in this process, which takes a tenth of the time."""
    absent = dict.fromkeys(key for key in os.environ if key.startswith("INDELIBLE_"))
    result = CliRunner().invoke(cli.command, list(arguments), env={**absent, **environ})
    assert result.exception is None or isinstance(result.exception, (SystemExit, IndexerError)), (
        result.exception
    )
    return result


def clean_environ() -> dict[str, str]:
    """This environment without settings of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("INDELIBLE_")}


@contextmanager
def running(environ: Mapping[str, str], log: Path) -> Generator["subprocess.Popen[bytes]"]:
    """Run `indelible lifecycle run`, and hand it over once SIGTERM asks it to end.

    Before that it would be killed by it. Whatever is left of it at the end is killed.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "indelible", "lifecycle", "run"],
            env={**clean_environ(), **environ},
            stdout=file,
            stderr=file,
        )
    try:
        await_that(lambda: process.poll() is not None or handles(process.pid, signal.SIGTERM))
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def await_that(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def read_control(cluster: Cluster, index: IndexSettings) -> Control:
    """What the control document says."""
    with cluster.client("lifecycle") as client:
        # Where its index was made just now, no copy of it answers yet.
        found = None
        with suppress(RefusedError):
            found = ControlDocument(client, index).read()
    return Control() if found is None else found[0]


def logged(log: Path) -> list[dict[str, object]]:
    """What a process logged."""
    lines = log.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=dict[str, object]) for line in lines]
