"""All of it at once, from one seed: tail, rotation, kills of agent and node, and a bad network.

Processes log into two files. Meanwhile, in an order that the seed decides, the files are rotated
by rename and by copytruncate, the agent is killed or asked to stop, the node is killed, and the
proxy between them refuses, cuts, garbles, delays and loses. Then everything may end in peace, and
every line is looked for, by id.

The same seed draws the same actions and pauses; what they hit is up to the machine.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import Struct
from opensearchpy import OpenSearch, OpenSearchException

import node
from audit_events.chain import verify_chain
from audit_events.envelope import decode_envelope
from indexer.settings import IndexSettings
from tests import faults
from tests.agent_process import AgentHome
from tests.agent_rig import proxied
from tests.cluster import Cluster
from tests.fault_proxy import FaultProxy, cut_on_the_wire, slow
from tests.stored_events import read_stored
from tests.waiting import wait_until

PROCESSES: Final = 4
FILES: Final = ("0.events", "1.events")
PEACE_SECONDS: Final = 240.0
EVENTS_OF_TENANTS: Final = {"bool": {"must_not": {"term": {"organizationId": "_system"}}}}
KILL_NODE_AFTER: Final = 8
"""Other actions."""
LEAST_LIMIT_BYTES: Final = 30_000
"""Of a request, where 413 is drawn: more than one event, which would be buried alone."""
_EMITTER: Final = """
import sys, time
from audit_events import open_log
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = open_log(path, service=name)
for number in range(count):
    log.info(
        "member.role_changed",
        organization_id=f"org_{number % 7}",
        actor={"type": "user", "id": f"u_{number % 50}", "email": f"user{number % 50}@company.com"},
        target_user={"email": "team@company.com", "name": "J\\u00f6rg \\U0001f600"},
        ip_address="203.0.113.7",
        context={"previous": {"role": "member"}, "new": {"role": "admin"}, "number": number},
        correlation_id=f"{name}-{number}",
    )
    if number % 50 == 49:
        time.sleep(0.1)
"""


class Plan(Struct, frozen=True):
    """How much of it."""

    events: int = 40_000
    fault_share: float = 0.15
    kills_node: bool = True


class Outcome(Struct, frozen=True):
    """What a run came to."""

    seed: int
    events: int
    lost: int
    twice: int
    altered: int
    """Stored with other bytes than were written."""
    chain_breaks: int
    buried: int
    fragments: int
    """Beginnings of lines that were read when their file was truncated: buried, as they may be all
    that is left; here the whole line is in the copy, and counted as any other."""
    seconds: float
    agent_kills: int
    agent_stops: int
    node_kills: int
    renames: int
    copytruncates: int
    gaps: int
    """Told by the agent; what was only late is told of again, as closed."""
    gaps_closed: int
    requests: int
    requests_unsettled: int
    """Answered, or not, so that something of them had to be sent again."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.twice or self.altered or self.chain_breaks or self.buried)


@dataclass
class NodeWorld:
    """A node of our own, which may be killed."""

    config: node.NodeConfig
    running: node.Running

    @property
    def cluster(self) -> Cluster:
        return Cluster("chaos", self.running.url, self.running.credentials)

    def kill(self) -> threading.Thread:
        """Kill the node in the middle of whatever it does; the thread starts it again."""

        def start() -> None:
            self.running = node.start(self.config)

        os.kill(self.running.pid, signal.SIGKILL)
        thread = threading.Thread(target=start)
        thread.start()
        return thread


def run(directory: Path, world: NodeWorld, seed: int, plan: Plan) -> Outcome:
    """Do all of it once, in an empty directory."""
    with world.cluster.own_prefix() as index:
        home = AgentHome(directory, world.cluster, index)
        with proxied(home) as proxy:
            return _Run(home, world, proxy, seed, plan).run()


