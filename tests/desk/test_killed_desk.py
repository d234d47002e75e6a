"""A desk that is killed in the middle of an act: what was begun is whole or is not there, and can be done again."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from desk_process import PASSWORD, DeskProcess, csrf_in, desk_process
from evidence_items import Pair, identity_file
from hls_origin import eventually
from judging_page import judging_form
from kept_evidence import KeptEvidence
from people_made import Roster
from pictures_kept import PictureCases
from redis import Redis
from redis_between import Command, Send, redis_between
from scene import Scene

from config.facts import Severity
from worker.drafts.agreements import agreements_key
from worker.queue.claims import take
from worker.queue.decisions import decide_incident


@dataclass(kw_only=True)
class KillableDesk:
    """A desk that is killed and started again, with one person's browser."""

    redis: Redis
    redis_url: str
    folder: Path
    settings: dict[str, str]
    cookies: httpx.Cookies
    _holds: Callable[[], bool] = lambda: False
    """Once it does, Redis answers the desk no more."""
    _unreached: bytes = b""
    """No command with this text in it is sent to Redis; b"": all are."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _killed: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[tuple[DeskProcess, httpx.Client]]:
        """The desk, and the browser, with the cookies that it has."""
        with (
            redis_between(self.redis_url, self._between) as url,
            desk_process(url, self.folder, **self.settings) as desk,
            desk.client() as client,
        ):
            client.cookies = self.cookies
            yield desk, client
            self.cookies = client.cookies

    def _between(self, command: Command, send: Send) -> bytes | None:
        if self._unreached and any(self._unreached in part for part in command):
            self._stopped.set()
            self._killed.wait(60)
            return None
        answer = send()
        if self._holds():
            self._killed.wait(60)
            return None
        return answer

    def killed_in(self, desk: DeskProcess, request: Callable[[], httpx.Response], when: Callable[[], bool]) -> None:
        """Sends a request, and kills the desk once `when` holds: from then on it goes no step further."""
        with ThreadPoolExecutor(1) as pool:
            self._holds = when
            sent: Future[httpx.Response] = pool.submit(request)
            eventually(when, within_seconds=60, what="the desk comes so far")
            desk.process.kill()
            desk.process.wait()
            self._holds = lambda: False
            self._killed.set()
            with pytest.raises(httpx.TransportError):
                sent.result()

    @contextmanager
    def out_of_reach(self, text: str) -> Iterator[Callable[[], bool]]:
        """The desk's commands with a text in them do not reach Redis meanwhile; gives a function that says whether one
        was to."""
        self._unreached = text.encode()
        yield self._stopped.is_set
        self._unreached = b""


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.fixture
def kept(scene: Scene, tmp_path: Path, pair: Pair) -> KeptEvidence:
    return KeptEvidence(scene=scene, folder=tmp_path, pair=pair)


@pytest.fixture
def desk(redis: Redis, redis_url: str, roster: Roster, tmp_path: Path, pair: Pair) -> KillableDesk:
    """A desk that has the key to its pictures, on which kim has an account."""
    roster.add("kim")
    settings = {
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        "LIVEWARDEN_EVIDENCE_IDENTITY": str(identity_file(tmp_path / "desk.key", pair)),
        "LIVEWARDEN_DEPLOYMENT": "test",
    }
    made = KillableDesk(redis=redis, redis_url=redis_url, folder=tmp_path, settings=settings, cookies=httpx.Cookies())
    with made.running() as (_, client):
        form = {"name": "kim", "token": roster.tokens["kim"], "password": PASSWORD}
        assert client.post("/join", data=form).status_code == 303
    return made


def decided(redis: Redis) -> list[str]:
    """Incidents of the decisions that were published, in order."""
    return [json.loads(fields["event"])["data"]["incident_id"] for _, fields in redis.xrange("lw:decisions")]


def package_form(client: httpx.Client, case: str, recipient: Pair) -> dict[str, str]:
    """What the page of a package sends."""
    page = client.get(f"/cases/{case}/package").text
    found = re.search(r'name="seen" value="([^"]+)"', page)
    assert found is not None
    return {"csrf": csrf_in(page), "recipient": recipient.public, "seen": found[1]}


def test_a_press_that_a_crash_cut_short_is_pressed_again(
    desk: KillableDesk, redis: Redis, scene: Scene, roster: Roster
) -> None:
    """Findings of a case would be decided twice, or stay open behind a press that seemed to be refused."""
    severities = (Severity.CRITICAL, Severity.HIGH, Severity.REVIEW)
    incidents = sorted(scene.raise_incident("cam-1", severity) for severity in severities)
    take(redis, roster.actor("kim"))
    case = str(redis.hget(f"lw:incident:{incidents[0]}", "case"))
    with desk.running() as (process, kim):
        form = judging_form(kim, case) | {"outcome": "adult_tos", "note": "typed"}
        desk.killed_in(
            process, lambda: kim.post(f"/cases/{case}/decide", data=form), lambda: redis.xlen("lw:decisions") > 0
        )
    first = decided(redis)
    with desk.running() as (_, kim):
        for _ in range(2):
            assert kim.post(f"/cases/{case}/decide", data=form).status_code == 303
    assert decided(redis)[: len(first)] == first
    assert sorted(decided(redis)) == incidents


def test_a_clear_view_that_a_crash_cut_short_is_not_on_record_and_spends_its_ticket(
    desk: KillableDesk, kept: KeptEvidence
) -> None:
    """A report would say that a person saw a picture that nobody was shown; or an address be good twice."""
    cases = PictureCases(kept=kept)
    ref = cases.add(cases.case())
    with desk.running() as (process, kim):
        form = {"csrf": csrf_in(kim.get("/settings").text), "reason": "unclear"}
        asked = kim.post(f"/pictures/{ref}/clear", data=form)
        ticket = httpx.URL(asked.headers["location"]).params["ticket"]
        with desk.out_of_reach('"view"') as comes_so_far:
            desk.killed_in(process, lambda: kim.get(f"/pictures/{ref}/clear/{ticket}"), comes_so_far)
    assert cases.views() == []
    with desk.running() as (_, kim):
        assert kim.get(f"/pictures/{ref}/clear/{ticket}").status_code == 410
        asked = kim.post(f"/pictures/{ref}/clear", data=form)
        ticket = httpx.URL(asked.headers["location"]).params["ticket"]
        assert kim.get(f"/pictures/{ref}/clear/{ticket}").status_code == 200
    assert len(cases.views()) == 1


def test_a_package_that_a_crash_cut_short_is_not_on_record_and_made_again(
    desk: KillableDesk, kept: KeptEvidence, redis: Redis, roster: Roster, pair: Pair
) -> None:
    """A package would be on record that nobody has; or the two people have to agree anew."""
    incident = kept.incident()
    decide_incident(redis, incident, "csea_apparent", by=roster.lead, note="seen", deployment="test")
    case = str(redis.hget(f"lw:incident:{incident}", "case"))
    with desk.running() as (process, kim):
        with process.signed_in("lea", roster.tokens["lea"]) as lea:
            form = package_form(lea, case, pair)
            assert lea.post(f"/cases/{case}/package", data=form).status_code == 303
        agreed = package_form(kim, case, pair)
        desk.killed_in(
            process,
            lambda: kim.post(f"/cases/{case}/package", data=agreed),
            lambda: redis.hlen(agreements_key(case)) > 1,
        )
    assert kept.entries("package") == []
    with desk.running() as (_, kim):
        sealed = kim.post(f"/cases/{case}/package", data=agreed)
        assert sealed.headers["content-type"] == "application/octet-stream"
