"""The page of a case as a browser gets it."""

import json
import re

import httpx
import pytest
from desk_server import RunningDesk, csrf_of
from people_made import Roster
from redis import Redis
from scene import Scene
from series_made import write_series

from config.facts import Severity
from worker.queue.claims import take_case
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents

HOSTILE = "<script>alert(1)</script>\"'{{7777*7777}}"


@pytest.fixture
def lead(running: RunningDesk, roster: Roster) -> httpx.Client:
    """The browser of the lead lea."""
    return running.signed_in("lea", roster.tokens["lea"])


@pytest.fixture
def case_id(scene: Scene) -> str:
    return case_of(scene, scene.raise_incident("cam-1"))


def case_of(scene: Scene, incident: str) -> str:
    return str(scene.redis.hget(f"lw:incident:{incident}", "case"))


def test_a_case_is_words_first(lead: httpx.Client, scene: Scene, case_id: str) -> None:
    """A moderator would have to look at a picture to know why they are asked."""
    scene.raise_incident("cam-1", Severity.HIGH)
    page = lead.get(f"/cases/{case_id}").text
    order = ["Known material on", "Why you are asked", "On list known, at distance 4 of 31", "m/nsfw: score 0.95"]
    places = [page.index(text) for text in [*order, 'id="stream-h"', 'id="tl-h"', 'id="decide"']]
    assert places == sorted(places)
    assert "<img" not in page
    assert "2 findings, nothing degraded" in page


def test_opening_a_case_takes_nothing(lead: httpx.Client, redis: Redis, case_id: str) -> None:
    """Whoever only reads would keep the case from others."""
    lead.get(f"/cases/{case_id}")
    lead.get(f"/cases/{case_id}/state")
    (incident,) = open_incidents(redis)
    assert incident.holder is None


def test_hostile_texts_are_texts(lead: httpx.Client, redis: Redis, scene: Scene) -> None:
    """A broadcaster's title would run as a script in a moderator's browser."""
    incident = scene.raise_incident("cam-1")
    event = json.loads(redis.hget(f"lw:incident:{incident}", "event") or "")
    data = event["data"]
    data |= {"metadata": {HOSTILE: HOSTILE, "title": HOSTILE}, "degraded": [HOSTILE], "ask": HOSTILE}
    data["matches"][0] |= {"list": HOSTILE, "entry": HOSTILE, "category": HOSTILE, "tags": [HOSTILE], "video": HOSTILE}
    data["condition"]["when"] = f"match {HOSTILE}"
    data["earlier_decisions"] = [{"incident_id": HOSTILE, "rule": HOSTILE, "outcome": HOSTILE}]
    redis.hset(
        f"lw:incident:{incident}",
        mapping={"event": json.dumps(event), "rule": HOSTILE, "stream_id": HOSTILE, "severity": HOSTILE},
    )
    page = lead.get(f"/cases/{case_of(scene, incident)}")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "60481729" not in page.text
    assert page.text.count("&lt;script&gt;alert(1)") > 8


def test_an_unreadable_event_can_be_taken_note_of(lead: httpx.Client, redis: Redis, scene: Scene) -> None:
    """A damaged record would be a page of trouble, and never be judged."""
    incident = scene.raise_incident("cam-1")
    redis.hset(f"lw:incident:{incident}", "event", "{")
    page = lead.get(f"/cases/{case_of(scene, incident)}")
    assert page.status_code == 200
    assert "it can be decided all the same" in page.text


def test_an_unknown_case_is_said(lead: httpx.Client) -> None:
    """A link to a case whose retention ended would be an error of the server."""
    for path in ("", "/state"):
        assert lead.get(f"/cases/{'0' * 24}{path}").status_code == 404
    assert lead.get("/cases/..%2f..%2fetc").status_code == 404


def test_an_incident_s_link_leads_to_its_case(lead: httpx.Client, scene: Scene) -> None:
    """A link of `queue show` would show one finding without the others of its case."""
    first = scene.raise_incident("cam-1", Severity.HIGH)
    scene.raise_incident("cam-1")
    assert "2 findings" in lead.get(f"/cases/{first}").text


def test_a_drill_is_marked_over_the_whole_page(lead: httpx.Client, scene: Scene) -> None:
    """A drill would be reported to the police."""
    incident = scene.raise_incident("cam-1", purpose="drill")
    assert 'class="drill"' in lead.get(f"/cases/{case_of(scene, incident)}").text


