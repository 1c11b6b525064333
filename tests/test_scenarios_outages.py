"""Scenarios 5 and 8: nothing gets through for a while, for whichever reason.

A real agent process, a real node, and `tests.fault_proxy` between them.
"""

import os
import random
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.settings import AgentSettings
from indexer.backoff import Backoff, delay_seconds
from indexer.settings import IndexSettings
from tests import faults
from tests.agent_process import MEGABYTE, AgentHome, memory_of
from tests.agent_rig import Rig, agent_rig
from tests.cluster import Cluster
from tests.fault_proxy import fault_proxy, silent
from tests.faults import Fault
from tests.throw_away_tls import Authority, make_authority
from tests.waiting import wait_until

pytestmark = pytest.mark.opensearch

SEED: Final = 8
DOWN_SECONDS: Final = float(os.environ.get("INDELIBLE_TEST_DOWN_SECONDS", "10"))
EVENTS_A_SECOND: Final = 5000
IN_FLIGHT: Final = AgentSettings().requests_in_flight
FLAT_BYTES: Final = 40 * MEGABYTE


@pytest.fixture
def rig(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[Rig]:
    with agent_rig(tmp_path, opensearch, index) as one:
        yield one


@pytest.mark.parametrize("block", ["index.blocks.write", "index.blocks.read_only_allow_delete"])
def test_a_blocked_partition_is_waited_for(rig: Rig, block: str) -> None:
    """Scenario 5: an operator's block, or that of a full disk; the partition is not sealed."""
    rig.home.emit(200)
    rig.home.once()
    settings = {"index": f"{rig.home.index.prefix}-events-*"}
    with rig.home.cluster.admin() as admin:

        def is_blocked() -> bool:
            # The one of a full disk OpenSearch ends by itself, whenever it sees that there is room.
            admin.indices.put_settings(body={block: True}, **settings)
            rig.home.emit(10)
            return rig.home.has_said("bulk_blocked")

        admin.indices.put_settings(body={block: True}, **settings)
        process = rig.home.start()
        rig.home.emit(1000)
        wait_until(is_blocked, rig.home.said, pause_seconds=1)
        time.sleep(1)
        assert rig.home.buried() == []
        admin.indices.put_settings(body={block: None}, **settings)
    rig.home.await_settled()
    rig.home.kill(process)
    rig.home.check()
    assert rig.proxy.sent_needlessly() == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.status(401, "security_exception"), id="credentials"),
        pytest.param(faults.text("{}", 302), id="a redirect, after the write"),
    ],
)
def test_what_only_an_operator_can_mend_is_told_and_tried_slowly_and_keeps_the_data(
    rig: Rig, fault: Fault
) -> None:
    """Scenario 5: and once it is mended it goes on by itself."""
    rig.home.emit(1000)
    rig.proxy.script(lambda _method, path, _body: fault if path == "/_bulk" else None)
    process = rig.home.start()
    begun = time.monotonic()
    wait_until(lambda: rig.home.has_said("bulk_halted"), rig.home.said)
    time.sleep(3)
    rounds = 1 + (time.monotonic() - begun) // Backoff().halted_seconds
    assert len(rig.proxy.attempts) <= IN_FLIGHT * rounds, "tried hard, which locks accounts"
    rig.proxy.script(lambda _method, _path, _body: None)
    rig.home.await_settled()
    rig.home.kill(process)
    assert rig.home.buried() == []
    rig.home.check()
    assert rig.proxy.sent_needlessly() == {}


def test_an_answer_that_never_comes_is_given_up_in_time(rig: Rig) -> None:
    """Scenario 6: accepted, and nothing more."""
    rig.home.emit(1000)
    turn = iter([silent] * IN_FLIGHT)
    rig.proxy.script(lambda _m, path, _b: next(turn, None) if path == "/_bulk" else None)
    rig.home.once(INDELIBLE_OPENSEARCH_TIMEOUT_SECONDS="1")
    assert rig.proxy.sent_needlessly() == {}
    rig.home.check()


