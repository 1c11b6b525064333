"""The example of a reverse proxy, held against the settings that it speaks of, and run."""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
import tomllib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from typing_extensions import override

from indelible.configuration import load
from tests.conftest import free_ports
from tests.nginx_block import CONF, HOST, Block, Ports, check_nginx, read_blocks, write_nginx
from tests.throw_away_tls import make_authority
from tests.webapi_process import ROOT, serving
from webapi.app import MAX_BODY_BYTES
from webapi.settings import WebSettings
from webapi.settings_conflicts import conflicts
from webapi.sign_in.cookie import cookie_name
from webapi.sign_in.proxy import SECRET_HEADER, header_names

CFG = CONF.with_name("oauth2-proxy.cfg")
SECRET = "p" * 48
PAGE = "/settings/access-control/audit-log/x"
"""Signed in, there is no such event (404), which needs no cluster."""
GROUPS = {"ana": "staff,audit-owners", "cy": "staff,x-audit-owners,audit-owners-too"}
has_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


def site() -> Block:
    named = [block for block in read_blocks(CONF.read_text()).blocks if block.name == ("server",)]
    (found,) = [block for block in named if ("server_name", HOST) in block.said]
    return found


def to_api() -> list[Block]:
    api = f"http://{WebSettings().host}:{WebSettings().port}"
    return [block for block in site().blocks if ("proxy_pass", api) in block.said]


def test_the_page_is_told_who_is_there_by_nobody_but_oauth2_proxy() -> None:
    (page,) = [block for block in to_api() if block.one("proxy_pass") and "/" in block.name]
    sent, claims = page.headers(), header_names(WebSettings())
    asked = {words[1]: words[2] for words in page.said if words[0] == "auth_request_set"}
    assert page.one("auth_request") == "/oauth2/auth"
    assert set(claims.values()) < set(sent), "what is not overwritten, a client may send"
    for claim, variable in (
        ("sub", "$auth_user"),
        ("email", "$auth_email"),
        ("name", "$auth_name"),
    ):
        assert sent[claims[claim]] == variable
        upstream = claims[claim].lower().replace("-", "_")
        assert asked[variable] == f"$upstream_http_{upstream}"
    assert sent[claims["role"]] == "$audit_role"
    assert sent["Cookie"] == "$audit_cookie", "those of oauth2-proxy may be too long together"
    assert page.one("include") == "/etc/nginx/indelible_secret.conf"


def test_the_api_knows_no_word_of_a_proxy() -> None:
    (api,) = [block for block in to_api() if block.name == ("location", "/api/")]
    assert api.headers()[SECRET_HEADER] == ""
    assert api.headers()["Cookie"] == ""


def test_no_address_of_a_client_is_its_own_word() -> None:
    passing = [block for block in site().blocks if any(w[0] == "proxy_pass" for w in block.said)]
    assert len(passing) == 5
    for block in passing:
        assert block.headers()["X-Forwarded-For"] == "$remote_addr", block.name
        assert block.headers()["Host"] == "$host", block.name


def test_what_the_api_cannot_do_is_not_asked_of_it() -> None:
    assert site().one("client_max_body_size") == f"{MAX_BODY_BYTES >> 10}k"
    assert site().one("proxy_http_version") == "1.1", "half an export would look whole"
    assert all(block.headers()["Connection"] == "" for block in to_api())
    assert f"<audit_session>{cookie_name(WebSettings())}=" in CONF.read_text()


def test_both_files_speak_of_the_same() -> None:
    said = tomllib.loads(CFG.read_text())
    assert said["redirect_url"] == f"https://{HOST}/oauth2/callback"
    (asked,) = [block for block in site().blocks if "/oauth2/auth" in block.name]
    assert asked.one("proxy_pass") == f"http://{said['http_address']}"
    assert said["reverse_proxy"]
    assert said["trusted_proxy_ips"] == ["127.0.0.1"]
    assert said["set_xauthrequest"]
    assert not {"client_secret", "cookie_secret"} & set(said)


