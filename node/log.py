"""What a node has said: the server's log, and what the Java machine wrote itself."""

import re
from pathlib import Path

from node.layout import Layout

# A log line of the server can be long, a stack frame is short: enough for hundreds of lines.
_TAIL_BYTES = 1 << 20
_STACK_FRAME = re.compile(r"\s+(at |\.\.\. \d+ (more|common frames))")


def tail(path: Path, *, since: int = 0) -> list[str]:
    """Return the lines of a file's end, beginning at the byte `since` or 1 MiB before the end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            # Shorter than it was: it has been rotated meanwhile.
            begin = since if since <= size else 0
            file.seek(max(begin, size - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def size(layout: Layout) -> int:
    """Return where the next line of the server's log will begin."""
    try:
        return layout.server_log.stat().st_size
    except FileNotFoundError:
        return 0


def complaint(layout: Layout, since: int, lines: int) -> str:
    """Return the last lines of one run, without stack frames, which bury what went wrong."""
    said = tail(layout.server_log, since=since) + tail(layout.console_log)
    telling = dict.fromkeys(line for line in said if line and not _STACK_FRAME.match(line))
    return "\n".join([*telling][-lines:])
