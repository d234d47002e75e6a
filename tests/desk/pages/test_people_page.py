"""The page of people, and a person's own sessions."""

import re

import httpx
import pytest
from accounts_made import PASSWORD
from desk_server import RunningDesk, csrf_of
from people_made import Roster
from scene import Scene

from worker.people.actor import Role
from worker.people.roster import authenticate
from worker.queue.claims import take
from worker.queue.open_incidents import open_incidents

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def lead(running: RunningDesk, roster: Roster) -> httpx.Client:
    """The browser of the lead lea."""
    return running.signed_in("lea", roster.tokens["lea"])


def post(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    return client.post(path, data={"csrf": csrf_of(client), **form})


def token_in(page: httpx.Response) -> str:
    (found,) = re.findall(r"<code>(lwt_[^<]+)</code>", page.text)
    return str(found)


def test_a_lead_adds_a_person_who_makes_an_account(running: RunningDesk, lead: httpx.Client, roster: Roster) -> None:
    """Nobody could be added without a terminal; or the token would be seen twice."""
    added = post(lead, "/people/add", name="kim", role="moderator")
    token = token_in(added)
    assert added.headers["cache-control"] == "no-store"
    assert authenticate(roster.redis, "kim", token).role is Role.MODERATOR
    assert "lwt_" not in lead.get("/people").text
    assert running.signed_in("kim", token).get("/queue").status_code == 200
    again = post(lead, "/people/add", name="KIM ", role="lead")
    assert (again.status_code, "on the roster already" in again.text, "lwt_" in again.text) == (422, True, False)
    assert authenticate(roster.redis, "kim", token).role is Role.MODERATOR


def test_another_role_is_in_force_at_once(running: RunningDesk, lead: httpx.Client, roster: Roster) -> None:
    """Somebody who is no lead any more could go on as one."""
    roster.add("kim", Role.LEAD)
    kim = running.signed_in("kim", roster.tokens["kim"])
    assert kim.get("/people").status_code == 200
    assert post(lead, "/people/role", name="kim", role="operator").headers["location"] == "/people?done=role&name=kim"
    assert "kim has another role." in lead.get("/people?done=role&name=kim").text
    assert kim.get("/people").status_code == 403


def test_a_new_token_ends_what_the_old_one_began(running: RunningDesk, lead: httpx.Client, roster: Roster) -> None:
    """A token that was lost would go on being good."""
    roster.add("kim")
    kim = running.signed_in("kim", roster.tokens["kim"])
    token = token_in(post(lead, "/people/token", name="kim"))
    assert kim.get("/queue").headers["location"].startswith("/sign-in")
    assert running.signed_in("kim", token).get("/queue").status_code == 200


def test_whoever_is_removed_is_out_and_holds_nothing(
    running: RunningDesk, lead: httpx.Client, roster: Roster, scene: Scene
) -> None:
    """Somebody who left could go on judging, and their cases wait for them; or their account stay for ever."""
    kim_actor = roster.add("kim")
    kim = running.signed_in("kim", roster.tokens["kim"])
    scene.raise_incident("cam-1")
    take(scene.redis, kim_actor)
    post(lead, "/people/remove", name="kim")
    assert kim.get("/queue").headers["location"].startswith("/sign-in")
    assert [one.holder for one in open_incidents(scene.redis)] == [None]
    assert running.accounts.names() == {"lea"}
    wrong = running.browser().post("/sign-in", data={"name": "kim", "password": PASSWORD})
    assert wrong.status_code == 403


@pytest.mark.parametrize(
    ("path", "form", "said"),
    [
        ("/people/remove", {"name": "lea"}, "last lead"),
        ("/people/role", {"name": "lea", "role": "auditor"}, "last lead"),
        ("/people/role", {"name": "nobody", "role": "lead"}, "is not on the roster"),
        ("/people/token", {"name": "nobody"}, "is not in the roster"),
        ("/people/remove", {"name": HOSTILE}, "is not in the roster"),
        ("/people/add", {"name": "kim", "role": HOSTILE}, "role"),
        ("/people/add", {"name": "kim", "role": "platform"}, "role"),
        ("/people/add", {"name": "worker", "role": "lead"}, "choose another"),
        ("/people/add", {"name": "x" * 101, "role": "lead"}, "1 to 100"),
        ("/people/add", {}, "1 to 100"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    path: str, form: dict[str, str], said: str, lead: httpx.Client, roster: Roster
) -> None:
    """The last lead would be gone, or a lead not learn why nothing happened."""
    before = roster.redis.hgetall("lw:people")
    refused = post(lead, path, **form)
    assert (refused.status_code, said in refused.text) == (422, True)
    assert "<script>alert" not in refused.text
    assert roster.redis.hgetall("lw:people") == before


def test_an_auditor_reads_and_changes_nothing(running: RunningDesk, roster: Roster) -> None:
    """A role that is there to watch would change who watches."""
    roster.add("ada", Role.AUDITOR)
    auditor = running.signed_in("ada", roster.tokens["ada"])
    page = auditor.get("/people").text
    assert "lea" in page
    assert "/people/remove" not in page
    assert post(auditor, "/people/remove", name="lea").status_code == 403


def test_a_hostile_name_of_the_roster_stays_text(lead: httpx.Client, roster: Roster) -> None:
    """Somebody with the roster's key in Redis could run a script in a lead's browser."""
    roster.redis.hset("lw:people", HOSTILE, "{")
    for path in ("/people", f"/people?done=role&name={HOSTILE}", f"/people?done={HOSTILE}"):
        assert "<script>alert" not in lead.get(path).text


def test_signing_out_everywhere_ends_every_session_and_no_hold(
    running: RunningDesk, lead: httpx.Client, roster: Roster, scene: Scene
) -> None:
    """A session on a machine that was left behind could not be ended; or ending it would lose a case."""
    other = running.browser()
    other.post("/sign-in", data={"name": "lea", "password": PASSWORD})
    scene.raise_incident("cam-1")
    take(scene.redis, roster.lead)
    page = lead.get("/sessions").text
    assert (page.count("this one"), page.count("another one")) == (1, 1)
    assert post(other, "/sessions/end").headers["location"] == "/sign-in"
    assert lead.get("/queue").status_code == other.get("/queue").status_code == 303
    assert [one.holder for one in open_incidents(scene.redis)] == ["lea"]
