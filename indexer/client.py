"""The one place that makes an OpenSearch client, and the one call that sends bytes as they are.

Of several nodes each request takes the next. One that cannot be reached, cuts an answer or says
that it is not ready (502, 503, 504: a node that starts says so for seconds) is left out for a
while, and what may be asked twice is asked of another at once.

The library's own retries are off: what may be sent again is decided where it is known what was
sent (`indexer.bulk`). Its logging of requests is off as well, as it would write lines of the audit
log into other logs; and so is its re-serialising, by `ask`, which hands over bytes and the raw
answer with its status and headers (`Retry-After`) whatever the status is.
"""

import base64
import errno
import logging
import ssl
import stat
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast

import msgspec
from isal import igzip
from msgspec import Struct
from opensearchpy import Connection, OpenSearch, Urllib3HttpConnection
from opensearchpy.exceptions import ConnectionTimeout, TransportError
from typing_extensions import override
from urllib3.exceptions import ConnectTimeoutError, SSLError

from indexer.answer import UNREADABLE, ItemError, decode, read_error
from indexer.cause import describe_cause, find_disbelief
from indexer.deadline import bound
from indexer.errors import ConnectionFileError, NoAnswerError, RefusedError
from indexer.nodes import Nodes
from indexer.settings import ConnectionSettings, Secret

# Its pool tells of each node that fails; without a handler that would be plain text on stderr.
logging.getLogger("opensearch").addHandler(logging.NullHandler())

T = TypeVar("T")
Role = Literal["writer", "reader", "lifecycle", "tokens"]

GZIP_LEVEL: Final = 1
"""Measured on audit lines: as fast as level 0, and a quarter smaller (15 % of the bytes)."""
POOL_CONNECTIONS: Final = 8
"""So many are kept to a node; whoever asks with more threads says so, or each of the others begins
with TLS anew, and a line in the log."""
NOT_READY: Final = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
LEADERLESS_PARAMS: Final = {"cluster_manager_timeout": "2s"}
"""For what a node without a cluster manager cannot say: it waits for one so long, as during an
election. By default it is 30 s, longer than anybody here waits for an answer."""
ANY_STATUS: Final = range(300, 600)
WRONG_SHAPE: Final = ItemError("not_an_answer", "the answer is no JSON, or not what was asked for")
NOTHING_SENT: Final = (ConnectTimeoutError, SSLError)
"""Refused or unreachable, unknown name, a certificate that is not believed."""


class Reply(Struct, frozen=True):
    """An answer of the cluster, or of something in front of it: nothing in it is judged yet."""

    status: int
    text: str
    headers: Mapping[str, str]
    """Names in lower case."""


class QuietConnection(Urllib3HttpConnection):
    """urllib3 that logs no request: a body of this system is somebody's audit trail."""

    @override
    def log_request_success(self, *args: Any, **kwargs: Any) -> None:
        pass

    @override
    def log_request_fail(self, *args: Any, **kwargs: Any) -> None:
        pass

    @override
    def _create_urllib3_pool(self) -> None:
        super()._create_urllib3_pool()
        if self.pool is not None:
            bound(self.pool)

    @override
    def _gzip_compress(self, body: bytes) -> bytes:
        # The library's own is at the highest and slowest level.
        return igzip.compress(body, compresslevel=GZIP_LEVEL)  # pyright: ignore[reportUnknownMemberType]  # its stubs leave a type out


class RoleClient(OpenSearch):
    """A client that can say as whom it asks, for the errors."""

    asker: str = ""


def connect(
    settings: ConnectionSettings,
    *,
    role: Role,
    connection_class: type[Urllib3HttpConnection] = QuietConnection,
    connections: int = POOL_CONNECTIONS,
) -> OpenSearch:
    """A client for one role: keep-alive, a bounded pool, no retries of its own.

    Nothing is sent yet, so an unreachable cluster is no error here.

    Args:
        settings: where the cluster is.
        role: as whom it is asked.
        connection_class: what sends.
        connections: how many are kept to each node.

    Raises:
        ConnectionFileError: the CA or the client certificate cannot be used.
    """
    urls = settings.url.split(",")
    context = _tls(settings) if urls[0].startswith("https:") else None
    client = RoleClient(
        hosts=urls,
        connection_class=connection_class,
        connection_pool_class=Nodes,
        ssl_context=context,
        headers=_authorization(settings, role),
        http_compress=settings.http_compress,
        timeout=settings.timeout_seconds,
        pool_maxsize=connections,
        max_retries=0,
        retry_on_status=(),
    )
    username, _ = _credentials(settings, role)
    client.asker = f"the {role} {username!r}" if username else f"the {role}, who has no user name"
    return client


def ask(
    client: OpenSearch,
    method: str,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    body: bytes | Sequence[bytes] | None = None,
    safe: bool = False,
) -> Reply:
    """Send bytes and hand back whatever came, with any status.

    Where there are several nodes, another is asked at once when nothing was sent to the first, and
    for a question (GET, HEAD or `safe`) also when its answer was cut or it is not ready; each at
    most once, and none after a timeout: whoever waits has waited for that long already.

    Args:
        client: whose nodes are asked.
        method: of HTTP.
        path: without the query, and not escaped: `%` is a letter that an index's name may have.
        params: the query.
        body: a body in pieces is sent piece by piece, unless it has to be compressed.
        safe: it changes nothing, whatever the method.

    Raises:
        NoAnswerError: refused, timed out, cut in the middle, or not text: it may have been done.
    """
    # All else that has to be escaped, the library does.
    request = _Request(method, path.replace("%", "%25"), params, body)
    safe = safe or method in SAFE_METHODS
    asked = [client.transport.get_connection()]
    answer = _ask_node(client, asked[0], request)
    while _is_for_another(answer, safe=safe):
        connection = client.transport.get_connection()
        if connection in asked:
            break
        asked.append(connection)
        other = _ask_node(client, connection, request)
        if isinstance(answer, Reply) and isinstance(other, NoAnswerError):
            # What one said tells more than that another is away.
            if isinstance(other.__cause__, ConnectionTimeout):
                break
        else:
            answer = other
    if isinstance(answer, NoAnswerError):
        raise answer
    return answer


