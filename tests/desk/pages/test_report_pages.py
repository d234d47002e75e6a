"""Pages of a report and a package, as a browser gets them."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from desk_server import RunningDesk, csrf_of, serving_desk
from drafted_cases import answers
from evidence_items import Pair
from kept_evidence import KeptEvidence
from people_made import Roster
from redis import Redis
from scene import Scene

from config.settings import Settings
from desk.database.connection import DeskDatabase, open_database
from desk.reports.answers_form import form_of
from worker.audit.entries import append_entry, audit_entry
from worker.queue.decisions import decide_incident
from worker.queue.record import describe_incident
from worker.queue.revisions import revise
from worker.retention.reports import reports_of

HOSTILE = "<script>alert(1)</script>\"'{{7777*7777}}]]>"


@dataclass(kw_only=True)
class ReportDesk:
    """A desk with a store, a private key and a case that a person decided."""

    desk: RunningDesk
    kept: KeptEvidence
    roster: Roster
    incident: str

    @property
    def redis(self) -> Redis:
        return self.kept.redis

    @property
    def case_id(self) -> str:
        return str(self.redis.hget(f"lw:incident:{self.incident}", "case"))

    def path(self, rest: str) -> str:
        return f"/cases/{self.case_id}/{rest}"

    def sign_in(self, name: str) -> httpx.Client:
        if name not in self.roster.tokens:
            self.roster.add(name)
        return self.desk.signed_in(name, self.roster.tokens[name])

    def post(self, client: httpx.Client, rest: str, **form: str) -> httpx.Response:
        return client.post(self.path(rest), data={"csrf": csrf_of(client), **form})

    def save(self, client: httpx.Client, form: dict[str, str], *, version: str = "0") -> httpx.Response:
        return self.post(client, "report/answers", version=version, **form)


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> KeptEvidence:
    return KeptEvidence(scene=scene, folder=tmp_path / "deployment")


@pytest.fixture
def at(
    redis: Redis, database: DeskDatabase, kept: KeptEvidence, roster: Roster, tmp_path: Path
) -> Iterator[ReportDesk]:
    """The desk, and a case decided as apparent."""
    identity = tmp_path / "desk.key"
    identity.write_text(kept.pair.secret)
    settings = Settings(
        store_url=str(kept.folder / "store"),
        spool_dir=kept.folder / "spool",
        evidence_identity=identity,
        deployment="test",
    )
    incident = kept.incident()
    decide_incident(redis, incident, "csea_apparent", by=roster.lead, note="seen", deployment="test")
    with serving_desk(redis, database, settings=settings) as desk:
        yield ReportDesk(desk=desk, kept=kept, roster=roster, incident=incident)


@pytest.fixture
def lead(at: ReportDesk) -> httpx.Client:
    return at.sign_in("lea")


def plain(page: httpx.Response) -> str:
    """The words of a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.text)))


def seen_of(client: httpx.Client, at: ReportDesk) -> str:
    found = re.search(r'name="seen" value="([^"]+)"', client.get(at.path("package")).text)
    assert found is not None
    return found[1]


def test_what_is_missing_comes_first(at: ReportDesk, lead: httpx.Client) -> None:
    """A report would go out that names nobody, and nobody at NCMEC act on it."""
    page = lead.get(at.path("report"))
    assert page.text.index('id="lint"') < page.text.index('id="drafts"') < page.text.index('name="reporter.email"')
    assert "NCMEC must know who reports" in plain(page)
    assert "P1 or P2 is a person's choice" in plain(page)


def test_answers_are_saved_and_complete_the_report(at: ReportDesk, lead: httpx.Client) -> None:
    """A lead would fill in the portals by hand from notes."""
    saved = at.save(lead, form_of(answers()))
    assert saved.headers["location"].endswith("report?saved=1")
    page = plain(lead.get(saved.headers["location"]))
    assert "Answers are saved." in page
    assert "Last changed by lea" in page
    assert "NCMEC must know" not in page
    keys = at.redis.keys("*")
    assert not [key for key in keys if "someone@mail.example" in str(at.redis.dump(key))]


def test_a_host_s_clock_that_is_ahead_forgets_no_answers(at: ReportDesk, lead: httpx.Client) -> None:
    """One wrong clock would delete the answers of all cases before anybody has reported them."""
    at.save(lead, form_of(answers()))
    at.desk.clock.pass_seconds(400 * 86_400)
    kept = at.desk.app.state.services.answers.of(at.case_id)
    assert (kept.version, kept.by) == (1, "lea")


def test_answers_that_cannot_be_read_are_shown_again_with_what_is_expected(at: ReportDesk, lead: httpx.Client) -> None:
    """A person would lose a page of typing over one wrong character."""
    form = form_of(answers()) | {"account.addresses.0.at": "noon", "description": HOSTILE}
    refused = at.save(lead, form)
    assert refused.status_code == 422
    assert "Expected: a time such as 2026-11-27T12:00:00Z." in plain(refused)
    assert 'value="noon"' in refused.text
    assert "<script>alert" not in refused.text
    assert "60481729" not in refused.text
    assert at.save(lead, form_of(answers()), version="4").status_code == 409
    assert "none of these" not in plain(lead.get(at.path("report")))


