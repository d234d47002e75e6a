"""Pictures of a decided case on the platform's own lists, as browsers put them there."""

import httpx
import pytest
from desk_server import RunningDesk
from judging_page import case_of, decide, judging_form, words_of
from people_made import Roster
from pictures_kept import picture_record
from redis import Redis
from scene import Scene

from worker.audit.entries import Act, append_entry, audit_entry
from worker.bank.keys import CHANGES, PROPOSED
from worker.bank.own_lists import proposer_of
from worker.queue.claims import take

GOOD, POOR = "5a" * 16, "6b" * 16
HASH = "c3" * 32


@pytest.fixture
def case(scene: Scene, roster: Roster) -> tuple[str, str]:
    """A case that the lead lea holds, with two pictures; and its incident."""
    roster.add("kim")
    incident = scene.raise_incident("cam-1")
    for ref, quality in ((GOOD, 92), (POOR, 60)):
        scene.redis.hset(f"lw:evidence:{incident}", ref, picture_record(ref, pdq=HASH, pdq_quality=quality))
    take(scene.redis, roster.lead)
    return case_of(scene.redis, incident), incident


def sees(redis: Redis, name: str, *refs: str, shown: str = "clear") -> None:
    for ref in refs:
        append_entry(redis, audit_entry(Act.VIEW, by=name, verified=True, subject=ref, shown=shown))


def act(client: httpx.Client, case: tuple[str, str], name: str, **fields: str) -> httpx.Response:
    form = {"csrf": judging_form(client, case[0])["csrf"], **fields}
    return client.post(f"/cases/{case[0]}/incidents/{case[1]}/{name}", data=form)


def test_two_people_who_saw_it_clear_confirm_a_picture(
    case: tuple[str, str], running: RunningDesk, roster: Roster, redis: Redis
) -> None:
    """Known material of the platform's own would be matched by nobody, or be listed by one person's word."""
    lead = running.signed_in("lea", roster.tokens["lea"])
    kim = running.signed_in("kim", roster.tokens["kim"])
    sees(redis, "lea", GOOD, POOR)
    decide(lead, case[0], "csea_apparent", category_csea_apparent="A2")
    page = lead.get(f"/cases/{case[0]}")
    assert page.text.count('name="ref"') == 2
    assert page.text.count("Put forward</button>") == 1
    assert "under quality 80" in words_of(page)
    assert "second person who saw it clear has to agree within 7 days" in words_of(act(lead, case, "confirm", ref=GOOD))
    assert proposer_of(redis, bytes.fromhex(HASH)) == "lea"
    assert "You put it forward" in words_of(lead.get(f"/cases/{case[0]}"))
    assert act(lead, case, "confirm", ref=GOOD).status_code == 409
    assert act(kim, case, "confirm", ref=GOOD).status_code == 409  # has not seen it
    sees(redis, "kim", GOOD, shown="blurred")
    assert "lea put it forward" not in words_of(kim.get(f"/cases/{case[0]}"))
    assert act(kim, case, "confirm", ref=GOOD).status_code == 409
    assert redis.xlen(CHANGES) == 0
    sees(redis, "kim", GOOD)
    assert "lea put it forward." in words_of(kim.get(f"/cases/{case[0]}"))
    assert "On list confirmed" in words_of(act(kim, case, "confirm", ref=GOOD))
    assert (redis.xlen(CHANGES), redis.hlen(PROPOSED)) == (1, 0)
    assert proposer_of(redis, bytes.fromhex(HASH)) is None


def test_references_of_others_are_not_confirmed(
    case: tuple[str, str], running: RunningDesk, roster: Roster, redis: Redis
) -> None:
    """A forged form would list a picture of a case that was never decided so."""
    lead = running.signed_in("lea", roster.tokens["lea"])
    sees(redis, "lea", GOOD)
    assert act(lead, case, "confirm", ref=GOOD).status_code == 409  # undecided
    decide(lead, case[0], "csea_apparent", category_csea_apparent="A2")
    for ref in ("", "0" * 32, "../../x"):
        assert act(lead, case, "confirm", ref=ref).status_code == 409
    assert act(lead, (case[0], "0" * 24), "confirm", ref=GOOD).status_code == 404
    assert redis.hlen(PROPOSED) == 0


def test_a_lead_allows_a_harmless_picture_for_a_time(
    case: tuple[str, str], running: RunningDesk, roster: Roster, redis: Redis
) -> None:
    """A doll on a list would raise critical cases all night; or be allowed by whoever never opened it."""
    lead = running.signed_in("lea", roster.tokens["lea"])
    kim = running.signed_in("kim", roster.tokens["kim"])
    decide(lead, case[0], "harmless", note="a doll")
    right = {"ref": GOOD, "list": "known", "hours": "24"}
    assert "Allow the picture" not in words_of(lead.get(f"/cases/{case[0]}"))
    assert act(lead, case, "allow", **right).status_code == 409
    sees(redis, "lea", GOOD, shown="blurred")
    assert "Allow the picture for a time" in words_of(lead.get(f"/cases/{case[0]}"))
    for wrong in ({"list": "other"}, {"hours": "9999"}, {"hours": ""}, {"ref": POOR}, {"list": "selftest"}):
        assert act(lead, case, "allow", **{**right, **wrong}).status_code == 409
    assert act(kim, case, "allow", **right).status_code == 403
    assert redis.xlen(CHANGES) == 0
    assert "for review, for 24 h" in words_of(act(lead, case, "allow", **right))
    assert redis.xlen(CHANGES) == 1
