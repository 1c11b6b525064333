"""Other settings for a running agent: read and judged before anything of the old is let go."""

import threading
from collections.abc import Callable

from msgspec import Struct

from agent.send import Writer
from agent.settings import AgentSettings
from indexer.settings import IndexSettings


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
