"""Serve the application: `python -m examples.members --audit-log events/members.log`."""

import argparse
import contextlib
import logging
import signal
import sys
from pathlib import Path

from werkzeug.serving import make_server

import audit_events
from examples.members.application import create_app
from examples.members.directory import Directory
from examples.members.invitations import Sweeper


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    arguments = read_arguments()
    audit_events.configure(arguments.audit_log, service="members")
    directory = Directory(arguments.database)
    app = create_app(directory, trusted_proxies=arguments.trusted_proxies)
    server = make_server("127.0.0.1", arguments.port, app, threaded=True)
    sweeper = Sweeper(directory, arguments.invitation_seconds)
    sweeper.start()
    sys.stderr.write(f"members: http://127.0.0.1:{server.port}\n")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    sweeper.stop()
    directory.close()


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.members", description=__doc__)
    parser.add_argument("--port", type=int, default=8251)
    parser.add_argument("--audit-log", type=Path, default=Path("events/members.log"))
    parser.add_argument("--database", type=Path, help="SQLite file; in memory without it")
    parser.add_argument(
        "--trusted-proxies",
        type=int,
        default=0,
        metavar="COUNT",
        help="how many proxies of ours stand in front, each of which writes X-Forwarded-For",
    )
    parser.add_argument(
        "--invitation-seconds", type=float, default=120.0, help="how long an invitation is open"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
