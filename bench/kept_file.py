"""An event file that stays in memory."""

from pathlib import Path

from typing_extensions import override

from audit_events.event_file import EventFile


class KeptFile(EventFile):
    """Takes lines into memory; one writer and nobody who reads needs no lock and no `stat`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.lines: list[bytes] = []

    @override
    def append(self, line: bytes) -> None:
        self.lines.append(line)
