"""An export as a zip: the lines of `events.ndjson`, and what `manifest.json` says of them."""

import io
from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, Final, cast
from zipfile import BadZipFile, ZipFile

import msgspec

from audit_events.event import MAX_LINE_BYTES
from webapi.export_file import EVENTS_NAME, MANIFEST_NAME

ZIP_START: Final = b"PK\x03\x04"


class ZippedExport:
    """Reads a zip as the NDJSON export that it would have been.

    Args:
        file: seekable; it is left open.

    Raises:
        BadZipFile: it is cut off or damaged, or no export.
    """

    def __init__(self, file: IO[bytes]) -> None:
        try:
            self._archive = ZipFile(file)
        except BadZipFile:
            # Of a zip it stands at the end.
            raise BadZipFile("it has no table of contents, as one that was cut off") from None

    def last(self) -> bytes:
        """What the manifest says, as the last line of NDJSON, without its newline.

        Raises:
            OSError, EOFError, zlib.error, BadZipFile: it cannot be read, or there is none.
        """
        with self._open(MANIFEST_NAME) as member:
            manifest = member.read(MAX_LINE_BYTES)
        try:
            return b'{"export":' + msgspec.json.format(manifest, indent=-1) + b"}"
        except msgspec.MsgspecError:
            raise BadZipFile(f"{MANIFEST_NAME} is malformed") from None

    @contextmanager
    def events(self) -> Generator[io.BufferedIOBase]:
        """Open the lines.

        Raises:
            OSError, EOFError, zlib.error, BadZipFile: they cannot be read, or there are none.
        """
        with self._open(EVENTS_NAME) as member:
            yield io.BufferedReader(cast("io.RawIOBase", member))

    def _open(self, name: str) -> IO[bytes]:
        try:
            return self._archive.open(name)
        except KeyError:
            raise BadZipFile(f"it holds no {name}, as an export does") from None
        except RuntimeError as error:
            # A password, or a method that Python has not.
            raise BadZipFile(str(error)) from None
