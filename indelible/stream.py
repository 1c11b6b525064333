"""`indelible stream`: each event on stdout as it arrives, until it is stopped.

It asks the API by a token, not the cluster: who takes events away has the right to those of one
organisation, which can be revoked, and no credentials of the store. What was kept of the place is
never ahead of what stdout took, so a kill at any moment repeats a page and loses nothing.
"""

import os
import select
import stat
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Final

import click
import msgspec

from indelible.cursor_file import CursorFile, hold
from indelible.moment import Moment
from indelible.question import QuestionCommand, asked_pairs, filter_options
from indelible.stopping import Breaking, StopAsked
from indelible.stream_answer import Trouble, read_answer
from indelible.stream_request import ask, stream_url
from indelible.stream_settings import StreamSettings, read_settings
from indelible.terminal import write_json
from indelible.whole_help import examples
from indexer.backoff import Backoff, delay_seconds
from webapi.settings import is_private_url
from webapi.stream import AFTER, LIMIT, MAX_LIMIT, MAX_WAIT_SECONDS, NOW, START, WAIT, StreamPage

PAUSE_SECONDS: Final = 2.0
"""Behind a page that is not full: else a page an event would use up what may be asked a minute."""
ONCE_SECONDS: Final = 20
"""Least time of `--once`: so long it may take until what was stored before it is answered."""
BACKOFF: Final = Backoff(first_seconds=1.0)

Pairs = Sequence[tuple[str, str]]


@click.command(
    "stream",
    cls=QuestionCommand,
    epilog=examples(
        "stream --cursor-file siem.cursor",
        "stream --action 'member.*' 'result:denied'",
        "stream --cursor-file siem.cursor --start beginning --once",
    ),
)
@filter_options
@click.option(
    "--cursor-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keeps how far stdout took them; the next run goes on there.",
)
@click.option(
    "--start",
    type=Moment(),
    help="Where to begin without a cursor: now, beginning, or what was shipped since a moment, such"
    " as 2h ago.  [default: now]",
)
@click.option(
    "--once", is_flag=True, help="Read what was there when it began, and end; takes 20 s."
)
def command(
    *,
    text: str | None,
    action: Sequence[str],
    actor: Sequence[str],
    cursor_file: Path | None,
    start: str | None,
    once: bool,
) -> None:
    """Write each event that matches TEXT and the options to stdout as it arrives, one a line.

    TEXT is as of `indelible search`; without it and without options all are written. It asks the
    API (INDELIBLE_STREAM_URL) by a token (INDELIBLE_STREAM_TOKEN_FILE), and goes on until Ctrl-C or
    SIGTERM, through whatever passes. Each event comes at least once: its `id` tells.
    """
    filters = asked_pairs(action, actor, q=text)
    if once and cursor_file is None and start in (None, NOW):
        raise click.UsageError(
            "--once: from now on nothing is there; name --start or --cursor-file"
        )
    if cursor_file is not None and not cursor_file.name:
        raise click.UsageError("--cursor-file: expected the name of a file")
    settings = read_settings(os.environ)
    if not is_private_url(settings.url):
        click.echo(
            f"warning: {settings.url} is asked without https: whoever is on the way can read the"
            " token and all events, and alter them",
            err=True,
        )
    stopping = Breaking()
    stopping.install()
    held: AbstractContextManager[CursorFile | None] = (
        nullcontext() if cursor_file is None else hold(cursor_file)
    )
    with suppress(StopAsked), held as kept:
        follow(Source(settings, filters, stopping, cursor_file), kept, start or NOW, once=once)


class Source:
    """The API, asked until it answers.

    Args:
        settings: where it is.
        filters: which events, by its own parameters.
        stopping: whether to go on.
        cursor_path: the file of the cursor, for who reads what is wrong.
    """

    def __init__(
        self,
        settings: StreamSettings,
        filters: Pairs,
        stopping: Breaking,
        cursor_path: Path | None,
    ) -> None:
        self._settings = settings
        self._filters = filters
        self._stopping = stopping
        self._cursor_path = cursor_path
        self._is_told = False
        self._is_limit_told = False

    def page(self, *place: tuple[str, str]) -> StreamPage:
        """Return the page behind a place, whenever it can be had.

        Raises:
            CommandError, click.UsageError: it cannot, and waiting would not help.
            StopAsked: enough.
        """
        attempt = 0
        while True:
            found = self._ask(place)
            if isinstance(found, StreamPage):
                self._tell_end()
                return found
            self._tell(found)
            attempt += 1
            retry_after = found.retry_after_seconds
            self.pause(delay_seconds(attempt, BACKOFF, retry_after_seconds=retry_after))

    def _ask(self, place: Pairs) -> StreamPage | Trouble:
        with self._stopping.waiting():
            answer = ask(self._settings, [*self._filters, *place])
        if isinstance(answer, Trouble):
            return answer
        return read_answer(answer, stream_url(self._settings), self._cursor_path)

    def pause(self, seconds: float) -> None:
        """Sleep.

        Raises:
            StopAsked: enough.
        """
        with self._stopping.waiting():
            time.sleep(seconds)

    def _tell(self, trouble: Trouble) -> None:
        """Say it once: of an outage at its begin, of the limit, which comes again, at all."""
        if trouble.is_limit and not self._is_limit_told:
            click.echo(f"note: {trouble.why}; it goes on at that pace", err=True)
            self._is_limit_told = True
        elif not trouble.is_limit and not self._is_told:
            click.echo(f"warning: {trouble.why}; waiting, it goes on by itself", err=True)
            self._is_told = True

    def _tell_end(self) -> None:
        if self._is_told:
            click.echo("note: the API answers again", err=True)
            self._is_told = False


def follow(source: Source, kept: CursorFile | None, start: str, *, once: bool) -> None:
    """Write what comes, and keep the place behind it, for ever or until all is read.

    Raises:
        CommandError, click.UsageError, StopAsked: as `Source.page`.
        OSError: stdout does not take it; a `BrokenPipeError` where who read it is gone.
    """
    if kept is not None and kept.is_behind_cut:
        # The rest of the line that was cut would be the beginning of this one.
        sys.stdout.buffer.write(b"\n")
    cursor = None if kept is None else kept.cursor
    wait = ONCE_SECONDS if once else MAX_WAIT_SECONDS
    begun = time.monotonic()
    while True:
        check_reader(sys.stdout.fileno())
        place = (START.name, start) if cursor is None else (AFTER.name, cursor)
        page = source.page(place, (LIMIT.name, str(MAX_LIMIT)), (WAIT.name, f"{wait}s"))
        write_events(page)
        cursor = page.cursor
        if kept is not None:
            kept.keep(cursor)
        if once and not page.more and time.monotonic() - begun >= ONCE_SECONDS:
            return
        if not (page.events and page.more):
            source.pause(PAUSE_SECONDS)


def write_events(page: StreamPage) -> None:
    """Write the events as they are stored, one a line; to a file, durably.

    What others stored may have lines of its own, and is spelled as one.

    Raises:
        OSError: not all were taken.
    """
    for event in page.events:
        line = bytes(event)
        write_json(msgspec.json.format(line, indent=-1) if b"\n" in line else line)
    descriptor = sys.stdout.fileno()
    if page.events and stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fsync(descriptor)


def check_reader(descriptor: int) -> None:
    """Tell whether anybody still reads a pipe: where no event comes, no write would tell.

    Raises:
        BrokenPipeError: nobody does.
    """
    poll = select.poll()
    poll.register(descriptor, 0)
    if any(told & (select.POLLERR | select.POLLHUP) for _, told in poll.poll(0)):
        raise BrokenPipeError
