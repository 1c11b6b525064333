"""Serving by gunicorn, in this process and its workers."""

import importlib
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from flask import Flask

from webapi import log
from webapi.settings import WebSettings
from webapi.shared import share

KEEP_ALIVE_SECONDS: Final = 15
WORKER_SILENCE_SECONDS: Final = 60
"""A worker whose loop does not answer for so long is replaced; a slow query does not count."""
STOP_MARGIN_SECONDS: Final = 5
"""A worker gives up what is under way so long before it is killed, and says so: a killed one leaves
an export that was cut without its `aborted`."""
CLIENT_SILENCE_SECONDS: Final = 10
MAX_REQUEST_LINE_BYTES: Final = 8190
MAX_HEADERS: Final = 64
MAX_HEADER_BYTES: Final = 8190


def gunicorn_options(settings: WebSettings) -> dict[str, Any]:
    """Return gunicorn's settings by their names.

    Threads, since a request waits for OpenSearch most of its time; no preloading, since each worker
    needs connections and an audit source of its own.
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return {
        "bind": f"{host}:{settings.port}",
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_class": "webapi.worker.Worker",
        "timeout": WORKER_SILENCE_SECONDS,
        "graceful_timeout": settings.shutdown_seconds + STOP_MARGIN_SECONDS,
        "keepalive": KEEP_ALIVE_SECONDS,
        "preload_app": False,
        "limit_request_line": MAX_REQUEST_LINE_BYTES,
        "limit_request_fields": MAX_HEADERS,
        "limit_request_field_size": MAX_HEADER_BYTES,
        "control_socket_disable": True,
        "logconfig_dict": log.GUNICORN,
        # None of its headers (SCRIPT_NAME, PATH_INFO, schemes) is believed, of nobody: a proxy on
        # this host that passes on whatever it gets would let a client choose the path behind it.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        # WSGI cannot tell X_Auth_Request_User from X-Auth-Request-User, and proxies overwrite one.
        "header_map": "drop",
        "secure_scheme_headers": {},
        "on_starting": _share,
        "when_ready": _bound_silence,
        "post_fork": partial(_begin_worker, settings.shutdown_seconds),
        "proc_name": "indelible-web",
    }


def _share(_arbiter: object) -> None:
    """Let all workers, which are forked later, count together."""
    share()


def _bound_silence(arbiter: Any) -> None:  # noqa: ANN401  # gunicorn has no types
    """Let no client hold a thread by sending, or taking, nothing.

    Connections inherit it from the listening socket (socket(7)); gunicorn itself waits forever for
    the rest of a request that has begun.
    """
    limit = struct.pack("@ll", CLIENT_SILENCE_SECONDS, 0)
    for listener in arbiter.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _begin_worker(shutdown_seconds: int, _arbiter: object, worker: Any) -> None:  # noqa: ANN401  # as above
    """Let a worker stop in time, and answer with our name: what we run is nobody's business."""
    worker.cfg.set("graceful_timeout", shutdown_seconds)
    responses: Any = importlib.import_module("gunicorn.http.wsgi")
    responses.SERVER = "indelible"


class Application:
    """What gunicorn's arbiter wants of an application (`gunicorn.app.base`)."""

    def __init__(self, options: dict[str, object], load: Callable[[], Flask]) -> None:
        # gunicorn has no types; what is used of it is three calls, all of them here.
        self.cfg: Any = importlib.import_module("gunicorn.config").Config(prog="indelible web")
        for name, value in options.items():
            self.cfg.set(name, value)
        self._load = load

    def wsgi(self) -> Flask:
        """Make the application; each worker calls this once, after the fork."""
        return self._load()

    def reload(self) -> None:
        """Do nothing on SIGHUP but let new workers be forked: settings are read at start."""


def serve(settings: WebSettings, load: Callable[[], Flask]) -> None:
    """Serve until SIGTERM or SIGINT; ends with SystemExit, as gunicorn does."""
    application = Application(gunicorn_options(settings), load)
    importlib.import_module("gunicorn.arbiter").Arbiter(application).run()
