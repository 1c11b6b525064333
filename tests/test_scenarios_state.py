"""Scenarios 1, 21 and 22: what is left of an agent that is killed, or whose disk is full or bad.

Real agent processes, a real node, and real small disks (tmpfs) where this user may mount them.
"""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest

from agent.checkpoint import SLOTS
from agent.lock import LOCK_NAME, holder
from agent.settings import AgentSettings
from audit_events.envelope import decode_envelope
from indexer.settings import IndexSettings
from tests.agent_process import AGENT, AgentHome
from tests.agent_rig import proxied
from tests.cluster import Cluster
from tests.fault_proxy import FaultProxy, slow
from tests.mounted_disk import small_disk
from tests.waiting import wait_until

pytestmark = pytest.mark.opensearch

SEED: Final = 1
KILLS: Final = 20
BATCH: Final = 200
IN_FLIGHT: Final = AgentSettings().requests_in_flight
NAME: Final = "app.events"


@pytest.fixture
def home(tmp_path: Path, opensearch: Cluster, index: IndexSettings) -> Iterator[AgentHome]:
    with closing(AgentHome(tmp_path, opensearch, index)) as one:
        yield one


@pytest.fixture
def proxy(home: AgentHome) -> Iterator[FaultProxy]:
    """What the agents of `home` have to pass."""
    with proxied(home) as one:
        yield one


# Killed.


@pytest.mark.slow
def test_killed_twenty_times_in_one_backlog_nothing_is_lost_and_only_what_was_under_way_sent_again(
    home: AgentHome, proxy: FaultProxy
) -> None:
    """Scenario 1: at random points, while starting, reading, sending and saving."""
    drawn = random.Random(SEED)  # noqa: S311  # to be drawn again
    ids = home.emit(100 * BATCH)
    ends = _ends(home.directory / NAME)
    proxy.script(lambda _m, path, _b: slow(0.2) if path == "/_bulk" else None)
    kept: list[tuple[int, int]] = []
    for _ in range(KILLS):
        before = len(proxy.attempts)
        process = home.start()
        wait_until(lambda: len(proxy.attempts) > before, home.said)  # noqa: B023  # called here
        time.sleep(drawn.uniform(0, 0.25))
        home.kill(process)
        kept.append((len(proxy.attempts) + IN_FLIGHT, home.places().get(NAME, 0)))
    assert kept[-1][1] < ends[ids[-1]], "killed in the backlog, and not behind it"
    proxy.script(lambda _m, _path, _b: None)
    home.once()
    for attempts, offset in kept:
        again = [one for late in proxy.attempts[attempts:] for one in late.ids]
        assert all(ends[one] > offset for one in again), "sent again although the checkpoint had it"
    # Under way, or settled within the tenth of a second between two checkpoints.
    most = KILLS * BATCH * (IN_FLIGHT + 8)
    assert sum(proxy.sent().values()) - len(ids) <= most
    home.check()
    assert home.buried() == []


def _ends(path: Path) -> dict[str, int]:
    """The offset behind each event of a file, by id."""
    ends: dict[str, int] = {}
    offset = 0
    for line in path.read_bytes().splitlines(keepends=True):
        offset += len(line)
        ends[decode_envelope(line.rstrip(b"\n")).id] = offset
    return ends


# A full disk.


def _fill(disk: Path, *last_pages: Path) -> Path:
    """Take all that is left of a disk, and of the last pages of files; returns what to delete."""
    ballast = disk / "ballast"
    for path, size in ((ballast, 4096), *((path, 1) for path in last_pages)):
        with path.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"\n" * size):
                pass
    return ballast


def test_with_its_disk_full_it_stops_at_the_last_checkpoint_and_resumes_by_itself(
    home: AgentHome, proxy: FaultProxy
) -> None:
    """Scenario 21: checkpoint and dead letter on a disk that is full for a while."""
    with small_disk(home.directory / "disk", "1m") as disk:
        home.state = disk / "state"
        process = home.start()
        home.emit(500)
        home.await_settled()
        settled = home.places()[NAME]
        ballast = _fill(disk)
        with (home.directory / NAME).open("ab") as file:
            file.write(b"garbage\n" * 50)
        home.emit(1000)
        wait_until(lambda: home.has_said("checkpoint_not_saved"), home.said)
        late = home.emit(3000)
        time.sleep(1)
        assert process.poll() is None, home.said()
        assert home.places()[NAME] == settled
        assert not set(late) & set(proxy.sent()), "read on without a checkpoint"
        ballast.unlink()
        home.await_settled()
        assert "\n".join(record["line"] for record in home.buried()).split() == ["garbage"] * 50
        home.kill(process)
        home.check()
        assert proxy.sent_needlessly() == {}
        assert "0 events stored, 0 stored before" in home.once()


