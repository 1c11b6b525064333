"""A configuration that is read again while the agent runs: judged first, then handed to the loop.

Whatever is wrong with it, the old one goes on: nothing is let go before all of the new one is at
hand, its certificates read and its port taken. A few settings say which events are whose, and need
a restart: another state directory, another layout of indices.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from msgspec import Struct
from opensearchpy import OpenSearch

from agent.board import Board
from agent.send import Writer
from agent.settings import AgentSettings, absolute
from indexer.bulk import BulkWriter
from indexer.dead_letter import DeadLetter
from indexer.figures import Figures
from indexer.settings import ConnectionSettings, IndexSettings

if TYPE_CHECKING:
    from agent.monitor import Monitor

FIXED_AGENT: Final = ("state_directory",)
FIXED_INDEX: Final = ("prefix", "partition")
MONITOR: Final = ("monitor_host", "monitor_port")

_log = structlog.get_logger("agent")


class Settings(Struct, frozen=True):
    """All that a run of the agent needs to know; `client` is its own and gets closed."""

    agent: AgentSettings
    index: IndexSettings
    client: OpenSearch
    connection: ConnectionSettings | None = None
    """What the client was made of; None where nobody reads it again."""


Read = Callable[[], Settings]
"""Reads the configuration as it is now; what it raises says what is wrong with it."""


class Renewal(Struct, frozen=True):
    """What takes over when nothing is in flight any more.

    `settled` is called then: whatever served the old settings alone may go.
    """

    settings: AgentSettings
    index: IndexSettings
    writer: Writer
    abandon: threading.Event
    settled: Callable[[], None]


Reread = Callable[[], tuple[Renewal | None, tuple[str, ...]]]
"""Reads the configuration again; None and all that is wrong with it where it cannot take over."""


class Supply:
    """What the loop has under one configuration: its writer, its figures, and the monitor.

    Args:
        settings: of the start; its agent settings `absolute`.
        dead_letter: of the state directory.
        board: what the loop shows.
        read: None where no other configuration ever comes.
    """

    def __init__(
        self,
        settings: Settings,
        dead_letter: DeadLetter,
        board: Board,
        read: Read | None,
    ) -> None:
        self._settings = settings
        self._dead_letter = dead_letter
        self._board = board
        self._read = read
        self._monitor: Monitor | None = None
        self.figures = Figures()
        self.abandon = threading.Event()
        self.writer = self._make_writer(settings, self.abandon)

    def open_monitor(self) -> None:
        """Listen, where the settings say so.

        Raises:
            MonitorError: it cannot listen there.
        """
        self._monitor = self._make_monitor(self._settings.agent)

    def close(self) -> None:
        """Let go of the monitor and the client."""
        if self._monitor is not None:
            self._monitor.close()
        self._settings.client.close()

    def reread(self) -> tuple[Renewal | None, tuple[str, ...]]:
        """Read the configuration again (see `Reread`)."""
        if self._read is None:
            return None, ()
        try:
            new = self._read()
        except Exception as error:  # noqa: BLE001  # whatever it is, the old configuration works
            return None, _refuse(getattr(error, "problems", (str(error) or repr(error),)))
        new = msgspec.structs.replace(new, agent=absolute(new.agent))
        problems = _fixed_problems(self._settings, new)
        monitor, is_other = self._monitor, _differs(self._settings.agent, new.agent, MONITOR)
        if is_other and not problems:
            try:
                monitor = self._make_monitor(new.agent)
            except Exception as error:  # noqa: BLE001  # as above
                problems = (str(error),)
        if problems:
            new.client.close()
            return None, _refuse(problems)
        abandon = threading.Event()

        def settled() -> None:
            self._settings.client.close()
            if is_other and self._monitor is not None:
                self._monitor.close()
            _log.info("configuration_reread", changed=_changes(self._settings, new))
            self._settings, self._monitor = new, monitor

        writer = self._make_writer(new, abandon)
        return Renewal(new.agent, new.index, writer, abandon, settled), ()

    def _make_writer(self, settings: Settings, abandon: threading.Event) -> BulkWriter:
        return BulkWriter(
            settings.client,
            settings.index,
            self._dead_letter,
            stop=abandon,
            at_once=settings.agent.requests_in_flight,
            figures=self.figures,
        )

    def _make_monitor(self, settings: AgentSettings) -> "Monitor | None":
        if not settings.monitor_port:
            return None
        # Only here: without it the agent keeps a megabyte less in memory.
        from agent.monitor import Monitor  # noqa: PLC0415

        monitor = Monitor(
            settings.monitor_host,
            settings.monitor_port,
            self._board,
            Path(settings.state_directory),
        )
        monitor.start()
        return monitor


def _refuse(problems: tuple[str, ...]) -> tuple[str, ...]:
    _log.error(
        "configuration_refused",
        problems=problems,
        hint="the one before goes on; correct it and send SIGHUP again",
    )
    return problems


def _fixed_problems(old: Settings, new: Settings) -> tuple[str, ...]:
    fixed: list[tuple[str, Struct, Struct, str]] = [
        *(("agent", old.agent, new.agent, name) for name in FIXED_AGENT),
        *(("index", old.index, new.index, name) for name in FIXED_INDEX),
    ]
    problems = tuple(
        f"[{group}] {name}: {getattr(before, name)!r} cannot become {getattr(after, name)!r}"
        " while the agent runs; restart it"
        for group, before, after, name in fixed
        if getattr(before, name) != getattr(after, name)
    )
    return problems if new.agent.paths else (*problems, "[agent] paths: there is nothing to follow")


def _differs(old: AgentSettings, new: AgentSettings, names: tuple[str, ...]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _changes(old: Settings, new: Settings) -> list[str]:
    """Names alone: a value may be a secret."""
    groups: tuple[tuple[str, Struct | None, Struct | None], ...] = (
        ("opensearch", old.connection, new.connection),
        ("agent", old.agent, new.agent),
        ("index", old.index, new.index),
    )
    return [
        f"{group}.{name}"
        for group, before, after in groups
        if before is not None and after is not None
        for name in before.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    ]
