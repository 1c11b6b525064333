"""`indelible status`: how node, indices, lifecycle, findings, agent and web are.

Everything that this host has settings for is looked at at once, whatever else is down; what is down
makes the exit code 1. A cluster that takes questions and answers none is given up after
`LOOK_SECONDS`, however long the settings would wait for it: whoever asks wants to know now.
"""

import os
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from agent import status as agent_status
from agent.lock import holder
from indelible.agent_status import judge_agent
from indelible.configuration import ROLES, Configuration, load
from indelible.findings_status import look_at_findings
from indelible.lifecycle_status import look_at_lifecycle
from indelible.listing import open_console
from indelible.part import Part
from indelible.probe import find_trouble
from indelible.quantity import counted
from indelible.run_record import running_web
from indelible.terminal import plain, write_json
from indexer.client import connect, request_shape
from indexer.copies import CopyTrouble, count_data_nodes, judge_copies
from indexer.dead_letter import FILE_NAME
from indexer.dead_marks import Tally
from indexer.errors import IndexerError
from indexer.flood import describe_flooded, find_flooded
from indexer.names import read_indices
from indexer.partitions import Partition, list_partitions
from indexer.settings import IndexSettings

LOOK_SECONDS: Final = 5.0
"""For each question to the cluster; one that works answers in less than a second."""
AGAIN_SECONDS: Final = 1.0
"""After which what refused at once is asked once more: a partition that is made just now refuses
for up to 0.8 s, until its first copy has started."""


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Say how node, indices, lifecycle, agent and web are; exit code 1 if one is down.

    `look` is up, and found what somebody is to look at: lines that could not be stored, events
    that are missing or altered.
    """
    configuration = load()
    with _telling() as say:
        parts = look(configuration, now=datetime.now(UTC), say=say)
    if as_json:
        write_json(msgspec.json.encode({"ok": all_ok(parts), "parts": parts}))
    else:
        show(parts)
    ctx.exit(0 if all_ok(parts) else 1)


def all_ok(parts: list[Part]) -> bool:
    """Tell whether nothing is down."""
    return all(part.ok for part in parts)


def look(
    configuration: Configuration, *, now: datetime, say: Callable[[str], object]
) -> list[Part]:
    """Look at every part that this host has settings for.

    Args:
        configuration: the settings.
        now: aware.
        say: is told the name of each part before it is waited for: what is down takes its time.
    """
    configuration = _impatient(configuration)
    directory = Path(configuration.agent.state_directory)
    # Where all agents are asked about, what one of them counted is to be looked at for `DAYS` only.
    asks = asks_indices(configuration)
    looks: list[tuple[str, Callable[[], Part]]] = []
    if configuration.embedded:
        looks.append(("node", lambda: look_at_node(configuration)))
    if asks:
        looks += [
            ("indices", partial(look_again, lambda: look_at_indices(configuration))),
            ("lifecycle", partial(look_again, lambda: look_at_lifecycle(configuration, now))),
            ("findings", partial(look_again, lambda: look_at_findings(configuration, now))),
        ]
    serves = serves_web(configuration)
    if runs_agent(configuration) or not (looks or serves):
        looks.append(("agent", lambda: look_at_agent(directory, now, marks_losses=not asks)))
        looks.append(("dead letters", lambda: judge_dead_letters(directory)))
    if serves:
        looks.append(("web", lambda: look_at_web(configuration)))
    parts: list[Part] = []
    with ThreadPoolExecutor(len(looks)) as pool:
        for name, found in [(name, pool.submit(look_at)) for name, look_at in looks]:
            say(name)
            parts.append(found.result())
    return parts


def look_again(look_at: Callable[[], Part]) -> Part:
    """Look, and once more a moment later where something is down that was quick to say so."""
    begun = time.monotonic()
    part = look_at()
    if part.ok or time.monotonic() - begun > AGAIN_SECONDS:
        return part
    time.sleep(AGAIN_SECONDS)
    return look_at()


def _impatient(configuration: Configuration) -> Configuration:
    connection = configuration.connection
    seconds = min(connection.timeout_seconds, LOOK_SECONDS)
    return replace(
        configuration, connection=msgspec.structs.replace(connection, timeout_seconds=seconds)
    )


@contextmanager
def _telling() -> Generator[Callable[[str], object]]:
    """Show on a terminal what is being looked at, and nothing of it afterwards."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _name: None
        return
    with console.status("") as line:
        yield lambda name: line.update(f"looking at: {name}")


