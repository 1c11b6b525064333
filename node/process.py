"""The server's process: found by its command line, never by a remembered number.

There is no pid file, so none can be stale, and a reused process id cannot fool anybody: the process
is the one whose arguments name this node's configuration directory. A node that outlived its
starter (`kill -9` of `indelible up`) is found in the same way. Only processes of this user, or of
the users that root's node runs as, count: nobody else can pass for the node.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from node.layout import User, server_uids

_PROC = Path("/proc")
# Children of this very process, by their argument: they have to be waited for, or stay as zombies.
_children: dict[str, "subprocess.Popen[bytes]"] = {}


def find(argument: str) -> int | None:
    """Return the id of the process that has `argument` on its command line."""
    child = _children.get(argument)
    if child is not None:
        if child.poll() is None:
            return child.pid
        del _children[argument]
    commands = _from_proc() if _PROC.joinpath("self/cmdline").exists() else _from_ps()
    return next((pid for pid, arguments in commands if argument in arguments), None)


def _from_proc() -> Iterator[tuple[int, Sequence[str]]]:
    uids = server_uids()
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                owner = entry.stat().st_uid
                arguments = entry.joinpath("cmdline").read_bytes()
            except OSError:
                continue
            if owner in uids:
                yield int(entry.name), os.fsdecode(arguments).split("\0")


def _from_ps() -> Iterator[tuple[int, Sequence[str]]]:
    program = shutil.which("ps")
    if program is None:
        return
    listing = subprocess.run(  # noqa: S603  # ps, and nothing of it from outside
        [program, "-axww", "-o", "uid=,pid=,command="], check=True, capture_output=True, text=True
    )
    uids = server_uids()
    for line in listing.stdout.splitlines():
        uid, pid, *arguments = line.split()
        if int(uid) in uids:
            yield int(pid), arguments


def spawn(
    command: Sequence[str], argument: str, *, directory: Path, console: IO[bytes], user: User | None
) -> int:
    """Start the server detached from this process's terminal and group; return its id.

    `argument` is the one of `command` that `find` will know it by.
    """
    process = subprocess.Popen(  # noqa: S603  # java, on arguments that render.py made
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=subprocess.STDOUT,
        env={"LANG": "C.UTF-8", "PATH": os.defpath},
        start_new_session=True,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
        umask=0o077,
    )
    _children[argument] = process
    return process.pid


def terminate(argument: str, *, patience_seconds: float) -> bool:
    """End the process with `argument`: SIGTERM, wait, SIGKILL. Return whether there was one."""
    pid = find(argument)
    if pid is None:
        return False
    for number, seconds in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, 10.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return True
        if _wait_for_end(argument, seconds):
            return True
    raise TimeoutError(f"process {pid} outlives SIGKILL")


def _wait_for_end(argument: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while find(argument) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
