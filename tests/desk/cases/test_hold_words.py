"""The hold bar's words, for its holder, for others and for those who may not hold it."""

from typing import Any

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from desk.cases.case_state import read_state
from desk.cases.case_view import CaseView, read_case
from desk.cases.hold_words import HoldState, HoldWords, colleagues_of, hold_of, lost_text
from desk.errors import UnknownCaseError
from desk.texts.catalogue import load_texts
from worker.people.actor import Actor, Role
from worker.people.roster import read_roster
from worker.queue.claims import take_case
from worker.queue.holds import ask_help, hand_over, hold_case

TEXTS = load_texts()


@pytest.fixture
def case_id(scene: Scene) -> str:
    return str(scene.redis.hget(f"lw:incident:{scene.raise_incident('cam-1')}", "case"))


def words(redis: Redis, case_id: str, actor: Actor) -> HoldWords:
    return hold_of(read_case(redis, case_id), actor, read_roster(redis), TEXTS)


def test_a_free_case_can_be_taken_and_a_held_one_is_readable(redis: Redis, roster: Roster, case_id: str) -> None:
    """Two people would work on one case, or nobody on any."""
    kim, noor = roster.add("kim"), roster.add("noor")
    assert words(redis, case_id, kim).takeable
    take_case(redis, kim, case_id)
    mine, other = words(redis, case_id, kim), words(redis, case_id, noor)
    assert (mine.state, mine.strong) == (HoldState.MINE, "You hold this case")
    assert (other.state, other.strong, other.takeable) == (HoldState.OTHER, "kim holds this case", False)
    assert [one.name for one in mine.colleagues] == ["lea", "noor"]
    assert [minutes for minutes, _ in mine.until] == [15, 30, 60]


def test_what_a_holder_says_is_shown_to_all(redis: Redis, roster: Roster, case_id: str) -> None:
    """Nobody would answer a question, or know why a case waits."""
    kim, noor = roster.add("kim"), roster.add("noor")
    take_case(redis, kim, case_id)
    hold_case(redis, kim, case_id, until_seconds=900, why="an answer")
    ask_help(redis, kim, case_id, what="who speaks Dutch?")
    mine, other = words(redis, case_id, kim), words(redis, case_id, noor)
    assert mine.dim.endswith("with the page closed too: an answer")
    assert mine.helped
    assert other.notices == ("kim asks for help: who speaks Dutch?", "They wait for: an answer")


def test_a_hand_over_is_offered_to_one_person(redis: Redis, roster: Roster, case_id: str) -> None:
    """A third person would take what was meant for another."""
    kim, noor, ada = roster.add("kim"), roster.add("noor"), roster.add("ada")
    take_case(redis, kim, case_id)
    hand_over(redis, kim, case_id, to="noor", note="at 14:31")
    assert words(redis, case_id, kim).handed
    assert words(redis, case_id, noor).state is HoldState.OFFERED
    assert words(redis, case_id, noor).notices == ("Their note: at 14:31",)
    assert words(redis, case_id, ada).state is HoldState.OTHER
    take_case(redis, noor, case_id)
    assert "kim handed it over to you." in words(redis, case_id, noor).notices
    assert not words(redis, case_id, noor).handed


def record(**values: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"incident_id": "a", "state": "open", "holder": None, "needs_role": "moderator"}
    return {**fields, **values}


def test_a_case_for_leads_is_not_offered_to_moderators(redis: Redis, roster: Roster) -> None:
    """A moderator would press a button that is refused."""
    kim = roster.add("kim")
    view = CaseView(case_id="c", records=(record(needs_role="lead"),), now_ms=0)
    assert hold_of(view, kim, {}, TEXTS).state is HoldState.BARRED
    assert hold_of(view, roster.lead, {}, TEXTS).state is HoldState.FREE
    assert [one.name for one in colleagues_of(read_roster(redis), view.records, kim)] == ["lea"]


def test_only_those_who_may_decide_it_are_offered_a_case(redis: Redis, roster: Roster) -> None:
    """A case would be handed over to an auditor, who cannot take it."""
    kim = roster.add("kim")
    roster.add("orla", Role.OPERATOR)
    redis.hset("lw:people", "broken", "{")
    assert [one.name for one in colleagues_of(read_roster(redis), [record()], kim)] == ["lea"]


@pytest.mark.parametrize(
    ("records", "away", "words"),
    [
        ([record(holder="noor", taken="2026-11-27T14:36:00Z")], 600, "was away for X and noor took it at 14:36:00"),
        ([record(holder="noor", taken="2026-11-27T14:36:00Z")], 61, "case: noor took it at 14:36:00"),
        ([record()], 600, "Nobody else has taken it"),
        ([record(state="decided")], 600, "it was decided"),
    ],
)
def test_a_lost_hold_says_what_became_of_the_case(records: list[dict[str, Any]], away: float, words: str) -> None:
    """A person would not know whether to go on, or whom to ask."""
    view = CaseView(case_id="c", records=tuple(records), now_ms=1_795_790_000_000)
    text = lost_text(view, away, TEXTS, span="X")
    assert words in text
    assert text.endswith("Your note is kept.")


class TestState:
    def test_new_evidence_changes_one_digest_and_a_hold_the_other(
        self, redis: Redis, scene: Scene, roster: Roster, case_id: str
    ) -> None:
        """A page would call a colleague's hold news, or miss that worse came."""
        before = read_state(redis, case_id)
        take_case(redis, roster.lead, case_id)
        taken = read_state(redis, case_id)
        assert (taken.evidence == before.evidence, taken.hold == before.hold) == (True, False)
        assert taken.is_held_by("LEA")
        scene.settle("cam-1", scene.hits([5000], lists=["known"], score=0.99))
        worse = read_state(redis, case_id)
        assert worse.evidence != taken.evidence

    def test_a_renewed_lease_is_no_news(self, redis: Redis, roster: Roster, case_id: str) -> None:
        """Each open page would load a part of itself each minute."""
        take_case(redis, roster.lead, case_id)
        before = read_state(redis, case_id)
        take_case(redis, roster.lead, case_id)
        assert read_state(redis, case_id) == before

    def test_a_case_that_is_gone_is_unknown(self, redis: Redis) -> None:
        """A page would go on as if its case were still there."""
        with pytest.raises(UnknownCaseError):
            read_state(redis, "0" * 24)

    def test_a_damaged_incident_is_passed(self, redis: Redis, case_id: str) -> None:
        """One foreign key would end the news of a whole case."""
        before = read_state(redis, case_id)
        redis.zadd(f"lw:case:{case_id}", {"f" * 24: 2})
        redis.set(f"lw:incident:{'f' * 24}", "foreign")
        assert read_state(redis, case_id) == before
