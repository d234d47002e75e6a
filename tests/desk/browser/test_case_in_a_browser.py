"""A case in a real browser: its hold while the page is open, what is lost and handed over, and walking its timeline."""

from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs

import pytest
from desk_server import RunningDesk
from people_made import Roster
from playwright.sync_api import Page, Route, expect
from redis import Redis
from scene import Scene
from series_made import write_series
from watched_browser import NARROW, WIDE, PageOf, assert_accessible, assert_no_sideways_scrolling

from worker.errors import QueueError
from worker.people.actor import Actor, Role
from worker.queue.claims import take_case
from worker.queue.leases import release

MINUTE_MS = 60_000


@pytest.fixture
def case_id(scene: Scene) -> str:
    """A case of known material."""
    incident = scene.raise_incident("cam-1")
    return str(scene.redis.hget(f"lw:incident:{incident}", "case"))


def incident_of(redis: Redis, case_id: str) -> str:
    return str(redis.zrange(f"lw:case:{case_id}", 0, 0)[0])


def lease_ms(redis: Redis, case_id: str) -> int:
    return int(redis.hget(f"lw:incident:{incident_of(redis, case_id)}", "lease_until_ms") or 0)


def run_out(redis: Redis, case_id: str) -> None:
    """Ends the lease, as if its time had passed."""
    redis.hset(f"lw:incident:{incident_of(redis, case_id)}", "lease_until_ms", 1)


def take_over(redis: Redis, by: Actor, case_id: str) -> None:
    """Takes a case whose lease has ended; a renewal that was on its way may come first."""
    for _ in range(20):
        run_out(redis, case_id)
        with suppress(QueueError):
            take_case(redis, by, case_id)
            return
    pytest.fail("its page renews it at each moment")


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Waits until something holds in Redis; each round asks the desk, which is what the page waits for too."""
    for _ in range(500):
        if holds():
            return
        page.evaluate("fetch('/settings').then((one) => one.text())")
    assert holds()


def taken(page: Page, case_id: str) -> Page:
    """The case on that page, held; its clock is the test's."""
    page.clock.install()
    page.goto(f"/cases/{case_id}")
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_text("You hold this case")).to_be_visible()
    return page


def test_an_open_page_renews_its_hold(page_of: PageOf, redis: Redis, case_id: str) -> None:
    """A moderator who reads for eleven minutes would lose the case (coop #382)."""
    page = taken(page_of("kim"), case_id)
    page.clock.run_for(10_000)
    for _ in range(2):
        run_out(redis, case_id)
        page.clock.run_for(MINUTE_MS)
        until(page, lambda: lease_ms(redis, case_id) > 1)


def test_a_page_that_is_left_lets_go(page_of: PageOf, redis: Redis, scene: Scene, case_id: str) -> None:
    """A colleague would wait ten minutes for a case that nobody reads."""
    page = taken(page_of("kim"), case_id)
    before = lease_ms(redis, case_id)
    page.goto("/queue")
    until(page, lambda: lease_ms(redis, case_id) < before - 8 * MINUTE_MS)


def test_a_page_on_another_machine_keeps_the_hold(page_of: PageOf, redis: Redis, case_id: str) -> None:
    """Who closes the case on their laptop would lose it on their desk, 15 s later."""
    kept, left = taken(page_of("kim"), case_id), page_of("kim")
    left.goto(f"/cases/{case_id}")
    kept.clock.run_for(10_000)
    # Else it might renew the hold before anybody sees that it was cut short.
    kept.clock.pause_at(kept.evaluate("Date.now() / 1000") + 5)
    before = lease_ms(redis, case_id)
    left.goto("/queue")
    until(left, lambda: lease_ms(redis, case_id) < before - 8 * MINUTE_MS)
    kept.clock.run_for(4_000)
    until(kept, lambda: lease_ms(redis, case_id) >= before)


HANGS = """() => {
  const real = window.fetch
  window.hangs = true
  window.fetch = (path, options) => !window.hangs || !path.endsWith("/renew") ? real(path, options)
    : new Promise((_, fail) => options.signal?.addEventListener("abort", () => fail(options.signal.reason)))
}"""


