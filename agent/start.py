"""Start an agent: prove that its state can be kept, lock it, connect, run."""

import errno
import gc
import resource
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from agent import checkpoint
from agent.board import Board
from agent.discover import find_unmatched
from agent.errors import NothingToFollowError, StateDirectoryError
from agent.lock import hold
from agent.memory import share_one_heap
from agent.pipeline import Pipeline
from agent.renewal import Read, Settings, Supply
from agent.settings import absolute
from agent.status import Totals
from indexer.beat import Asked
from indexer.dead_letter import DeadLetter

FULL: Final = (errno.ENOSPC, errno.EDQUOT)

_log = structlog.get_logger("agent")


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to: its counts, and the files that it could not read, with the reason."""

    totals: Totals
    unreadable: dict[str, str]
    unmatched: tuple[str, ...] = ()
    """Globs that matched nothing when it began."""


def run(
    settings: Settings,
    *,
    stop: Asked,
    once: bool = False,
    board: Board | None = None,
    read: Read | None = None,
) -> Outcome:
    """Follow files and ship their events until `stop` is set.

    Args:
        settings: what is followed, where state is kept, and who writes.
        stop: ends the run; what is in flight is settled within `shutdown_seconds`.
        once: end as soon as everything that is there now is settled; without the monitor.
        board: what others see of it, and where they ask for the configuration to be read again.
        read: reads it again.

    Raises:
        NothingToFollowError: no path is configured.
        StateDirectoryError: no checkpoint could be kept there.
        LockedError: another agent works there.
        MonitorError: the monitor cannot listen where it should.
        SenderError: a batch could not be sent for a reason that no retry mends.
    """
    if not settings.agent.paths:
        raise NothingToFollowError
    own = absolute(settings.agent)
    directory = Path(own.state_directory)
    dead_letter = DeadLetter(directory)
    board = board or Board()
    with hold(directory) as lock:
        full = _prove_writable(directory)
        _allow_many_files()
        share_one_heap()
        # What is there by now stays: nobody needs to look for garbage among it.
        gc.freeze()
        supply = Supply(msgspec.structs.replace(settings, agent=own), dead_letter, board, read)
        with closing(supply):
            if not once:
                supply.open_monitor()
            pipeline = Pipeline(
                own,
                settings.index,
                supply.writer,
                dead_letter,
                stop=stop,
                abandon=supply.abandon,
                figures=supply.figures,
                board=board,
                reread=supply.reread,
                keep_lock=lock.keep,
            )
            if full is not None:
                pipeline.keeper.refuse(full)
            _log.info("agent_started", paths=own.paths, state_directory=own.state_directory)
            unmatched = find_unmatched(own.paths, own.state_directory)
            if not once:
                _tell_unmatched(unmatched)
            pipeline.run(once=once)
        return Outcome(pipeline.totals, dict(pipeline.follower.unreadable), unmatched)


def _tell_unmatched(patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        _log.warning(
            "no_file_matches",
            pattern=pattern,
            hint="a file that comes later is followed; if one should be there, look at the spelling"
            " and whether the agent's user may list the directory",
        )


def _prove_writable(directory: Path) -> OSError | None:
    """Save the checkpoint as it is, under the next generation: if that fails, fail now.

    A full disk alone is returned: it is waited for like one that gets full later, as an agent that
    a supervisor starts again and again may be given up.
    """
    try:
        known = checkpoint.load(directory)
        checkpoint.save(directory, msgspec.structs.replace(known, generation=known.generation + 1))
    except OSError as error:
        if error.errno in FULL:
            return error
        raise StateDirectoryError(directory, error) from error
    return None


def _allow_many_files() -> None:
    """Every file that is followed stays open: take as many descriptors as this user may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
