"""Ten runs of all troubles at once, with ten seeds: what was lost, and what was stored twice.

Usage: python bench/chaos.py [--runs 10] [--seed N] [--events 40000] [--keep DIRECTORY] [--quick]

One embedded node for all runs (it is killed in each of them), and for each run an index, an agent
and a directory of its own: see tests/chaos.py for what happens there. Ends with 1 if anything was
lost, stored twice, altered or buried. The last line is one line of JSON. What is left of a run that
was not clean stays in the directory that `--keep` names.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[1]
if not __package__:
    # Run as a script, the directory of this file comes first, and `agent` would be another file.
    sys.path[0] = str(ROOT)

import node  # noqa: E402  # after the path
from tests.chaos import NodeWorld, Outcome, Plan, run  # noqa: E402
from tests.node_home import node_config, own_home  # noqa: E402

COLUMNS: Final = {
    "seed": 8,
    "lost": 6,
    "twice": 6,
    "altered": 8,
    "buried": 7,
    "gaps": 5,
    "gaps_closed": 12,
    "seconds": 8,
    "agent_kills": 12,
    "agent_stops": 12,
    "node_kills": 11,
    "renames": 8,
    "copytruncates": 14,
    "requests": 9,
    "requests_unsettled": 19,
}


def main() -> int:
    """Do the runs and print what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--events", type=int, default=Plan().events)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--quick", action="store_true", help="two short runs")
    arguments = parser.parse_args()
    runs = 2 if arguments.quick else arguments.runs
    plan = Plan(events=12_000 if arguments.quick else arguments.events)
    print("".join(name.rjust(width) for name, width in COLUMNS.items()), flush=True)
    with own_home() as home:
        config = node_config(home)
        world = NodeWorld(config, node.start(config))
        outcomes = [
            _run(world, arguments.seed + number, plan, arguments.keep) for number in range(runs)
        ]
    print(msgspec.json.encode(_figures(outcomes)).decode())
    return 0 if all(outcome.is_clean for outcome in outcomes) else 1


def _run(world: NodeWorld, seed: int, plan: Plan, keep: Path | None) -> Outcome:
    directory = Path(tempfile.mkdtemp(prefix="indelible-chaos-"))
    clean = False
    try:
        outcome = run(directory, world, seed, plan)
        clean = outcome.is_clean
    finally:
        if keep is not None and not clean:
            shutil.copytree(directory, keep / str(seed))
        shutil.rmtree(directory)
    row = msgspec.structs.asdict(outcome)
    print("".join(str(row[name]).rjust(width) for name, width in COLUMNS.items()), flush=True)
    return outcome


def _figures(outcomes: list[Outcome]) -> dict[str, object]:
    return {
        "runs": len(outcomes),
        "events": sum(outcome.events for outcome in outcomes),
        "lost": sum(outcome.lost for outcome in outcomes),
        "twice": sum(outcome.twice for outcome in outcomes),
        "altered": sum(outcome.altered for outcome in outcomes),
        "chain_breaks": sum(outcome.chain_breaks for outcome in outcomes),
        "buried": sum(outcome.buried for outcome in outcomes),
        "gaps": sum(outcome.gaps for outcome in outcomes),
        "agent_kills": sum(outcome.agent_kills for outcome in outcomes),
        "node_kills": sum(outcome.node_kills for outcome in outcomes),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        "seeds": [outcome.seed for outcome in outcomes],
    }


if __name__ == "__main__":
    sys.exit(main())
