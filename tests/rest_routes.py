"""What the node's own code registers as REST handlers, read from its class files.

OpenSearch has no call that lists its handlers. They are built from constants, `new Route(POST,
"/{index}/_close")`: in the byte code, a read of `RestRequest$Method.POST`, then a load of the text.
"""

import struct
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

CHANGING: Final = ("POST", "PUT", "DELETE", "PATCH")
SECURITY: Final = "/_plugins/_security"
_METHOD: Final = "org/opensearch/rest/RestRequest$Method"
_UTF8, _STRING, _FIELD, _LONG, _DOUBLE = 1, 8, 9, 5, 6
_SIZES: Final = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 15: 3, 16: 2, 19: 2, 20: 2}
_GETSTATIC, _LDC, _LDC_W, _INVOKEVIRTUAL = 0xB2, 0x12, 0x13, 0xB6


def read_routes(server: Path) -> set[str]:
    """Return `METHOD /path` of every handler of an assembled server that may change something."""
    found: set[str] = set()
    for jar in server.rglob("*.jar"):
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.startswith("org/opensearch/") and name.endswith(".class"):
                    content = archive.read(name)
                    if _METHOD.encode() in content:
                        found.update(_named(name, _read_class(content)))
    return found


def _named(name: str, routes: Iterable[tuple[str, str]]) -> Iterator[str]:
    for method, path in routes:
        if method in CHANGING and path.startswith("/"):
            yield f"{method} {_prefix(name, path)}{path}"


def _prefix(name: str, path: str) -> str:
    """The security plugin's classes hold their paths without what goes before all of them."""
    if not name.startswith("org/opensearch/security/") or path.startswith("/_plugins"):
        return ""
    api = ("/dlic/rest/api/", "ApiAction.class", "/CreateOnBehalfOfTokenAction")
    return f"{SECURITY}/api" if any(part in name for part in api) else SECURITY


def _read_class(content: bytes) -> Iterator[tuple[str, str]]:
    """Return method and text of each constant that is loaded right after a method was read."""
    pool = _read_pool(content)
    for index, (tag, value) in pool.items():
        if tag != _FIELD:
            continue
        owner, naming = struct.unpack(">HH", value)
        if _text(pool, owner) != _METHOD:
            continue
        method = _text(pool, naming)
        read = bytes([_GETSTATIC]) + struct.pack(">H", index)
        place = content.find(read)
        while place >= 0:
            path = _loaded(pool, content, place + len(read))
            if path is not None:
                yield method, path
            place = content.find(read, place + 1)


Pool = dict[int, tuple[int, bytes]]


def _loaded(pool: Pool, content: bytes, place: int) -> str | None:
    if content[place] == _INVOKEVIRTUAL:
        # A builder: the method is handed over before the path is loaded.
        place += 3
    if content[place] == _LDC:
        index = content[place + 1]
    elif content[place] == _LDC_W:
        index = struct.unpack_from(">H", content, place + 1)[0]
    else:
        return None
    tag, _ = pool.get(index, (0, b""))
    return _text(pool, index) if tag == _STRING else None


def _text(pool: Pool, index: int) -> str:
    """Follow the first reference of each constant until there is a text."""
    tag, value = pool[index]
    while tag != _UTF8:
        tag, value = pool[struct.unpack_from(">H", value)[0]]
    return value.decode("utf-8", "replace")


def _read_pool(content: bytes) -> Pool:
    """Return the constants of a class file (The Java Virtual Machine Specification, 4.4)."""
    count = struct.unpack_from(">H", content, 8)[0]
    pool: Pool = {}
    index, place = 1, 10
    while index < count:
        tag = content[place]
        start = place + 1
        if tag == _UTF8:
            start += 2
            size = struct.unpack_from(">H", content, place + 1)[0]
        else:
            size = _SIZES.get(tag, 4)
        pool[index] = (tag, content[start : start + size])
        place = start + size
        index += 2 if tag in (_LONG, _DOUBLE) else 1
    return pool
