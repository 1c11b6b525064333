"""An identity provider that publishes its keys, and tokens that they sign."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from typing_extensions import override

from indexer.settings import Secret
from tests.webapi_api import token
from webapi.settings import WebSettings

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(algorithm: str, key: Any, key_id: str) -> dict[str, object]:  # any kind
    text: str = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=False)
    return {**json.loads(text), "kid": key_id, "use": "sig", "alg": algorithm}


SECRET_KEY = urlsafe_b64encode(b"x" * 40).rstrip(b"=").decode()
PUBLISHED: dict[str, list[dict[str, object]]] = {
    "keys": [
        jwk("RS256", RSA_KEY.public_key(), "rsa"),
        jwk("ES256", EC_KEY.public_key(), "ec"),
        jwk("EdDSA", ED_KEY.public_key(), "ed"),
        {
            "kty": "oct",
            "k": SECRET_KEY,
            "kid": "oct",
            "alg": "HS256",
            "use": "sig",
        },
    ]
}


class Provider(ThreadingHTTPServer):
    """An identity provider that publishes its keys."""

    answer: bytes = json.dumps(PUBLISHED).encode()
    fetched: int = 0
    delay_seconds: float = 0.0
    is_down: bool = False

    @property
    def settings(self) -> WebSettings:
        url = f"http://127.0.0.1:{self.server_port}/jwks.json"
        return WebSettings(jwks_url=url, cursor_secret=Secret("c" * 32))


class Publish(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        provider = cast("Provider", self.server)
        provider.fetched += 1
        time.sleep(provider.delay_seconds)
        self.send_response(503 if provider.is_down else 200)
        self.send_header("Content-Length", str(len(provider.answer)))
        self.end_headers()
        self.wfile.write(provider.answer)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def provider() -> Generator[Provider]:
    server = Provider(("127.0.0.1", 0), Publish)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def signed(key: Any, algorithm: str, key_id: str | None) -> str:  # any kind
    payload = jwt.decode(token(), options={"verify_signature": False})
    headers = {} if key_id is None else {"kid": key_id}
    return f"Bearer {jwt.encode(payload, key, algorithm=algorithm, headers=headers)}"