def asks_indices(configuration: Configuration) -> bool:
    """Tell whether the indices can be asked: a host with the user of another role may not."""
    connection = configuration.connection
    own = connection.lifecycle_username is not None and connection.reader_username is not None
    return own or _may_be_any_role(configuration)


def runs_agent(configuration: Configuration) -> bool:
    """Tell whether an agent is to run here: it needs a user that writes, or has run already."""
    return (
        configuration.connection.writer_username is not None
        or _may_be_any_role(configuration)
        or os.access(configuration.agent.state_directory, os.F_OK)
    )


def _may_be_any_role(configuration: Configuration) -> bool:
    connection = configuration.connection
    for_all = connection.username is not None or connection.client_cert_file is not None
    # A cluster that knows no users: one that does would have that of some role named.
    nobody = all(getattr(connection, f"{role}_username") is None for role in ROLES)
    return configuration.embedded or for_all or nobody


def serves_web(configuration: Configuration) -> bool:
    """Tell whether a web is to run here: it needs a key for tokens, which `up` makes itself."""
    web = configuration.web
    return configuration.embedded or web.jwt_secret is not None or web.jwks_url is not None


def look_at_node(configuration: Configuration) -> Part:
    """Look at the embedded node's process and health."""
    import node  # noqa: PLC0415  # an extra: a cluster of the operator's own needs none

    found = node.status(configuration.node, patience_seconds=LOOK_SECONDS)
    where = f"{found.url} (process {found.pid})" if found.pid else f"{found.home}"
    health = f", {found.health}" if found.health else ""
    if found.state == "starting":
        # Whether it will answer soon, or hangs, cannot be told from here.
        health = ", does not answer"
    # Below a megabyte nothing can be said of it.
    size_bytes = found.data_megabytes << 20
    data = f", {decimal(size_bytes)} of data on disk" if size_bytes else ""
    return Part(
        name="node",
        ok=found.state == "running" and found.health != "red",
        summary=f"{found.state}{health}: {where}{data}",
        figures={
            "state": found.state,
            "url": found.url,
            "pid": found.pid,
            "health": found.health,
            "dataMegabytes": found.data_megabytes,
            "diskFreeMegabytes": found.disk_free_megabytes,
        },
    )


def look_at_indices(configuration: Configuration) -> Part:
    """Count partitions, events and bytes, find the oldest and newest event and missing copies."""
    index = configuration.index
    try:
        with connect(configuration.connection, role="lifecycle") as client:
            partitions = list_partitions(client, index, [])
            troubles = judge_copies(partitions, count_data_nodes(client))
            flooded = find_flooded(client, index)
        span = find_span(configuration, troubles)
    except IndexerError as error:
        hangs = isinstance(error.__cause__, ConnectionTimeout)
        after = f" after {configuration.connection.timeout_seconds:g} s" if hangs else ""
        return Part(name="indices", ok=False, summary=f"{error}{after}; {error.hint}")
    events = sum(one.events or 0 for one in partitions)
    size_bytes = sum(one.size_bytes or 0 for one in partitions)
    oldest, newest = span
    ends = f", {oldest} to {newest}" if oldest else ""
    held = f"{counted(events, 'event')} in {_count(partitions)} ({decimal(size_bytes)}){ends}"
    said = [describe_flooded(flooded)] if flooded else []
    return Part(
        name="indices",
        ok=not flooded and all(trouble.colour != "red" for trouble in troubles),
        summary="; ".join([held, *said, *(one.describe() for one in troubles)]),
        figures={
            "url": configuration.connection.url,
            "partitions": len(partitions),
            "red": sum(one.health == "red" for one in partitions),
            "yellow": sum(one.health == "yellow" for one in partitions),
            "flooded": len(flooded),
            "events": events,
            "sizeBytes": size_bytes,
            "oldest": oldest,
            "newest": newest,
        },
    )