class _Run:
    def __init__(
        self, home: AgentHome, world: NodeWorld, proxy: FaultProxy, seed: int, plan: Plan
    ) -> None:
        self.home, self.world, self.proxy, self.plan = home, world, proxy, plan
        self.seed = seed
        self.drawn = random.Random(seed)  # noqa: S311  # to be drawn again
        self.network = random.Random(seed + 1)  # noqa: S311
        self.counts: Counter[str] = Counter()
        self.emitters: list[subprocess.Popen[bytes]] = []
        self.node_start: threading.Thread | None = None
        self.agent = home.start()

    def run(self) -> Outcome:
        begun = time.monotonic()
        self.proxy.script(self._choose_fault)
        self.proxy.reset_after = self._choose_reset
        self.emitters = [self._emit(number) for number in range(PROCESSES)]
        try:
            self._rage()
            assert [emitter.wait(timeout=300) for emitter in self.emitters] == [0] * PROCESSES
        finally:
            for emitter in self.emitters:
                emitter.kill()
                emitter.wait()
            if self.node_start is not None:
                self.node_start.join()
        self._await_all()
        self.agent.terminate()
        assert self.agent.wait(60) == 0, self.home.said()
        return self._account(time.monotonic() - begun)

    def _emit(self, number: int) -> subprocess.Popen[bytes]:
        path = self.home.directory / FILES[number % len(FILES)]
        count = str(self.plan.events // PROCESSES)
        return subprocess.Popen(
            [sys.executable, "-c", _EMITTER, str(path), f"emitter-{number}", count]
        )

    # The network.

    def _choose_fault(self, _method: str, path: str, body: bytes) -> faults.Fault | None:
        if self.network.random() >= self.plan.fault_share:
            return None
        rows = max(1, body.count(b"\n") // 2)
        picked = set(self.network.sample(range(rows), max(1, rows // 20)))
        choices: list[faults.Fault] = [
            faults.status(429, "rejected_execution_exception"),
            faults.status(503, retry_after="0"),
            faults.lost,
            faults.refused,
            faults.cut,
            faults.text("<html>200, says the proxy</html>"),
            cut_on_the_wire,
            slow(self.network.uniform(0, 0.5)),
        ]
        if path == "/_bulk":
            choices += [
                faults.larger_than(LEAST_LIMIT_BYTES),
                faults.one_item_short,
                faults.items(picked.__contains__, 429, "rejected"),
                faults.items(picked.__contains__, 503, "unavailable_shards"),
            ]
        return self.network.choice(choices)

    def _choose_reset(self, length: int) -> int | None:
        return int(length * self.network.random()) if self.network.random() < 0.02 else None

    # What happens meanwhile.

    def _rage(self) -> None:
        actions: dict[Callable[[], None], int] = {
            self._rename: 6,
            self._copytruncate: 4,
            self._kill_agent: 5,
            self._stop_agent: 2,
            self._hang_up: 1,
        }
        while any(emitter.poll() is None for emitter in self.emitters):
            time.sleep(self.drawn.uniform(0.05, 0.8))
            if self.plan.kills_node and sum(self.counts.values()) == KILL_NODE_AFTER:
                self.node_start = self.world.kill()
                self.counts["node_kills"] += 1
            [action] = self.drawn.choices(list(actions), list(actions.values()))
            action()
            self.counts[action.__name__] += 1

    def _restart(self) -> None:
        time.sleep(self.drawn.choice((0, 0, 0.3)))
        self.agent = self.home.start()

    def _kill_agent(self) -> None:
        self.home.kill(self.agent)
        self._restart()

    def _stop_agent(self) -> None:
        self.agent.terminate()
        # Asked while it was being started, it ends as any process does.
        assert self.agent.wait(60) in (0, -signal.SIGTERM), self.home.said()
        self._restart()

    def _hang_up(self) -> None:
        self.proxy.hang_up()
        time.sleep(self.drawn.uniform(0, 1))
        self.proxy.listen()

    def _shift(self, name: str) -> tuple[Path, Path]:
        """Make room for the next rotated file, as logrotate does."""
        path = self.home.directory / name
        for old in sorted(self.home.directory.glob(f"{name}.*"), reverse=True):
            old.rename(path.with_name(f"{name}.{int(old.suffix[1:]) + 1:03d}"))
        return path, path.with_name(f"{name}.001")

    def _rename(self) -> None:
        path, rotated = self._shift(self.drawn.choice(FILES))
        if path.exists():
            path.rename(rotated)

    def _copytruncate(self) -> None:
        """Copy and truncate while nobody writes: what is written in between, nobody could keep."""
        path, rotated = self._shift(self.drawn.choice(FILES))
        if not path.exists():
            return
        for emitter in self.emitters:
            emitter.send_signal(signal.SIGSTOP)
        try:
            # Who is in the middle of a write ends it first, when the machine lets it.
            wait_until(lambda: all(map(_stands_still, self.emitters)), "nobody writes")
            shutil.copyfile(path, rotated)
            os.truncate(path, 0)
        finally:
            for emitter in self.emitters:
                emitter.send_signal(signal.SIGCONT)

    # The account.

    def _await_all(self) -> None:
        deadline = time.monotonic() + PEACE_SECONDS
        with self.world.cluster.client("reader") as reader:
            while _count(reader, self.home.index) < self.plan.events:
                if time.monotonic() > deadline or self.agent.poll() is not None:
                    return
                time.sleep(0.2)

    def _lines(self) -> Iterator[bytes]:
        for path in self.home.directory.glob("*.events*"):
            yield from filter(None, path.read_bytes().split(b"\n"))

    def _account(self, seconds: float) -> Outcome:
        for line in self._lines():
            self.home.note(line)
        written = self.home.written
        assert len(written) == self.plan.events, "the emitters' own files lack lines"
        stored: Counter[str] = Counter()
        chains: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
        altered = 0
        with self.world.cluster.client("lifecycle") as lifecycle:
            lifecycle.indices.refresh(index=f"{self.home.index.prefix}-*")
        with self.world.cluster.client("reader") as reader:
            for hit in read_stored(reader, self.home.index.prefix):
                stored[hit.id] += 1
                altered += written.get(hit.id) != hit.line
                source = decode_envelope(hit.line).source
                chains[source.id][source.seq] = hit.line
            gaps, gaps_closed = (
                _count(reader, self.home.index, {"term": {"action": f"audit_log.{one}"}})
                for one in ("gap_detected", "gap_closed")
            )
        breaks = [verify_chain(line for _, line in sorted(one.items())) for one in chains.values()]
        buried = [
            line
            for record in self.home.buried()
            for line in str(record.get("line")).encode().split(b"\n")
            if line
        ]
        fragments = sum(
            any(line.startswith(one) and line != one for line in written.values()) for one in buried
        )
        return Outcome(
            seed=self.seed,
            events=self.plan.events,
            lost=len(written.keys() - stored.keys()),
            twice=sum(count - 1 for count in stored.values()),
            altered=altered,
            chain_breaks=sum(map(len, breaks)),
            buried=len(buried) - fragments,
            fragments=fragments,
            seconds=round(seconds, 1),
            agent_kills=self.counts["_kill_agent"],
            agent_stops=self.counts["_stop_agent"],
            node_kills=self.counts["node_kills"],
            renames=self.counts["_rename"],
            copytruncates=self.counts["_copytruncate"],
            gaps=gaps,
            gaps_closed=gaps_closed,
            requests=len(self.proxy.attempts),
            requests_unsettled=sum(bool(one.unsettled) for one in self.proxy.attempts),
        )


def _stands_still(process: "subprocess.Popen[bytes]") -> bool:
    """Whether each of its threads is stopped, or it ended."""
    try:
        tasks = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    except OSError:
        return False  # a thread that ends just now
    # The name, second of the columns, may hold blanks and brackets; the state is the third.
    return all(task.rpartition(")")[2].split()[0] in "TZX" for task in tasks)


def _count(client: OpenSearch, index: IndexSettings, query: object = EVENTS_OF_TENANTS) -> int:
    try:
        count: int = client.count(index=f"{index.prefix}-*", body={"query": query})["count"]
    except OpenSearchException:
        return -1
    return count
