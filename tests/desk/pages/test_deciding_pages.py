"""Deciding a case as a browser does it, with and against the rules."""

import httpx
import pytest
from desk_server import RunningDesk
from judging_page import case_of, decide, judging_form, words_of
from people_made import Roster
from pictures_kept import picture_record
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.audit.entries import Act, append_entry, audit_entry
from worker.people.actor import Role
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.leases import release
from worker.queue.outcomes import Outcome
from worker.queue.record import describe_incident

HOSTILE = "</textarea><script>alert(1)</script>\"'{{7777*7777}}\u202e"


@pytest.fixture
def kim(running: RunningDesk, roster: Roster) -> httpx.Client:
    """The browser of the moderator kim."""
    roster.add("kim", Role.MODERATOR)
    return running.signed_in("kim", roster.tokens["kim"])


@pytest.fixture
def incident(scene: Scene, kim: httpx.Client, roster: Roster) -> str:
    """A finding, known material, which kim holds."""
    raised = scene.raise_incident("cam-1")
    take(scene.redis, roster.actor("kim"))
    return raised


@pytest.fixture
def case(redis: Redis, incident: str) -> str:
    """Its case, which has no other."""
    return case_of(redis, incident)


def made(scene: Scene) -> list[tuple[str, str, str]]:
    """Decisions that were published: outcome, person, note."""
    return [
        (event["data"]["outcome"], event["data"]["decided_by"], event["data"]["note"])
        for event in scene.published("lw:decisions")
        if event["type"] == "livewarden.decision.made.v1"
    ]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_each_outcome_is_decided_by_its_button(outcome: Outcome, kim: httpx.Client, case: str, scene: Scene) -> None:
    """A moderator would press a key, and nothing would be decided; or something else."""
    page = kim.get(f"/cases/{case}").text
    number = list(Outcome).index(outcome) + 1
    assert f'data-outcome="{outcome}" aria-keyshortcuts="{number}"' in page
    answer = decide(kim, case, outcome, note="seen")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{case}")
    assert made(scene) == [(outcome, "kim", "seen")]


def test_all_findings_of_a_case_are_decided_at_once(
    kim: httpx.Client, scene: Scene, roster: Roster, redis: Redis
) -> None:
    """A moderator would have to press the key for each finding of one stream."""
    first, second = scene.raise_incident("cam-1"), scene.raise_incident("cam-1", Severity.HIGH)
    other = scene.raise_incident("cam-2")
    take(redis, roster.actor("kim"))
    assert decide(kim, case_of(redis, first), "adult_tos").status_code == 303
    assert {describe_incident(redis, one)["state"] for one in (first, second)} == {"decided"}
    assert describe_incident(redis, other)["state"] != "decided"


def test_a_finding_that_another_holds_stays_theirs(
    kim: httpx.Client, scene: Scene, roster: Roster, redis: Redis
) -> None:
    """A decision would be made for somebody who is reading."""
    scene.raise_incident("cam-1", Severity.HIGH)
    take(redis, roster.lead)
    worse = scene.raise_incident("cam-1")
    take(redis, roster.actor("kim"))
    case_id = case_of(redis, worse)
    assert "You do not hold 1 more finding of this case" in words_of(kim.get(f"/cases/{case_id}"))
    assert decide(kim, case_id, "adult_tos").status_code == 303
    assert len(made(scene)) == 1


def test_without_the_hold_no_button_decides(kim: httpx.Client, scene: Scene, redis: Redis) -> None:
    """Two people would decide from one page each, unaware of each other."""
    case_id = case_of(redis, scene.raise_incident("cam-1"))
    page = kim.get(f"/cases/{case_id}").text
    assert page.count('type="button" aria-disabled="true"') == 7
    assert 'name="outcome"' not in page
    answer = decide(kim, case_id, "adult_tos", note="typed")
    assert (answer.status_code, made(scene)) == (409, [])
    assert "You no longer hold it" in words_of(answer)
    assert "typed</textarea>" in answer.text


def test_a_hold_that_ran_out_still_decides_while_nobody_took_it(
    kim: httpx.Client, case: str, incident: str, scene: Scene, redis: Redis
) -> None:
    """A judgement would be lost for a second too much."""
    form = judging_form(kim, case)
    redis.hset(f"lw:incident:{incident}", "lease_until_ms", 1)
    assert kim.post(f"/cases/{case}/decide", data=form | {"outcome": "adult_tos"}).status_code == 303
    assert made(scene) == [("adult_tos", "kim", "")]


def test_of_two_at_once_one_is_shown_who_decided(
    kim: httpx.Client, case: str, incident: str, scene: Scene, roster: Roster, redis: Redis
) -> None:
    """The second would believe that their judgement counts; or lose the note that they typed."""
    form = judging_form(kim, case)
    release(redis, incident, roster.actor("kim"))
    take(redis, roster.lead)
    answer = kim.post(f"/cases/{case}/decide", data=form | {"outcome": "adult_tos", "note": "mine"})
    assert "lea holds it now. Your note is kept." in words_of(answer)
    decide_incident(redis, incident, "harmless", by=roster.lead, note="a doll", deployment="test")
    answer = kim.post(f"/cases/{case}/decide", data=form | {"outcome": "adult_tos", "note": "mine"})
    assert answer.status_code == 409
    assert "lea decided it already: Harmless." in words_of(answer)
    assert made(scene) == [("harmless", "lea", "a doll")]


