"""Deciding by keyboard alone, in a real browser."""

import json
import time

import pytest
from judging_page import case_of
from people_made import Roster
from playwright.sync_api import Page, expect
from redis import Redis
from scene import Scene
from watched_browser import NARROW, PAGE_MS, WIDE, PageOf, assert_accessible, assert_no_sideways_scrolling

from worker.ingest.registry.registry import stream_key
from worker.queue.claims import take
from worker.queue.outcomes import Outcome

SOON_SECONDS = 5
"""From the key to the decided page; it takes a tenth of a second where the machine is idle."""


def held_case(page_of: PageOf, scene: Scene, roster: Roster, **looks: object) -> Page:
    """A page of a case of known material that kim holds."""
    page = page_of("kim", **looks)  # type: ignore[arg-type]
    incident = scene.raise_incident("cam-1")
    take(scene.redis, roster.actor("kim"))
    page.goto(f"/cases/{case_of(scene.redis, incident)}")
    expect(page.locator("html[data-keys-ready]")).to_be_attached()
    return page


def outcomes_of(redis: Redis) -> list[tuple[str, str]]:
    """Outcome and note of each decision on `lw:decisions`."""
    events = [json.loads(fields["event"]) for _, fields in redis.xrange("lw:decisions")]
    made = [one["data"] for one in events if one["type"] == "livewarden.decision.made.v1"]
    return [(one["outcome"], one["note"]) for one in made]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_key_decides_its_outcome(outcome: Outcome, page_of: PageOf, scene: Scene, roster: Roster) -> None:
    """A key would decide something else, or a pointer would be needed."""
    page = held_case(page_of, scene, roster)
    page.keyboard.press("t")
    page.keyboard.type("a doll, by 1 o'clock")
    page.keyboard.press("Escape")
    began = time.monotonic()
    page.keyboard.press(str(list(Outcome).index(outcome) + 1))
    if outcome.startswith("csea"):
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    assert time.monotonic() - began < SOON_SECONDS
    assert outcomes_of(scene.redis) == [(outcome, "a doll, by 1 o'clock")]
    assert page.evaluate("sessionStorage.length") == 0


def test_escape_leaves_the_category_undecided(page_of: PageOf, scene: Scene, roster: Roster) -> None:
    """Whoever pressed 1 by mistake would have interrupted a stream."""
    page = held_case(page_of, scene, roster)
    page.keyboard.press("1")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("2")
    expect(page.get_by_role("dialog", name="CSEA, suspected")).to_be_visible()
    assert outcomes_of(scene.redis) == []


def test_a_category_that_is_missing_is_asked_for_where_it_is_chosen(
    page_of: PageOf, scene: Scene, roster: Roster
) -> None:
    """Whoever presses Enter too early would find the popup gone, and have to begin anew."""
    page = held_case(page_of, scene, roster)
    page.keyboard.press("2")
    popup = page.get_by_role("dialog", name="CSEA, suspected")
    # As it is for whoever opened a picture: all may be chosen, none is.
    popup.evaluate("(one) => one.querySelectorAll('input').forEach((i) => { i.disabled = i.checked = false; })")
    page.keyboard.press("Enter")
    expect(popup.get_by_role("alert")).to_have_text("The category is missing. Nothing was decided.")
    expect(popup.get_by_label("A1")).to_be_focused()
    assert_accessible(page)
    page.keyboard.press("Space")
    popup.get_by_label("Not seen by me").check()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    assert [outcome for outcome, _ in outcomes_of(scene.redis)] == ["csea_suspected"]


def test_enter_in_a_field_decides_nothing(page_of: PageOf, scene: Scene, roster: Roster) -> None:
    """The first outcome of the form would be decided by whoever presses Enter in a checkbox."""
    page = held_case(page_of, scene, roster)
    page.get_by_label("Ask a second person").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Note").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What did you find?")).to_be_visible()
    assert outcomes_of(scene.redis) == []
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()


