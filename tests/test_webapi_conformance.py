"""Every answer is one that the description has, whatever is asked: schemathesis and real gunicorn.

INDELIBLE_TEST_API_CASES says how many cases each operation gets at random, beside those that
schemathesis makes of each parameter; `make test-api` runs 3,000 and more.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from indexer.settings import IndexSettings
from tests.cluster import Cluster
from tests.conftest import free_ports
from tests.webapi_api import store, token, write_events
from tests.webapi_process import GUNICORN, ROOT, environment, serving

CASES = int(os.environ.get("INDELIBLE_TEST_API_CASES", "40"))
PHASES = "examples,fuzzing"
"""Not `coverage`: with 4.32 on Python 3.11 it ends in an error of its own (`ast.parse`)."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
HOOKS = {"SCHEMATHESIS_HOOKS": "tests.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
SLOWEST_SECONDS = "5"
EVENTS: list[dict[str, object]] = [
    {"action": "member.role_changed", "context": {"previous": {"role": "a"}, "new": {"role": "b"}}},
    {"action": "app.created", "resource": {"type": "app", "id": "app_42"}},
    {"action": "zebra.danced", "ip_address": "203.0.113.7", "correlation_id": "req_9f2c"},
]


@pytest.mark.opensearch
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_answer_is_as_described(
    opensearch: Cluster, index: IndexSettings, tmp_path: Path
) -> None:
    with opensearch.client("writer") as writer:
        store(writer, index, write_events(tmp_path / "e.log", EVENTS, "2026-03-15"))
    (port,) = free_ports(1)
    more = {"INDELIBLE_WEB_PORT": str(port), "INDELIBLE_WEB_AUDIT_PATH": str(tmp_path / "v.log")}
    environ = environment(opensearch, index, tmp_path, **more)
    report = tmp_path / "report.json"
    with serving(GUNICORN, environ, port, tmp_path / "web.log"):
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/openapi.json",
             "--header", f"Authorization: Bearer {token()}",
             "--phases", PHASES, "--checks", ",".join(CHECKS), "--max-examples", str(CASES),
             "--max-response-time", SLOWEST_SECONDS, "--workers", "2", "--no-color",
             "--continue-on-failure", "--warnings", "off", "--generation-database", "none",
             "--report-json-path", str(report), "--suppress-health-check", "all"],
            cwd=tmp_path,
            env=os.environ | HOOKS, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    print(done.stdout[-1500:])  # noqa: T201  # with -s: how many there were
    assert msgspec.json.decode(report.read_bytes())