def test_a_renewal_that_hangs_is_not_the_last(page_of: PageOf, redis: Redis, case_id: str) -> None:
    """A line that drops everything would lose the hold, and nobody would be told."""
    page = taken(page_of("kim"), case_id)
    page.clock.run_for(10_000)
    page.evaluate(HANGS)
    page.clock.run_for(MINUTE_MS)
    expect(page.locator("#offline")).to_be_visible(timeout=30_000)
    page.evaluate("window.hangs = false")
    run_out(redis, case_id)
    page.clock.run_for(4_000)
    until(page, lambda: lease_ms(redis, case_id) > 1)
    # Another request may have begun to hang before, which the page gives up after 15 s.
    expect(page.locator("#offline")).to_be_hidden(timeout=30_000)


LOSES_ANSWERS = """() => {
  const real = window.fetch
  window.loses = true
  window.fetch = async (path, options) => {
    const answer = await real(path, options)
    if (window.loses && path.endsWith("/renew")) throw new TypeError("the answer is lost")
    return answer
  }
}"""


def test_a_page_whose_answer_was_lost_says_soon_that_the_desk_is_back(page_of: PageOf, case_id: str) -> None:
    """The hold was renewed, and the page would say for a minute more that the desk does not answer."""
    page = taken(page_of("kim"), case_id)
    page.clock.run_for(10_000)
    page.evaluate(LOSES_ANSWERS)
    page.clock.run_for(MINUTE_MS)
    expect(page.locator("#offline")).to_be_visible(timeout=30_000)
    page.evaluate("window.loses = false")
    page.clock.run_for(4_000)
    expect(page.locator("#offline")).to_be_hidden()


def test_a_hold_with_a_reason_outlasts_its_page(page_of: PageOf, redis: Redis, case_id: str) -> None:
    """A moderator who waits for an answer would find the case with somebody else."""
    page = taken(page_of("kim"), case_id)
    page.keyboard.press("h")
    page.get_by_label("What do you wait for?").fill("an answer of the platform")
    page.get_by_role("dialog").get_by_role("button", name="Hold").click()
    expect(page.locator("#hold-bar")).to_contain_text("with the page closed too: an answer of the platform")
    held = lease_ms(redis, case_id)
    page.goto("/queue")
    assert lease_ms(redis, case_id) == held


def test_a_lost_hold_says_who_took_it(page_of: PageOf, redis: Redis, roster: Roster, case_id: str) -> None:
    """A moderator would go on writing about a case that a colleague decides."""
    page = taken(page_of("kim"), case_id)
    note = page.get_by_label("Note, for the record")
    note.fill("half a thought")
    noor = roster.add("noor")
    take_over(redis, noor, case_id)
    page.clock.run_for(4_000)
    expect(page.locator("#lost")).to_contain_text("You no longer hold this case")
    expect(page.locator("#lost")).to_contain_text("noor took it at")
    expect(note).to_have_value("half a thought")
    assert page.locator("[data-outcome]:not([aria-disabled=true])").count() == 0
    assert_accessible(page)


def test_a_page_that_slept_says_for_how_long(page_of: PageOf, redis: Redis, roster: Roster, case_id: str) -> None:
    """A person would not understand why the case is gone after lunch."""
    page, noor = page_of("kim"), roster.add("noor")
    with page.expect_response("**/renew"):
        taken(page, case_id)

    def renew(route: Route) -> None:
        # While the page was awake it asked by itself who holds the case: only what it asks when it wakes up is late.
        if int(parse_qs(route.request.post_data or "")["away"][0]) * 1_000 >= 10 * MINUTE_MS:
            take_over(redis, noor, case_id)
        route.continue_()

    page.route("**/renew", renew)
    page.clock.fast_forward(10 * MINUTE_MS)
    expect(page.locator("#lost")).to_contain_text("your page was away for 10 min and noor took it at")


def test_a_popup_without_a_field_takes_the_focus(page_of: PageOf, case_id: str) -> None:
    """Whoever is alone would press V, and Tab through the page behind what they read."""
    page = taken(page_of("lea", role=Role.LEAD), case_id)
    page.keyboard.press("v")
    popup = page.get_by_role("dialog", name="Hand over")
    expect(popup.get_by_role("button", name="Back")).to_be_focused()
    page.keyboard.press("Enter")
    expect(popup).to_be_hidden()


