"""Scenarios 2 to 7: what the cluster, or something before it, answers on a bad day.

A real agent process, a real node, and `tests.fault_proxy` between them.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from agent.settings import AgentSettings
from indexer.settings import IndexSettings
from tests import faults
from tests.agent_process import MEGABYTE, memory_of
from tests.agent_rig import Rig, agent_rig
from tests.cluster import Cluster
from tests.event_ids import created_ids
from tests.fault_proxy import (
    Attempt,
    cut_on_the_wire,
    slow,
    sometimes,
)
from tests.faults import Fault
from tests.waiting import wait_until

pytestmark = pytest.mark.opensearch

SEED: Final = 4
IN_FLIGHT: Final = AgentSettings().requests_in_flight
REJECTED: Final = "rejected_execution_exception"


@pytest.fixture
def rig(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[Rig]:
    with agent_rig(tmp_path, opensearch, index) as one:
        yield one


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
        ids = created_ids(body)
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


def test_slow_items_do_not_hold_up_the_others(rig: Rig) -> None:
    """Scenario 3: more batches have one than may be under way; all the others are stored."""
    ids = rig.home.emit(3000)
    stubborn = set(ids[100::600])
    picked = Counter(dict.fromkeys(stubborn, 1_000_000))
    rig.proxy.script(_refuse_items(picked))
    process = rig.home.start()
    wait_until(lambda: len(rig.proxy.sent()) == 3000, rig.home.said)
    wait_until(lambda: rig.home.stored().keys() == set(ids) - stubborn, rig.home.said)
    assert rig.home.places().get("app.events", 0) == 0
    picked.clear()
    rig.home.await_settled()
    rig.home.kill(process)
    assert {one for one, count in rig.proxy.sent().items() if count > 1} <= stubborn
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


def test_compressed_requests_meet_the_same(rig: Rig) -> None:
    """Scenarios 2 and 6, mixed, with gzip on the way."""
    rig.home.emit(3000)
    bad = (faults.lost, faults.cut, cut_on_the_wire, faults.status(429, REJECTED))
    rig.proxy.script(sometimes(0.4, SEED, *bad))
    rig.home.once(INDELIBLE_OPENSEARCH_HTTP_COMPRESS="true")
    assert sum(rig.proxy.unsettled().values()) > 0
    assert rig.proxy.sent_needlessly() == {}
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


def test_what_was_buried_is_put_back_once_also_by_a_replay_that_was_killed(rig: Rig) -> None:
    """Scenario 4: the cause is mended and the operator replays, twice as it is killed."""
    ids = rig.home.emit(900)
    picked = set(ids[::3])

    def poison(_method: str, path: str, body: bytes) -> Fault | None:
        if path != "/_bulk":
            return None
        found = created_ids(body)
        return faults.items(lambda row: found[row] in picked, 400, "mapper_parsing_exception")

    rig.proxy.script(poison)
    rig.home.once()
    rig.home.check(buried=picked)
    replay = (sys.executable, "-m", "indelible", "dead-letter", "replay", "--all")
    # Stored, and nobody was told of it.
    rig.proxy.script(lambda _method, path, _body: faults.lost if path == "/_bulk" else None)
    before = len(rig.proxy.attempts)
    first = rig.home.start(command=replay)
    wait_until(lambda: len(rig.proxy.attempts) > before, rig.home.said)
    rig.home.kill(first)
    rig.proxy.script(lambda _method, _path, _body: None)
    assert rig.home.start(command=replay).wait(60) == 0, rig.home.said()
    assert rig.home.stored() == Counter(dict.fromkeys(ids, 1))
    assert len(rig.home.buried()) == len(picked), "it stays in the file, marked"
    before = len(rig.proxy.attempts)
    assert rig.home.start(command=replay).wait(60) == 0
    assert len(rig.proxy.attempts) == before, "nothing is open"


def test_slow_answers_hold_memory_and_nothing_else(rig: Rig) -> None:
    """Scenario 2: no more than what may be in flight is ever held."""
    rig.home.emit(2000)
    rig.proxy.script(lambda _m, path, _b: slow(0.3) if path == "/_bulk" else None)
    rig.home.once()
    assert set(rig.proxy.sent().values()) == {1}
    begun = sorted(attempt.began for attempt in rig.proxy.attempts)
    assert len(begun) >= 10
    # One more can only begin when the first of them was answered.
    assert all(b - a >= 0.3 for a, b in zip(begun, begun[IN_FLIGHT:], strict=False))
    rig.home.check()
