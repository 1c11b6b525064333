"""How long somebody waits for the page, in a real browser.

Usage: python bench/page.py [--quick] [--events N] [--rounds N]

A node of its own with `--events` events (1 million unless said) of 50 organisations in 13 monthly
partitions, the API behind gunicorn, and Chromium. Each round is a browser context of its own, so
nothing is in its cache. `first_view_s` is from the request until the page is interactive: parsed,
its scripts run (`domContentLoadedEventEnd`). `open_row_ms` is from the click on a row until it is
painted open. `api_s` is the API's own time for the list of the same organisation, over HTTP.
`--quick`: 6,000 events in 6 partitions; it shows that all of it works.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

if not __package__:
    # Run as a script, the directory of this file comes first.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from playwright.sync_api import Browser

from bench.distribution import distribute
from bench.measured_node import start_node
from bench.query_stores import Shape, build
from tests.cluster import Cluster
from tests.node_home import free_ports, own_home
from tests.page_browser import run_browser
from tests.page_site import GUNICORN, PLAIN_HTTP
from tests.webapi_api import OWNER, session_cookie, token
from tests.webapi_process import ask, environment, serving
from webapi.audit_log import PATH as API
from webapi.page.views import PATH

PREFIX: Final = "audit-bench"
ORGANIZATIONS: Final = 50
ROWS_OPENED: Final = 5
HTTP_OK: Final = 200
INTERACTIVE: Final = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
OPEN_ROW: Final = """
(row) => new Promise((done) => {
  const summary = document.querySelectorAll(".rows > li > details > summary")[row];
  const begun = performance.now();
  summary.click();
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
})
"""

Times = Mapping[str, Sequence[float]]


def measure(browser: Browser, url: str, rounds: int) -> Times:
    """Look at the page again and again, of another organisation each time."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        organization = f"org_{number % ORGANIZATIONS:04}"
        begun = time.perf_counter()
        status, _, _ = ask(f"{url}{API}", token(organization))
        times["api_s"].append(time.perf_counter() - begun)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        name, value = session_cookie(replace(OWNER, organization_id=organization), PLAIN_HTTP)
        context.add_cookies([{"name": name, "value": value, "url": url}])
        page = context.new_page()
        answer = page.goto(f"{url}{PATH}")
        if status != HTTP_OK or answer is None or answer.status != HTTP_OK:
            raise SystemExit(f"no answer: API {status}, page {answer and answer.status}")
        times["first_view_s"].append(page.evaluate(INTERACTIVE) / 1000)
        rows = page.locator(".rows > li").count()
        for row in range(min(ROWS_OPENED, rows)):
            times["open_row_ms"].append(page.evaluate(OPEN_ROW, row))
        context.close()
    return times


def report(times: Times, events: int) -> None:
    """Print a table, and the figures as JSON on the last line."""
    figures: dict[str, float] = {}
    print(f"{f'{events:,} events':16}" + "".join(f"{name:>10}" for name in ("p50", "p90", "max")))
    for name, values in times.items():
        found = distribute(values)
        print(f"{name:16}{found.p50:10.3f}{found.p90:10.3f}{found.longest:10.3f}")
        figures[name] = round(found.p50, 3)
    api = figures.pop("api_s")
    ratios = {"first_view_to_api": round(figures["first_view_s"] / api, 2)}
    result = {"name": "page", "figures": figures, "baseline": {"api_s": api}, "ratios": ratios}
    print(json.dumps(result))


def main() -> None:
    """Print a table, and the figures as JSON on the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the same thing on less")
    parser.add_argument("--events", type=int, help="default 1,000,000")
    parser.add_argument("--rounds", type=int, help="default 40, with --quick 5")
    arguments = parser.parse_args()
    quick = arguments.quick
    events = arguments.events or (6000 if quick else 1_000_000)
    months = 6 if quick else 13
    shape = Shape("page", "month", months, events // months)
    with suppress(KeyboardInterrupt), own_home() as home, tempfile.TemporaryDirectory() as scratch:
        running = start_node(home, quick=quick)
        cluster = Cluster("own", running.url, running.credentials)
        build(cluster.connection(), [shape], PREFIX)
        (port,) = free_ports(1)
        environ = environment(
            cluster,
            shape.settings(PREFIX),
            Path(scratch) / "home",
            INDELIBLE_WEB_PORT=str(port),
            INDELIBLE_WEB_COOKIE_SECURE="false",
        )
        log = Path(scratch) / "web.log"
        with serving(GUNICORN, environ, port, log), run_browser() as browser:
            url = f"http://127.0.0.1:{port}"
            measure(browser, url, 2)
            report(measure(browser, url, arguments.rounds or (5 if quick else 40)), events)


if __name__ == "__main__":
    main()