def test_a_case_is_handed_over(page_of: PageOf, roster: Roster, case_id: str) -> None:
    """Two moderators could not pass a case on without a third taking it."""
    roster.add("noor")
    kim, noor = taken(page_of("kim"), case_id), page_of("noor")
    kim.keyboard.press("v")
    kim.get_by_label("To whom").select_option("noor")
    kim.get_by_label("What should they know?").fill("look at <b>14:31</b>")
    kim.get_by_role("dialog").get_by_role("button", name="Hand over").click()
    expect(kim.locator("#hold-bar")).to_contain_text("You hand it over to noor")
    noor.goto(f"/cases/{case_id}")
    expect(noor.locator("#hold-bar")).to_contain_text("kim hands this case over")
    expect(noor.locator("#hold-bar")).to_contain_text("look at <b>14:31</b>")
    noor.keyboard.press("r")
    expect(noor.locator("#hold-bar")).to_contain_text("You hold this case")
    kim.clock.run_for(4_000)
    expect(kim.locator("#lost")).to_contain_text("noor took it at")


@pytest.mark.expected_in_page("status of 409")
def test_two_moderators_at_once(page_of: PageOf, case_id: str) -> None:
    """Both would believe that they hold it."""
    kim, noor = page_of("kim"), page_of("noor")
    for page in (kim, noor):
        page.clock.install()
        page.goto(f"/cases/{case_id}")
    kim.get_by_role("button", name="Take it").click()
    expect(kim.get_by_text("You hold this case")).to_be_visible()
    # Her page is from before, and asks for nothing while its clock stands.
    noor.get_by_role("button", name="Take it").click()
    expect(noor.get_by_role("alert")).to_contain_text("held by kim")
    expect(noor.get_by_role("alert")).to_be_focused()
    expect(noor.locator("#hold-bar")).to_contain_text("kim holds this case")
    assert_accessible(noor)


def test_the_bar_counts_open_cases_while_a_case_is_read(page_of: PageOf, scene: Scene, case_id: str) -> None:
    """A moderator would read one case for half an hour, and not see that forty more came."""
    page = taken(page_of("kim"), case_id)
    expect(page.locator("#open-count")).to_have_text("1")
    scene.raise_incident("cam-2")
    for _ in range(20):  # the desk hears of it within a second, on a clock of its own
        page.clock.run_for(4_000)
        with suppress(AssertionError):
            expect(page.locator("#open-count")).to_have_text("2", timeout=500)
            return
    pytest.fail("the count stays")


@pytest.mark.expected_in_page("409|Failed to load resource")
def test_a_refusal_has_the_focus(page_of: PageOf, case_id: str) -> None:
    """Who presses a key and cannot see would believe that it is done: the page that answers begins at its top."""
    page = taken(page_of("kim"), case_id)
    page.keyboard.press("6")
    expect(page.locator("#judging").get_by_role("alert")).to_contain_text("Harmless needs a note")
    expect(page.locator("#judging").get_by_role("alert")).to_be_focused()
    assert_accessible(page)