class TestHold:
    def test_a_case_is_taken_and_let_go(self, lead: httpx.Client, redis: Redis, case_id: str) -> None:
        """Nobody could take a case without script."""
        csrf = csrf_of(lead)
        assert lead.post(f"/cases/{case_id}/take", data={"csrf": csrf}).headers["location"] == f"/cases/{case_id}"
        assert "You hold this case" in lead.get(f"/cases/{case_id}").text
        assert lead.post(f"/cases/{case_id}/release", data={"csrf": csrf}).headers["location"] == "/queue"
        (incident,) = open_incidents(redis)
        assert incident.holder is None

    def test_what_another_holds_is_readable_and_refused(
        self, lead: httpx.Client, redis: Redis, roster: Roster, case_id: str
    ) -> None:
        """A colleague could not be helped; or two people would hold one case."""
        take_case(redis, roster.add("noor"), case_id)
        page = lead.get(f"/cases/{case_id}").text
        assert "noor holds this case" in page
        assert "Why you are asked" in page
        answer = lead.post(f"/cases/{case_id}/take", data={"csrf": csrf_of(lead)})
        assert answer.status_code == 409
        assert "This was refused" in answer.text
        assert "noor holds this case" in answer.text

    def test_a_lost_hold_is_told_to_the_page(
        self, lead: httpx.Client, redis: Redis, roster: Roster, case_id: str
    ) -> None:
        """A page would renew a hold that a colleague has."""
        take_case(redis, roster.add("noor"), case_id)
        told = lead.post(f"/cases/{case_id}/renew", data={"csrf": csrf_of(lead), "away": "600"}).json()
        assert re.search("your page was away for 10 min and noor took it at", told["lost"])
        odd = lead.post(f"/cases/{case_id}/renew", data={"csrf": csrf_of(lead), "away": "9" * 40}).json()
        assert "away" not in odd["lost"]

    @pytest.mark.parametrize(
        ("path", "form"),
        [
            ("hold", {"minutes": "1000", "why": "x"}),
            ("hold", {"minutes": "15", "why": " "}),
            ("hold", {"minutes": "15", "why": "x" * 501}),
            ("hand-over", {"to": "nobody"}),
            ("hand-over", {"to": "lea"}),
            ("hand-over", {"to": "ora"}),
            ("hand-over", {}),
            ("help", {"what": "x" * 501}),
        ],
    )
    def test_what_cannot_be_is_refused_with_its_reason(
        self, lead: httpx.Client, redis: Redis, roster: Roster, case_id: str, path: str, form: dict[str, str]
    ) -> None:
        """A person would believe that a case is held for a day, or handed over to somebody who cannot take it."""
        roster.add("ora", "auditor")  # type: ignore[arg-type]
        take_case(redis, roster.lead, case_id)
        answer = lead.post(f"/cases/{case_id}/{path}", data={"csrf": csrf_of(lead), **form})
        assert answer.status_code == 409
        assert "This was refused" in answer.text

    def test_a_closed_page_lets_go_soon(self, lead: httpx.Client, redis: Redis, roster: Roster, case_id: str) -> None:
        """A colleague would wait ten minutes; or who loads the page again would lose the case at once."""
        take_case(redis, roster.lead, case_id)
        form = {"csrf": csrf_of(lead), "page_closed": "1"}
        assert lead.post(f"/cases/{case_id}/release", data=form).status_code == 204
        (incident,) = open_incidents(redis)
        assert 0 < incident.lease_seconds < 60

    def test_state_says_whose_it_is(self, lead: httpx.Client, redis: Redis, roster: Roster, case_id: str) -> None:
        """An open page would not see that its hold is gone."""
        before = lead.get(f"/cases/{case_id}/state").json()
        take_case(redis, roster.lead, case_id)
        after = lead.get(f"/cases/{case_id}/state").json()
        assert (before["mine"], after["mine"]) == (False, True)
        assert (before["evidence"] == after["evidence"], before["hold"] == after["hold"]) == (True, False)


def test_a_page_with_two_days_of_timeline_is_light(
    lead: httpx.Client, redis: Redis, scene: Scene, case_id: str
) -> None:
    """A moderator on a slow line would wait for a case."""
    scene.raise_incident("cam-1", Severity.HIGH)
    hits = tuple((at * 1700, at % 31) for at in range(100))
    write_series(redis, case_id, seconds=172_800, step_seconds=60, hits=hits)
    page = lead.get(f"/cases/{case_id}")
    linked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert sum(len(lead.get(path).content) for path in linked) + len(page.content) <= 150_000


def test_a_case_of_another_person_does_not_ask_to_be_taken(
    lead: httpx.Client, running: RunningDesk, roster: Roster, redis: Redis, case_id: str
) -> None:
    """A moderator would look for a button that is not there."""
    assert "Take the case to decide it." in lead.get(f"/cases/{case_id}").text
    roster.add("noor")
    take_case(redis, roster.actor("noor"), case_id)
    page = lead.get(f"/cases/{case_id}").text
    assert "Take the case to decide it." not in page
    assert "Only who holds the case decides it." in page


def test_a_decided_case_offers_no_look_and_no_decision(
    lead: httpx.Client, redis: Redis, roster: Roster, case_id: str
) -> None:
    """A tile would say what looking is for, and have no button; and a phone's bar would offer to decide again."""
    before = lead.get(f"/cases/{case_id}").text
    assert ('id="look"' in before, 'href="#decide">Decide</a>' in before) == (True, True)
    for incident in redis.zrange(f"lw:case:{case_id}", 0, -1):
        decide_incident(redis, incident, "csea_apparent", by=roster.lead, note="", deployment="test")
    after = lead.get(f"/cases/{case_id}").text
    assert ('id="look"' in after, 'href="#decide">Decision</a>' in after) == (False, True)


def test_the_bar_of_a_drill_is_a_landmark(lead: httpx.Client, scene: Scene) -> None:
    """Whoever goes from landmark to landmark by a screen reader would judge a drill as if it were real."""
    page = lead.get(f"/cases/{case_of(scene, scene.raise_incident('cam-2', purpose='drill'))}").text
    assert re.search(r'<aside class="drill" aria-label="[^"]+"><span>Drill\. Nothing here is real', page)
