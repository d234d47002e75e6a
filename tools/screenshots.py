"""Makes the README's pictures of the desk, of the demo and its test card: `python -m tools.screenshots`.

Needs chromium. Takes a minute, for the demo is a live stream.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect, sync_playwright

DOCS: Final = Path(__file__).parents[1] / "docs"
WIDTH, HEIGHT, CASE_HEIGHT = 1280, 480, 1360
CHROMIUM: Final = "/usr/bin/chromium"
FOUND_MS: Final = 120_000
"""Until the test card is found: it comes 6 s after the first segment."""


def take(page: Page, link: str, folder: Path) -> None:
    """Writes `desk-queue.png` and `desk-case.png`: the queue with the card's case, and that case with the card open."""
    page.goto(link)
    page.get_by_role("button", name="Enter").click()
    row = page.get_by_role("row").filter(has_text="list selftest")
    expect(row).to_be_visible(timeout=FOUND_MS)
    page.screenshot(path=folder / "desk-queue.png")
    page.set_viewport_size({"width": WIDTH, "height": CASE_HEIGHT})
    page.keyboard.press("n")
    expect(page.get_by_text("You hold this case")).to_be_visible()
    page.keyboard.press("o")
    picture = page.locator("#pictures .viewer img")
    expect(picture).to_be_visible()
    picture.evaluate("(image) => image.decode()")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=folder / "desk-case.png")


def main() -> None:
    """Runs the demo, and takes the pictures."""
    command = [sys.executable, "-m", "worker.cli.main", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as demo:  # noqa: S603
        try:
            assert demo.stdout is not None
            link = next(found[0] for line in demo.stdout if (found := re.search(r"http://\S+/enter/\S+", line)))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM)
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
                take(page, link, DOCS)
                browser.close()
        finally:
            demo.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
