"""After the decision, as a browser gets it: what was decided, the interruption, revisions and legal holds."""

import html
import json
import re

import httpx
import pytest
from desk_server import RunningDesk
from judging_page import case_of, decide, judging_form, words_of
from people_made import Roster
from redis import Redis
from scene import Scene

from worker.ingest.registry.registry import stream_key
from worker.queue.claims import take
from worker.retention.holds import holds_on

HOSTILE = "<script>alert(1)</script>{{7777*7777}}"


@pytest.fixture
def kim(running: RunningDesk, roster: Roster) -> httpx.Client:
    """The browser of the moderator kim."""
    roster.add("kim")
    return running.signed_in("kim", roster.tokens["kim"])


@pytest.fixture
def incident(scene: Scene, kim: httpx.Client, roster: Roster) -> str:
    """A finding, known material, which kim holds."""
    raised = scene.raise_incident("cam-1")
    scene.redis.hset(stream_key("cam-1"), mapping={"state": "live", "generation": "1"})
    take(scene.redis, roster.actor("kim"))
    return raised


@pytest.fixture
def case(redis: Redis, incident: str) -> str:
    """Its case, which has no other."""
    return case_of(redis, incident)


def revise(client: httpx.Client, case: str, **fields: str) -> httpx.Response:
    page = client.get(f"/cases/{case}").text
    found = re.findall(r'name="(csrf|decided|was)" value="([^"]*)"', page)
    form = {name: html.unescape(value) for name, value in found}
    return client.post(f"/cases/{case}/revise", data=form | fields)


def test_the_page_says_what_was_decided_and_asked(kim: httpx.Client, case: str, scene: Scene) -> None:
    """Nobody would know who decided, nor whether the stream is interrupted."""
    decide(kim, case, "csea_apparent", note=HOSTILE, ask_suspend="on")
    answer = kim.get(f"/cases/{case}")
    page = words_of(answer)
    assert "Decided" in page
    assert "CSEA, apparent" in page
    assert "Not seen by me · suspension asked" in page
    assert "Interruption asked by kim at" in page
    assert "nobody knows whether it was read" in page
    assert "Next case" in page
    assert f'href="/cases/{case}/report"' in answer.text
    assert "<script>alert" not in answer.text
    assert "60481729" not in page
    types = [event["type"] for event in scene.published("lw:decisions")]
    assert types.index("livewarden.interrupt.requested.v1") < types.index("livewarden.decision.made.v1")


def test_the_interruption_s_line_follows_the_platform(
    kim: httpx.Client, case: str, incident: str, redis: Redis
) -> None:
    """A moderator would wait before a stream that nobody stops."""
    redis.xgroup_create("lw:decisions", "platform", id="$", mkstream=True)
    decide(kim, case, "csea_apparent")
    line = f"/cases/{case}/incidents/{incident}/interrupt"
    assert f'hx-get="{line}"' in kim.get(f"/cases/{case}").text
    assert "Not read yet." in kim.get(line).text
    read = redis.xreadgroup("platform", "one", {"lw:decisions": ">"})
    assert "Read by platform; not acknowledged yet." in kim.get(line).text
    streams = read.items() if isinstance(read, dict) else read
    for _, entries in streams:
        for entry_id, _ in entries[0] if isinstance(entries[0], list) else entries:
            redis.xack("lw:decisions", "platform", entry_id)
    assert "Acknowledged by platform. The stream goes on." in kim.get(line).text
    redis.hset(stream_key("cam-1"), "state", "ended")
    assert "The stream has ended." in kim.get(line).text
    assert "hx-get" not in kim.get(line).text
    assert kim.get(f"/cases/{case}/incidents/{'0' * 24}/interrupt").status_code == 404


def test_a_child_alone_is_not_punished(kim: httpx.Client, case: str, redis: Redis) -> None:
    """A child who streams alone would lose the account instead of being helped."""
    answer = decide(kim, case, "child_at_risk", ask_suspend="on", note="alone")
    assert answer.status_code == 409
    assert "A child at risk is safeguarded, not punished" in words_of(answer)
    assert 'name="ask_suspend" checked' in answer.text
    assert redis.xlen("lw:decisions") == 0
    assert "A child streaming alone is safeguarded, not punished." in words_of(kim.get(f"/cases/{case}"))
    assert decide(kim, case, "child_at_risk", ask_safeguard="on", interrupt="on").status_code == 303
    made = json.loads(redis.xrange("lw:decisions")[-1][1]["event"])["data"]
    assert made["actions"] == ["safeguard"]
    assert "Interruption asked by kim" in words_of(kim.get(f"/cases/{case}"))


