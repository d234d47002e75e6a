"""Whole flows in real browsers, by keyboard alone, with what two people see of each other."""

import json

import pytest
from people_made import Roster
from playwright.sync_api import Page, expect
from redis import Redis
from scene import Scene
from watched_browser import NARROW, WIDE, PageOf, assert_accessible, assert_no_sideways_scrolling

from config.facts import Severity
from worker.people.actor import Role

LONG = "<script>alert(1)</script>" + "W" * 100
"""As long as an id may be, in one word."""


def decisions(redis: Redis) -> list[tuple[str, str]]:
    """Person and outcome of each decision on `lw:decisions`."""
    events = [json.loads(fields["event"]) for _, fields in redis.xrange("lw:decisions")]
    made = [one["data"] for one in events if one["type"].startswith("livewarden.decision.made")]
    return [(one["decided_by"], one["outcome"]) for one in made]


def at_the_queue(page: Page) -> Page:
    """The page, when its keys work and its stream of events has come."""
    page.goto("/queue")
    expect(page.locator("html[data-keys-ready]")).to_be_attached()
    expect(page.locator("#connection")).to_contain_text("Connected")
    return page


def test_a_case_comes_is_taken_and_decided_before_two_people(page_of: PageOf, scene: Scene) -> None:
    """Two moderators would judge one case, or neither would see it come."""
    kim, noor = at_the_queue(page_of("kim")), at_the_queue(page_of("noor"))
    scene.raise_incident("cam-1", Severity.HIGH)
    for page in (kim, noor):
        expect(page.get_by_role("row").filter(has_text="cam-1")).to_be_visible()
    kim.keyboard.press("n")
    expect(kim.get_by_text("You hold this case")).to_be_visible()
    expect(noor.get_by_role("row").filter(has_text="cam-1")).to_contain_text("kim")
    noor.keyboard.press("n")
    expect(noor.locator(".notice.calm")).to_be_visible()
    kim.keyboard.press("t")
    kim.keyboard.type("a puppet show, 1 of 7")
    kim.keyboard.press("Escape")
    kim.keyboard.press("6")
    expect(kim.get_by_role("heading", name="Decided")).to_be_visible()
    expect(noor.get_by_role("row").filter(has_text="cam-1")).to_be_hidden()
    assert decisions(scene.redis) == [("kim", "harmless")]


def test_a_second_person_judges_blind(page_of: PageOf, scene: Scene) -> None:
    """The second would be led by the first; or one judgement would be published as the agreement of two."""
    scene.raise_incident("cam-1", Severity.HIGH)
    kim = at_the_queue(page_of("kim"))
    kim.keyboard.press("n")
    kim.get_by_label("Ask a second person").check()
    kim.keyboard.press("t")
    kim.keyboard.type("what only kim knows")
    kim.keyboard.press("Escape")
    kim.keyboard.press("4")
    expect(kim.get_by_text("second person").first).to_be_visible()
    assert decisions(scene.redis) == []
    noor = at_the_queue(page_of("noor"))
    noor.keyboard.press("n")
    expect(noor.get_by_text("You hold this case")).to_be_visible()
    assert "what only kim knows" not in noor.content()
    noor.keyboard.press("4")
    expect(noor.get_by_role("heading", name="Decided")).to_be_visible()
    assert [outcome for _, outcome in decisions(scene.redis)] == ["adult_tos"]


@pytest.mark.parametrize(("width", "dark"), [(WIDE, True), (NARROW, False)], ids=["1280 dark", "390 light"])
def test_every_page_can_be_read_by_everybody(
    page_of: PageOf, scene: Scene, roster: Roster, width: int, dark: bool
) -> None:
    """A person who does not see well, or whose broadcaster has an odd name, could not use it."""
    incident = scene.raise_incident("cam-1")
    scene.redis.hset(f"lw:incident:{incident}", mapping={"stream_id": LONG, "rule": LONG})
    case_id = scene.redis.hget(f"lw:incident:{incident}", "case")
    roster.add("W" * 100, Role.AUDITOR)
    page = page_of("lea", width=width, dark=dark)
    for path in ("/queue", f"/cases/{case_id}", "/settings", "/people", "/insight", "/password"):
        page.goto(path)
        assert_no_sideways_scrolling(page)
        assert_accessible(page)
