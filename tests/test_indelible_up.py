"""`indelible up` for real: what is printed works, and nothing outlives it, however it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import requests

import node
from audit_events.chain import verify_chain
from indelible.home import MARKER, find_foreign
from indelible.run_record import read_record
from tests.node_home import own_home
from tests.up_home import Place, Running, Terminal, ask, start, wait_for
from tests.webapi_browser import form_fields

pytestmark = [pytest.mark.opensearch, pytest.mark.slow, pytest.mark.timeout(400)]

HOLD_PORT: Final = """
import socket, sys, time
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
time.sleep(60)
"""
CHILDREN: Final = {"example", "traffic", "agent", "lifecycle", "web"}
LAST_MOMENT_BYTES: Final = 8192
"""A few events: what is written between the agent's last look and its end."""


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with own_home() as home:
        try:
            yield Place(home)
        finally:
            node.erase(node.NodeConfig(home / "node"))


def record_pids(place: Place) -> dict[str, int]:
    record = read_record(place.home)
    return {child.name: child.pid for child in record.children} if record else {}


def test_what_up_prints_works_and_ctrl_c_leaves_nothing(place: Place) -> None:
    with start(place) as up:
        ready = up.ready()
        every, changes = (ask(curl) for curl in ready["curls"])
        assert len(every) == 5
        times = [event["timestamp"] for event in every]
        assert times == sorted(times, reverse=True)
        assert {event["organizationId"] for event in every} == {"org_northwind"}
        assert 1 <= len(changes) <= 5
        assert {event["action"] for event in changes} == {"member.role_changed"}
        assert not secrets_in_arguments(place, ready["token"])
        check_sign_in(ready)
        check_search(place, ready)
        check_status(place, ready)
        check_second_up(place)
        check_restart(place, up)
        assert up.end(signal.SIGINT) == 0
        place.wait_until_nothing_runs(30)
    assert read_record(place.home) is None
    lines = (place.home / "events" / "members.log").read_bytes().splitlines()
    assert not verify_chain(lines)
    left = json.loads((place.home / "agent" / "status.json").read_bytes())
    assert left["state"] == "stopped"
    # The agent settles what is in flight; a line of the last moment waits for the next start.
    assert left["lagBytes"] < LAST_MOMENT_BYTES
    # What node, agent and applications leave is known as ours without the marker.
    assert find_foreign(place.home) == [MARKER, "example", "heads", "logs", "run", "web"]
    assert sorted(one.name for one in (place.home / "heads").iterdir()) == [
        "heads",
        "signing_key.pem",
    ]


def secrets_in_arguments(place: Place, token: str) -> list[str]:
    secret = (place.home / "web" / "jwt_secret").read_text().strip()
    passwords = node.credentials(node.NodeConfig(place.home / "node")).users.values()
    said = " ".join(text for process in place.processes() for text in process.cmdline())
    return [word for word in (secret, token, *passwords) if word in said]


def check_sign_in(ready: dict[str, Any]) -> None:
    """The link, pressed once, shows the page; a second browser is told that it was used."""
    with requests.Session() as first, requests.Session() as second:
        forms = [one.get(ready["signInUrl"], timeout=30).text for one in (first, second)]
        address = f"{ready['webUrl']}/sign-in/once"
        page = first.post(address, form_fields(forms[0]), timeout=30)
        assert page.url == f"{ready['webUrl']}/settings/access-control/audit-log"
        assert "Role changed" in page.text
        assert second.post(address, form_fields(forms[1]), timeout=30).status_code == 410


