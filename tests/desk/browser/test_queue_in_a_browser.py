"""The queue page in a real browser: cases come in by themselves, and never under a pointer or focus."""

import re

import pytest
from desk_server import RunningDesk
from people_made import Roster
from playwright.sync_api import Page, expect
from scene import Scene
from watched_browser import NARROW, WIDE, PageOf, assert_accessible, assert_no_sideways_scrolling

from config.facts import Severity
from desk.preferences.preferences import Preferences
from worker.people.actor import Role
from worker.queue.claims import take
from worker.queue.open_incidents import open_incidents


def opened(page_of: PageOf, **window: object) -> Page:
    """A queue page that is connected."""
    page = page_of("kim", **window)  # type: ignore[arg-type]
    page.goto("/queue")
    expect(page.locator("#connection")).to_contain_text("Connected, updated")
    return page


def test_a_case_comes_and_goes_by_itself(page_of: PageOf, scene: Scene, roster: Roster) -> None:
    """A moderator would see a live incident when they happen to load the page again."""
    page = opened(page_of)
    expect(page.get_by_role("heading", name="Nothing waits")).to_be_visible()
    scene.raise_incident("cam-1")
    expect(page.get_by_role("row", name="cam-1")).to_contain_text("Known material")
    expect(page).to_have_title("1 critical, 1 open · Queue · Livewarden")
    expect(page.locator("#open-count")).to_have_text("1")
    scene.raise_incident("cam-2", Severity.HIGH)
    expect(page.locator("tr.new")).to_contain_text("cam-2")
    assert take(scene.redis, roster.add("noor")) is not None
    expect(page.get_by_role("row", name="cam-1")).to_contain_text("noor")
    scene.redis.delete(*[f"lw:incident:{one.incident_id}" for one in open_incidents(scene.redis)])
    for severity in Severity:
        scene.redis.delete(f"lw:open:{severity}")
    expect(page.get_by_role("heading", name="Nothing waits")).to_be_visible()


def test_the_bar_keeps_its_line_on_a_phone(page_of: PageOf, scene: Scene) -> None:
    """A lead's name would break in two, or leave the bar, with some thousand open cases."""
    scene.raise_incident("cam-1")
    page = page_of("lea", role=Role.LEAD, width=NARROW)
    page.goto("/queue")
    # In one expression, since news may replace the bar at any time.
    line = page.evaluate(
        """() => {
            document.querySelector('#open-count').textContent = '9,996';
            return document.querySelector('.top-end .keep').getClientRects()[0].height / 16;
        }"""
    )
    assert line < 1.5
    assert_no_sideways_scrolling(page)


def test_rows_wait_while_the_focus_is_among_them(page_of: PageOf, scene: Scene) -> None:
    """A key, or a click, would open another case than the one that was there a moment before."""
    scene.raise_incident("cam-1", Severity.HIGH)
    page = opened(page_of)
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="m/nsfw")).to_be_focused()
    scene.raise_incident("cam-2")
    fresh = page.get_by_role("button", name="1 new case: show it")
    expect(fresh).to_be_visible()
    expect(page.locator("#counters")).to_contain_text("Critical 1")
    assert page.locator("tbody tr").count() == 1
    fresh.click()
    expect(page.locator("tbody tr").first).to_contain_text("cam-2")
    expect(fresh).to_be_hidden()


def test_rows_wait_under_the_pointer(page_of: PageOf, scene: Scene) -> None:
    """A click would open another case than the one under the pointer."""
    incident = scene.raise_incident("cam-1", Severity.HIGH)
    page = opened(page_of)
    page.locator("tbody tr").hover()
    scene.raise_incident("cam-2")
    expect(page.get_by_role("button", name="1 new case: show it")).to_be_visible()
    scene.redis.zrem("lw:open:high", incident)
    scene.redis.hset(f"lw:incident:{incident}", "outcome", "harmless")
    expect(page.locator("tbody tr")).to_contain_text("no longer open")
    page.mouse.move(2, 2)
    expect(page.locator("tbody tr")).to_contain_text("cam-2")


def test_keys_walk_open_take_and_find(page_of: PageOf, scene: Scene) -> None:
    """A moderator could not work by keyboard alone."""
    for number in range(3):
        scene.raise_incident(f"cam-{number}")
    page = opened(page_of)
    rows = page.locator("tbody tr")
    names = [text.split("cam-")[1][0] for text in rows.all_inner_texts()]
    links = page.locator(".c-case > a")
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        expect(links.nth(place)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/cases/"))
    assert f"cam-{names[1]}" in page.content()
    page.goto("/queue")
    page.keyboard.press("/")
    page.keyboard.type("cam-2\n")
    expect(rows).to_have_count(1)
    page.goto("/queue")
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("/cases/"))
    assert [one.holder for one in open_incidents(scene.redis)].count("kim") == 1


def test_a_new_critical_case_sounds_for_who_wants_it(page_of: PageOf, running: RunningDesk, scene: Scene) -> None:
    """A moderator who looks elsewhere would miss what is worst; or hear it though they chose not to."""
    scene.raise_incident("cam-1")
    running.app.state.services.preferences.save("kim", Preferences(sound=True))
    page = page_of("kim")
    page.add_init_script(
        """window.tones = []
        const start = OscillatorNode.prototype.start
        OscillatorNode.prototype.start = function (at) { tones.push(this.frequency.value); start.call(this, at) }"""
    )
    page.goto("/queue")
    expect(page.locator("#connection")).to_contain_text("Connected, updated")
    scene.raise_incident("cam-2", Severity.HIGH)
    expect(page.get_by_role("row", name="cam-2")).to_be_visible()
    assert page.evaluate("tones") == []
    scene.raise_incident("cam-3")
    page.wait_for_function("() => tones.length === 2")
    expect(page.locator("#news")).to_have_text("New critical case.")
    running.app.state.services.preferences.save("kim", Preferences(badge=False))
    page.reload()
    expect(page).to_have_title("Queue · Livewarden")
    scene.raise_incident("cam-4")
    expect(page.get_by_role("row", name="cam-4")).to_be_visible()
    assert page.evaluate("tones") == []


def test_a_filter_is_chosen_without_a_button(page_of: PageOf, scene: Scene) -> None:
    """Each choice would need a second step."""
    scene.raise_incident("cam-1", Severity.HIGH)
    scene.raise_incident("cam-2")
    page = opened(page_of)
    page.get_by_label("Severity").select_option("high")
    expect(page.locator("tbody tr")).to_have_count(1)
    scene.raise_incident("cam-3")
    scene.raise_incident("cam-4", Severity.HIGH)
    expect(page.get_by_role("row", name="cam-4")).to_be_visible()
    assert page.locator("tbody tr").count() == 2


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_page_is_accessible_with_rows(width: int, dark: bool, page_of: PageOf, scene: Scene) -> None:
    """A moderator who uses a screen reader could not work here."""
    scene.raise_incident("cam-1")
    scene.raise_incident("drill-1", Severity.REVIEW, purpose="drill")
    page = page_of("kim", width=width, dark=dark)
    page.goto("/queue")
    expect(page.locator("tbody tr")).to_have_count(2)
    assert_accessible(page)
