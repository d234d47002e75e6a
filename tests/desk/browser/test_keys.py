"""Keys in a real browser: they act on the page, and stay out of the way of people who type."""

import re

import pytest
from playwright.sync_api import Page, Route, expect
from scene import Scene
from watched_browser import NARROW, PageOf, assert_accessible, assert_no_sideways_scrolling

from worker.people.actor import Role

PRESSES = """
  <button type="button" id="one" aria-keyshortcuts="1">One <kbd>1</kbd></button>
  <button type="button" aria-disabled="true" aria-keyshortcuts="2">Two <kbd>2</kbd></button>
  <button type="button" aria-keyshortcuts="Escape">Hide <kbd>Esc</kbd></button>
  <button type="button" aria-keyshortcuts="[">Before <kbd>[</kbd></button>
  <button type="button" aria-label="Sample before" aria-keyshortcuts="ArrowLeft">←</button>
  <button type="button" hidden aria-keyshortcuts="l">Hidden</button>
  <button type="button" aria-keyshortcuts="l">Look <kbd>L</kbd></button>
  <label for="note">Note <kbd>T</kbd></label><textarea id="note" aria-keyshortcuts="t"></textarea>
"""


@pytest.fixture
def page(page_of: PageOf, scene: Scene) -> Page:
    """A queue page with some more elements that have keys; it counts what is pressed."""
    scene.raise_incident("cam-1")
    page = page_of("kim")
    page.goto("/queue")
    add_presses(page)
    return page


def add_presses(page: Page) -> None:
    page.evaluate(
        """(html) => {
          document.querySelector("main").insertAdjacentHTML("beforeend", html)
          window.pressed = []
          document.addEventListener("click", (event) => {
            if (event.target.closest("[aria-keyshortcuts]")) window.pressed.push(event.target.textContent.trim())
          })
        }""",
        PRESSES,
    )


def pressed(page: Page) -> list[str]:
    found: list[str] = page.evaluate("window.pressed.splice(0)")
    return found


def test_a_key_presses_what_is_on_the_page(page: Page) -> None:
    """A moderator could not work by keyboard alone."""
    for key in ("1", "[", "ArrowLeft", "l", "Escape"):
        page.keyboard.press(key)
    assert pressed(page) == ["One 1", "Before [", "←", "Look L", "Hide Esc"]


def test_a_key_that_cannot_act_does_not(page: Page) -> None:
    """A decision would be sent for a case that the person does not hold."""
    page.keyboard.press("2")
    assert pressed(page) == []


def test_keys_are_dead_while_somebody_types(page: Page) -> None:
    """A note with a figure in it would decide the case."""
    page.keyboard.press("t")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type("1 l [")
    assert page.locator("#note").input_value() == "1 l ["
    page.keyboard.press("Escape")
    assert pressed(page) == []
    page.keyboard.press("1")
    assert pressed(page) == ["One 1"]


@pytest.mark.parametrize("chord", ["Control+1", "Alt+1", "Meta+1", "Shift+L", "Control+Shift+l"])
def test_keys_are_dead_with_modifiers(page: Page, chord: str) -> None:
    """A browser's or screen reader's own shortcut would decide the case."""
    page.keyboard.press(chord)
    assert pressed(page) == []


def test_a_key_that_is_held_down_acts_once(page: Page) -> None:
    """A key that sticks would act on the next case too."""
    page.keyboard.down("1")
    page.keyboard.down("1")
    page.keyboard.up("1")
    assert pressed(page) == ["One 1"]


def test_the_list_of_keys_is_that_of_this_page(page: Page) -> None:
    """A moderator would learn keys that do nothing here."""
    page.keyboard.press("?")
    listed = page.locator("#keys")
    expect(listed).to_be_visible()
    items = listed.get_by_role("listitem").all_text_contents()
    assert {"Look now L", "Note T", "Queue Q", "Sample before ←", "CSEA, apparent 1"} <= set(items)
    assert not [one for one in items if one.startswith("Hand over")]
    assert_accessible(page)
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    assert pressed(page) == ["Keys ?"]


