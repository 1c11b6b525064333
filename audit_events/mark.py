"""The mark of what was cut: `{"truncated": true, "bytes": …, "sha256": …}`."""

from hashlib import sha256
from typing import Final

BARE_MARK: Final[dict[str, object]] = {"truncated": True}
"""Of what is too deep, or too much, to be digested."""


def mark(whole: bytes, **more: object) -> dict[str, object]:
    """Return the mark of a value that was cut, with the digest of all of it.

    Args:
        whole: of a text its UTF-8, of everything else its canonical form; after redaction, so that
            no digest of a secret ever stands.
        more: `value`, the first part of a text; `left`, how many members are left out.
    """
    return {"bytes": len(whole), "sha256": sha256(whole).hexdigest(), "truncated": True, **more}
