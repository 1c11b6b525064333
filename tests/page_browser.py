"""A real Chromium, and what every page in it must be: quiet, and within its bounds."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from tests.page_site import Site
from tests.webapi_api import OWNER
from webapi.auth import Reader

SCREENSHOTS: Final = Path(__file__).parents[1] / "build" / "screenshots"
ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
STANDARDS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SIZES: Final = {"desktop": (1280, 800), "phone": (360, 740)}
Size = Literal["desktop", "phone"]
Scheme = Literal["light", "dark"]
PATIENCE_MILLISECONDS: Final = 60_000
PICTURE_TRIES: Final = 5
REFUSED_PICTURE: Final = "Unable to capture screenshot"
TITLES: Final = ".rows .what b"
WATCH: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
});
"""


@dataclass
class Visit:
    """One page in a browser, and what went wrong in it."""

    site: Site
    page: Page
    errors: list[str] = field(default_factory=list[str])

    def open(self, below: str = "", status: int = 200) -> Page:
        """Open what is below the page's address."""
        answer = self.page.goto(self.site.address(below))
        assert answer is not None
        assert answer.status == status, answer.text()[:2000]
        return self.page

    def shoot(self, name: str) -> None:
        """Keep a picture of it."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        keep_picture(self.page, SCREENSHOTS / f"{name}.png")

    def shows(self, *titles: str) -> None:
        """Expect these titles in the rows, in this order."""
        expect(self.page.locator(TITLES)).to_have_text(list(titles))

    def shows_rows(self, count: int) -> None:
        """Expect so many rows."""
        expect(self.page.locator(TITLES)).to_have_count(count)

    def check(self) -> None:
        """Hold the page to what every page must be."""
        assert self.errors == []
        wide = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{wide} pixels too wide"


def keep_picture(page: Page, path: Path) -> None:
    """Keep a picture of the page, asked for again where Chromium could not take it just then.

    A busy Chromium answers "Unable to capture screenshot" now and then, and takes the same
    picture a moment later (MarketSquare/robotframework-browser#5237).

    Raises:
        Error: it was refused each time, or it was refused for another reason.

    """
    for left in range(PICTURE_TRIES - 1, -1, -1):
        try:
            page.screenshot(path=path)
        except Error as error:
            if left == 0 or REFUSED_PICTURE not in error.message:
                raise
            page.wait_for_timeout(500)
        else:
            return


def find_chromium() -> str:
    """Return where the system's Chromium is."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "no Chromium: apt-get install chromium (as root, `make .venv/.dev` does it)"
    return found


@contextmanager
def run_browser() -> Generator[Browser]:
    """Run Chromium with a fresh profile."""
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(ARGUMENTS), timeout=60_000
        )
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Browser,
    site: Site,
    *,
    size: Size = "desktop",
    scheme: Scheme = "light",
    javascript: bool = True,
    reader: Reader | None = OWNER,
) -> Generator[Visit]:
    """Look at the page; at the end nothing may have gone wrong."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        java_script_enabled=javascript,
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    if reader is not None:
        context.add_cookies([site.cookie(reader)])  # type: ignore[list-item]
    context.add_init_script(WATCH)
    page = context.new_page()
    found = Visit(site, page)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("console", lambda message: _note(found, message.type, message.text))
    try:
        yield found
        found.check()
    finally:
        context.close()


def _note(found: Visit, kind: str, text: str) -> None:
    if kind == "error" and "the server responded with a status of 4" not in text:
        found.errors.append(text)


def violations(page: Page) -> list[str]:
    """Return what axe finds against WCAG 2.2 AA and its best practices, light and then dark."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = _axe(page, {"runOnly": list(STANDARDS)})
    # In the dark nothing but colours is another.
    page.emulate_media(color_scheme="dark")
    found += _axe(page, {"runOnly": {"type": "rule", "values": ["color-contrast"]}})
    page.emulate_media(color_scheme="light")
    return found


def _axe(page: Page, options: dict[str, Any]) -> list[str]:
    result: dict[str, Any] = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in result["violations"]
    ]
