"""Stylesheet, scripts and icon: few files, read once, and addressed by what they hold.

The version in an address is a digest of all of them, so that a browser may keep each for ever, and
modules may import each other by relative paths.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from flask import Response, request, url_for

from webapi.errors import MissingError

TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"
VERSION_CHARACTERS: Final = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and compressed."""

    kind: str
    plain: bytes
    compressed: bytes


@cache
def all_assets() -> dict[str, Asset]:
    """Return the files of `static/` by their names."""
    found: dict[str, Asset] = {}
    for file in files("webapi.page").joinpath("static").iterdir():
        kind = TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            content = file.read_bytes()
            found[file.name] = Asset(kind, content, gzip.compress(content, mtime=0))
    return found


@cache
def version() -> str:
    """Return what changes when one of the files does."""
    digest = sha256()
    for name, asset in sorted(all_assets().items()):
        digest.update(name.encode() + b"\0" + asset.plain)
    return digest.hexdigest()[:VERSION_CHARACTERS]


@cache
def modules() -> list[str]:
    """Return the names of the scripts that `main.js` imports."""
    return sorted(name for name in all_assets() if name.endswith(".js") and name != "main.js")


def address(name: str) -> str:
    """Return the address of a file."""
    return url_for("page.show_asset", version=version(), name=name)


def respond(asked_version: str, name: str) -> Response:
    """Answer a file; one of another version is answered too, and not kept.

    Raises:
        MissingError: there is no such file.
    """
    asset = all_assets().get(name)
    if asset is None:
        raise MissingError("route_not_found", "there is no such file")
    compressed = request.accept_encodings.quality("gzip") > 0
    response = Response(asset.compressed if compressed else asset.plain, content_type=asset.kind)
    if compressed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    if asked_version == version():
        response.headers["Cache-Control"] = FOR_EVER
    return response