def test_a_narrow_window_lists_its_keys_too(page_of: PageOf, scene: Scene) -> None:
    """Whoever enlarges a page four times, on a keyboard, would not learn the keys that act in it."""
    scene.raise_incident("cam-1")
    page = page_of("lea", role=Role.LEAD, width=NARROW)
    page.goto("/queue")
    button = page.locator("header .top-end .btn")
    before = page.locator(".top").bounding_box()
    page.keyboard.press("?")
    expect(page.locator("#keys").get_by_text("Queue Q")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(button).to_be_in_viewport(ratio=1)
    assert page.locator(".top").bounding_box() == before
    assert_no_sideways_scrolling(page)


def test_slash_finds_and_q_leads_to_the_queue(page: Page) -> None:
    """The keys that are printed beside fields and links would do nothing."""
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")
    page.goto("/settings")
    page.keyboard.press("q")
    expect(page).to_have_url(re.compile("/queue$"))


def test_a_person_s_own_keys_are_in_force_everywhere(page_of: PageOf, scene: Scene) -> None:
    """A person whose keyboard lacks a key could not decide by keyboard."""
    page = page_of("kim")
    page.goto("/settings")
    assert_accessible(page)
    field = page.get_by_label("Queue", exact=True)
    field.press("y")
    expect(page.locator("#keys-set").get_by_role("status")).to_have_text("Saved")
    with page.expect_response("**/settings/keys") as answered:
        page.get_by_label("CSEA, apparent").press("9")
    answered.value.finished()
    expect(page.locator("#key-csea_apparent[value='9']")).to_be_attached()
    page.locator("#key-note").press("n")
    expect(page.get_by_role("alert")).to_have_text("N is Take the next case already. Nothing was changed.")
    expect(page.locator("#key-note")).to_have_value("T")
    assert_accessible(page)
    page.reload()
    page.keyboard.press("q")
    page.keyboard.press("y")
    expect(page).to_have_url(re.compile("/queue$"))
    add_presses(page)
    page.keyboard.press("1")
    page.keyboard.press("9")
    assert pressed(page) == ["One 9"]
    assert page.locator("#one").get_attribute("aria-keyshortcuts") == "9"


def test_a_person_s_own_keys_are_in_force_before_the_page_is_whole(page_of: PageOf, scene: Scene) -> None:
    """A case would be decided by a key that the person gave to something else."""
    page = page_of("kim")
    page.goto("/settings")
    page.get_by_label("CSEA, apparent").press("9")
    expect(page.locator("#keys-set").get_by_role("status")).to_have_text("Saved")
    held: list[Route] = []
    page.route("**/queue.js*", lambda route: held.append(route))  # Playwright marks what it is given
    page.goto("/queue", wait_until="commit")
    expect(page.locator("#keys")).to_be_attached()
    add_presses(page)
    page.evaluate(
        """() => new Promise((resolve, reject) => {
          setTimeout(() => reject(new Error("no key acts")), 10_000)
          const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }))
          const again = () => {
            press("1")
            press("9")
            if (window.pressed.length) resolve()
            else setTimeout(again, 10)
          }
          again()
        })"""
    )
    assert pressed(page) == ["One 9"]
    held[0].continue_()
    page.wait_for_load_state()


def test_settings_lose_no_keys_and_keys_no_settings(page_of: PageOf) -> None:
    """A person who turns on dark mode would lose their keys."""
    page = page_of("kim")
    page.goto("/settings")
    page.locator("#key-queue").press("y")
    expect(page.locator("#keys-set").get_by_role("status")).to_have_text("Saved")
    page.get_by_role("radio", name="Dark").check()
    expect(page.locator("#saved")).to_have_text("Saved")
    page.reload()
    expect(page.locator("#key-queue")).to_have_value("Y")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    page.get_by_role("button", name="All as they were").click()
    expect(page.locator("#key-queue")).to_have_value("Q")
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
