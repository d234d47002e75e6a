"""A newcomer's minute: the demo's link leads to the desk, where they take, open and decide the test card."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, expect
from watched_browser import Watch, new_context

from tools.screenshots import DOCS, HEIGHT, WIDTH, take
from worker.store.redis_client import connect

MINUTE_SECONDS = 60
LIVE_MS = 90_000
"""Until the demo's first case: its card comes 6 s after the first segment, and CI has two busy cores."""
LOOKED_MS = 20_000


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`livewarden demo`, as a newcomer runs it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli.main", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    yield process
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0, output
    assert list(tmp_path.iterdir()) == []


def found_in(demo: subprocess.Popen[str], pattern: str) -> str:
    """What a pattern finds in the demo's output, which is read until then."""
    assert demo.stdout is not None
    seen = []
    for line in demo.stdout:
        seen.append(line)
        if found := re.search(pattern, line):
            return found[0]
    pytest.fail("the demo ended:\n" + "".join(seen))


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    height, width = cv2.imread(str(picture)).shape[:2]
    return width, height


def test_the_readme_s_pictures_are_the_demo_s(
    demo: subprocess.Popen[str], chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The README would show a desk that nobody has any more, and nobody could make its pictures anew."""
    link, folder = found_in(demo, r"http://127\.0\.0\.1:\d+/enter/\S+"), tmp_path_factory.mktemp("docs")
    page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    take(page, link, folder)
    page.close()
    readme = (DOCS.parent / "README.md").read_text()
    shown = re.findall(r"\(docs/(desk-[a-z]+\.png)\)", readme)
    assert sorted(shown) == sorted(one.name for one in folder.iterdir())
    assert [size_of(DOCS / name) for name in shown] == [size_of(folder / name) for name in shown]


def test_a_newcomer_decides_the_test_card_within_a_minute(
    demo: subprocess.Popen[str], chromium: Browser, tmp_path: Path
) -> None:
    """Whoever tries Livewarden would see lines in a terminal, and not what it is for."""
    link = found_in(demo, r"http://127\.0\.0\.1:\d+/enter/\S+")
    (folder,) = tmp_path.glob("livewarden-demo-*")
    redis_url = (folder / "valkey.out").read_text().splitlines()[0]
    context = new_context(chromium, link.partition("/enter/")[0])
    watch, page = Watch(context), context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Enter").press("Enter")
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    # It comes by itself; nobody reloads.
    expect(page.get_by_role("row").filter(has_text="list selftest")).to_be_visible(timeout=LIVE_MS)
    began = time.monotonic()
    page.keyboard.press("n")
    expect(page.get_by_text("You hold this case")).to_be_visible()
    page.keyboard.press("o")
    picture = page.locator("#pictures .viewer img")
    expect(picture).to_be_visible()
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    expect(page.locator("#pictures .viewer img.clear")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#pictures .viewer")).to_be_hidden()
    tiles = page.locator("#pictures .tile")
    before = tiles.count()
    page.keyboard.press("l")
    # A worker fetches, decodes and seals what the stream shows at this moment.
    expect(tiles).to_have_count(before + 1, timeout=LOOKED_MS)
    page.keyboard.press("t")
    page.keyboard.type("the test card")
    page.keyboard.press("Escape")
    page.keyboard.press("6")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    assert time.monotonic() - began < MINUTE_SECONDS
    with connect(redis_url) as redis:
        (decision, *_) = [json.loads(fields["event"])["data"] for _, fields in redis.xrange("lw:decisions")]
    assert (decision["outcome"], decision["decided_by"], decision["note"]) == ("harmless", "demo", "the test card")
    assert decision["verified"]
    context.close()
    assert watch.found == []