def test_a_note_outlives_a_reload_and_a_lost_hold(page_of: PageOf, scene: Scene, roster: Roster) -> None:
    """A moderator would type again what they found."""
    page = held_case(page_of, scene, roster)
    page.get_by_label("Note").fill("three seconds at 14:31")
    page.evaluate("sessionStorage.setItem('lw-note:noor,case-1', 'of whoever used this tab before')")
    page.reload()
    expect(page.locator("html[data-keys-ready]")).to_be_attached()
    assert page.evaluate("Object.keys(sessionStorage).length") == 1
    expect(page.get_by_label("Note")).to_have_value("three seconds at 14:31")
    other = page_of("kim")
    other.goto(page.url)
    expect(other.get_by_label("Note")).to_have_value("")  # another window keeps its own


@pytest.mark.expected_in_page("status of 409")
def test_a_refusal_keeps_the_note_and_says_who_holds_it(
    page_of: PageOf, scene: Scene, roster: Roster, redis: Redis
) -> None:
    """Of two moderators at once the second would lose what they typed, and not know why."""
    page = held_case(page_of, scene, roster)
    page.get_by_label("Note").fill("mine")
    (incident,) = [str(key) for key in redis.scan_iter("lw:incident:*") if str(key).count(":") == 2]
    redis.hset(incident, "lease_until_ms", 1)
    while take(redis, roster.lead) is None:  # the page may have extended kim's time in between
        redis.hset(incident, "lease_until_ms", 1)
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    expect(page.get_by_role("alert")).to_have_text("lea holds it now. Your note is kept.")
    expect(page.get_by_label("Note")).to_have_value("mine")
    assert page.url.endswith(f"/cases/{redis.hget(incident, 'case')}")
    page.keyboard.press("4")
    page.reload()
    expect(page.get_by_label("Note")).to_have_value("mine")
    assert outcomes_of(redis) == []


def test_the_back_button_shows_what_was_decided(page_of: PageOf, scene: Scene, roster: Roster) -> None:
    """The page from before would offer to decide again."""
    page = held_case(page_of, scene, roster)
    page.goto("/queue")
    page.go_back()
    expect(page.locator("html[data-keys-ready]")).to_be_attached()
    expect(page.get_by_text("You hold this case")).to_be_visible()
    page.keyboard.press("5")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    page.go_back()
    page.go_forward()
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    assert len(outcomes_of(scene.redis)) == 1


def test_revising_by_keyboard_needs_a_reason(page_of: PageOf, scene: Scene, roster: Roster) -> None:
    """A wrong decision would stay, or be changed without a word."""
    page = held_case(page_of, scene, roster)
    page.keyboard.press("7")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    page.get_by_text("Revise", exact=True).click()
    page.get_by_label("Other harm").check()
    page.get_by_label("Reason, for the record").fill("a fight")
    page.get_by_role("button", name="Revise the decision").click()
    expect(page.get_by_role("heading", name="Other harm")).to_be_visible()
    expect(page.get_by_text("Before: Cannot judge")).to_be_visible()


def test_an_interruption_s_line_changes_by_itself(page_of: PageOf, scene: Scene, roster: Roster, redis: Redis) -> None:
    """A moderator would have to load the page again to see whether the platform acts."""
    redis.hset(stream_key("cam-1"), mapping={"state": "live", "generation": "1"})
    redis.xgroup_create("lw:decisions", "platform", id="$", mkstream=True)
    page = held_case(page_of, scene, roster)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator(".interrupt")).to_contain_text("Not read yet.")
    redis.xreadgroup("platform", "one", {"lw:decisions": ">"})
    expect(page.locator(".interrupt")).to_contain_text("Read by platform; not acknowledged yet.", timeout=PAGE_MS)
    redis.hset(stream_key("cam-1"), "state", "ended")
    expect(page.locator(".interrupt")).to_contain_text("The stream has ended.", timeout=PAGE_MS)
    assert_accessible(page)


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)])
def test_deciding_and_after_are_accessible(
    width: int, dark: bool, page_of: PageOf, scene: Scene, roster: Roster
) -> None:
    """A moderator with a screen reader, or on a phone, could not decide."""
    page = held_case(page_of, scene, roster, width=width, dark=dark)
    assert_accessible(page)
    assert_no_sideways_scrolling(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    for summary in page.locator(".judged summary").all():
        summary.click()
    assert_accessible(page)
    assert_no_sideways_scrolling(page)