def test_a_second_press_is_no_second_decision(kim: httpx.Client, case: str, scene: Scene) -> None:
    """A double click, or the back button, would end in a refusal, or in two decisions."""
    form = judging_form(kim, case) | {"outcome": "adult_tos", "note": "once"}
    answers = [kim.post(f"/cases/{case}/decide", data=form).status_code for _ in range(3)]
    assert answers == [303, 303, 303]
    assert len(made(scene)) == 1


def test_worse_evidence_since_the_page_was_read_is_not_decided(
    kim: httpx.Client, scene: Scene, roster: Roster, redis: Redis
) -> None:
    """A stream would be called harmless by what it showed before."""
    incident = scene.raise_incident("cam-1", Severity.REVIEW)
    take(redis, roster.actor("kim"))
    case_id = case_of(redis, incident)
    form = judging_form(kim, case_id) | {"outcome": "harmless", "note": "puppets"}
    scene.rise("cam-1", Severity.HIGH)
    take(redis, roster.actor("kim"))  # another tab of the same person
    answer = kim.post(f"/cases/{case_id}/decide", data=form)
    assert (answer.status_code, made(scene)) == (409, [])
    assert "Worse came since you read it" in words_of(answer)
    assert f'formaction="/cases/{case_id}/take"' in answer.text
    assert "puppets</textarea>" in answer.text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"outcome": "guilty"}, "There is no such outcome"),
        ({"outcome": ""}, "There is no such outcome"),
        ({"outcome": "csea_apparent"}, "The category is missing"),
        ({"outcome": "csea_apparent", "category_csea_suspected": "A1"}, "The category is missing"),
        ({"outcome": "csea_suspected", "category_csea_suspected": "C9"}, "The category is missing"),
        ({"outcome": "csea_apparent", "category_csea_apparent": "A1"}, "You opened no picture"),
        ({"outcome": "harmless"}, "list known has it as known material"),
        ({"outcome": "harmless", "note": " \r\n "}, "list known has it as known material"),
        ({"outcome": "adult_tos", "note": "x" * 2001}, "longer than 2,000 characters"),
        ({"outcome": "adult_tos", "shown": ""}, "of another case"),
        ({"outcome": "adult_tos", "shown": "x:y " * 51}, "of another case"),
        ({"outcome": "adult_tos", "shown": "../../x:1"}, "of another case"),
    ],
)
def test_forged_forms_decide_nothing(
    change: dict[str, str], expected: str, kim: httpx.Client, case: str, scene: Scene
) -> None:
    """A record would have an outcome that nobody knows, or a category that nobody chose."""
    answer = kim.post(f"/cases/{case}/decide", data=judging_form(kim, case) | change)
    assert (answer.status_code, made(scene)) == (409, [])
    assert expected in words_of(answer)


def test_an_incident_of_another_case_is_not_decided(
    kim: httpx.Client, case: str, scene: Scene, roster: Roster, redis: Redis
) -> None:
    """A forged form would decide what its page never showed."""
    other = scene.raise_incident("cam-2")
    take(redis, roster.actor("kim"), another=True)
    form = judging_form(kim, case_of(redis, other)) | {"outcome": "adult_tos"}
    assert kim.post(f"/cases/{case}/decide", data=form).status_code == 409
    assert kim.post("/cases/unknown/decide", data=form).status_code == 404
    assert made(scene) == []


def test_forms_of_other_sites_and_sessions_decide_nothing(kim: httpx.Client, case: str, scene: Scene) -> None:
    """A page elsewhere could decide in a moderator's name."""
    form = judging_form(kim, case) | {"outcome": "adult_tos"}
    assert kim.post(f"/cases/{case}/decide", data=form | {"csrf": "x"}).status_code == 403
    assert kim.post(f"/cases/{case}/decide", data=form, headers={"origin": "http://evil.test"}).status_code == 403
    assert made(scene) == []


def test_a_moderator_decides_nothing_that_is_for_a_lead(
    kim: httpx.Client, case: str, incident: str, scene: Scene, redis: Redis
) -> None:
    """A rule that asks for a lead would ask for anybody."""
    form = judging_form(kim, case) | {"outcome": "adult_tos"}
    redis.hset(f"lw:incident:{incident}", "needs_role", "lead")
    answer = kim.post(f"/cases/{case}/decide", data=form)
    assert (answer.status_code, made(scene)) == (409, [])
    assert "another role than yours" in words_of(answer)


def test_a_hostile_note_stays_text(kim: httpx.Client, case: str, scene: Scene) -> None:
    """One moderator could run a script in the browser of the next."""
    answer = decide(kim, case, "csea_apparent", note=HOSTILE, category_csea_apparent="")
    assert answer.status_code == 409
    decide(kim, case, "adult_tos", note=HOSTILE)
    assert made(scene)[0][2] == HOSTILE
    for page in (answer.text, kim.get(f"/cases/{case}").text):
        assert "<script>alert" not in page
        assert "60481729" not in page


def test_a_category_needs_somebody_who_looked(
    kim: httpx.Client, case: str, incident: str, scene: Scene, redis: Redis
) -> None:
    """A report would name a category that nobody saw."""
    page = words_of(kim.get(f"/cases/{case}"))
    assert "You opened no picture of this case" in page
    ref = "5a" * 16
    redis.hset(f"lw:evidence:{incident}", ref, picture_record(ref))
    append_entry(redis, audit_entry(Act.VIEW, by="kim", verified=True, subject=ref, shown="blurred"))
    assert "You opened no picture" not in words_of(kim.get(f"/cases/{case}"))
    assert decide(kim, case, "csea_apparent", category_csea_apparent="A2").status_code == 303
    assert made(scene)[0][0] == "csea_apparent"
