"""Reports, packages, insight and people in a real browser: readable for everybody, wide and narrow, light and dark."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk_server import RunningDesk, serving_desk
from evidence_items import Pair
from kept_evidence import KeptEvidence
from people_made import Roster
from playwright.sync_api import Page, expect
from redis import Redis
from scene import Scene
from watched_browser import NARROW, WIDE, PageOf, assert_accessible, assert_no_sideways_scrolling

from config.facts import Severity
from config.settings import Settings
from desk.database.connection import DeskDatabase
from desk.preferences.preferences import Preferences
from worker.people.actor import Role
from worker.queue.decisions import decide_incident

LOOKS = pytest.mark.parametrize(
    ("width", "dark"),
    [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)],
    ids=["1280 light", "1280 dark", "390 light", "390 dark"],
)
SHOTS = os.environ.get("LIVEWARDEN_SHOTS", "")
"""A folder for pictures of the pages, for whoever looks at them; not set in CI."""


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> KeptEvidence:
    return KeptEvidence(scene=scene, folder=tmp_path / "deployment")


@pytest.fixture
def running(redis: Redis, database: DeskDatabase, kept: KeptEvidence, tmp_path: Path) -> Iterator[RunningDesk]:
    """A desk with a store and a private key."""
    identity = tmp_path / "desk.key"
    identity.write_text(kept.pair.secret)
    settings = Settings(
        store_url=str(kept.folder / "store"), spool_dir=kept.folder / "spool", evidence_identity=identity
    )
    with serving_desk(redis, database, settings=settings) as desk:
        yield desk


@pytest.fixture
def case_id(kept: KeptEvidence, roster: Roster) -> str:
    """A case decided as apparent, beside others."""
    incident = kept.incident()
    decide_incident(kept.redis, incident, "csea_apparent", by=roster.lead, note="seen", deployment="test")
    for number, outcome in enumerate(("harmless", "harmless", "adult_tos")):
        other = kept.scene.raise_incident(f"cam-x{number}", Severity.HIGH)
        decide_incident(kept.redis, other, outcome, by=roster.lead, note="seen", deployment="test")
    return str(kept.redis.hget(f"lw:incident:{incident}", "case"))


def check(page: Page, name: str) -> None:
    """Runs axe, and looks for what is wider than the window."""
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)
    assert_accessible(page)
    assert_no_sideways_scrolling(page)


def open_insight(page: Page) -> None:
    """Opens insight, again until its report is made: on a busy machine that takes longer than a page waits."""
    answer = page.goto("/insight")
    while answer is not None and answer.status == 202:
        answer = page.goto("/insight")


@LOOKS
def test_every_page_is_accessible(
    page_of: PageOf, roster: Roster, case_id: str, width: int, dark: bool, request: pytest.FixtureRequest
) -> None:
    """A person who does not see well, or works by keyboard or on a phone, could not report a case."""
    roster.add("kim")
    page = page_of("lea", role=Role.LEAD, width=width, dark=dark)
    look = request.node.callspec.id.replace(" ", "-")
    for path in ("report", "package", "report/drafts/cybertipline", "report/drafts/dsa"):
        page.goto(f"/cases/{case_id}/{path}")
        check(page, f"{path.replace('/', '-')}-{look}")
    page.goto("/people")
    page.locator("summary").first.click()
    check(page, f"people-{look}")
    page.goto("/sessions")
    check(page, f"sessions-{look}")
    open_insight(page)
    check(page, f"insight-{look}")


@pytest.mark.parametrize(
    ("system_dark", "theme", "look"),
    [(True, "system", "dark"), (False, "system", "light"), (True, "light", "light"), (False, "dark", "dark")],
)
def test_plots_are_dark_where_the_page_is(
    system_dark: bool, theme: str, look: str, page_of: PageOf, running: RunningDesk
) -> None:
    """Two white fields would dazzle whoever works in the dark, whether they or their system chose so."""
    page = page_of("lea", role=Role.LEAD, dark=system_dark)
    running.app.state.services.preferences.save("lea", Preferences(theme=theme))
    open_insight(page)
    shown = page.locator("img.plot").evaluate_all(
        "(all) => Promise.all(all.map((one) => one.decode().then(() => one.currentSrc)))"
    )
    assert [address.rpartition("look=")[2] for address in shown] == [look, look]


@pytest.mark.expected_in_page("status of 422")
def test_a_case_is_reported_and_packaged(page_of: PageOf, case_id: str, roster: Roster) -> None:
    """A lead could not report what was found without a terminal."""
    lead = page_of("lea", role=Role.LEAD)
    lead.goto(f"/cases/{case_id}/report")
    lead.get_by_label("First name").first.fill("Lea")
    lead.get_by_label("Date of birth").fill("soon")
    lead.get_by_role("button", name="Save answers").click()
    expect(lead.get_by_role("alert")).to_contain_text("Not saved")
    expect(lead.get_by_text("Expected: a day such as 1990-02-03.")).to_be_visible()
    check(lead, "refused")
    lead.get_by_label("Date of birth").fill("1990-02-03")
    lead.get_by_label("Priority").select_option("P2")
    lead.get_by_role("button", name="Save answers").click()
    expect(lead.get_by_role("status")).to_contain_text("Answers are saved.")
    expect(lead.get_by_label("First name").first).to_have_value("Lea")
    with lead.expect_download() as file:
        lead.get_by_role("link", name="Download, DSA statement of reasons").click()
    assert file.value.suggested_filename == f"{case_id}-dsa-draft.json"
    lead.get_by_label("Authority", exact=True).fill("NCMEC")
    lead.get_by_label("The authority’s reference").fill("4711")
    lead.get_by_role("button", name="Record").click()
    expect(lead.get_by_role("status")).to_contain_text("recorded")
    court = Pair().public
    for name in ("kim", "lea"):
        page = lead if name == "lea" else page_of(name)
        page.goto(f"/cases/{case_id}/package")
        page.get_by_label("Recipient’s public key").fill(court)
        if name == "kim":
            page.get_by_role("button", name="Agree to the package").click()
            expect(page.get_by_role("status")).to_contain_text("You agree.")
            check(page, "agreed")
        else:
            with page.expect_download() as package:
                page.get_by_role("button", name="Agree to the package").click()
            assert package.value.suggested_filename == f"{case_id}-package.zip.age"


def test_a_lead_adds_somebody_and_ends_sessions(page_of: PageOf) -> None:
    """A lead would need a terminal for each new colleague."""
    page = page_of("lea", role=Role.LEAD)
    page.goto("/people")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Role", exact=True).last.select_option("auditor")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Token of ada")).to_be_visible()
    check(page, "added")
    page.goto("/settings")
    page.get_by_role("link", name="Where you are signed in").click()
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