class _Request(NamedTuple):
    method: str
    path: str
    params: Mapping[str, str] | None
    body: bytes | Sequence[bytes] | None


def _is_for_another(answer: Reply | NoAnswerError, *, safe: bool) -> bool:
    """Whether what one node said is worth asking another."""
    if isinstance(answer, Reply):
        return safe and answer.status in NOT_READY
    return not answer.sent or (safe and not isinstance(answer.__cause__, ConnectionTimeout))


def _ask_node(
    client: OpenSearch, connection: Connection, request: _Request
) -> Reply | NoAnswerError:
    body = request.body
    headers: Mapping[str, str] = {}
    if body is not None and not isinstance(body, bytes):
        if connection.http_compress:
            body = b"".join(body)
        else:
            # Else it would be sent in chunks of HTTP, as of unknown length.
            headers = {"content-length": str(sum(map(len, body)))}
    pool = client.transport.connection_pool
    try:
        status, answered, text = connection.perform_request(
            request.method,
            request.path,
            params=request.params,
            body=cast("bytes | None", body),
            ignore=ANY_STATUS,
            headers=headers,
        )
    except TransportError as error:
        pool.mark_dead(connection)
        silence = NoAnswerError(
            connection.host,
            describe_cause(error.info),
            sent=not isinstance(error.info, NOTHING_SENT),
            disbelief=find_disbelief(error.info),
        )
        silence.__cause__ = error
        return silence
    if status in NOT_READY:
        pool.mark_dead(connection)
    else:
        pool.mark_live(connection)
    return Reply(status, text, {name.lower(): value for name, value in answered.items()})


def request(
    client: OpenSearch,
    method: str,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    body: object = None,
) -> object:
    """Ask for something that is to be answered now: JSON in, JSON out, None for a 404.

    Raises:
        RefusedError: another status than 200, 201 and 404, or an answer that is no JSON.
        NoAnswerError: see `ask`.
    """
    return request_shape(client, method, path, object, params=params, body=body)


def request_shape(
    client: OpenSearch,
    method: str,
    path: str,
    shape: type[T],
    *,
    params: Mapping[str, str] | None = None,
    body: object = None,
    safe: bool = False,
) -> T | None:
    """Ask as `request` does, for an answer of one shape (a type that msgspec decodes).

    Raises:
        RefusedError: as `request`, and an answer of another shape: something else answers there.
        NoAnswerError: see `ask`.
    """
    encoded = None if body is None else msgspec.json.encode(body)
    reply = ask(client, method, path, params=params, body=encoded, safe=safe)
    if reply.status == HTTPStatus.NOT_FOUND:
        return None
    return read_reply(client, method, path, reply, shape)


def read_reply(client: OpenSearch, method: str, path: str, reply: Reply, shape: type[T]) -> T:
    """What a good answer to `ask` says; the first four are those of `refusal`.

    Raises:
        RefusedError: another status than 200 and 201, or an answer of another shape.
    """
    if reply.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
        raise refusal(client, method, path, reply)
    try:
        return decode(reply.text, shape)
    except UNREADABLE:
        raise refusal(client, method, path, reply, WRONG_SHAPE) from None


def refusal(
    client: OpenSearch, method: str, path: str, reply: Reply, error: ItemError | None = None
) -> RefusedError:
    """The error to raise for an answer to `ask` that is none of those expected: it says who asked.

    Args:
        client: that was given to `ask`, as `method` and `path` were.
        method: of HTTP.
        path: without the query.
        reply: what came.
        error: why it is refused, where the cluster's own words do not say.
    """
    error = error or read_error(reply.text)
    asker = client.asker if isinstance(client, RoleClient) else ""
    return RefusedError(f"{method} {path}", reply.status, error.type, error.reason, asker=asker)


def _tls(settings: ConnectionSettings) -> ssl.SSLContext:
    path = settings.ca_file
    try:
        for path in (settings.client_cert_file, settings.client_key_file, settings.ca_file):
            if path:
                _require_file(path)
        context = ssl.create_default_context(cafile=path)
        if settings.client_cert_file:
            path = settings.client_cert_file
            context.load_cert_chain(path, settings.client_key_file)
    except OSError as error:
        if path is None:
            raise
        raise ConnectionFileError(path, error) from error
    return context


def _require_file(path: Path) -> None:
    """Else a pipe that nobody writes into is waited for without end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def _credentials(settings: ConnectionSettings, role: Role) -> tuple[str | None, Secret | None]:
    own: dict[Role, tuple[str | None, Secret | None]] = {
        "writer": (settings.writer_username, settings.writer_password),
        "reader": (settings.reader_username, settings.reader_password),
        "lifecycle": (settings.lifecycle_username, settings.lifecycle_password),
        "tokens": (settings.tokens_username, settings.tokens_password),
    }
    username, password = own[role]
    return (settings.username, settings.password) if username is None else (username, password)


def _authorization(settings: ConnectionSettings, role: Role) -> dict[str, str]:
    username, password = _credentials(settings, role)
    if username is None or password is None:
        return {}
    # Encoded here, as the library's own encoding fails on letters outside latin-1.
    pair = f"{username}:{password.reveal()}".encode()
    return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