def test_drafts_are_marked_and_download_as_files(at: ReportDesk, lead: httpx.Client) -> None:
    """A draft would be taken for a submitted report, or be kept by a browser's cache."""
    ref = min(at.kept.refs(at.incident))
    append_entry(at.redis, audit_entry("view", by="lea", verified=True, subject=ref, shown="clear", reason="judge"))
    at.save(lead, form_of(answers()))
    shown = lead.get(at.path("report/drafts/cybertipline"))
    assert "DRAFT" in plain(shown)
    file = lead.get(at.path("report/drafts/cybertipline?download=1"))
    assert file.headers["content-disposition"] == f'attachment; filename="{at.case_id}-cybertipline-draft.xml"'
    assert (file.headers["cache-control"], file.headers["x-content-type-options"]) == ("no-store", "nosniff")
    details = {
        one.findtext("fileId"): one.findtext("fileViewedByEsp") for one in fromstring(file.text).iter("fileDetails")
    }
    assert details[ref] == "true"
    assert sorted(details.values()) == ["false", "true"]
    assert json.loads(lead.get(at.path("report/drafts/nca?download=1")).text)["priority"] == "P2"
    assert json.loads(lead.get(at.path("report/drafts/dsa?download=1")).text)["draft"] is True
    assert lead.get(at.path("report/drafts/other")).status_code == 400


def test_hostile_text_of_others_stays_text_in_every_page_and_draft(at: ReportDesk, lead: httpx.Client) -> None:
    """A broadcaster could run a script in a lead's browser, or break the file that NCMEC reads."""
    form = dict.fromkeys(("description", "escalate", "uk_link", "account.screen_name", "reporter.last_name"), HOSTILE)
    at.save(lead, form)
    case = lead.get(at.path("report")).text
    event = json.loads(at.redis.hget(f"lw:incident:{at.incident}", "event") or "{}")
    event["data"]["metadata"] = {"title": HOSTILE, HOSTILE: 1}
    at.redis.hset(
        f"lw:incident:{at.incident}", mapping={"event": json.dumps(event), "stream_id": HOSTILE, "rule": HOSTILE}
    )
    pages = [case, *(lead.get(at.path(rest)).text for rest in ("report", "package", "report/drafts/cybertipline"))]
    pages += [lead.get(at.path(f"report/drafts/{name}")).text for name in ("nca", "dsa")]
    for page in pages:
        assert "<script>alert" not in page
        assert "60481729" not in page
    assert fromstring(lead.get(at.path("report/drafts/cybertipline?download=1")).text).tag == "livewardenDraft"
    json.loads(lead.get(at.path("report/drafts/nca?download=1")).text)


def test_a_report_is_recorded_with_its_terms(at: ReportDesk, lead: httpx.Client) -> None:
    """Evidence of a reported case would be deleted before the law allows; or nobody see until when it is kept."""
    page = lead.get(at.path("report"))
    assert "NCMEC 366 days" in plain(page)
    done = at.post(lead, "report/record", authority="NCMEC", report_id="12345")
    assert done.headers["location"].endswith("recorded=1")
    assert at.post(lead, "report/record", authority="NCMEC", report_id="12345").headers["location"].endswith("=2")
    (report,) = reports_of(at.redis, at.case_id)
    assert (report.authority, report.report_id, report.by, report.verified) == ("NCMEC", "12345", "lea", True)
    (entry,) = at.kept.entries("report")
    assert (entry["by"], entry["details"]["authority"]) == ("lea", "NCMEC")
    assert "12345" in plain(lead.get(at.path("report")))
    refused = at.post(lead, "report/record", authority="", report_id="x" * 500)
    assert (refused.status_code, "Not recorded" in refused.text) == (422, True)


def test_what_ncmec_has_is_not_reported_to_the_nca(at: ReportDesk, lead: httpx.Client) -> None:
    """One case would be reported twice, which the law forbids."""
    at.save(lead, form_of(answers()))
    assert lead.get(at.path("report/drafts/nca")).status_code == 200
    at.post(lead, "report/record", authority="ncmec", report_id="1")
    refused = lead.get(at.path("report/drafts/nca?download=1"))
    assert (refused.status_code, "not reported to the NCA again" in refused.text) == (409, True)


def test_a_case_that_nobody_decided_has_no_draft_and_no_package(at: ReportDesk, lead: httpx.Client) -> None:
    """Pictures on which nobody has decided would be handed out."""
    other = at.kept.incident("cam-2")
    case_id = at.redis.hget(f"lw:incident:{other}", "case")
    assert "nobody has decided" in lead.get(f"/cases/{case_id}/report").text
    assert lead.get(f"/cases/{case_id}/report/drafts/dsa").status_code == 409
    assert 'name="recipient"' not in lead.get(f"/cases/{case_id}/package").text
    form = {"csrf": csrf_of(lead), "recipient": Pair().public, "seen": "x"}
    assert lead.post(f"/cases/{case_id}/package", data=form).status_code == 409
    assert at.kept.entries("agree") == []