def _count(found: list[Partition]) -> str:
    """Say how many indices there are; those of late events and the journal are no partitions."""
    return f"{len(found)} {'index' if len(found) == 1 else 'indices'}"


def find_span(
    configuration: Configuration, troubles: list[CopyTrouble]
) -> tuple[str | None, str | None]:
    """Return the timestamps of the oldest and the newest event; None without events.

    Where a partition is red no search over all of them succeeds, and which one is, is known.
    """
    if any(trouble.colour == "red" for trouble in troubles):
        return None, None
    with connect(configuration.connection, role="reader") as client:
        return (
            find_end(client, configuration.index, "asc"),
            find_end(client, configuration.index, "desc"),
        )


class _Hit(Struct, frozen=True):
    source: dict[str, str] = msgspec.field(name="_source")


class _Hits(Struct, frozen=True):
    hits: list[_Hit]


class _Found(Struct, frozen=True):
    hits: _Hits


def find_end(client: OpenSearch, index: IndexSettings, order: str) -> str | None:
    """Return the timestamp of the oldest (`asc`) or newest (`desc`) event; None without events."""
    body = {"size": 1, "_source": ["timestamp"], "sort": [{"timestamp": order}]}
    path = f"/{read_indices(index)}/_search"
    # Closed ones are left out: this is a look, and says so beside them.
    params = {"expand_wildcards": "open,hidden"}
    answer = request_shape(client, "POST", path, _Found, params=params, body=body, safe=True)
    hits = answer.hits.hits if answer is not None else []
    return hits[0].source["timestamp"] if hits else None


def look_at_agent(directory: Path, now: datetime, *, marks_losses: bool = True) -> Part:
    """Judge the agent by what it wrote in its state directory, where this user may look."""
    try:
        (directory / agent_status.STATUS_NAME).open("rb").close()
    except FileNotFoundError:
        pass
    except OSError as error:
        why = f"{directory} cannot be read: {error.strerror}; run this as the agent's user or root"
        return Part(name="agent", ok=False, summary=f"unknown: {why}", figures={"state": "unknown"})
    part = judge_agent(agent_status.read(directory), now, holder(directory))
    return part if marks_losses else msgspec.structs.replace(part, needs_look=False)


def judge_dead_letters(directory: Path) -> Part:
    """Count what was refused for good and is open; it is kept, so nothing is down by it."""
    try:
        count = Tally(directory).count()
    except OSError as error:
        summary = f"cannot be counted in {directory}: {error.strerror}"
        return Part(name="dead letters", ok=True, summary=summary)
    where = f" in {directory / FILE_NAME}" if count.records else ""
    hint = " (see `indelible dead-letter list`)" if count.open else ""
    settled = count.records - count.open
    beside = f", {settled:,} replayed or acknowledged" if settled else ""
    return Part(
        name="dead letters",
        ok=True,
        needs_look=count.open > 0,
        summary=f"{count.open:,} open{beside}{where}{hint}",
        figures={"count": count.open, "settled": settled, "bytes": count.bytes},
    )


def look_at_web(configuration: Configuration) -> Part:
    """Ask the web whether it is ready."""
    web = configuration.web
    url = running_web(configuration.home) or web_url(web.host, web.port)
    begun = time.monotonic()
    trouble = find_trouble(f"{url}/readyz")
    milliseconds = round((time.monotonic() - begun) * 1000)
    return Part(
        name="web",
        ok=not trouble,
        summary=f"not ready: {url}/readyz: {trouble}" if trouble else f"ready: {url}",
        figures={"url": url, "milliseconds": milliseconds},
    )


def web_url(host: str, port: int) -> str:
    """Return where a web that listens on `host` answers on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def show(parts: list[Part]) -> None:
    """Print a line for each part."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for _ in ("mark", "name", "summary"):
        table.add_column(overflow="fold")
    for part in parts:
        known = part.figures.get("state") != "unknown"
        if not known:
            mark = Text("?", "yellow")
        elif not part.ok:
            mark = Text("down", "bold red")
        else:
            mark = Text("look", "yellow") if part.needs_look else Text("ok", "green")
        # As it is: a setting is named `[agent] paths`, which is no mark-up.
        table.add_row(mark, part.name, Text(plain(part.summary)))
    open_console().print(table)
