"""A real browser on a real desk: Debian's Chromium, and a watch that sees whatever goes wrong in its pages."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import yaml
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response, sync_playwright

from worker.people.actor import Role

CHROMIUM: Final = shutil.which("chromium")
"""Debian's; None: it is not installed. Playwright's own would be fetched from elsewhere."""
NARROW, WIDE = 390, 1280
"""Widths of the design, in pixels."""
HEIGHT: Final = 900
PAGE_MS: Final = 15_000
"""Longest wait for anything in a page: it takes milliseconds, but CI has two busy cores."""
AXE: Final = Path(__file__).with_name("axe")
AXE_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_TELL_VIOLATIONS: Final = """document.addEventListener("securitypolicyviolation", (event) =>
  __violated(`${event.violatedDirective} ${event.blockedURI} in ${event.sourceFile}:${event.lineNumber}`))"""


class PageOf(Protocol):
    """A page in a new window: of nobody, or of a person, who is put on the roster where they are not yet."""

    def __call__(
        self, name: str | None, *, role: Role = Role.MODERATOR, width: int = WIDE, dark: bool = False
    ) -> Page: ...


class Watch:
    """Whatever went wrong in the pages of a context: script errors, console errors, violations of the
    Content-Security-Policy, requests that failed, and answers of a server in trouble."""

    def __init__(self, context: BrowserContext) -> None:
        self.found: list[str] = []
        context.expose_binding("__violated", lambda _, text: self.found.append(f"CSP violation: {text}"))
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("weberror", lambda error: self.found.append(f"script error: {error.error}"))
        context.on("console", lambda message: self._heard(message.type, message.text, message.location))
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def unexpected(self, patterns: Sequence[str]) -> list[str]:
        """What no pattern announces."""
        return [one for one in self.found if not any(re.search(pattern, one) for pattern in patterns)]

    def _heard(self, kind: str, text: str, location: object) -> None:
        if kind in ("error", "warning"):
            self.found.append(f"console {kind}: {text} {location}")

    def _failed(self, request: Request) -> None:
        # A page that is left ends its requests, its stream of events among them.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.found.append(f"answer {response.status}: {response.request.method} {response.url}")


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A Chromium until the block ends. Playwright's event loop holds the thread meanwhile: nothing else may run one."""
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            yield browser
        finally:
            browser.close()


def new_context(browser: Browser, origin: str, *, width: int = WIDE, dark: bool = False) -> BrowserContext:
    """A browser window of its own, without cookies; `page.goto("/queue")` is a page of the desk."""
    context = browser.new_context(
        base_url=origin,
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if dark else "light",
        # Tints that fade would be measured half-way.
        reduced_motion="reduce",
    )
    context.set_default_timeout(PAGE_MS)
    return context


def assert_accessible(page: Page) -> None:
    """Runs axe-core on the page as it is now. Its script comes by the debugger, past the Content-Security-Policy, which
    stays in force for everything else."""
    page.evaluate((AXE / "axe.min.js").read_text("utf-8") + "; true")
    found = page.evaluate(
        "async (tags) => (await axe.run(document, {runOnly: {type: 'tag', values: tags}})).violations", AXE_TAGS
    )
    assert not found, "\n".join(
        f"{one['id']} ({one['impact']}): {one['help']}\n"
        + "\n".join(f"  {node['html'][:200]}\n    {node['failureSummary']}" for node in one["nodes"][:5])
        for one in found
    )


def assert_no_sideways_scrolling(page: Page) -> None:
    """Checks that the page is no wider than its window: on a phone its words would be cut off."""
    wide = page.evaluate(
        """() => {
          const width = document.documentElement.clientWidth
          if (document.documentElement.scrollWidth <= width) return []
          return [...document.querySelectorAll("body *")]
            .filter((one) => one.getBoundingClientRect().right > width + 1)
            .slice(0, 5).map((one) => one.outerHTML.slice(0, 160))
        }"""
    )
    assert not wide, "\n".join(wide)


def vendored_axe() -> list[dict[str, str]]:
    """What is written down of the files of axe-core."""
    entries: list[dict[str, str]] = yaml.safe_load((AXE / "vendored.yaml").read_text("utf-8"))
    return entries
