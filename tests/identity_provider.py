"""A small OpenID Connect provider, as strict as a real one, and as hostile as a test wants it."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from typing_extensions import override

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLIENT_ID = "indelible"
CLIENT_SECRET = secrets.token_urlsafe(24)
PERSON: dict[str, object] = {
    "sub": "u_ana",
    "email": "ana@company.com",
    "name": "Ana María",
    "organizationId": "org_a",
    "role": "owner",
    "plan": "studio_pro",
}


class IdentityProvider(ThreadingHTTPServer):
    """Signs in `person` whoever comes; what it says can be bent by the hooks."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.person: dict[str, object] = dict(PERSON)
        self.codes: dict[str, dict[str, str]] = {}
        self.key_id = "first"
        self.bend_metadata: Callable[[dict[str, Any]], object] = lambda _: None
        self.bend_claims: Callable[[dict[str, Any]], object] = lambda _: None
        self.bend_answer: Callable[[dict[str, str]], object] = lambda _: None
        self.sign: Callable[[dict[str, Any]], str] = self.sign_well
        self.token_status = 200
        self.metadata_status = 200
        self.asked: list[str] = []

    def sign_well(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, KEY, algorithm="RS256", headers={"kid": self.key_id})

    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks.json",
            "end_session_endpoint": f"{self.issuer}/logout",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
        }
        self.bend_metadata(found)
        return found

    def keys(self) -> dict[str, Any]:
        text: str = jwt.get_algorithm_by_name("RS256").to_jwk(KEY.public_key(), as_dict=False)
        return {"keys": [{**json.loads(text), "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser is sent."""
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"]}
        self.bend_answer(answer)
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def token(self, asked: dict[str, str], credentials: str) -> dict[str, Any]:
        """Return what a code is good for; `{"error": …}` otherwise. A code works once."""
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if credentials != f"Basic {expected}":
            return {"error": "invalid_client"}
        begun = self.codes.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            begun is None
            or begun["code_challenge"] != challenge
            or begun["redirect_uri"] != asked.get("redirect_uri")
        ):
            return {"error": "invalid_grant", "error_description": "<script>alert(1)</script>"}
        now = int(time.time())
        claims = {
            **self.person,
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": begun["nonce"],
        }
        self.bend_claims(claims)
        present = {name: value for name, value in claims.items() if value is not None}
        return {"access_token": "a", "token_type": "Bearer", "id_token": self.sign(present)}


class Handler(BaseHTTPRequestHandler):
    @property
    def provider(self) -> IdentityProvider:
        return cast("IdentityProvider", self.server)

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        self.provider.asked.append(path.path)
        if path.path == "/.well-known/openid-configuration":
            self.answer(self.provider.metadata(), self.provider.metadata_status)
        elif path.path == "/jwks.json":
            self.answer(self.provider.keys())
        elif path.path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.provider.authorize(dict(parse_qsl(path.query))))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.answer({"error": "not_found"}, 404)

    def do_POST(self) -> None:
        self.provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = self.provider.token(dict(parse_qsl(body)), self.headers.get("Authorization", ""))
        self.answer(given, 400 if "error" in given else self.provider.token_status)

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def identity_provider() -> Generator[IdentityProvider]:
    """Run a provider until the end of the block."""
    server = IdentityProvider()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
