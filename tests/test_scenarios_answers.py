"""Scenarios 2 to 8: what the cluster, or something before it, answers on a bad day.

A real agent process, a real node, and `tests.fault_proxy` between them.
"""

import os
import random
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.settings import AgentSettings
from indexer.backoff import Backoff, delay_seconds
from indexer.settings import IndexSettings
from tests import faults
from tests.agent_process import MEGABYTE, AgentHome, memory_of, wait_until
from tests.cluster import Cluster
from tests.fault_proxy import (
    Attempt,
    FaultProxy,
    cut_on_the_wire,
    fault_proxy,
    silent,
    slow,
    sometimes,
)
from tests.faults import Fault
from tests.throw_away_tls import Authority, make_authority

pytestmark = pytest.mark.opensearch

SEED: Final = 4
DOWN_SECONDS: Final = float(os.environ.get("INDELIBLE_TEST_DOWN_SECONDS", "10"))
EVENTS_A_SECOND: Final = 5000
IN_FLIGHT: Final = AgentSettings().requests_in_flight
REJECTED: Final = "rejected_execution_exception"
FLAT_BYTES: Final = 40 * MEGABYTE


class Rig:
    """An agent's home whose way to the node leads through a proxy."""

    def __init__(self, home: AgentHome, proxy: FaultProxy) -> None:
        self.home = home
        self.proxy = proxy
        home.url = proxy.url


