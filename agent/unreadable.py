"""Files that match and cannot be read: why, told once each, and what to do."""

import errno
from collections.abc import Container
from typing import Final

import structlog

_PERMISSION: Final = "let the agent's user read it; it is tried again at every look"
_DESCRIPTORS: Final = (
    "let the agent open more files (LimitNOFILE of its unit, ulimit -n); it is tried again at every"
    " look, and read as soon as another file can be closed"
)
_ARCHIVE: Final = "only gzip is read: unpack it beside, compress by gzip, or let no glob match it"
_DAMAGED: Final = "every whole line before that was read; restore it from where it was made"
_INCOMPLETE: Final = "every whole line that is there was read; it is read on when it grows"

_PACKED: Final = " archive"

_log = structlog.get_logger("agent")


class Unreadable(dict[str, str]):
    """The reason by path."""

    def note(self, path: str, error: OSError) -> None:
        """It cannot be opened or read."""
        is_full = error.errno in {errno.EMFILE, errno.ENFILE}
        self._tell(path, error.strerror or str(error), _DESCRIPTORS if is_full else _PERMISSION)

    def resolve(self, path: str) -> None:
        """It can be read."""
        if self.pop(path, None) is not None:
            _log.info("file_readable_again", path=path)

    def tell_name(self, path: str) -> None:
        """Its name cannot be written down; here it is spelled."""
        self._tell(path, "its name is not UTF-8", "rename it")

    def tell_own(self, path: str) -> None:
        """What the agent reads there would be what it writes there of it."""
        self._tell(path, "the agent itself writes it", "find out who made this link, and remove it")

    def tell_archive(self, path: str, kind: str) -> None:
        """It is an archive of a kind that nobody unpacks here."""
        self._tell(path, f"{kind}{_PACKED}", _ARCHIVE)

    def tell_damaged(self, path: str, problem: str) -> None:
        """It is an archive that unpacks to a part only."""
        self._tell(path, f"damaged{_PACKED}: {problem}", _DAMAGED)

    def tell_incomplete(self, path: str) -> None:
        """It is an archive without an end, and nobody writes to it."""
        self._tell(path, f"incomplete{_PACKED}", _INCOMPLETE)

    def forget(self, found: Container[str]) -> None:
        """Forget those that are no longer there."""
        for path in [path for path in self if path not in found]:
            del self[path]

    def _tell(self, path: str, reason: str, hint: str) -> None:
        if self.get(path) != reason:
            self[path] = reason
            _log.error("file_unreadable", path=path, reason=reason, hint=hint)


def is_archive(reason: str) -> bool:
    """Whether it is an archive that cannot be unpacked, or not to its end.

    That holds nothing up: as a rule its lines were read before it was packed, and what is whole of
    it was read.
    """
    return reason.partition(":")[0].endswith(_PACKED)