def check_search(place: Place, ready: dict[str, Any]) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{ready['search']} --json"],
        env={**place.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "member.role_changed" in done.stdout


def count_events(place: Place) -> object:
    """As `status` says; None where the cluster was too slow to tell it."""
    parts = json.loads(place.run("status", "--json").stdout)["parts"]
    return {part["name"]: part["figures"].get("events") for part in parts}["indices"]


def check_status(place: Place, ready: dict[str, Any]) -> None:
    wait_for(lambda: count_events(place) is not None, 60, lambda: place.run("status").stdout)
    done = place.run("status", "--json")
    assert done.stdout, done.stderr
    status = json.loads(done.stdout)
    parts = {part["name"]: part for part in status["parts"]}
    assert done.returncode == 0, done.stdout
    assert all(part["ok"] for part in parts.values())
    assert parts["indices"]["figures"]["events"] >= 20
    assert parts["agent"]["figures"]["created"] >= 20
    assert parts["dead letters"]["figures"]["count"] == 0
    assert parts["web"]["figures"]["url"] == ready["webUrl"]


def check_second_up(place: Place) -> None:
    second = subprocess.run(
        place.up("--fresh", "--yes"), env=place.environ, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "another `indelible up` runs" in second.stderr
    assert "INDELIBLE_HOME" in second.stderr


def check_restart(place: Place, up: Running) -> None:
    before = record_pids(place)
    assert set(before) == CHILDREN
    os.kill(before["agent"], signal.SIGKILL)
    status = place.home / "agent" / "status.json"

    def works_again() -> bool:
        pid = record_pids(place).get("agent")
        return pid != before["agent"] and json.loads(status.read_bytes())["pid"] == pid

    wait_for(works_again, 90, up.errors.read_text)
    assert "agent ended with signal 9" in up.errors.read_text()
    assert {**record_pids(place), "agent": 0} == {**before, "agent": 0}


def test_nothing_outlives_an_up_that_is_killed(place: Place) -> None:
    with start(place) as up:
        wait_for(lambda: "example" in record_pids(place), 60, up.errors.read_text)
        up.end(signal.SIGKILL)
        place.wait_until_nothing_runs(60)
        assert read_record(place.home) is None


def test_the_next_up_ends_what_an_up_and_its_guard_left(place: Place) -> None:
    with start(place) as up:
        wait_for(lambda: "example" in record_pids(place), 60, up.errors.read_text)
        guards = [one for one in place.processes() if "indelible.guard" in one.cmdline()]
        for guard in guards:
            guard.kill()
        up.end(signal.SIGKILL)
        assert len(guards) == 1
        assert place.processes()
        (place.home / "notes.txt").write_text("somebody's own")
        with start(place, "--fresh", "--yes", "--no-example") as next_up:
            ready = next_up.ready()
            told = next_up.errors.read_text()
            assert "ended what it left: example, node" in told
            assert "--fresh deletes" in told
            assert ready["token"] is None
            assert set(record_pids(place)) == {"agent", "lifecycle", "web"}
            wait_for(lambda: count_events(place) == 0, 60, lambda: place.run("status").stdout)
            assert (place.home / "notes.txt").read_text() == "somebody's own"
            assert next_up.end(signal.SIGTERM) == 0
        assert read_record(place.home) is None


def test_a_closed_terminal_ends_all_of_it(place: Place) -> None:
    # Not its controlling one: no SIGHUP comes, as when `make` is in between.
    with closing(Terminal(place.up("--no-example"), place.environ, leads=False)) as terminal:
        terminal.read_until(b"Indelible is ready", 240)
        terminal.hang_up()
        assert terminal.process.wait(90) == 0
        place.wait_until_nothing_runs(30)
    assert read_record(place.home) is None


def test_a_taken_port_is_told_before_anything_is_started(place: Place) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_PORT, str(place.ports[2])], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        done = subprocess.run(
            place.up(), env=place.environ, capture_output=True, text=True, check=False
        )
        holder.kill()
    assert done.returncode == 1
    assert f"port {place.ports[2]}" in done.stderr
    assert f"({holder.pid})" in done.stderr
    assert "--port PORT or INDELIBLE_WEB_PORT" in done.stderr
    assert not place.processes()


def test_fresh_never_touches_a_cluster_of_somebody_else(place: Place) -> None:
    marker = place.home / "events" / "kept.log"
    marker.parent.mkdir(exist_ok=True)
    marker.write_text("")
    done = subprocess.run(
        place.up("--fresh", "--yes"),
        env={**place.environ, "INDELIBLE_OPENSEARCH_URL": "https://search.example:9200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "search.example" in done.stderr
    assert marker.exists()
