"""Incidents of a case that has more of them than a page shows, from a real Valkey and a desk that serves."""

from pathlib import Path

from desk_server import RunningDesk, csrf_of
from judging_page import case_of, decide, words_of
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from config.policy.policy import load_policy
from desk.cases.case_incidents import MOST_INCIDENTS, shown_incidents
from worker.queue.claims import take_case
from worker.queue.decisions import decide_incident
from worker.queue.outcomes import Outcome
from worker.retention.holds import holds_on

RULES = MOST_INCIDENTS + 10


def buried(redis: Redis, folder: Path) -> tuple[str, list[str]]:
    """A case in which one segment raised more incidents than a page shows; its incidents, the first one first."""
    rules = (f"  - {{name: r{one}, when: 'score(\"m/nsfw\") > 0.{one + 10}', severity: high}}" for one in range(RULES))
    path = folder / "many.yaml"
    path.write_text("\n".join(('version: "1"', "update_seconds: 30", "rules:", *rules)))
    scene = Scene(redis=redis, policy=load_policy(path))
    incidents = [one.incident_id for one in scene.settle("cam-1", scene.hits([1000], score=0.99)).events]
    case_id = case_of(redis, incidents[0])
    return case_id, redis.zrange(f"lw:case:{case_id}", 0, -1)


def test_what_is_undecided_is_never_buried(running: RunningDesk, roster: Roster, redis: Redis, tmp_path: Path) -> None:
    """A broadcaster who has raised fifty incidents could not be judged for the next: its case would look decided."""
    case_id, incidents = buried(redis, tmp_path)
    roster.add("kim")
    kim, client = roster.actor("kim"), running.signed_in("kim", roster.tokens["kim"])
    take_case(redis, kim, case_id)
    for one in incidents[:MOST_INCIDENTS]:
        decide_incident(redis, one, Outcome.CANNOT_JUDGE, by=kim, deployment="test")
    page = client.get(f"/cases/{case_id}").text
    assert all(one in page for one in incidents[MOST_INCIDENTS:])
    assert decide(client, case_id, "cannot_judge").status_code == 303
    assert "Cannot judge" in words_of(client.get(f"/cases/{case_id}"))


def test_the_worst_comes_first_and_then_the_newest(redis: Redis, tmp_path: Path) -> None:
    """Known material would not be on the page of its case, under fifty lesser incidents."""
    case_id, incidents = buried(redis, tmp_path)
    redis.hset(f"lw:incident:{incidents[3]}", "severity", Severity.CRITICAL)
    redis.hset(f"lw:incident:{incidents[-1]}", "outcome", "harmless")
    shown = shown_incidents(redis, case_id)
    assert len(shown) == MOST_INCIDENTS
    assert shown[:2] == [incidents[3], incidents[-2]]
    assert incidents[-1] not in shown


def test_a_hold_is_on_every_incident(running: RunningDesk, roster: Roster, redis: Redis, tmp_path: Path) -> None:
    """What the page has no place for would be deleted under a legal hold."""
    case_id, incidents = buried(redis, tmp_path)
    client = running.signed_in("lea", roster.tokens["lea"])
    form = {"csrf": csrf_of(client), "reason": "asked for by a court"}
    assert client.post(f"/cases/{case_id}/preserve", data=form).status_code == 303
    assert all(holds_on(redis, one) for one in incidents)