@pytest.fixture
def rig(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[Rig]:
    home = AgentHome(tmp_path, opensearch, index)
    with fault_proxy(opensearch.url, opensearch.ca_file) as proxy:
        yield Rig(home, proxy)
        home.close()


@pytest.mark.parametrize(
    ("fault", "least_pause"),
    [
        pytest.param(faults.status(429, REJECTED), 0.0, id="429"),
        pytest.param(faults.status(503), 0.0, id="503, a page of a proxy"),
        pytest.param(faults.status(429, REJECTED, retry_after="1"), 1.0, id="429, Retry-After"),
        pytest.param(faults.status(503, retry_after="1"), 1.0, id="503, Retry-After"),
    ],
)
def test_requests_that_are_refused_are_sent_again_and_no_others(
    rig: Rig, fault: Fault, least_pause: float
) -> None:
    """Scenario 2: 30 % of the requests, and memory stays bounded."""
    rig.home.emit(1500 if least_pause else 3000)
    rig.proxy.script(sometimes(0.3, SEED, fault))
    process = rig.home.start("--once")
    with memory_of(process) as samples:
        process.communicate(timeout=120)
    assert process.returncode == 0, rig.home.said()
    refused = [attempt for attempt in rig.proxy.attempts if attempt.status != 200]
    assert len(refused) >= 2
    assert rig.proxy.sent_needlessly() == {}
    assert min(_pauses(rig.proxy.attempts)) >= least_pause
    assert max(samples) < 120 * MEGABYTE
    rig.home.check()


def _pauses(attempts: list[Attempt]) -> Iterator[float]:
    """How long it took from each request that was refused to the next one with its events."""
    for number, attempt in enumerate(attempts):
        if attempt.status != 200:
            later = (one for one in attempts[number + 1 :] if attempt.unsettled & set(one.ids))
            yield next(later).began - attempt.began


def _refuse_items(picked: Counter[str]) -> faults.Script:
    """429 for each of these ids, as often as it is counted."""

    def script(_method: str, path: str, body: bytes) -> Fault | None:
        if path != "/_bulk":
            return None
        ids = [msgspec.json.decode(one)["create"]["_id"] for one in body.splitlines()[::2]]
        refused = {number for number, one in enumerate(ids) if picked[one] > 0}
        if not refused:
            return None
        picked.subtract(ids[number] for number in refused)
        return faults.items(refused.__contains__, 429, REJECTED)

    return script


def test_items_that_are_refused_are_sent_again_and_no_others(rig: Rig) -> None:
    """Scenario 3: 429 for 2 % of the items, up to three times each."""
    ids = rig.home.emit(3000)
    drawn = random.Random(SEED)  # noqa: S311  # to be drawn again
    picked = Counter({one: drawn.randint(1, 3) for one in drawn.sample(ids, len(ids) // 50)})
    expected = {one: count + 1 for one, count in picked.items()}
    rig.proxy.script(_refuse_items(picked))
    rig.home.once()
    again = {one: count for one, count in rig.proxy.sent().items() if count > 1}
    assert again == expected
    rig.home.check()


def test_one_slow_item_does_not_hold_up_the_others(rig: Rig) -> None:
    """Scenario 3: the checkpoint waits before it, and all that stands behind it is stored."""
    ids = rig.home.emit(3000)
    stubborn = ids[100]
    picked = Counter({stubborn: 1_000_000})
    rig.proxy.script(_refuse_items(picked))
    process = rig.home.start()
    wait_until(lambda: len(rig.proxy.sent()) == 3000, rig.home.said)
    wait_until(lambda: rig.home.stored().keys() == set(ids) - {stubborn}, rig.home.said)
    assert rig.home.places().get("app.events", 0) == 0
    picked.clear()
    rig.home.await_settled()
    rig.home.kill(process)
    assert set(rig.proxy.sent()) - {stubborn} == {
        one for one, count in rig.proxy.sent().items() if count == 1
    }
    rig.home.check()


def test_poison_items_are_buried_and_the_pipeline_goes_on(rig: Rig) -> None:
    """Scenario 4: 400 by the real mapping; where they came from and why stands beside them."""
    path = rig.home.directory / "app.events"
    rig.home.emit(500)
    poison: list[str] = []
    for _ in range(3):
        # What no application can log, but another emitter can write.
        source = rig.home.emit(1, "other.txt")[0]
        line = rig.home.written.pop(source).replace(b'"context"', b'"ipAddress":"moon","context"')
        with path.open("ab") as file:
            file.write(line + b"\n")
        rig.home.written[source] = line
        poison.append(source)
        rig.home.emit(500)
    rig.home.once()
    rig.home.check(buried=poison)
    content = path.read_bytes()
    for record, one in zip(rig.home.buried(), poison, strict=True):
        line = rig.home.written[one]
        assert record["status"] == 400
        assert "moon" in record["reason"] or "ip" in record["reason"]
        assert record["path"] == str(path)
        assert content[record["offset"] :].startswith(line)


@pytest.mark.parametrize("block", ["index.blocks.write", "index.blocks.read_only_allow_delete"])
def test_a_blocked_partition_is_waited_for(rig: Rig, block: str) -> None:
    """Scenario 5: an operator's block, or that of a full disk; the partition is not sealed."""
    rig.home.emit(200)
    rig.home.once()
    settings = {"index": f"{rig.home.index.prefix}-events-*"}
    with rig.home.cluster.admin() as admin:
        admin.indices.put_settings(body={block: True}, **settings)
        process = rig.home.start()
        rig.home.emit(1000)
        wait_until(lambda: rig.home.has_said("bulk_blocked"), rig.home.said)
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
    wait_until(lambda: rig.home.has_said("bulk_halted"), rig.home.said)
    time.sleep(3)
    assert len(rig.proxy.attempts) <= IN_FLIGHT, "tried hard, which locks accounts"
    rig.proxy.script(lambda _method, _path, _body: None)
    rig.home.await_settled()
    rig.home.kill(process)
    assert rig.home.buried() == []
    rig.home.check()
    assert rig.proxy.sent_needlessly() == {}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.lost, id="connection broken before the answer"),
        pytest.param(cut_on_the_wire, id="connection broken in the answer"),
        pytest.param(faults.cut, id="half an answer"),
        pytest.param(faults.text("<html>200, says the proxy</html>"), id="garbage with 200"),
        pytest.param(faults.text(""), id="nothing with 200"),
        pytest.param(faults.text('{"took":1,"errors":false}'), id="an answer without items"),
        pytest.param(faults.text("\udce9[" * 9999), id="brackets and no letters"),
        pytest.param(faults.one_item_short, id="one item short"),
        pytest.param(faults.status(500, "exception"), id="500"),
    ],
)
def test_without_a_whole_answer_all_of_it_is_sent_again(rig: Rig, fault: Fault) -> None:
    """Scenario 6: although most of it was stored the first time."""
    rig.home.emit(1000)
    # Every second one, so that each batch meets it again and again.
    turn = iter([None, fault] * 3)
    rig.proxy.script(lambda _m, path, _b: next(turn, None) if path == "/_bulk" else None)
    rig.home.once()
    assert rig.proxy.sent_needlessly() == {}
    assert [bool(attempt.unsettled) for attempt in rig.proxy.attempts].count(True) == 3
    rig.home.check()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["before", "in the middle of", "after"])
