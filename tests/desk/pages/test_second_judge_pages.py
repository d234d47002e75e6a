"""Two judges on one case, as their browsers show it: the second judges blind."""

import httpx
import pytest
from desk_server import RunningDesk
from judging_page import case_of, decide, words_of
from people_made import Roster
from redis import Redis
from scene import Scene

from worker.queue.claims import take
from worker.queue.record import describe_incident

SECRET = "the small one at the left"


@pytest.fixture
def incident(scene: Scene, roster: Roster) -> str:
    """A finding that kim, of the moderators kim and noor, holds."""
    kim = roster.add("kim")
    roster.add("noor")
    raised = scene.raise_incident("cam-1")
    take(scene.redis, kim)
    return raised


def browser(running: RunningDesk, roster: Roster, name: str) -> httpx.Client:
    return running.signed_in(name, roster.tokens[name])


def test_the_second_judge_sees_nothing_of_the_first(
    incident: str, running: RunningDesk, roster: Roster, redis: Redis
) -> None:
    """The second would agree with the first instead of judging."""
    kim, noor, case = browser(running, roster, "kim"), browser(running, roster, "noor"), case_of(redis, incident)
    for _ in range(2):  # the second press of a double click too
        assert decide(kim, case, "csea_suspected", note=SECRET, second="on").status_code == 303
    assert redis.xlen("lw:decisions") == 0
    own = words_of(kim.get(f"/cases/{case}"))
    assert "You judged it: CSEA, suspected. It waits for a second person" in own
    claim = take(redis, roster.actor("noor"))
    assert claim is not None
    answer = noor.get(f"/cases/{case}")
    assert "What did you find, as the second person?" in words_of(answer)
    for hidden in (SECRET, "kim judged", "You judged", "Interruption", "Not seen by me ·"):
        assert hidden not in words_of(answer)
    assert decide(noor, case, "csea_suspected", note="too young").status_code == 303
    record = describe_incident(redis, incident)
    assert (record["state"], record["decisions"][-1]["decided_by"]) == ("decided", "noor")
    after = words_of(kim.get(f"/cases/{case}"))
    assert "Revise the decision" not in after
    assert "Revise the decision" in words_of(browser(running, roster, "lea").get(f"/cases/{case}"))
    assert "kim judged: CSEA, suspected" in after
    assert "noor judged: CSEA, suspected" in after


def test_a_lead_sees_both_that_do_not_agree(incident: str, running: RunningDesk, roster: Roster, redis: Redis) -> None:
    """A lead would decide without what two people saw; or moderators would see it too."""
    case = case_of(redis, incident)
    decide(browser(running, roster, "kim"), case, "csea_suspected", note=SECRET, second="on")
    take(redis, roster.actor("noor"))
    noor = browser(running, roster, "noor")
    assert decide(noor, case, "harmless", note="puppets").status_code == 303
    assert redis.xlen("lw:decisions") == 0
    assert SECRET not in words_of(noor.get(f"/cases/{case}"))
    take(redis, roster.lead)
    lead = browser(running, roster, "lea")
    page = words_of(lead.get(f"/cases/{case}"))
    assert f"CSEA, suspected · Not seen by me · {SECRET}" in page
    assert "Harmless · puppets" in page
    assert decide(lead, case, "child_at_risk", note="a child's room").status_code == 303
    assert describe_incident(redis, incident)["decisions"][-1]["outcome"] == "child_at_risk"


def test_the_first_judge_cannot_judge_again(incident: str, running: RunningDesk, roster: Roster, redis: Redis) -> None:
    """One person would be both judges."""
    kim, case = browser(running, roster, "kim"), case_of(redis, incident)
    decide(kim, case, "csea_suspected", second="on")
    answer = decide(kim, case, "adult_tos", note="changed my mind")
    assert answer.status_code == 409
    assert "You judged it already" in words_of(answer)
    assert redis.xlen("lw:decisions") == 0