@pytest.mark.parametrize("asked", ["interrupt", "ask_suspend"])
def test_harmless_asks_nothing_of_the_platform(asked: str, kim: httpx.Client, case: str, redis: Redis) -> None:
    """A box that was checked before would cut off a harmless stream."""
    assert decide(kim, case, "harmless", note="a doll", **{asked: "on"}).status_code == 409
    assert redis.xlen("lw:decisions") == 0


def test_a_revision_is_listed_with_what_was_before(kim: httpx.Client, case: str, scene: Scene) -> None:
    """A wrong decision would stay; or be changed without a trace."""
    decide(kim, case, "adult_tos", note="adults")
    assert "an interruption cannot be taken back" in words_of(kim.get(f"/cases/{case}"))
    refused = revise(kim, case, outcome="csea_suspected", category="unseen", note=" ")
    assert (refused.status_code, "A revision needs a reason" in words_of(refused)) == (409, True)
    assert revise(kim, case, outcome="csea_suspected", note="x").status_code == 409  # without a category
    done = {"outcome": "csea_suspected", "category": "unseen", "note": "one looks younger"}
    assert revise(kim, case, **done).status_code == 303
    page = words_of(kim.get(f"/cases/{case}"))
    assert "Before: Adult, against terms · kim," in page
    assert "one looks younger" in page
    (revised,) = [one for one in scene.published("lw:decisions") if one["type"] == "livewarden.decision.revised.v1"]
    assert revised["data"]["category"] == "unseen"


def ask(client: httpx.Client, case: str, **fields: str) -> httpx.Response:
    """Sends the form that asks more of the platform, as the page has it."""
    return client.post(f"/cases/{case}/revise", data=asking(client, case) | fields)


def asking(client: httpx.Client, case: str) -> dict[str, str]:
    (form,) = forms_that_ask(client, case)
    found = re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in found}


def forms_that_ask(client: httpx.Client, case: str) -> list[str]:
    forms = re.findall(r"<form.*?</form>", client.get(f"/cases/{case}").text, re.DOTALL)
    return [form for form in forms if 'type="hidden" name="outcome"' in form]


def test_the_platform_is_asked_after_the_decision(kim: httpx.Client, case: str, scene: Scene) -> None:
    """Who learns later that the account came back would have to call the decision another one."""
    decide(kim, case, "csea_suspected", note="at first sight")
    (form,) = forms_that_ask(kim, case)
    assert re.findall(r'type="checkbox" name="(\w+)"', form) == ["interrupt", "ask_suspend", "ask_safeguard"]
    refused = ask(kim, case, ask_suspend="on", note=" ")
    assert (refused.status_code, "A revision needs a reason" in words_of(refused)) == (409, True)
    assert 'name="ask_suspend" checked' in refused.text
    assert "nothing more is asked" in words_of(ask(kim, case, note="the third time"))
    sent = ask(kim, case, ask_suspend="on", note="the third time").request
    assert kim.send(sent).status_code == 303  # a double click
    page = words_of(kim.get(f"/cases/{case}"))
    assert "Not seen by me · suspension asked" in page
    assert "the third time" in page
    (made, revised) = scene.decisions()
    assert (revised["data"]["outcome"], revised["data"]["actions"]) == ("csea_suspected", ["suspend"])
    assert revised["data"]["category"] == made["data"]["category"] == "unseen"
    assert scene.requests() == []
    (form,) = forms_that_ask(kim, case)
    assert 'name="ask_suspend"' not in form


def test_an_interruption_is_asked_after_the_decision_once(kim: httpx.Client, case: str, scene: Scene) -> None:
    """A stream would stay on air since its danger was understood a minute late."""
    decide(kim, case, "child_at_risk", note="alone")
    (form,) = forms_that_ask(kim, case)
    assert 'name="ask_suspend"' not in form
    assert "safeguarded, not punished" in ask(kim, case, ask_suspend="on", note="forged").text
    sent = ask(kim, case, interrupt="on", note="somebody came in").request
    assert kim.send(sent).status_code == 303
    assert len(scene.requests()) == 1
    assert "Interruption asked by kim" in words_of(kim.get(f"/cases/{case}"))
    (form,) = forms_that_ask(kim, case)
    assert re.findall(r'type="checkbox" name="(\w+)"', form) == ["ask_safeguard"]