@pytest.mark.slow
def test_a_server_that_is_down_for_long_costs_no_memory_and_few_attempts(rig: Rig) -> None:
    """Scenario 8: down half the time, then taking connections and resetting them; it catches up.

    INDELIBLE_TEST_DOWN_SECONDS=600 is the full length.
    """
    process = rig.home.start(INDELIBLE_AGENT_BATCH_EVENTS="5000")
    rig.home.emit(500)
    rig.home.await_settled()
    emitter = subprocess.Popen(
        [sys.executable, "-c", _EMITTER, str(rig.home.directory), str(DOWN_SECONDS)]
    )
    rig.proxy.hang_up()
    with memory_of(process) as samples:
        time.sleep(DOWN_SECONDS / 2)
        rig.proxy.reset_after = lambda _length: 0
        rig.proxy.listen()
        before = rig.proxy.connections
        assert emitter.wait(timeout=DOWN_SECONDS * 3) == 0
        attempts = rig.proxy.connections - before
        level = samples[len(samples) // 4 :]
        assert max(level) - min(level) < FLAT_BYTES
        # Each sender's pause grows to 30 s; while it was refused above, it has grown already.
        assert attempts <= IN_FLIGHT * (5 + DOWN_SECONDS / 5)
        rig.proxy.reset_after = lambda _length: None
        rig.home.note((rig.home.directory / "load.events").read_bytes())
        assert len(rig.home.written) >= 500 + DOWN_SECONDS * EVENTS_A_SECOND / 5
        rig.home.await_settled(120 + DOWN_SECONDS)
        assert max(samples) - min(level) < 3 * FLAT_BYTES
    rig.home.kill(process)
    assert rig.proxy.sent_needlessly() == {}
    rig.home.check()


_EMITTER = f"""
import sys, time
from audit_events import open_log
log = open_log(sys.argv[1] + "/load.events", service="load")
begun, number, seconds = time.monotonic(), 0, float(sys.argv[2])
while time.monotonic() - begun < seconds:
    log.info(
        "member.role_changed", organization_id="o1", actor={{"type": "user", "id": "u1"}},
        context={{"n": number}},
    )
    number += 1
    ahead = number / {EVENTS_A_SECOND} - (time.monotonic() - begun)
    if ahead > 0.01:
        time.sleep(ahead)
"""


def test_ten_minutes_without_an_answer_are_fewer_than_a_hundred_attempts_a_sender() -> None:
    """Scenario 8, by computation: the pause grows to 30 s, with full jitter."""
    drawn = random.Random(SEED)  # noqa: S311  # to be drawn again
    for _ in range(200):
        seconds, attempt = 0.0, 0
        while seconds < 600:
            attempt += 1
            pause = delay_seconds(attempt, Backoff(), uniform=drawn.uniform)
            assert pause <= 30
            seconds += pause
        assert attempt < 100


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda ours, _other: ours.server(valid_to_days=0), id="expired"),
        pytest.param(
            lambda ours, _other: ours.server(valid_from_days=1, valid_to_days=2), id="not yet valid"
        ),
        pytest.param(lambda ours, _other: ours.server(host="other.example"), id="wrong host"),
        pytest.param(lambda _ours, other: other.server(), id="unknown authority"),
    ],
)
def test_a_certificate_that_is_wrong_gets_nothing_and_costs_nothing(
    tmp_path: Path,
    opensearch: Cluster,
    index: IndexSettings,
    authority: Authority,
    wrong: Callable[[Authority, Authority], ssl.SSLContext],
) -> None:
    """Not one byte of an event goes there; once it is renewed the agent goes on by itself."""
    home = AgentHome(tmp_path, opensearch, index)
    bad = wrong(authority, make_authority(tmp_path, "another CA"))
    with fault_proxy(opensearch.url, opensearch.ca_file, tls=bad) as proxy:
        home.url, home.ca_file = proxy.url, authority.file
        home.emit(300)
        home.start()
        try:
            wait_until(lambda: home.has_said("bulk_retrying"), home.said)
            wait_until(lambda: proxy.failed_handshakes > 1, "tried again")
            assert "certificate" in home.said().lower()
            assert proxy.attempts == []
            proxy.tls = authority.server()
            home.await_settled()
        finally:
            home.close()
        assert set(proxy.sent().values()) == {1}
        home.check()
