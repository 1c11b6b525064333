"""The tests' OpenSearch: one cluster a session, one index prefix a test.

The cluster is, in this order: the one that INDELIBLE_TEST_OPENSEARCH_URL names (with
INDELIBLE_TEST_OPENSEARCH_CREDENTIALS, a credentials file as the embedded node writes it); a
container where Docker answers; the embedded node, with a home of its own, of the version that
INDELIBLE_TEST_OPENSEARCH_VERSION names, and without the security plugin where
INDELIBLE_TEST_OPENSEARCH_SECURITY is `off`. The header and the end say which. The end also says
how long each file took.
"""

import os
import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, settings

import node
from indexer.settings import IndexSettings
from tests.archive_node import ArchiveNode, run_archive_node
from tests.cluster import Cluster
from tests.cluster_container import docker_answers, run_container
from tests.node_home import (
    SECURED,
    VERSION,
    artifact_cache,
    describe,
    free_ports,
    node_config,
    own_home,
)

__all__ = ["artifact_cache", "free_ports"]

pytest_plugins = ["audit_events.testing"]

URL_VARIABLE: Final = "INDELIBLE_TEST_OPENSEARCH_URL"
CREDENTIALS_VARIABLE: Final = "INDELIBLE_TEST_OPENSEARCH_CREDENTIALS"
SLOWEST_FILES: Final = 20

# Two cores that everything shares: how long an example takes says nothing here. Where `CI` is set
# the examples follow from the tests alone, as in hypothesis's own profile for it: a change is not
# refused for what another one did. On a developer's machine they are new in each run.
settings.register_profile(
    "shared machine",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    """Keep what one test binds to its context out of the events of the next."""
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


@pytest.fixture(scope="session")
def opensearch() -> Iterator[Cluster]:
    """The cluster of this session."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        credentials = node.read_credentials(Path(os.environ[CREDENTIALS_VARIABLE]))
        yield Cluster(_origin(), url, credentials)
        return
    with run_container() if _in_container() else run_node() as cluster:
        yield cluster


@contextmanager
def run_node() -> Generator[Cluster]:
    """Run the embedded node."""
    with own_home() as home:
        running = node.start(node_config(home))
        yield Cluster(_origin(), running.url, running.credentials)


@pytest.fixture(scope="session")
def archive_node() -> Iterator[ArchiveNode]:
    """A node that keeps snapshots, and brings sorted indices back whatever its version."""
    with run_archive_node() as running:
        yield running


@pytest.fixture
def index(opensearch: Cluster) -> Iterator[IndexSettings]:
    """Index settings with a prefix that no other test has; what is below it goes with the test."""
    with opensearch.own_prefix() as settings:
        yield settings


def _origin() -> str:
    url = os.environ.get(URL_VARIABLE)
    if url:
        return f"{url} ({URL_VARIABLE})"
    return f"a container: OpenSearch {VERSION}" if _in_container() else describe()


def _in_container() -> bool:
    return SECURED and docker_answers()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the security plugin where the session asks for none."""
    if SECURED:
        return
    left = [item for item in items if item.get_closest_marker("secured")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def pytest_report_header() -> str:
    return f"opensearch: {_origin()}"


class Durations:
    """How long each test file took, with the fixtures that it was the first to need."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.location[0]] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(f"slowest files (opensearch: {_origin()})")
        slowest = sorted(self._seconds.items(), key=itemgetter(1), reverse=True)
        for file, seconds in slowest[:SLOWEST_FILES]:
            terminalreporter.write_line(f"{seconds:8.1f} s  {file}")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Durations())
    # What `nohup` or a shell without job control ignores, every process that a test starts would
    # ignore as well, and some tests are about just these signals.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