def test_the_settings_that_the_text_names_are_settings(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    (block,) = re.findall(r"<!-- nginx: [^\n]*-->\n```toml\n(.*?)```", text, re.DOTALL)
    secret, config = tmp_path / "proxy_secret", tmp_path / "web.toml"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    named = "/etc/indelible-web/proxy_secret"
    assert named in block
    config.write_text(f"[web]\njwt_secret = '{'j' * 40}'\n{block.replace(named, str(secret))}")
    found = load({"INDELIBLE_CONFIG": str(config)}).web
    assert conflicts(found) == []
    assert found.public_url == f"https://{HOST}"
    assert found.trusted_proxies == 1, "nginx alone"
    assert found.proxy_sign_out_url is not None
    provider = urlsplit(parse_qs(urlsplit(found.proxy_sign_out_url).query)["rd"][0])
    said = tomllib.loads(CFG.read_text())
    assert provider.hostname in said["whitelist_domains"], "else one is not sent there"
    assert provider.geturl().startswith(said["oidc_issuer_url"])


@dataclass(frozen=True, slots=True)
class Answer:
    """What nginx answered."""

    status: int
    headers: dict[str, str]


class Asked(BaseHTTPRequestHandler):
    """In place of oauth2-proxy: knows people by a cookie that says who they are."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer as oauth2-proxy does."""
        found = re.search("who=([a-z]+)", self.headers["Cookie"] or "")
        if self.path == "/oauth2/cut":
            self._cut()
        elif self.path == "/oauth2/start":
            self._answer(302, {"Location": self.headers["X-Auth-Request-Redirect"]})
        elif found is None:
            self._answer(401, {})
        else:
            name = found[1]
            told = {"User": f"u_{name}", "Email": f"{name}@company.com", "Groups": GROUPS[name]}
            self._answer(202, {f"X-Auth-Request-{key}": value for key, value in told.items()})

    def _cut(self) -> None:
        """End in the middle, as gunicorn does; in HTTP/1.0 there are no chunks."""
        is_chunked = self.request_version == "HTTP/1.1"
        self.send_response(200)
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"4\r\nhalf\r\n" if is_chunked else b"half")
        self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """nginx, with what stands behind it."""

    port: int
    trust: ssl.SSLContext
    directory: Path

    def open(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(HOST, timeout=30)
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sock = self.trust.wrap_socket(plain, server_hostname=HOST)
        return connection

    def ask(self, path: str, who: str | None = None, **headers: str) -> Answer:
        """Ask as a browser that knows the cookie of `who`; names with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        cookie = {} if who is None else {"Cookie": f"a=b; who={who}; big={'y' * 4000}"}
        connection = self.open()
        try:
            connection.request("GET", path, headers={"Accept": "text/html", **cookie, **sent})
            answer = connection.getresponse()
            return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()})
        finally:
            connection.close()

    def recorded(self) -> list[tuple[str, str, str]]:
        lines = (self.directory / "trail.log").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        return [(one["action"], one["actor"]["id"], one["ipAddress"]) for one in events]


@contextmanager
def answering(port: int) -> Generator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), Asked)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(file: Path, port: int) -> Generator[None]:
    process = subprocess.Popen(["nginx", "-c", str(file)])  # noqa: S607  # where it lies differs
    try:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        assert process.poll() is None, "nginx does not start"
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    authority, ports = make_authority(tmp_path), Ports(*free_ports(3))
    file = write_nginx(tmp_path, authority, ports, SECRET)
    assert check_nginx(file) == ""
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "INDELIBLE_HOME": str(tmp_path / "home"),
        "INDELIBLE_OPENSEARCH_URL": "https://127.0.0.1:1",
        "INDELIBLE_WEB_JWT_SECRET": "j" * 40,
        "INDELIBLE_WEB_PORT": str(ports.api),
        "INDELIBLE_WEB_TRUSTED_PROXY_NETWORKS": "127.0.0.1",
        "INDELIBLE_WEB_TRUSTED_PROXY_SECRET": SECRET,
        "INDELIBLE_WEB_TRUSTED_PROXIES": "1",
        "INDELIBLE_WEB_AUDIT_PATH": str(tmp_path / "trail.log"),
    }
    trust = ssl.create_default_context(cafile=authority.file)
    with (
        answering(ports.asked),
        serving(("-m", "indelible", "web"), environ, ports.api, tmp_path / "web.log"),
        running(file, ports.nginx),
    ):
        yield Proxy(ports.nginx, trust, tmp_path)


FORGED = {
    **{f"X_Auth_Request_{name}": "owner" for name in ("User", "Email", "Role", "Groups")},
    "X_Indelible_Proxy_Secret": SECRET,
    "X_Forwarded_For": "6.6.6.6",
    "Forwarded": "for=6.6.6.6",
}


@pytest.mark.slow
@has_nginx
def test_nobody_gets_past_it(proxy: Proxy) -> None:
    asked = f"{PAGE}?action=a&since=2026-01-01"
    for path in (asked, f"/{asked}", f"/api/..{asked}", f"/oauth2/%2e%2e{asked}", "/", "/docs"):
        answer = proxy.ask(path, **FORGED)
        assert answer.status == 302, path
    assert proxy.ask(asked).headers["location"] == asked, "all of it, to come back to"
    assert proxy.ask(asked, Sec_Fetch_Mode="cors").status == 401, "a script is not sent anywhere"
    assert proxy.ask("/api/organization/rbac/members/audit-log", "ana", **FORGED).status == 401
    for path in ("/oauth2/auth", "/oauth2/%61uth", "/first-sign-in", "/metrics", "//%6detrics"):
        assert proxy.ask(path, "ana").status == 404, path
    assert proxy.ask(PAGE, "ana", Host="evil.example").status == 421
    assert not (proxy.directory / "trail.log").read_bytes()


@pytest.mark.slow
@has_nginx
def test_who_is_let_in_is_who_was_asked(proxy: Proxy) -> None:
    assert proxy.ask(PAGE, "cy", **FORGED).status == 403
    assert proxy.ask(PAGE, "ana", **FORGED).status == 404
    assert proxy.recorded() == [
        ("audit_log.sign_in_refused", "u_cy", "127.0.0.1"),
        ("audit_log.signed_in", "u_ana", "127.0.0.1"),
    ]
    proxy.ask(f"/sign-in?next={quote('/?q=ana@company.com')}", "ana")
    written = (proxy.directory / "access.log").read_text()
    assert "u_ana" in written
    assert "company.com" not in written, "what was searched for"


@pytest.mark.slow
@has_nginx
def test_the_pages_own_cookie_reaches_it_among_others(proxy: Proxy) -> None:
    name = cookie_name(WebSettings())
    first = proxy.ask(PAGE, "ana").headers["set-cookie"].split(";")[0]
    assert first.startswith(f"{name}=")
    many = "; ".join(["who=ana", f"big={'y' * 4000}", first, f"more={'z' * 3000}"])
    again = proxy.ask(PAGE, Cookie=many)
    assert again.status == 404
    assert "set-cookie" not in again.headers, "the session that there is"


@pytest.mark.slow
@has_nginx
def test_half_an_answer_does_not_look_whole(proxy: Proxy) -> None:
    connection = proxy.open()
    connection.request("GET", "/oauth2/cut")
    answer = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