def test_worse_evidence_is_said_and_read_without_losing_the_hold(
    page_of: PageOf, redis: Redis, scene: Scene, case_id: str
) -> None:
    """A moderator would decide on what was found first, and lose the note by loading the page."""
    page = taken(page_of("kim"), case_id)
    expect(page.locator("#news")).to_be_hidden()
    note = page.get_by_label("Note, for the record")
    note.fill("a puppet show")
    scene.settle("cam-1", scene.hits([5000], lists=["known"], score=0.99))
    page.clock.run_for(4_000)
    expect(page.locator("#news")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Read again").first.click()
    expect(page.locator("#news")).to_be_hidden()
    expect(page.locator("#why")).to_contain_text("m/nsfw: score 0.99")
    expect(page.locator("#why")).to_be_focused()
    expect(page.locator("#hold-bar")).to_contain_text("You hold this case")
    incidents = redis.zrange(f"lw:case:{case_id}", 0, -1)
    assert {redis.hget(f"lw:incident:{one}", "holder") for one in incidents} == {"kim"}
    expect(note).to_have_value("a puppet show")
    # The decision is on what was read again.
    page.keyboard.press("6")
    expect(page.locator("#hold-bar")).to_contain_text("This case is decided")
    assert {redis.hget(f"lw:incident:{one}", "outcome") for one in incidents} == {"harmless"}


def test_help_is_asked_and_taken_back(page_of: PageOf, case_id: str) -> None:
    """A moderator alone with a doubt would decide alone."""
    kim, noor = taken(page_of("kim"), case_id), page_of("noor")
    kim.keyboard.press("e")
    kim.get_by_label("What would help?").fill("who speaks Dutch?")
    kim.keyboard.press("Enter")
    expect(kim.locator("#hold-bar")).to_contain_text("You ask for help: who speaks Dutch?")
    noor.goto(f"/cases/{case_id}")
    expect(noor.locator("#hold-bar")).to_contain_text("kim asks for help: who speaks Dutch?")
    kim.get_by_role("button", name="Take the question back").click()
    expect(kim.locator("#hold-bar")).not_to_contain_text("Dutch")


@pytest.mark.expected_in_page("ERR_CONNECTION_REFUSED|request failed|Failed to load resource")
def test_a_desk_that_does_not_answer_is_said(page_of: PageOf, running: RunningDesk, case_id: str) -> None:
    """A moderator would believe in a hold that nobody renews."""
    page = taken(page_of("kim"), case_id)
    page.context.set_offline(True)
    page.clock.run_for(MINUTE_MS)
    expect(page.locator("#offline")).to_contain_text("The desk does not answer")
    page.context.set_offline(False)
    page.clock.run_for(MINUTE_MS)
    expect(page.locator("#offline")).to_be_hidden()


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)], ids=["1280 light", "390 dark"])
def test_walking_the_timeline(page_of: PageOf, redis: Redis, case_id: str, width: int, dark: bool) -> None:
    """A person without a mouse could not read the timeline."""
    write_series(redis, case_id, seconds=120, gaps=((60, 72, "missed: stalled"),), hits=((30, 9), (50, 4)))
    page = page_of("kim", width=width, dark=dark)
    page.goto(f"/cases/{case_id}")
    said = page.locator("#timeline output")
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("Match 1 of 2")
    expect(page.locator("#timeline .l-walk")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("sample")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(said).not_to_contain_text("Match")
    page.locator('#timeline a[href="#tl-2"]').dispatch_event("click")
    expect(said).to_contain_text("Match 2 of 2")
    assert page.locator('#timeline .tl a[tabindex="0"]').count() == 1
    box = page.locator("#timeline .tl > svg").bounding_box()
    assert box is not None
    page.locator("#timeline .tl > svg").scroll_into_view_if_needed()
    page.locator("#timeline .tl > svg").hover(position={"x": box["width"] * 0.5, "y": 12})
    expect(said).not_to_contain_text("Match 2")
    assert_accessible(page)
    assert_no_sideways_scrolling(page)


def test_a_case_reads_in_order_on_a_phone(page_of: PageOf, redis: Redis, case_id: str) -> None:
    """A moderator on a phone would decide before reading."""
    page = page_of("kim", width=NARROW)
    page.goto(f"/cases/{case_id}")
    tops = page.evaluate(
        """["#why", "[data-part=stream]", "#timeline", "#decide"]
        .map((one) => document.querySelector(one).getBoundingClientRect().top)"""
    )
    assert tops == sorted(tops)
    expect(page.get_by_role("navigation", name="This case")).to_be_visible()
    assert_no_sideways_scrolling(page)


def test_what_is_given_back_can_be_taken(page_of: PageOf, redis: Redis, roster: Roster, case_id: str) -> None:
    """A page would tell of a holder who is gone."""
    noor = roster.add("noor")
    take_case(redis, noor, case_id)
    page = page_of("kim")
    page.clock.install()
    page.goto(f"/cases/{case_id}")
    expect(page.locator("#hold-bar")).to_contain_text("noor holds this case")
    release(redis, incident_of(redis, case_id), noor)
    page.clock.run_for(4_000)
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_text("You hold this case")).to_be_visible()
