"""One run of `indelible up`.

    node ─┬─ templates ─┬─ agent ─┐
          │             └─ lifecycle
          └─ web                  ├─ ready: events can be found through the API
    example ── traffic ───────────┘

The example begins to write while the node still starts; the agent waits for the templates, because
an event that arrives before them would open an index with a guessed mapping. At the end: traffic,
example, agent (which settles what is in flight), lifecycle, web, node.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click
import msgspec
from opensearchpy.exceptions import ConnectionTimeout

from audit_events.instant import format_instant
from examples.members.people import ORGANIZATIONS
from indelible.children import Children, child_environ, indent
from indelible.configuration import Configuration, home_directory, load
from indelible.display import Display, NodeProgress
from indelible.errors import ChildFailedError, NotReadyError
from indelible.plan import HOST, STOP_ORDER, Options, environ_of, programs
from indelible.probe import ask
from indelible.processes import Identity, started
from indelible.ready import (
    SAMPLE_ACTION,
    SAMPLE_EVENTS,
    Ready,
    Sample,
    as_json,
    as_text,
    audit_log_url,
    sample_curls,
    search_line,
)
from indelible.sign_in import link
from indelible.stopping import StopAsked, StopAtOnce, Stopping
from indelible.token import sign
from indexer.client import NOT_READY, connect, request_shape
from indexer.errors import NoAnswerError, RefusedError
from indexer.names import read_indices
from indexer.templates import install
from indexer.version import check_version

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

GIVE_UP_SECONDS: Final = 600.0
"""What lives is waited for so long: on a busy machine each part may take minutes."""
TELL_SECONDS: Final = 20.0
"""Nothing was shown for so long: say what is waited for."""
WEB_SECONDS: Final = 20.0
"""For one answer of the web, which itself waits for the cluster."""
POLL_SECONDS: Final = 0.2
TOKEN_HOURS: Final = 8
NODE_LOG_LINES: Final = 20
NOT_YET: Final = NOT_READY | {HTTPStatus.TOO_MANY_REQUESTS}


class Count(msgspec.Struct):
    """As much of a count as is read."""

    count: int


class Run:
    """One run: what was started, so that all of it ends."""

    def __init__(
        self, configuration: Configuration, options: Options, display: Display, stopping: Stopping
    ) -> None:
        self.configuration = configuration
        self.options = options
        self.display = display
        self.stopping = stopping
        self.programs = programs(configuration, options)
        self.web_url = f"http://{configuration.web.host}:{configuration.web.port}"
        self.example_url = f"http://{HOST}:{options.example_port}" if options.example else None
        self.children = Children(
            configuration.home,
            child_environ(os.environ, environ_of(configuration)),
            stop_order=STOP_ORDER,
            display=display,
        )
        self.node: Identity | None = None
        self.owns_node = False

    def run(self) -> None:
        """Start, announce, look after; end everything in the end."""
        ready = False
        try:
            self.start()
            self.announce()
            ready = True
            self.follow()
        except StopAsked:
            self.stop()
            if not ready:
                raise KeyboardInterrupt from None
        except StopAtOnce:
            self.kill()
            raise KeyboardInterrupt from None
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Start everything, and wait until an event can be found through the API."""
        self.children.start_guard()
        self.children.note(web_url=self.web_url, example_url=self.example_url)
        if self.configuration.embedded:
            self.start_node()
        self.start_parts()
        self.await_ready()

    def start_node(self) -> None:
        """Assemble and start the node; the example starts beside it."""
        import node  # noqa: PLC0415  # an extra

        config = self.configuration.node
        node.assemble(config, self.report)
        launched = node.launch(config, self.report)
        self.owns_node = not launched.adopted
        self.node = Identity(launched.pid, started(launched.pid))
        self.children.note(owns_node=self.owns_node)
        self.start_example()
        node.await_ready(config, launched, self.report)
        self.display.end_bar()
        # Now there are credentials.
        self.configuration = load()
        verb = "started" if self.owns_node else "runs already, and stays when this ends"
        self.display.say(f"OpenSearch {verb}: {self.configuration.connection.url}")

    def start_example(self) -> None:
        """Start the example application; it writes lines whether or not anybody ships them."""
        if self.options.example:
            (self.configuration.home / "example").mkdir(exist_ok=True)
            self.children.start(self.programs["example"])

    def start_parts(self) -> None:
        """Install the templates, then start what needs the cluster."""
        configuration = self.configuration
        if self.node is None:
            self.start_example()
        self.children.start(self.programs["web"])
        with connect(configuration.connection, role="lifecycle") as client:
            self.await_(lambda: self.has_templates(client), "OpenSearch")
        self.children.start(self.programs["agent"])
        self.children.start(self.programs["lifecycle"])
        if self.options.example:
            self.await_(lambda: ask(f"{self.example_url}/healthz") is not None, "example")
            self.children.start(self.programs["traffic"])

    def await_ready(self) -> None:
        """Wait until the API answers, and with the example, until there are events to find.

        The reader counts, not the API: what is asked there is recorded as somebody's reading.
        """
        readyz = f"{self.web_url}/readyz"
        self.await_(lambda: ask(readyz, timeout_seconds=WEB_SECONDS) is not None, "web")
        if self.options.example:
            with connect(self.configuration.connection, role="reader") as client:
                self.await_(lambda: self.has_events(client), "agent")

    def has_templates(self, client: "OpenSearch") -> bool:
        """Install the templates, or bring them up to date: begun anew, it goes on where it was."""
        check_version(client)
        install(client, self.configuration.index)
        return True

    def has_events(self, client: "OpenSearch") -> bool:
        """Tell whether the questions that get printed have answers."""
        organization = {"term": {"organizationId": ORGANIZATIONS[0].id}}
        changes = {"term": {"action": SAMPLE_ACTION}}
        return (
            self.count(client, [organization]) >= SAMPLE_EVENTS
            and self.count(client, [organization, changes]) > 0
        )

    def count(self, client: "OpenSearch", terms: list[dict[str, dict[str, str]]]) -> int:
        """Count the events that can be found."""
        path = f"/{read_indices(self.configuration.index)}/_count"
        body = {"query": {"bool": {"filter": terms}}}
        answer = request_shape(client, "POST", path, Count, body=body, safe=True)
        return 0 if answer is None else answer.count

    def await_(self, condition: Callable[[], bool], name: str) -> None:
        """Wait for a condition that depends on the child `name`, or on the cluster.

        Raises:
            NotReadyError: it did not come true within `GIVE_UP_SECONDS`.
            ChildFailedError: the node ended, or a child does not stay up.
        """
        begun = told = time.monotonic()
        while (delay := self.find_delay(condition)) is not None:
            now = time.monotonic()
            if now - begun > GIVE_UP_SECONDS:
                self.give_up(name, delay)
            if now - told > TELL_SECONDS:
                why = f": {delay}" if delay else ""
                self.display.say(f"Waiting for {name}, {now - begun:.0f} s by now{why}")
                told = now
            self.tend()
            self.stopping.wait(POLL_SECONDS)

    def find_delay(self, condition: Callable[[], bool]) -> str | None:
        """Say why a condition does not hold yet, as far as that is known; None where it holds.

        Raises:
            NoAnswerError, RefusedError: waiting does not mend it.
        """
        try:
            return None if condition() else ""
        except NoAnswerError as error:
            # Our own node answered before this: it is slow now, or ended, which `tend` tells.
            if self.node is None and not isinstance(error.__cause__, ConnectionTimeout):
                raise
            return str(error)
        except RefusedError as error:
            # Among others, a partition that was made just now and has no copy that answers yet.
            if error.status not in NOT_YET:
                raise
            return str(error)

    def give_up(self, name: str, delay: str) -> NoReturn:
        """Say what `name` said last."""
        is_child = name in self.programs
        log = self.children.log_tail(name) if is_child else indent(self.node_log())
        where = f"look into {self.configuration.home}/logs/{name}.log"
        raise NotReadyError(
            f"{name} was not ready after {GIVE_UP_SECONDS:.0f} s{f': {delay}' if delay else ''};"
            f" the end of its log:\n{log}",
            hint=where if is_child else "look into the log of the cluster",
        )

    def report(self, progress: NodeProgress) -> None:
        """Show how far the node is, and let a signal end the waiting."""
        self.stopping.check()
        self.children.tend()
        self.display.show_node(progress)

    def sample(self) -> Sample | None:
        """Return a token for the owner of the example's first organisation."""
        if not self.options.example or self.configuration.web.jwt_secret is None:
            return None
        organization = ORGANIZATIONS[0]
        owner = organization.people[0]
        claims = {
            "organizationId": organization.id,
            "role": owner.role,
            "plan": self.configuration.web.allowed_plans[0],
            "sub": owner.id,
            "email": owner.email,
            "name": owner.name,
        }
        lifetime, now = timedelta(hours=TOKEN_HOURS), time.time()
        token = sign(claims, self.configuration.web, lifetime, now=now)
        url = link(claims, self.configuration.web, now=now)
        return Sample(owner.name, organization.id, organization.name, token, url, TOKEN_HOURS)

    def announce(self) -> None:
        """Print what is ready and what to try."""
        configuration, sample = self.configuration, self.sample()
        organization = sample.organization_id if sample else "ORGANIZATION"
        default = home_directory({})
        ready = Ready(
            seconds=round(self.display.seconds, 1),
            home=str(configuration.home),
            opensearch_url=configuration.connection.url,
            opensearch_ca_file=str(configuration.connection.ca_file or "") or None,
            web_url=self.web_url,
            audit_log_url=audit_log_url(self.web_url),
            example_url=self.example_url,
            organization_id=sample.organization_id if sample else None,
            token=sample.token if sample else None,
            sign_in_url=sample.sign_in_url if sample else None,
            curls=sample_curls(self.web_url, sample.token) if sample else (),
            search=search_line(
                program_name(),
                None if default == configuration.home else configuration.home,
                organization,
                format_instant(datetime.now(UTC)),
            ),
        )
        click.echo(as_json(ready) if self.options.as_json else as_text(ready, sample))

    def follow(self) -> None:
        """Look after the children until a signal comes.

        Raises:
            ChildFailedError: the node ended, or a child does not stay up.
        """
        while True:
            self.stopping.wait(POLL_SECONDS)
            self.tend()

    def tend(self) -> None:
        """Look after the children and the node once.

        Raises:
            ChildFailedError: the node ended, or a child does not stay up.
        """
        self.children.tend()
        if self.node is not None and not self.node.lives():
            raise ChildFailedError(
                f"the OpenSearch node ended; the end of its log:\n{self.node_log()}",
                hint="its data is kept: start again, or look further with `indelible node logs`",
            )

    def node_log(self) -> str:
        """Return what the node said last; empty where the cluster is the operator's own."""
        if self.node is None:
            return ""
        import node  # noqa: PLC0415  # an extra

        return node.log_tail(self.configuration.node, NODE_LOG_LINES)

    def stop(self) -> None:
        """End everything in order."""
        self.display.end_bar()
        self.display.say("Stopping…")
        try:
            self.children.stop()
            if self.owns_node:
                self.stop_node()
        except StopAtOnce:
            self.kill()
            raise KeyboardInterrupt from None
        self.children.forget()

    def stop_node(self) -> None:
        """End the node that this run started."""
        import node  # noqa: PLC0415  # an extra

        node.stop(self.configuration.node)

    def kill(self) -> None:
        """End everything at once."""
        self.display.end_bar()
        self.children.kill()
        if self.owns_node and self.node is not None:
            self.node.kill()
        self.children.forget()


def program_name() -> str:
    """Return how this program is called from the operator's shell."""
    called = Path(sys.argv[0])
    on_path = shutil.which("indelible")
    if on_path is not None and Path(on_path).resolve() == called.resolve():
        return "indelible"
    return str(called.absolute()) if called.name == "indelible" else "indelible"
