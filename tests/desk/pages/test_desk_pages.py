"""Pages as a browser gets them: empty, with cases, and with markup in every text that others control."""

import re

import httpx
import pytest
from accounts_made import PASSWORD
from desk_server import RunningDesk, csrf_of, serving_desk
from people_made import Roster
from redis import Redis
from redis_between import Command, Send, redis_between
from scene import Scene

from config.facts import Severity
from desk.database.connection import DeskDatabase
from worker.people.actor import Role
from worker.people.roster import PEOPLE, authenticate
from worker.queue.claims import take
from worker.queue.open_incidents import open_incidents
from worker.store.redis_client import connect

HOSTILE = "<script>alert(1)</script>\"'{{7777*7777}}"


@pytest.fixture
def lead(running: RunningDesk, roster: Roster) -> httpx.Client:
    """The browser of the lead lea."""
    return running.signed_in("lea", roster.tokens["lea"])


def test_an_empty_queue_says_so(lead: httpx.Client) -> None:
    """A moderator would wonder whether the page is broken."""
    page = lead.get("/queue").text
    assert "Nothing waits" in page
    assert "<title>Nothing waits · Queue · Livewarden</title>" in page
    assert "<img" not in page


def test_the_queue_lists_cases_in_words(lead: httpx.Client, scene: Scene) -> None:
    """The most urgent case would be overlooked."""
    scene.raise_incident("cam-1", Severity.HIGH)
    scene.raise_incident("cam-2")
    page = lead.get("/queue").text
    assert page.index("cam-2") < page.index("cam-1")
    assert "Known material</b> · list known · distance 4" in page
    assert "2 open" in page
    assert not re.search("<img|<video|evidence", page)


def test_reading_the_queue_takes_nothing(lead: httpx.Client, scene: Scene) -> None:
    """A page that is open would keep cases from everybody else."""
    scene.raise_incident("cam-1")
    before = {key: scene.redis.dump(key) for key in scene.redis.keys("lw:*")}
    lead.get("/queue")
    assert {key: scene.redis.dump(key) for key in scene.redis.keys("lw:*")} == before


def test_a_filter_that_fits_nothing_says_so(lead: httpx.Client, scene: Scene) -> None:
    """An empty page would look like an empty queue."""
    scene.raise_incident("cam-1")
    page = lead.get("/queue", params={"find": "elsewhere"}).text
    assert "Nothing fits" in page
    assert "1 open" in page
    assert "cam-1" in lead.get("/queue", params={"show": "nonsense", "find": "CAM"}).text


@pytest.mark.parametrize("field", ["stream_id", "rule", "purpose", "holder", "case"])
def test_markup_of_others_stays_text(field: str, lead: httpx.Client, scene: Scene) -> None:
    """A broadcaster could run a script in a moderator's browser."""
    incident = scene.raise_incident("cam-1")
    scene.redis.hset(f"lw:incident:{incident}", field, HOSTILE)
    page = lead.get("/queue", params={"find": ""}).text
    assert "<script>alert" not in page
    assert "60481729" not in page
    assert "<script>alert" not in lead.get("/queue", params={"find": HOSTILE}).text
    assert "<script>alert" not in lead.get("/sign-in", params={"next": HOSTILE}).text


def test_saving_settings_loses_no_hold(lead: httpx.Client, scene: Scene, roster: Roster) -> None:
    """A moderator who turns on dark mode would lose the case (coop #1051)."""
    scene.raise_incident("cam-1")
    take(scene.redis, roster.lead)
    answer = lead.post("/settings", data={"csrf": csrf_of(lead), "theme": "dark", "no_pictures": "on"})
    assert answer.headers["location"] == "/settings?saved=1"
    (held,) = open_incidents(scene.redis)
    assert held.holder == "lea"
    page = lead.get("/settings").text
    assert 'data-theme="dark"' in page
    assert 'name="no_pictures" checked' in page


def test_a_part_of_the_page_is_answered_to_htmx(lead: httpx.Client, running: RunningDesk) -> None:
    """Each change of a setting would put a whole page into the line that says Saved."""
    form = {"csrf": csrf_of(lead)}
    assert len(lead.post("/settings", data=form, headers={"hx-request": "true"}).text) < 500
    gone = running.browser(**{"hx-request": "true"}).post("/settings", data={})
    assert (gone.status_code, gone.headers["hx-redirect"]) == (401, "/sign-in")


