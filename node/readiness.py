"""Wait until a node serves its users, and say what it said when it never does."""

import time
from dataclasses import dataclass, replace
from http import HTTPStatus

from node import process
from node.cache import Progress, Report
from node.config import NodeConfig
from node.credentials import Credentials
from node.errors import CredentialsError, NodeDiedError
from node.layout import Layout
from node.log import complaint
from node.probe import choose_probe, decode_health

# Beside twelve busy loops on two cores it took a minute.
START_TIMEOUT_SECONDS = 600.0
_PAUSE_SECONDS = 0.1
# Short, as the caller is told of the progress between two requests.
_ASK_SECONDS = 5.0
# The node knows its users at once when it knows them at all; this is patience with a busy machine.
_REFUSALS_IN_A_ROW = 10
_LOG_LINES = 20


@dataclass(frozen=True, slots=True)
class Launch:
    """A process that may not answer yet; its log begins at `log_offset` of the server's log."""

    pid: int
    adopted: bool
    log_offset: int


def await_users(
    config: NodeConfig, layout: Layout, credentials: Credentials, launch: Launch, report: Report
) -> None:
    """Return once the node has formed or joined its cluster and knows the home's users.

    Raises:
        NodeDiedError: the process ended, or did not get there within `START_TIMEOUT_SECONDS`.
        CredentialsError: it runs with other passwords than the home has.
    """
    probe = replace(choose_probe(config, credentials), timeout_seconds=_ASK_SECONDS)
    started, refusals = time.monotonic(), 0
    while True:
        answer = probe.ask("GET", "/_cluster/health")
        if decode_health(answer) is not None:
            return
        refused = answer is not None and answer.status == HTTPStatus.UNAUTHORIZED
        refusals = refusals + 1 if refused else 0
        if refusals >= _REFUSALS_IN_A_ROW:
            raise CredentialsError(
                f"{config.node_name} does not know the passwords in {layout.credentials}",
                hint="restore the file that belongs to its data; or give up the data: "
                "indelible up --fresh",
            )
        waited = time.monotonic() - started
        report(Progress("start", config.node_name, int(waited), int(START_TIMEOUT_SECONDS)))
        _check_alive(config, layout, launch, waited)
        time.sleep(_PAUSE_SECONDS)


def _check_alive(config: NodeConfig, layout: Layout, launch: Launch, waited: float) -> None:
    if process.find(layout.argument) is None:
        raise NodeDiedError(
            f"{config.node_name} ended while it was starting; the end of its log:",
            hint="mend what the log names and start again; all of it: indelible node logs",
            log=complaint(layout, launch.log_offset, _LOG_LINES),
        )
    if waited > START_TIMEOUT_SECONDS:
        raise NodeDiedError(
            f"{config.node_name} (process {launch.pid}) does not answer after {waited:.0f} s; "
            "the end of its log:",
            # Stopped and started again, it would be no quicker.
            hint="on a busy machine wait on: indelible node start; if it hangs, stop it: "
            "indelible node stop",
            log=complaint(layout, launch.log_offset, _LOG_LINES),
        )
