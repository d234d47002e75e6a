"""A flood of one hash, as a lead's browser decides it: its duplicates together, their number named."""

import re
from pathlib import Path

import httpx
import pytest
from desk_server import RunningDesk
from judging_page import case_of, decide, judging_form, words_of
from people_made import Roster
from redis import Redis
from scene import Scene

from config.policy.policy import load_policy
from worker.queue.claims import take_case
from worker.queue.open_incidents import open_incidents

RULES = """
version: "1"
flood: {streams: 4, within_seconds: 600}
rules:
  - {name: known, when: 'matches.exists(m, m.list != "allow")', severity: critical}
"""


@pytest.fixture
def flood(redis: Redis, tmp_path: Path) -> str:
    """The incident of one hash on four streams, of which three had one of their own before."""
    path = tmp_path / "flood.yaml"
    path.write_text(RULES)
    scene = Scene(redis=redis, policy=load_policy(path))
    for stream in ("a", "b", "c", "d"):
        scene.settle(stream, scene.hits([1000], lists=["known"]))
    (found,) = [one.incident_id for one in open_incidents(redis) if one.rule == "hash-flood"]
    return found


def decide_duplicates(client: httpx.Client, case: str, flood: str, **fields: str) -> httpx.Response:
    form = {"csrf": judging_form(client, case)["csrf"], **fields}
    return client.post(f"/cases/{case}/incidents/{flood}/duplicates", data=form)


def test_duplicates_follow_the_flood_s_decision(flood: str, running: RunningDesk, roster: Roster, redis: Redis) -> None:
    """A lead would decide a station's logo by the dozen; or a number of cases that the page never named."""
    lead, case = running.signed_in("lea", roster.tokens["lea"]), case_of(redis, flood)
    assert decide_duplicates(lead, case, flood, number="3", note="a logo").status_code == 409  # undecided
    take_case(redis, roster.lead, case)
    assert decide(lead, case, "harmless", note="a logo").status_code == 303
    page = lead.get(f"/cases/{case}")
    (number,) = re.findall(r'name="number" value="(\d+)"', page.text)
    assert f"{number} open duplicates of this hash" in words_of(page)
    assert f"Decide {number} as Harmless" in words_of(page)
    assert decide_duplicates(lead, case, flood, number="99", note="a logo").status_code == 409
    assert decide_duplicates(lead, case, flood, number=number, note=" ").status_code == 409
    assert len(open_incidents(redis)) == int(number)
    done = decide_duplicates(lead, case, flood, number=number, note="a logo")
    assert f"Decided: {number}. Left to be decided one by one: 0." in words_of(done)
    assert open_incidents(redis) == []
    again = decide_duplicates(lead, case, flood, number=number, note="a logo")
    assert (again.status_code, "no open duplicates" in words_of(again)) == (409, True)