def test_a_connection_that_is_reset_by_its_body_loses_nothing(rig: Rig, share: float) -> None:
    """Scenario 6: reset before, in and after the body; nothing of it arrived."""
    rig.home.emit(1000)
    turn = iter([None, share] * 3)

    def reset_after(length: int) -> int | None:
        at = next(turn, None)
        return None if at is None else int(length * at)

    rig.proxy.reset_after = reset_after
    rig.home.once()
    assert set(rig.proxy.sent().values()) == {1}
    rig.home.check()


def test_an_answer_that_never_comes_is_given_up_in_time(rig: Rig) -> None:
    """Scenario 6: accepted, and nothing more."""
    rig.home.emit(1000)
    turn = iter([silent] * IN_FLIGHT)
    rig.proxy.script(lambda _m, path, _b: next(turn, None) if path == "/_bulk" else None)
    begun = time.monotonic()
    rig.home.once(INDELIBLE_OPENSEARCH_TIMEOUT_SECONDS="1")
    assert time.monotonic() - begun < 20
    assert rig.proxy.sent_needlessly() == {}
    rig.home.check()


@pytest.mark.parametrize("limit_bytes", [40_000, 3000])
def test_the_size_that_is_taken_is_found_and_remembered(rig: Rig, limit_bytes: int) -> None:
    """Scenario 7: 413; halved until it is taken, and not tried larger for a while."""
    rig.home.emit(2000)
    counts = rig.proxy.script(
        lambda _method, path, _body: faults.larger_than(limit_bytes) if path == "/_bulk" else None
    )
    rig.home.once()
    rig.home.check()
    accepted = [attempt for attempt in rig.proxy.attempts if attempt.status == 200]
    halvings = (counts.largest_bytes // limit_bytes).bit_length() + 1
    assert len(rig.proxy.attempts) - len(accepted) <= IN_FLIGHT * halvings
    # What is known of the size is a half of what was refused, so a quarter of the limit at worst.
    volume = sum(attempt.size_bytes for attempt in accepted)
    assert len(accepted) <= 10 + 5 * volume // limit_bytes


def test_an_event_that_alone_is_too_large_is_buried_and_the_others_go_on(rig: Rig) -> None:
    """Scenario 7."""
    rig.home.emit(100)
    large = rig.home.emit(1, pad=5000)
    rig.home.emit(100)
    large += rig.home.emit(1, pad=6000)
    rig.home.emit(100)
    rig.proxy.script(
        lambda _method, path, _body: faults.larger_than(4000) if path == "/_bulk" else None
    )
    rig.home.once()
    rig.home.check(buried=large)
    assert [record["status"] for record in rig.home.buried()] == [413, 413]


@pytest.mark.slow
def test_a_server_that_is_down_for_long_costs_no_memory_and_few_attempts(rig: Rig) -> None:
    """Scenario 8: down half the time, then taking connections and resetting them; it catches up.

    INDELIBLE_TEST_DOWN_SECONDS=600 is the full length.
    """
    process = rig.home.start(INDELIBLE_AGENT_BATCH_EVENTS="5000")
    rig.home.emit(500)
    wait_until(lambda: len(rig.proxy.sent()) == 500, rig.home.said)
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
        assert len(rig.home.written) >= 500 + DOWN_SECONDS * EVENTS_A_SECOND / 3
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


def test_slow_answers_hold_memory_and_nothing_else(rig: Rig) -> None:
    """Scenario 2: no more than what may be in flight is ever held."""
    rig.home.emit(2000)
    rig.proxy.script(lambda _m, path, _b: slow(0.3) if path == "/_bulk" else None)
    rig.home.once()
    assert set(rig.proxy.sent().values()) == {1}
    begun = [attempt.began for attempt in rig.proxy.attempts]
    assert len(begun) >= 10
    # One more can only begin when the first of them was answered.
    assert all(b - a >= 0.3 for a, b in zip(begun, begun[IN_FLIGHT:], strict=False))
    rig.home.check()
