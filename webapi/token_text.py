"""The text of an API token: made once, told apart from anything else, and never stored.

    indl_ ‖ id (20) ‖ secret (43) ‖ checksum (6)      all of it [0-9A-Za-z]

The beginning is for people and for what looks for secrets in code; the checksum (CRC-32 of what
stands before it, in base 62) tells a token from a text that only looks like one, and a mistyped one
without asking anybody. The id finds the token, the secret (256 random bits) proves it. Its digest
is plain SHA-256: there is nothing to guess, so nothing has to be slow.
"""

import re
import secrets
import string
import zlib
from hashlib import sha256
from typing import Final

BEGINNING: Final = "indl_"
ID_CHARACTERS: Final = 20
SECRET_CHARACTERS: Final = 43
"""62 to the power of 43 is more than 2 to the power of 256."""
CHECKSUM_CHARACTERS: Final = 6
ID_PATTERN: Final = rf"^[0-9A-Za-z]{{{ID_CHARACTERS}}}$"
PATTERN: Final = (
    rf"{BEGINNING}[0-9A-Za-z]{{{ID_CHARACTERS + SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}}"
)
"""For scanners of secrets; all that matches and has the right checksum was meant as a token."""

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_match: Final = re.compile(PATTERN, re.ASCII).fullmatch


def new_token() -> tuple[str, str]:
    """Return a fresh token's id and its text."""
    token_id = _draw(ID_CHARACTERS)
    text = BEGINNING + token_id + _draw(SECRET_CHARACTERS)
    return token_id, text + checksum(text)


def read_id(text: str) -> str | None:
    """Return the id of a text that is whole as a token; None for anything else."""
    if _match(text) is None or checksum(text[:-CHECKSUM_CHARACTERS]) != text[-CHECKSUM_CHARACTERS:]:
        return None
    return text[len(BEGINNING) : len(BEGINNING) + ID_CHARACTERS]


def digest(text: str) -> str:
    """Return what is stored of a token: SHA-256 in hexadecimal."""
    return sha256(text.encode()).hexdigest()


def checksum(text: str) -> str:
    """Return the CRC-32 of a text as six digits of base 62."""
    value = zlib.crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _draw(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))
