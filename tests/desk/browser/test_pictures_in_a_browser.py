"""Pictures in a real browser: opened, shown clear, hidden again, and gone from the back button."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from desk_server import RunningDesk
from pictures_kept import CONTEXT, PictureCases, desk_with_key
from playwright.sync_api import Page, expect
from redis import Redis
from scene import Scene
from watched_browser import NARROW, WIDE, PageOf, assert_accessible, assert_no_sideways_scrolling

from desk.database.connection import DeskDatabase
from models.testcard import testcard as drawn_card
from worker.evidence.altered import publish_altered
from worker.people.actor import Role
from worker.store.redis_client import now_ms

SHOWN_MS = 20_500


@dataclass(kw_only=True)
class OpenedCase:
    """A case with pictures, and its desk."""

    desk: RunningDesk
    cases: PictureCases
    incident: str
    refs: list[str]

    @property
    def path(self) -> str:
        return f"/cases/{self.cases.case_id(self.incident)}"

    def shown(self) -> list[tuple[str, str]]:
        """Who was shown what, by the audit log."""
        return [(view["by"], view["details"]["shown"]) for view in self.cases.views()]


@pytest.fixture
def opened(redis: Redis, database: DeskDatabase, scene: Scene, tmp_path: Path) -> Iterator[OpenedCase]:
    """A case with the test card, a picture of context and one that was altered."""
    settings = {"desk_break_after_minutes": 50}
    with desk_with_key(redis, database, scene, tmp_path, **settings) as (desk, cases, _):
        incident = cases.case()
        refs = [
            cases.add(incident, cases.sealed_pixels(drawn_card(1280, 720), capture_ms=1_700_000_000_000)),
            cases.add(incident, cases.sealed(seed=2, capture_ms=1_700_000_010_000, **CONTEXT), rule="", score=0.0),
            cases.add(incident, cases.sealed(seed=3, capture_ms=1_700_000_020_000), place="damaged"),
        ]
        yield OpenedCase(desk=desk, cases=cases, incident=incident, refs=refs)


@pytest.fixture
def running(opened: OpenedCase) -> RunningDesk:
    """The desk of `page_of`: the one with the key."""
    return opened.desk


def viewer(page: Page) -> str:
    """Address of the picture that is shown; waits until it is there."""
    image = page.locator(".viewer img")
    expect(image).to_be_visible()
    page.wait_for_function("() => { const i = document.querySelector('.viewer img'); return i && i.naturalWidth > 0 }")
    return str(image.evaluate("(image) => new URL(image.currentSrc).pathname"))


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False)])
def test_pictures_open_by_keys_and_hide_again(page_of: PageOf, opened: OpenedCase, width: int, dark: bool) -> None:
    """A moderator would need a mouse; or a screen reader could not read what a tile says."""
    page = page_of("kim", width=width, dark=dark)
    page.goto(opened.path)
    expect(page.get_by_role("heading", name="Hit 1")).to_be_visible()
    assert page.locator("img").count() == 0
    page.keyboard.press("o")
    assert viewer(page) == f"/pictures/{opened.refs[0]}/reduced"
    assert_accessible(page)
    assert_no_sideways_scrolling(page)
    page.keyboard.press("]")
    expect(page.locator(".viewer h3")).to_contain_text("10 s after")
    assert viewer(page) == f"/pictures/{opened.refs[1]}/reduced"
    assert page.locator(".viewer").count() == 1
    page.keyboard.press("[")
    expect(page.locator(".viewer h3")).to_contain_text("Hit 1")
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_have_count(0)
    expect(page.locator("#pictures")).to_be_focused()
    assert {shown for _, shown in opened.shown()} == {"blurred"}


def test_a_clear_picture_is_hidden_after_20_seconds(page_of: PageOf, opened: OpenedCase) -> None:
    """A picture would stay on the screen while the moderator looks elsewhere."""
    page = page_of("kim")
    page.clock.install()
    page.goto(opened.path)
    page.keyboard.press("o")
    viewer(page)
    page.keyboard.press("c")
    expect(page.get_by_role("dialog", name="Show it clear for 20 s")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Clear, hidden again in")).to_be_visible()
    address = viewer(page)
    assert "/clear/" in address
    assert_accessible(page)
    assert page.locator(".viewer img").evaluate(
        """(image) => {
          const canvas = document.createElement("canvas")
          canvas.width = image.naturalWidth, canvas.height = image.naturalHeight
          const context = canvas.getContext("2d")
          context.drawImage(image, 0, 0)
          return new Set(context.getImageData(0, 0, canvas.width, canvas.height).data).size > 30
        }"""
    )
    page.clock.fast_forward(SHOWN_MS)
    expect(page.locator(".viewer")).to_have_count(0)
    expect(page.locator("#pictures")).to_be_focused()
    assert page.request.get(address).status == 410
    assert opened.shown() == [("kim", "blurred"), ("kim", "clear")]


def test_styles_alone_hide_a_clear_picture(page_of: PageOf, opened: OpenedCase) -> None:
    """A script that fails, or a server that is gone, would leave it on the screen."""
    page = page_of("kim")
    page.goto(opened.path)
    page.keyboard.press("o")
    viewer(page)
    page.keyboard.press("c")
    page.get_by_role("button", name="Show clear", exact=True).click()
    expect(page.get_by_text("Clear, hidden again in")).to_be_visible()
    viewer(page)
    hidden = page.locator(".viewer img").evaluate(
        """(image) => {
          image.getAnimations().forEach((one) => one.finish())
          return getComputedStyle(image).visibility
        }"""
    )
    assert hidden == "hidden"


def test_the_back_button_shows_no_picture(page_of: PageOf, opened: OpenedCase) -> None:
    """Whoever sits down at the machine next would see it."""
    page = page_of("kim")
    page.goto(opened.path)
    page.keyboard.press("o")
    viewer(page)
    page.keyboard.press("c")
    page.get_by_role("button", name="Show clear", exact=True).click()
    expect(page.get_by_text("Clear, hidden again in")).to_be_visible()
    viewer(page)
    page.goto("/settings")
    page.go_back()
    expect(page.get_by_role("heading", name="Pictures")).to_be_visible()
    expect(page.locator(".viewer")).to_have_count(0)
    assert [shown for _, shown in opened.shown()].count("clear") == 1


def test_a_narrow_screen_never_fetches_a_clear_picture(page_of: PageOf, opened: OpenedCase) -> None:
    """A picture would be on a phone in a train."""
    fetched: list[str] = []
    page = page_of("kim", width=NARROW)
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(opened.path)
    page.get_by_role("button", name=re.compile("^Open reduced Hit 1")).click()
    viewer(page)
    expect(page.get_by_text("Clear pictures are not sent to a screen this narrow")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Show clear"))).to_have_count(0)
    # A page that was asked for on a wide screen, and is narrow by now.
    page.evaluate("() => document.getElementById('clear').showPopover()")
    page.get_by_role("button", name="Show clear", exact=True).click()
    expect(page.locator(".viewer img.clear")).to_have_count(1)
    assert viewer(page).endswith("/reduced")
    assert not [url for url in fetched if "/clear/" in url]
    assert {shown for _, shown in opened.shown()} == {"blurred"}


def test_a_click_and_a_second_one_open_one_picture(page_of: PageOf, opened: OpenedCase) -> None:
    """A double click would be two clear views on record."""
    page = page_of("kim")
    page.goto(opened.path)
    page.get_by_role("button", name=re.compile("^Open reduced Hit 1")).dblclick()
    viewer(page)
    page.keyboard.press("c")
    page.get_by_role("button", name="Show clear", exact=True).dblclick()
    expect(page.get_by_text("Clear, hidden again in")).to_be_visible()
    viewer(page)
    assert [shown for _, shown in opened.shown()].count("clear") == 1


@pytest.mark.expected_in_page("409|Failed to load resource")
def test_a_picture_that_does_not_open_says_why_in_its_tile(page_of: PageOf, opened: OpenedCase) -> None:
    """A moderator would see the sign of a broken image, and wait."""
    path = opened.cases.path_of(opened.incident, opened.refs[0])
    path.write_bytes(path.read_bytes()[:-10])
    page = page_of("kim")
    page.goto(opened.path)
    page.keyboard.press("o")
    expect(page.get_by_text("Altered: its digest is not the one on record.").first).to_be_visible()
    expect(page.locator(".viewer")).to_have_count(0)
    expect(page.locator("#pictures")).to_be_focused()
    assert_accessible(page)


def test_the_note_on_altered_pictures_reads_as_a_sentence(page_of: PageOf, opened: OpenedCase) -> None:
    """A lead on a phone would read its words in four narrow columns."""
    redis = opened.cases.redis
    for number in range(3):
        incident = opened.cases.case(f"cam-{number + 2}")
        assert publish_altered(redis, opened.cases.add(incident), incident=incident, deployment="test")
    page = page_of("lea", role=Role.LEAD, width=NARROW)
    page.goto("/queue")
    expect(page.locator(".notice").get_by_role("link", name="incident")).to_have_count(3)
    # In one expression, since news may replace the notice at any time; a locator is resolved before it is evaluated.
    below = page.evaluate(
        """() => [...document.querySelectorAll('.notice a')].map(
            (one) => one.getClientRects()[0].top - one.closest('.notice').getBoundingClientRect().top)"""
    )
    assert len(below) == 3
    assert min(below) > 24
    assert_accessible(page)


def look_asked_for(page: Page, opened: OpenedCase) -> str:
    """Presses L; the key of the look that waits for a worker."""
    page.goto(opened.path)
    page.keyboard.press("l")
    expect(page.get_by_text("Asked for: a worker seals the newest picture of the stream.")).to_be_visible()
    (look,) = opened.cases.redis.lrange("lw:looks", 0, -1)
    return f"lw:look:{look}"


def test_a_look_at_a_stream_without_workers_waits_in_its_tile(page_of: PageOf, opened: OpenedCase) -> None:
    """A moderator who presses L would see nothing happen."""
    page = page_of("kim")
    look = look_asked_for(page, opened)
    opened.cases.redis.hset(look, mapping={"state": "failed", "reason": "encrypted"})
    expect(page.get_by_text("The stream is encrypted: nobody here can see it.")).to_be_visible()


def test_a_look_is_the_next_picture_that_the_key_opens(page_of: PageOf, opened: OpenedCase) -> None:
    """Whoever presses L and O would be shown an older picture than the one they asked for, by one key on two tiles."""
    page = page_of("kim")
    look = look_asked_for(page, opened)
    ref = opened.cases.add(opened.incident, opened.cases.sealed(seed=9))
    redis = opened.cases.redis
    redis.hset(look, mapping={"state": "done", "ref": ref, "done_ms": now_ms(redis)})
    expect(page.locator("#pictures .tile")).to_have_count(5)
    expect(page.locator("#pictures .tile kbd", has_text="O")).to_have_count(1)
    page.keyboard.press("o")
    assert viewer(page) == f"/pictures/{ref}/reduced"


def test_the_settings_show_the_test_card_as_pictures_open(page_of: PageOf, opened: OpenedCase) -> None:
    """A moderator would learn from a case's picture what a setting does."""
    page = page_of("kim")
    page.goto("/settings")
    before = page.locator("#sample").get_attribute("src")
    assert before is not None
    assert "detail=blur&strength=3" in before
    page.get_by_label("Pixels").check()
    expect(page.locator("#sample")).to_have_attribute("src", re.compile("detail=pixels"))
    page.wait_for_function("() => document.getElementById('sample').naturalWidth > 0")
    expect(page.get_by_text("Break in")).to_be_visible()
    expect(page.get_by_text("10 min after 50 min at the desk")).to_be_visible()
    assert_accessible(page)
