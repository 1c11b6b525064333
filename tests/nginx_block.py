"""nginx's configuration as data, and nginx itself with the one of this repository."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.throw_away_tls import Authority
from tests.webapi_process import ROOT

CONF: Final = ROOT / "packaging" / "nginx" / "indelible.conf"
HOST: Final = "audit.company.com"

_tokens = re.compile(r"""#[^\n]*|"[^"]*"|'[^']*'|[{};]|[^\s{};]+""").findall


@dataclass(frozen=True, slots=True)
class Block:
    """A block, such as `location /api/ { … }`.

    Args:
        name: what stands before its brace.
        said: its directives, each as its words, in order.
        blocks: those in it.
    """

    name: tuple[str, ...] = ()
    said: list[tuple[str, ...]] = field(default_factory=list)
    blocks: list["Block"] = field(default_factory=list)

    def one(self, name: str) -> str:
        """Return what is said once under this name."""
        (words,) = [words for words in self.said if words[0] == name]
        return " ".join(words[1:])

    def headers(self) -> dict[str, str]:
        """Return what it sends on."""
        return {words[1]: words[2] for words in self.said if words[0] == "proxy_set_header"}


def read_blocks(text: str) -> Block:
    """Return a file as the block that nobody wrote around it."""
    return _read(iter([token for token in _tokens(text) if not token.startswith("#")]), ())


def _read(parts: Iterator[str], name: tuple[str, ...]) -> Block:
    block, words = Block(name), list[str]()
    for part in parts:
        if part == "}":
            break
        if part == "{":
            block.blocks.append(_read(parts, tuple(words)))
            words.clear()
        elif part == ";":
            block.said.append(tuple(words))
            words.clear()
        else:
            words.append(part.strip("\"'"))
    return block


@dataclass(frozen=True, slots=True)
class Ports:
    """Where they listen: nginx, the API and oauth2-proxy."""

    nginx: int
    api: int
    asked: int


def write_nginx(directory: Path, authority: Authority, ports: Ports, secret: str) -> Path:
    """Write a configuration around ours, of which nothing is changed but ports and paths."""
    authority.server(host=HOST)
    (chain,) = set(directory.glob("*.pem")) - {authority.file}
    (directory / "secret.conf").write_text(f'proxy_set_header X-Indelible-Proxy-Secret "{secret}";')
    text = CONF.read_text()
    for there, here in (
        ("/etc/nginx/audit.pem", str(chain)),
        ("/etc/nginx/audit.key", str(chain)),
        ("/etc/nginx/indelible_secret.conf", str(directory / "secret.conf")),
        ("/var/log/nginx/audit.log", str(directory / "access.log")),
        ("listen 443 ", f"listen 127.0.0.1:{ports.nginx} "),
        ("http://127.0.0.1:8250", f"http://127.0.0.1:{ports.api}"),
        ("http://127.0.0.1:4180", f"http://127.0.0.1:{ports.asked}"),
    ):
        assert there in text
        text = text.replace(there, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    around = [
        # Its workers must reach the directory of a test.
        "user root;" if os.geteuid() == 0 else "",
        f"pid {directory}/nginx.pid; error_log {directory}/error.log; daemon off; events {{}}",
        "http { access_log off;",
        *(f"{kind}_temp_path {directory}/{kind};" for kind in kinds),
        text,
        "}",
    ]
    file = directory / "nginx.conf"
    file.write_text("\n".join(around))
    return file


def check_nginx(file: Path) -> str:
    """Return what `nginx -t` finds wrong."""
    done = subprocess.run(
        ["nginx", "-t", "-q", "-c", str(file)],  # noqa: S607  # where it lies differs
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""
