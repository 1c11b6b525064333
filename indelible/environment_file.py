"""Variables from a file, as systemd's `EnvironmentFile=` has them, so that they can be read again.

A line is `NAME=value`; the value may stand in single or double quotes. Blank lines and lines that
begin with `#` or `;` are left out.
"""

import re
import shlex
from pathlib import Path
from typing import Final

from audit_events.small_file import read_small_file
from indexer.errors import SettingsError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read(path: Path) -> dict[str, str]:
    """The variables of the file.

    Raises:
        SettingsError: it cannot be read, or lines of it are no assignment; no value is named, as
            it may be a secret.
    """
    try:
        lines = read_small_file(path).splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError((f"{path}: cannot be read: {reason}",)) from error
    variables: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith(("#", ";")):
            continue
        name, equals, value = line.partition("=")
        try:
            words = shlex.split(value) if value[:1] in ("'", '"') else [value.strip()]
        except ValueError:
            words = []
        if equals and _NAME.fullmatch(name) and len(words) == 1:
            variables[name] = words[0]
        else:
            problems.append(f"{path}: line {number} is no NAME=value")
    if problems:
        raise SettingsError(tuple(problems))
    return variables
