"""What an agent need not have in its memory is not there, and whoever wants it gets it."""

import subprocess
import sys

import pytest


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_agent_carries_neither_rich_nor_requests() -> None:
    """They were 9 MB of 47; the monitor's library is there only where the monitor is on."""
    found = run(
        "import sys, click\n"
        "from indelible import cli\n"
        "cli.command.get_command(click.Context(cli.command), 'agent')\n"
        "heavy = ('rich', 'requests', 'charset_normalizer', 'prometheus_client', 'http.server',"
        " 'flask', 'jwt')\n"
        "print([name for name in heavy if name in sys.modules], 'opensearchpy' in sys.modules)"
    )
    assert found == "[] True"


def test_whoever_wants_them_afterwards_gets_them() -> None:
    found = run(
        "from indelible.imports import import_opensearch, import_structlog\n"
        "import_structlog(); import_opensearch()\n"
        "import rich.console, requests, structlog, opensearchpy\n"
        "print(requests.Session.__name__, rich.console.Console.__name__)\n"
        "print(opensearchpy.OpenSearch.__name__, opensearchpy.Urllib3HttpConnection.__name__)"
    )
    assert found.split() == ["Session", "Console", "OpenSearch", "Urllib3HttpConnection"]


def test_what_is_there_already_stays() -> None:
    found = run(
        "import requests, rich, sys\n"
        "from indelible.imports import import_opensearch, import_structlog\n"
        "import_structlog(); import_opensearch()\n"
        "print(sys.modules['requests'] is requests, sys.modules['rich'] is rich)"
    )
    assert found == "True True"


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["delattr(module, 'auth')", "module.auth.AuthBase = 1"])
def test_a_library_that_needs_more_of_requests_gets_all_of_it(missing: str) -> None:
    found = run(
        "import sys\n"
        "from indelible import imports\n"
        "empty = imports._empty_requests\n"
        "def other():\n"
        "    module = empty()\n"
        f"    {missing}\n"
        "    return module\n"
        "imports._empty_requests = other\n"
        "imports.import_opensearch()\n"
        "import opensearchpy\n"
        "print(opensearchpy.OpenSearch.__name__, hasattr(sys.modules['requests'], 'Session'))"
    )
    assert found == "OpenSearch True"