def test_the_people_page_shows_roles_and_no_figures(lead: httpx.Client, roster: Roster) -> None:
    """A lead would not see who has an account."""
    roster.add("kim", Role.AUDITOR)
    roster.redis.hset("lw:people", "broken", "{")
    page = re.sub(r"\s+", " ", lead.get("/people").text)
    assert "kim</th><td>auditor</td><td>has not made one" in page
    assert "lea</th><td>lead</td><td>signs in" in page
    assert "broken</th><td>unreadable" in page


def test_the_first_start_s_link_leads_to_the_queue(running: RunningDesk, redis: Redis) -> None:
    """Nobody could begin; or the link's secret would be sent to another site."""
    link = running.accounts.renew_link()
    client = running.browser()
    assert "first lead" in client.get(f"/start/{link}").text
    answer = client.post(f"/start/{link}", data={"name": "ana", "password": PASSWORD})
    assert "lwt_" in answer.text
    assert client.get("/").headers["location"] == "/queue"
    assert client.get(f"/start/{link}").status_code == 404
    assert redis.hlen("lw:people") == 1


def test_the_first_start_says_of_nobody_that_they_are_a_lead_before_redis_does(
    redis: Redis, redis_url: str, database: DeskDatabase
) -> None:
    """A person would believe that the roster has begun, and the token open nothing."""

    def loses_changes(command: Command, send: Send) -> bytes | None:
        changes = command[0] in (b"EVAL", b"EVALSHA") and command[3] == PEOPLE.encode()
        answer = b"" if lost and changes else send()
        return None if changes and not answer.startswith(b"-") else answer

    for lost in (True, False):  # the change itself, and then only its answer
        with (
            redis_between(redis_url, loses_changes) as url,
            connect(url) as through,
            serving_desk(through, database) as desk,
        ):
            link, browser = desk.accounts.renew_link(), desk.browser()
            page = browser.post(f"/start/{link}", data={"name": "ana", "password": PASSWORD}).text
            assert "ana is a lead" not in page
            assert "ana may be a lead" in page
            token = re.search(r"<code>(lwt_\S+)</code>", page)
            assert token is not None
            assert "begin again with the same link" in page
            assert desk.accounts.is_link(str(link))
            assert redis.hlen(PEOPLE) == (0 if lost else 1)
    assert authenticate(redis, "ana", token[1]).role is Role.LEAD


def test_sign_in_leads_back_to_the_page(running: RunningDesk, lead: httpx.Client) -> None:
    """A link to a case would end on the queue."""
    client = running.browser()
    assert client.get("/settings").headers["location"] == "/sign-in?next=/settings"
    wrong = client.post("/sign-in", data={"name": "lea", "password": "wrong" * 3, "next": "/settings"})
    assert (wrong.status_code, "do not fit" in wrong.text) == (403, True)
    right = client.post("/sign-in", data={"name": "lea", "password": PASSWORD, "next": "/settings"})
    assert right.headers["location"] == "/settings"
    client.post("/sign-out", data={"csrf": csrf_of(client)})
    assert client.get("/settings").status_code == 303


def test_trouble_is_said_without_its_cause(running: RunningDesk, lead: httpx.Client) -> None:
    """A text of the database, or of Redis, would be in a page."""
    running.database.close()
    with running.database.begin() as session:
        session.connection().exec_driver_sql("DROP TABLE sessions")
    answer = lead.get("/queue")
    assert answer.status_code == 503
    assert "cannot reach its data" in answer.text
    assert "sessions" not in answer.text


def test_a_page_is_light(lead: httpx.Client, scene: Scene) -> None:
    """A moderator on a slow line would wait for the queue."""
    for number in range(60):
        scene.raise_incident(f"cam-{number}")
    page = lead.get("/queue")
    linked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert "Page 1 of 2, 60 cases." in page.text
    assert sum(len(lead.get(path).content) for path in linked) + len(page.content) <= 150_000