def test_of_two_who_ask_at_once_both_are_heard(
    kim: httpx.Client, case: str, running: RunningDesk, roster: Roster, scene: Scene
) -> None:
    """A safeguard that a lead asked for would be taken back by who had loaded the page before."""
    decide(kim, case, "adult_tos")
    lead = running.signed_in("lea", roster.tokens["lea"])
    data = asking(kim, case)
    assert ask(lead, case, ask_safeguard="on", note="young").status_code == 303
    late = data | {"ask_safeguard": "on", "note": "young too"}
    answer = kim.post(f"/cases/{case}/revise", data=late)
    assert (answer.status_code, "nothing more is asked" in words_of(answer)) == (409, True)
    assert "young too</textarea>" in answer.text
    assert kim.post(f"/cases/{case}/revise", data=data | {"ask_suspend": "on", "note": "again"}).status_code == 303
    assert scene.decisions()[-1]["data"]["actions"] == ["suspend", "safeguard"]


@pytest.mark.parametrize("outcome", ["harmless", "cannot_judge"])
def test_nothing_is_asked_after_what_asks_nothing(outcome: str, kim: httpx.Client, case: str) -> None:
    """A harmless broadcaster would lose the account by a slip of the hand."""
    decide(kim, case, outcome, note="a doll")
    assert forms_that_ask(kim, case) == []


def test_a_decision_is_not_made_without_its_category_by_the_form_of_a_revision(
    kim: httpx.Client, case: str, redis: Redis
) -> None:
    """A forged form would leave out what the law asks for."""
    answer = decide(kim, case, "csea_suspected", category_csea_suspected="", was="csea_suspected")
    assert (answer.status_code, redis.xlen("lw:decisions")) == (409, 0)


def test_of_two_revisions_at_once_one_is_refused(
    kim: httpx.Client, case: str, running: RunningDesk, roster: Roster
) -> None:
    """The later one would overwrite what its author never saw."""
    decide(kim, case, "adult_tos")
    lead = running.signed_in("lea", roster.tokens["lea"])
    assert revise(lead, case, outcome="other_harm", note="a fight").status_code == 303
    answer = revise(kim, case, was="adult_tos", outcome="cannot_judge", note="too dark")
    assert answer.status_code == 409
    assert "lea revised it meanwhile: Other harm." in words_of(answer)
    assert "too dark</textarea>" in answer.text


def test_a_legal_hold_keeps_the_whole_case(kim: httpx.Client, case: str, incident: str, redis: Redis) -> None:
    """Evidence that a court asked for would be deleted."""
    decide(kim, case, "csea_suspected")
    csrf = judging_form(kim, case)["csrf"]
    for reason, expected in (("", 409), ("x" * 501, 409), ("file 12/26", 303)):
        answer = kim.post(f"/cases/{case}/preserve", data={"csrf": csrf, "reason": reason})
        assert answer.status_code == expected
    (placed,) = holds_on(redis, incident)
    assert (placed.by, placed.reason, placed.verified) == ("kim", "file 12/26", True)
    assert "On hold by kim," in words_of(kim.get(f"/cases/{case}"))


def test_duplicates_are_decided_together_in_a_flood_only(
    kim: httpx.Client, case: str, incident: str, running: RunningDesk, roster: Roster, redis: Redis
) -> None:
    """Matches on a list would be decided unseen, by the dozen."""
    decide(kim, case, "adult_tos")
    lead = running.signed_in("lea", roster.tokens["lea"])
    assert "duplicates" not in words_of(lead.get(f"/cases/{case}"))
    path = f"/cases/{case}/incidents/{incident}/duplicates"
    csrf = judging_form(lead, case)["csrf"]
    answer = lead.post(path, data={"csrf": csrf, "number": "1", "note": "the same"})
    assert (answer.status_code, "no open duplicates" in words_of(answer)) == (409, True)
    assert kim.post(path, data={"csrf": judging_form(kim, case)["csrf"]}).status_code == 403
    assert redis.xlen("lw:decisions") == 1
