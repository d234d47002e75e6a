import pytest
from judging_page import case_of
from scene import Scene
from worker.queue.claims import take
from config.facts import Severity
from playwright.sync_api import expect
from worker.people.actor import Role

@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_shots(width, dark, page_of, scene, roster):
    page = page_of("kim", width=width, dark=dark, role=Role.LEAD)
    a = scene.raise_incident("cam-1"); scene.raise_incident("cam-1", Severity.HIGH)
    take(scene.redis, roster.actor("kim"))
    scene.redis.hset(f"lw:incident:{a}", "second_person", "csea_apparent")
    page.goto(f"/cases/{case_of(scene.redis, a)}")
    n = f"/tmp/shots/{width}-{'dark' if dark else 'light'}"
    page.get_by_text("Ask the platform").click()
    page.screenshot(path=n + "-1.png", full_page=width == 390)
    page.keyboard.press("1")
    page.screenshot(path=n + "-2.png")
    page.keyboard.press("Escape")
    scene.redis.hdel(f"lw:incident:{a}", "second_person")
    page.get_by_label("Note, for").fill("A child of about ten, alone in a room; nobody else is to be seen.")
    page.keyboard.press("Escape")
    page.keyboard.press("2"); page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Decided")).to_be_visible()
    page.get_by_text("Revise", exact=True).click()
    page.screenshot(path=n + "-3.png", full_page=width == 390)
    page.get_by_label("Reason, for the record").fill("x")
    page.get_by_label("Child at risk").check()
    page.get_by_text("Revise", exact=True).click()
    page.get_by_text("Legal hold").click()
    page.screenshot(path=n + "-4.png", full_page=width == 390)
