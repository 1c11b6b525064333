"""The key that signs heads (Ed25519), and the public keys that heads are checked with.

The private key is a PKCS #8 file in PEM, as `openssl genpkey -algorithm ed25519` writes it; a
public one is PEM too, or a JWK (RFC 8037). Its thumbprint (RFC 7638) is its name.
"""

import os
import stat
from pathlib import Path
from typing import Final

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from audit_events.small_file import read_small_file
from indexer.durable import sync
from indexer.errors import HeadError

_decode: Final = msgspec.json.Decoder(dict[str, str | list[str]]).decode
_CURVE: Final = "Ed25519"
_OWN_ONLY: Final = 0o600


def make(path: Path) -> OKPKey:
    """Make a key, in a new file that its owner alone may read.

    Raises:
        OSError: it cannot be made; a file that is there is never replaced.
    """
    key = OKPKey.generate_key(_CURVE, private=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(path, "wb", opener=lambda name, _: os.open(name, flags, _OWN_ONLY)) as file:
        try:
            file.write(key.as_pem(private=True))
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            # Half a key would be in the way of the next attempt.
            path.unlink()
            raise
    sync(path.parent)
    return key


def read_private(path: Path) -> OKPKey:
    """Return the key that signs.

    Raises:
        HeadError: the file cannot be read, has no private key of this kind, or is open to others.
    """
    key = _read(path)
    if not key.is_private:
        raise HeadError(f"{path} has a public key, which signs nothing")
    found = path.stat()
    if found.st_mode & _open_to_others(found.st_uid):
        mode = stat.S_IMODE(found.st_mode)
        raise HeadError(
            f"{path} may be read or written by others (mode {mode:04o}), and whoever has the key"
            f" signs what he likes: chmod 600 {path}; make another key if one of them may have it"
        )
    return key


def read_public(path: Path) -> OKPKey:
    """Return a key that heads are checked with; of a private one, its public half.

    Raises:
        HeadError: the file cannot be read, or has no key of this kind.
    """
    return OKPKey.import_key(_read(path).as_dict(private=False))


def describe(key: OKPKey) -> str:
    """Return the public half as a JWK on one line, to be handed to whoever checks heads."""
    public = {**key.as_dict(private=False), "alg": _CURVE, "kid": key.thumbprint(), "use": "sig"}
    return msgspec.json.encode(public, order="deterministic").decode()


def _open_to_others(owner: int) -> int:
    """The bits that a file of this owner may not have.

    What another one owns may be read by a group, as there is no other way to read it: systemd's
    LoadCredential gives root's file to a user by an ACL, which shows as the bit of the group.
    """
    group = stat.S_IWGRP if owner != os.geteuid() else stat.S_IRWXG
    return group | stat.S_IRWXO


def _read(path: Path) -> OKPKey:
    try:
        text = read_small_file(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise HeadError(f"the key {path} cannot be read: {reason}") from None
    try:
        key = OKPKey.import_key(_decode(text) if text.startswith("{") else text)
    except (JoseError, ValueError, TypeError, msgspec.MsgspecError):
        # What it says might quote the key.
        raise HeadError(f"{path} has no key of the kind {_CURVE}") from None
    if key.curve_name != _CURVE:
        raise HeadError(f"{path} has a key for {key.curve_name}, not {_CURVE}")
    return key
