"""The monitor's HTTP, asked over real sockets."""

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import monitor as monitor_module
from agent.board import Board
from agent.errors import MonitorError
from agent.health import TURN_SECONDS
from agent.monitor import CONNECTIONS, Monitor
from tests.test_agent_metrics import QUIET
from tests.waiting import wait_until


@pytest.fixture
def board() -> Board:
    board = Board()
    board.status = QUIET
    return board


@pytest.fixture
def monitor(board: Board, tmp_path: Path) -> Iterator[Monitor]:
    one = Monitor("127.0.0.1", 0, board, tmp_path)
    one.start()
    yield one
    one.close()


def ask(monitor: Monitor, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", monitor.port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


@pytest.mark.slow
def test_metrics_are_text_for_prometheus(monitor: Monitor) -> None:
    status, headers, body = ask(monitor, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'indelible_agent_events_total{result="created"} 0.0\n' in body


@pytest.mark.slow
def test_health_is_a_loop_that_turns(monitor: Monitor, board: Board) -> None:
    status, headers, body = ask(monitor, "/healthz")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert msgspec.json.decode(body)["healthy"] is True
    board.turned = time.monotonic() - TURN_SECONDS - 1
    status, _, body = ask(monitor, "/healthz")
    assert status == 503
    assert msgspec.json.decode(body)["healthy"] is False


def test_readiness_says_what_is_wrong(monitor: Monitor, board: Board) -> None:
    status, _, body = ask(monitor, "/readyz?verbose")
    quiet = {"ready": True, "problems": [], "notes": []}
    assert (status, msgspec.json.decode(body)) == (200, quiet)
    board.status = msgspec.structs.replace(QUIET, checkpoint_problem="No space left on device")
    status, _, body = ask(monitor, "/readyz")
    assert status == 503
    found = msgspec.json.decode(body)
    assert found["ready"] is False
    assert found["problems"][0]["what"] == "checkpoint_not_saved"
    assert found["problems"][0]["reason"] == "No space left on device"
    assert found["problems"][0]["hint"]


@pytest.mark.slow
def test_what_is_worth_knowing_leaves_it_ready(monitor: Monitor, board: Board) -> None:
    board.status = msgspec.structs.replace(QUIET, config_problems=("[agent] paths: bad",))
    status, _, body = ask(monitor, "/readyz")
    found = msgspec.json.decode(body)
    assert (status, found["ready"], found["problems"]) == (200, True, [])
    assert [note["what"] for note in found["notes"]] == ["configuration_refused"]
    assert found["notes"][0]["reason"] == "[agent] paths: bad"


@pytest.mark.slow
def test_whatever_is_answered_ends_its_line(monitor: Monitor) -> None:
    for path in ("/", "/metrics", "/healthz", "/readyz"):
        assert ask(monitor, path)[2].endswith(b"\n"), path


@pytest.mark.slow
def test_another_path_is_a_404_that_names_those_that_are(monitor: Monitor) -> None:
    status, headers, body = ask(monitor, "/metrics/")
    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert "/metrics, /healthz, /readyz" in msgspec.json.decode(body)["detail"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_another_method_is_a_405(monitor: Monitor, method: str) -> None:
    status, headers, _ = ask(monitor, "/metrics", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.slow
def test_head_has_no_body(monitor: Monitor) -> None:
    status, headers, body = ask(monitor, "/healthz", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", id="TLS"),
        pytest.param(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", id="an endless path"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", id="too many headers"),
        pytest.param(b"GET <script> x HTTP/1.1\r\n\r\n", id="no request"),
    ],
)
def test_garbage_is_refused_without_an_echo(monitor: Monitor, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", monitor.port), timeout=10) as client:
        client.sendall(sent)
        found = client.makefile("rb").read()
    assert b" 4" in found.partition(b"\r\n")[0] or b'"status":4' in found
    assert b"script" not in found
    assert ask(monitor, "/healthz")[0] == 200


@pytest.mark.slow
def test_a_client_that_sends_a_byte_now_and_then_is_cut(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "CONNECTION_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", monitor.port), timeout=60) as client:

        def is_cut() -> bool:
            try:
                client.sendall(b"G")
            except OSError:
                return True
            return False

        wait_until(is_cut, "reset, or a broken pipe", pause_seconds=0.05)


@pytest.mark.slow
def test_silent_clients_hold_nobody_up_and_are_bounded(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "CONNECTION_SECONDS", 1.0)
    address = ("127.0.0.1", monitor.port)
    silent = [socket.create_connection(address, timeout=60) for _ in range(CONNECTIONS - 1)]
    assert ask(monitor, "/healthz")[0] == 200
    silent += [socket.create_connection(address, timeout=60) for _ in range(CONNECTIONS)]
    assert silent[-1].recv(1) == b"", "one too many is let go at once"

    def is_healthy() -> bool:
        try:
            return ask(monitor, "/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    wait_until(is_healthy, "the others are cut in time", pause_seconds=0.05)
    for one in silent:
        one.close()


@pytest.mark.slow
def test_a_port_that_is_taken_is_told(monitor: Monitor, board: Board) -> None:
    with pytest.raises(MonitorError) as caught:
        Monitor("127.0.0.1", monitor.port, board, Path("/nowhere"))
    assert str(caught.value) == (
        f"the monitor cannot listen on 127.0.0.1:{monitor.port}: Address already in use"
    )
    assert "INDELIBLE_AGENT_MONITOR_PORT" in caught.value.hint


@pytest.mark.parametrize("host", ["203.0.113.9", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_told(board: Board, host: str) -> None:
    with pytest.raises(MonitorError, match=f"cannot listen on {host}:0"):
        Monitor(host, 0, board, Path("/nowhere"))


@pytest.mark.slow
def test_it_listens_on_ipv6_too(board: Board) -> None:
    try:
        one = Monitor("::1", 0, board, Path("/nowhere"))
    except MonitorError:
        pytest.skip("no IPv6 here")
    one.start()
    with socket.create_connection(("::1", one.port), timeout=10) as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert client.makefile("rb").read().startswith(b"HTTP/1.0 200 ")
    one.close()
