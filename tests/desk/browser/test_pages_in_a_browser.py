"""The desk in a real browser: signing in, and pages that everybody can read, wide and narrow, light and dark."""

import hashlib
import re

import pytest
from accounts_made import PASSWORD
from desk_server import RunningDesk
from people_made import Roster
from playwright.sync_api import Browser, expect
from scene import Scene
from watched_browser import (
    AXE,
    NARROW,
    WIDE,
    PageOf,
    Watch,
    assert_accessible,
    assert_no_sideways_scrolling,
    new_context,
    vendored_axe,
)

from config.facts import Severity

LOOKS = pytest.mark.parametrize(
    ("width", "dark"),
    [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)],
    ids=["1280 light", "1280 dark", "390 light", "390 dark"],
)


def test_somebody_makes_an_account_and_signs_in(page_of: PageOf, roster: Roster) -> None:
    """Nobody would get to the queue."""
    roster.add("kim")
    page = page_of(None)
    page.goto("/queue")
    assert_accessible(page)
    page.get_by_role("link", name="Use your Livewarden token").click()
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Livewarden token").fill(roster.tokens["kim"])
    page.get_by_label("New password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/queue$"))


@pytest.mark.expected_in_page("status of 403")
def test_a_wrong_password_is_said(page_of: PageOf) -> None:
    """A person would believe that the desk is broken."""
    page = page_of(None)
    page.goto("/sign-in")
    page.get_by_label("Name").fill("kim")
    page.get_by_label("Password").fill("wrong horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)


@LOOKS
def test_the_queue_is_accessible(page_of: PageOf, scene: Scene, width: int, dark: bool) -> None:
    """A person who does not see well, or works by keyboard or on a phone, could not use it."""
    page = page_of("kim", width=width, dark=dark)
    page.goto("/queue")
    assert_accessible(page)
    scene.raise_incident("cam-1", Severity.HIGH)
    scene.raise_incident("cam-2")
    page.goto("/queue")
    assert_accessible(page)
    assert_no_sideways_scrolling(page)


def test_the_watch_sees_what_goes_wrong(chromium: Browser, running: RunningDesk) -> None:
    """A page whose script is broken, or whose policy is violated, would pass its test."""
    context = new_context(chromium, running.origin)
    watch, page = Watch(context), context.new_page()
    page.goto("/sign-in")
    assert watch.found == []
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\"></p>')")
    page.evaluate("setTimeout(() => { throw new Error('broken') })")
    page.evaluate("console.error('told')")
    page.evaluate("fetch('http://127.0.0.1:9/').catch(() => true)")
    page.goto("/nothing")
    context.close()
    text = "\n".join(watch.found)
    for told in ("CSP violation: style-src-attr", "script error: .*broken", "console error: told", "status of 404"):
        assert re.search(told, text), (told, text)
    assert re.search("CSP violation: connect-src", text)


def test_axe_is_what_its_package_has() -> None:
    """A changed axe would find nothing."""
    entries = vendored_axe()
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in AXE.iterdir()}
    del found["vendored.yaml"]
    assert {one["file"]: one["sha256"] for one in entries} == found
    assert {one["licence"] for one in entries} == {"MPL-2.0"}
