"""Files of the command line that have to do with heads: keys, and heads that were kept."""

import errno
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from joserfc.jwk import OKPKey

from indelible.errors import CommandError
from indexer.errors import HeadError
from indexer.head_row import Row, read_row
from indexer.settings import LifecycleSettings
from indexer.signing_key import read_public

MAX_LINE_CHARACTERS: Final = 16_384
"""A head has less than a thousand; what is longer is none, and not read at once."""


def read_keys(paths: Sequence[Path], lifecycle: LifecycleSettings) -> list[OKPKey]:
    """Return the public halves of the keys that are named, else of the configured one, if any.

    Raises:
        HeadError: one cannot be read.
    """
    configured = lifecycle.signing_key_file
    chosen = paths or ([configured] if configured is not None else [])
    return [read_public(path) for path in chosen]


def read_kept(path: Path, keys: Sequence[OKPKey]) -> Row:
    """Return the heads that were carried to a file, one a line.

    Raises:
        CommandError: it cannot be read.
        HeadError: it has not one line in it.
    """
    try:
        row = read_row(str(path), _read_lines(path), keys)
    except OSError as error:
        hint = "name the file that heads were carried to, one a line"
        raise CommandError(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    if not (row.heads or row.refused):
        raise HeadError(f"{path} has no head in it, so nothing can be compared with it")
    return row


def _read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line, with where it stands."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is no regular file")
    with path.open(encoding="ascii", errors="replace", newline="\n") as file:
        number, is_new = 0, True
        while line := file.readline(MAX_LINE_CHARACTERS):
            number += is_new
            yield f"line {number}", line
            is_new = line.endswith("\n")
