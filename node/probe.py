"""Ask the node: the few requests that `node` itself makes, without any client library."""

import base64
import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from node.config import NodeConfig
from node.credentials import Credentials
from node.render import LOOPBACK

# A busy machine may take this long to answer; a silent port never does.
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the node answered, not yet decoded."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """How to ask one node."""

    port: int
    context: ssl.SSLContext | None
    headers: Mapping[str, str]
    timeout_seconds: float = TIMEOUT_SECONDS

    def ask(self, method: str, path: str, body: object = None) -> Answer | None:
        """Return the answer, or None when nothing answers that proves to be a node of the home."""
        connection = self._connection()
        content = None if body is None else msgspec.json.encode(body)
        try:
            connection.request(
                method, path, content, {**self.headers, "Content-Type": "application/json"}
            )
            response = connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.context is None:
            return http.client.HTTPConnection(LOOPBACK, self.port, timeout=self.timeout_seconds)
        return http.client.HTTPSConnection(
            LOOPBACK, self.port, timeout=self.timeout_seconds, context=self.context
        )


def choose_probe(config: NodeConfig, credentials: Credentials) -> Probe:
    """Return a probe that may ask how a node is: in plain HTTP where it knows no users."""
    if not config.security:
        return Probe(config.http_port, None, {})
    return as_user(credentials, "audit_lifecycle", config.http_port)


def as_user(credentials: Credentials, name: str, port: int) -> Probe:
    """Return a probe with a user's name and password."""
    pair = f"{name}:{credentials.users[name]}".encode()
    authorization = f"Basic {base64.b64encode(pair).decode()}"
    return Probe(port, _trust(credentials), {"Authorization": authorization})


def as_admin(credentials: Credentials, port: int) -> Probe:
    """Return a probe with the admin certificate."""
    context = _trust(credentials)
    context.load_cert_chain(credentials.admin_cert_file, credentials.admin_key_file)
    return Probe(port, context, {})


def _trust(credentials: Credentials) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(credentials.ca_file))


class Health(msgspec.Struct, frozen=True):
    """What is used of `_cluster/health`."""

    status: str
    number_of_nodes: int


def decode_health(answer: Answer | None) -> Health | None:
    """Return the cluster's health, None where the answer has none (yet)."""
    if answer is None or answer.status != HTTPStatus.OK:
        return None
    try:
        return msgspec.json.decode(answer.body, type=Health)
    except msgspec.DecodeError:
        return None
