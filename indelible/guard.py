"""Ends what `indelible up` leaves behind when it is killed hard: `python -m indelible.guard`.

`up` holds the other end of this process's standard input. When that closes, `up` has ended; if its
record is still there, it could not clean up, and this does, in the same order. Unlike a signal at
the parent's death (prctl, Linux alone, lost when the child changes its user as the node does),
this works everywhere, lets the agent settle, and reaches the node too.
"""

import os
import signal
import sys
from pathlib import Path

from indelible.configuration import Configuration, load
from indelible.run_record import (
    RunRecord,
    end_children,
    read_record,
    remove_record,
    run_directory,
    try_lock,
)


def main() -> None:
    """Wait for the end of `up`, and clean up when it did not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    configuration = load()
    if not run_directory(configuration.home).is_dir():
        return
    descriptor = os.open(run_directory(configuration.home), os.O_RDONLY | os.O_DIRECTORY)
    # Whoever has the lock is the next `up`, and cleans up itself.
    record = read_record(configuration.home) if try_lock(descriptor) else None
    if record is not None:
        end_leftovers(configuration, record)


def end_leftovers(configuration: Configuration, record: RunRecord) -> list[str]:
    """End everything of a killed `up`, then its record; return the names of what lived."""
    ended = end_children(record)
    if record.owns_node:
        import node  # noqa: PLC0415  # an extra: where it is missing, nothing owns a node

        if node.stop(configuration.node):
            ended.append("node")
    remove_record(Path(configuration.home))
    return ended


if __name__ == "__main__":
    main()
