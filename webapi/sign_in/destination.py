"""Where to after signing in: an address of our own pages, whatever a link says."""

import re
from typing import Final

HOME: Final = "/settings/access-control/audit-log"
SECTION: Final = "/settings/"
MAX_CHARACTERS: Final = 4096

_OURS: Final = re.compile(rf"{SECTION}[!#-;=?-\[\]_a-z~]*")
"""Printable ASCII without `"`, `<`, `>`, a backslash, which browsers read as a slash, and what
stands in no address."""


def safe_destination(text: str | None) -> str:
    """Return `text` where it is a path (and query) below `SECTION`, else `HOME`. Pure.

    A path that begins with one slash and a fixed word has no host and no scheme, so wherever it is
    resolved it stays on our origin (RFC 3986, section 5.2.2).
    """
    if text is None or len(text) > MAX_CHARACTERS or _OURS.fullmatch(text) is None:
        return HOME
    return text