def test_with_the_disk_of_its_own_log_full_it_ships_on(home: AgentHome) -> None:
    """Scenario 21: what it says of itself is lost then, and nothing else."""
    with small_disk(home.directory / "disk", "64k") as disk:
        home.own_log = disk / "agent.log"
        process = home.start()
        home.emit(100)
        home.await_settled()
        _fill(disk, home.own_log)
        for number in range(5):
            home.emit(100, f"{number}.events")
            with (home.directory / NAME).open("ab") as file:
                file.write(b"garbage\n")
        home.await_settled()
        assert process.poll() is None
        process.terminate()
        assert process.wait(60) == 0
        home.check()
        assert sum(record.get("lines", 1) for record in home.buried()) == 5


def test_with_nobody_reading_what_it_says_it_ships_on(home: AgentHome) -> None:
    """Scenario 21: its log goes into a pipe whose reader is gone."""
    process = subprocess.Popen(
        AGENT, env=home.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        home.emit(100)
        home.await_settled()
        assert process.stderr is not None
        process.stderr.close()
        for number in range(3):
            home.emit(100, f"{number}.events")
        wait_until(lambda: home.is_settled() or process.poll() is not None, "ships on")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    home.check()


def test_a_state_directory_that_is_deleted_lets_no_two_agents_work(home: AgentHome) -> None:
    process = home.start()
    home.emit(100)
    home.await_settled()
    shutil.rmtree(home.state)
    wait_until(lambda: home.has_said("checkpoint_not_saved"), home.said)
    home.state.mkdir()
    wait_until(lambda: home.has_said("state_lock_was_removed"), home.said)
    home.emit(100)
    home.await_settled()
    assert home.start().wait(60) == 1, "the lock is held again"
    process.send_signal(signal.SIGSTOP)
    (home.state / LOCK_NAME).unlink()
    other = home.start()
    wait_until(lambda: holder(home.state) == other.pid, home.said)
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 1, home.said()
    assert "was deleted under this agent" in home.said()
    home.emit(100)
    home.await_settled()
    assert other.poll() is None
    home.check()


def test_a_state_directory_that_is_read_only_fails_at_start_loudly(home: AgentHome) -> None:
    """Scenario 21."""
    home.emit(10)
    with small_disk(home.directory / "disk", "1m") as disk:
        home.state = disk
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)  # noqa: S607
        process = home.start()
        assert process.wait(60) == 1
    assert f"cannot write to the state directory {disk}" in home.said()
    assert "next: " in home.said()


# A checkpoint that is not what was written.


def _tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _make_newer(path: Path) -> None:
    first, _, body = path.read_bytes().partition(b"\n")
    header = msgspec.json.decode(first)
    header["version"] = 99
    path.write_bytes(msgspec.json.encode(header) + b"\n" + body)


def _swap(path: Path) -> None:
    """A bit that a disk got wrong, inside the document."""
    data = bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "which"),
    [
        *((one, "newest") for one in (_tear, _cut_short, _empty, _make_newer, _swap, Path.unlink)),
        *((one, "both") for one in (_zero, _make_newer, Path.unlink)),
    ],
)
def test_a_damaged_checkpoint_costs_reading_again_and_no_more(
    home: AgentHome, damage: Callable[[Path], None], which: str
) -> None:
    """Scenario 22: with one generation or both gone; never skipped, no crash loop."""
    home.emit(300)
    home.once()
    slots = sorted((home.state / name for name in SLOTS), key=lambda path: path.stat().st_mtime_ns)
    for path in slots[1:] if which == "newest" else slots:
        damage(path)
    (home.state / "checkpoint.new").write_bytes(b"a torn one, left behind")
    home.emit(300)
    home.once()
    assert home.has_said("checkpoint_refused") == (damage is not Path.unlink)
    home.check()
    assert "0 events stored, 0 stored before" in home.once()