def test_two_people_agree_and_the_second_gets_the_sealed_package(at: ReportDesk, lead: httpx.Client) -> None:
    """One person alone could hand out evidence; or nobody could at all."""
    court, kim = Pair(), at.sign_in("kim")
    first = at.post(kim, "package", recipient=court.public, seen=seen_of(kim, at))
    assert first.headers["location"].endswith("package?agreed=1")
    again = at.post(kim, "package", recipient=court.public, seen=seen_of(kim, at))
    assert again.status_code == 303
    page = plain(lead.get(at.path("package")))
    assert court.public in page
    assert re.search("kim moderator .* yes", page)
    file = at.post(lead, "package", recipient=court.public, seen=seen_of(lead, at))
    assert file.headers["content-disposition"] == f'attachment; filename="{at.case_id}-package.zip.age"'
    assert file.headers["cache-control"] == "no-store"
    with zipfile.ZipFile(io.BytesIO(court.identity.decrypt(file.content))) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert [one["by"] for one in manifest["agreements"]] == ["kim", "lea"]
    assert len(manifest["pictures"]) == 2
    assert len(at.kept.entries("package")) == 1


def test_what_changed_since_the_first_agreement_is_named(at: ReportDesk, lead: httpx.Client) -> None:
    """A lead would agree to a case that is another one by now, and not learn why no file comes."""
    court, kim = Pair(), at.sign_in("kim")
    seen = seen_of(kim, at)
    at.post(kim, "package", recipient=court.public, seen=seen)
    revise(at.redis, at.incident, "csea_suspected", by=at.roster.lead, note="less", deployment="test")
    assert f"no: {at.incident[:8]} csea_suspected" in plain(lead.get(at.path("package")))
    refused = at.post(lead, "package", recipient=court.public, seen=seen)
    assert (refused.status_code, "changed while you looked" in refused.text) == (409, True)
    assert at.post(lead, "package", recipient=court.public).status_code == 409
    assert at.post(lead, "package", recipient=court.public, seen=seen_of(lead, at)).status_code == 303


def test_a_wrong_key_is_refused_before_anything_is_recorded(at: ReportDesk, lead: httpx.Client) -> None:
    """An agreement to nobody would be in the audit log."""
    for wrong in ("", "age1nothing", HOSTILE, at.kept.pair.secret):
        refused = at.post(lead, "package", recipient=wrong, seen=seen_of(lead, at))
        assert (refused.status_code, "public key" in refused.text) == (422, True)
        assert "<script>alert" not in refused.text
    assert at.kept.entries("agree") == []


def test_a_desk_without_a_key_says_so(redis: Redis, database: DeskDatabase, kept: KeptEvidence, roster: Roster) -> None:
    """A lead would agree, and nobody ever get the package."""
    incident = kept.incident(outcome="")
    decide_incident(redis, incident, "csea_apparent", by=roster.lead, note="seen", deployment="test")
    case_id = redis.hget(f"lw:incident:{incident}", "case")
    with serving_desk(redis, database, settings=Settings(store_url=str(kept.folder / "store"))) as desk:
        client = desk.signed_in("lea", roster.tokens["lea"])
        assert "has no private key" in client.get(f"/cases/{case_id}/package").text
        form = {"csrf": csrf_of(client), "recipient": Pair().public, "seen": "x"}
        assert client.post(f"/cases/{case_id}/package", data=form).status_code == 409


@pytest.mark.parametrize("case_id", ["case-0000", "nothing", "..%2f..%2fetc", "a" * 3000, "case-%00", "0" * 24])
def test_a_made_up_case_is_unknown(case_id: str, at: ReportDesk, lead: httpx.Client) -> None:
    """A path typed by somebody would be an error of the server, or a file name."""
    for rest in ("report", "package", "report/drafts/nca"):
        assert lead.get(f"/cases/{case_id}/{rest}").status_code == 404, rest


def test_losing_the_database_loses_no_decision_and_no_report(
    at: ReportDesk, lead: httpx.Client, tmp_path: Path
) -> None:
    """A disk of the desk's own would decide what happened."""
    at.save(lead, form_of(answers()))
    at.post(lead, "report/record", authority="NCMEC", report_id="12345")
    before = describe_incident(at.redis, at.incident)
    new = open_database(f"sqlite:///{tmp_path}/new.db")
    settings = Settings(store_url=str(at.kept.folder / "store"))
    with serving_desk(at.redis, new, settings=settings) as desk:
        page = plain(desk.signed_in("lea", at.roster.tokens["lea"]).get(at.path("report")))
    new.close()
    assert "12345" in page
    assert "NCMEC must know who reports" in page
    assert describe_incident(at.redis, at.incident)["decisions"] == before["decisions"]
