"""A person takes a case by its name, and keeps it, hands it over, asks about it, or lets it go."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.errors import PeopleError, QueueError
from worker.incidents.keys import incident_key
from worker.people.actor import Role
from worker.people.changes import remove_person
from worker.queue.case_order import OpenCase
from worker.queue.claims import REOPEN_SECONDS, anything_free, let_go, renew, take, take_case
from worker.queue.decisions import decide_incident
from worker.queue.holds import MAX_TEXT, ask_help, hand_over, hold_case, withdraw
from worker.queue.leases import extend, release
from worker.queue.open_cases import read_open_cases
from worker.queue.record import describe_incident
from worker.store.redis_client import ONCE_SECONDS, connect, now_ms
from worker.store.redis_keys import AUDIT_UNLINKED

HOUR = 3_600.0


def case_of(redis: Redis, incident: str) -> str:
    return str(redis.hget(incident_key(incident), "case"))


def open_case(redis: Redis, case_id: str) -> OpenCase:
    return next(case for case in read_open_cases(redis)[0] if case.case_id == case_id)


def let_the_lease_end(redis: Redis, *incidents: str) -> None:
    for incident in incidents:
        redis.hset(incident_key(incident), "lease_until_ms", now_ms(redis))


def audited(redis: Redis, act: str) -> list[dict[str, Any]]:
    entries = [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]
    return [entry for entry in entries if entry["act"] == act]


@pytest.fixture
def case(scene: Scene) -> str:
    """A case of two incidents, that ann has taken."""
    incident = scene.raise_incident("cam-1")
    scene.raise_incident("cam-1", Severity.HIGH)
    case_id = case_of(scene.redis, incident)
    take_case(scene.redis, "ann", case_id)
    return case_id


class TestTakeCase:
    def test_a_person_chooses_a_case_from_the_list(self, scene: Scene) -> None:
        """A click on a case would give another one, the most urgent."""
        scene.raise_incident("cam-1")
        chosen = scene.raise_incident("cam-2", Severity.REVIEW)
        worse = scene.raise_incident("cam-2", Severity.HIGH)
        claim = take_case(scene.redis, "ann", case_of(scene.redis, chosen))
        assert (claim.incident_id, [one.incident_id for one in claim.in_case]) == (worse, [chosen])
        assert json.loads(claim.event)["data"]["others"] == [chosen]
        (entry,) = audited(scene.redis, "take")
        assert (entry["subject"], entry["details"]["others"]) == (worse, chosen)

    def test_what_another_person_holds_is_refused(self, scene: Scene, case: str) -> None:
        """Two people would look at one case, each believing that it is theirs."""
        with pytest.raises(QueueError, match="is held by ann for another 600 s"):
            take_case(scene.redis, "bob", case)

    def test_what_is_free_of_a_case_is_taken(self, scene: Scene, case: str) -> None:
        """Whoever opens a case that gained an incident would be shown less than what is free."""
        later = scene.raise_incident("cam-1", Severity.REVIEW)
        assert take_case(scene.redis, "bob", case).incident_id == later
        assert renew(scene.redis, "bob", case).incidents == (later,)

    def test_the_holder_takes_it_again(self, scene: Scene, case: str) -> None:
        """A page that is loaded again would refuse the person who holds the case."""
        assert take_case(scene.redis, "ann", case).again
        assert len(audited(scene.redis, "take")) == 1

    def test_a_decided_or_unknown_case_is_refused(self, scene: Scene) -> None:
        """A page of yesterday would take nothing, and not say why."""
        incident = scene.raise_incident("cam-1")
        case_id = case_of(scene.redis, incident)
        decide_incident(scene.redis, incident, "adult_tos", by="bob", deployment="test")
        with pytest.raises(QueueError, match="was decided already: adult_tos, by bob"):
            take_case(scene.redis, "ann", case_id)
        with pytest.raises(QueueError, match="is not known"):
            take_case(scene.redis, "ann", "0" * 24)

    def test_an_incident_of_an_older_version_is_a_case_of_its_own(self, scene: Scene) -> None:
        """What was open at an update could be taken by nobody who chooses from a list."""
        incident = scene.raise_incident("cam-1")
        scene.redis.hdel(incident_key(incident), "case")
        scene.redis.delete(*scene.redis.keys("lw:case:*"))
        assert take_case(scene.redis, "ann", incident).incident_id == incident

    def test_a_damaged_incident_is_refused(self, scene: Scene) -> None:
        """A person would hold what no page can show."""
        incident = scene.raise_incident("cam-1")
        scene.redis.hset(incident_key(incident), "event", "{")
        with pytest.raises(QueueError, match="no event that can be shown"):
            take_case(scene.redis, "ann", case_of(scene.redis, incident))

    def test_roles_hold(self, scene: Scene) -> None:
        """A moderator would take what the policy keeps for a lead, by its name."""
        roster, incident = Roster(scene.redis), scene.raise_incident("cam-1")
        scene.redis.hset(incident_key(incident), "needs_role", "lead")
        kim, case_id = roster.add("kim"), case_of(scene.redis, incident)
        with pytest.raises(PeopleError, match="kim is moderator: only a lead may hold or decide case"):
            take_case(scene.redis, kim, case_id)
        with pytest.raises(PeopleError, match="sam is auditor"):
            take_case(scene.redis, roster.add("sam", Role.AUDITOR), case_id)
        with pytest.raises(PeopleError, match="needs a token"):
            take_case(scene.redis, "kim", case_id)
        assert take_case(scene.redis, roster.lead, case_id).incident_id == incident


def test_of_many_who_choose_one_case_one_gets_it(scene: Scene, redis_url: str) -> None:
    """Two people who click at once would look at the same pictures."""
    cases = [case_of(scene.redis, scene.raise_incident(f"cam-{number}")) for number in range(6)]

    def choose(number: int) -> list[str]:
        taken = []
        with connect(redis_url) as redis:
            for case_id in cases:
                with suppress(QueueError):
                    take_case(redis, f"p{number}", case_id)
                    taken.append(case_id)
        return taken

    with ThreadPoolExecutor(8) as pool:
        assert sorted(case_id for taken in pool.map(choose, range(8)) for case_id in taken) == sorted(cases)


class TestRenew:
    def test_the_whole_case_is_renewed(self, scene: Scene, case: str) -> None:
        """A case under review would go to another person while its page is open."""
        for incident in renew(scene.redis, "ann", case).incidents:
            scene.redis.hset(incident_key(incident), "lease_until_ms", now_ms(scene.redis) + 5)
        lease = renew(scene.redis, "ann", case)
        assert len(lease.incidents) == 2
        assert open_case(scene.redis, case).lease_seconds > 590
        with pytest.raises(QueueError, match="is held by ann"):
            renew(scene.redis, "bob", case)

    def test_it_says_what_changed(self, scene: Scene, case: str) -> None:
        """A page would show what was known ten minutes ago, and its decision be refused."""
        assert renew(scene.redis, "ann", case).changed == ()
        later = scene.raise_incident("cam-1", Severity.REVIEW)
        scene.rise("cam-1", Severity.CRITICAL)
        assert renew(scene.redis, "ann", case).free == (later,)
        take_case(scene.redis, "ann", case)
        scene.redis.hset(incident_key(later), "event", '{"data": {}}')
        assert renew(scene.redis, "ann", case).changed == (later,)

    def test_a_hold_that_ran_out_is_said(self, scene: Scene, case: str) -> None:
        """A person who was away would decide on a case that a colleague works on."""
        let_the_lease_end(scene.redis, *renew(scene.redis, "ann", case).incidents)
        assert renew(scene.redis, "ann", case).incidents
        let_the_lease_end(scene.redis, *renew(scene.redis, "ann", case).incidents)
        take_case(scene.redis, "bob", case)
        with pytest.raises(QueueError, match="is held by bob"):
            renew(scene.redis, "ann", case)


class TestLetGo:
    def test_the_case_goes_to_the_next(self, scene: Scene, case: str) -> None:
        """Nobody could take for ten minutes what a person gave back."""
        assert len(let_go(scene.redis, "ann", case).incidents) == 2
        assert open_case(scene.redis, case).holder is None
        claim = take(scene.redis, "bob")
        assert claim is not None
        assert len(claim.in_case) == 1
        with pytest.raises(QueueError, match="is held by bob"):
            let_go(scene.redis, "ann", case)

    def test_a_closed_page_lets_go_a_moment_later(self, scene: Scene, case: str) -> None:
        """To load a page again would lose the case; or a closed one would keep it for ten minutes."""
        let_go(scene.redis, "ann", case, page_closed=True)
        assert 0 < open_case(scene.redis, case).lease_seconds <= REOPEN_SECONDS
        renew(scene.redis, "ann", case)
        assert open_case(scene.redis, case).lease_seconds > 590

    def test_a_closed_page_does_not_lengthen_what_is_about_to_end(self, scene: Scene, case: str) -> None:
        """Pages that are opened and closed would hold a case for ever."""
        incidents = renew(scene.redis, "ann", case).incidents
        let_the_lease_end(scene.redis, *incidents)
        let_go(scene.redis, "ann", case, page_closed=True)
        assert open_case(scene.redis, case).holder is None


class TestHold:
    def test_it_survives_a_closed_page(self, scene: Scene, case: str) -> None:
        """A person who calls the police would find the case with somebody else."""
        hold_case(scene.redis, "ann", case, until_seconds=HOUR, why="a call  to\nthe police")
        let_go(scene.redis, "ann", case, page_closed=True)
        shown = open_case(scene.redis, case)
        assert (shown.holder, shown.hold_why) == ("ann", "a call to the police")
        assert HOUR - 10 < shown.lease_seconds <= HOUR
        assert take(scene.redis, "bob") is None
        assert not anything_free(scene.redis, "bob")
        (entry,) = audited(scene.redis, "case_hold")
        assert (entry["subject"], entry["details"]) == (case, {"reason": "a call to the police", "seconds": 3600})

    def test_nothing_shortens_it_but_its_holder(self, scene: Scene, case: str) -> None:
        """The page of a held case would bring its lease down to ten minutes."""
        hold_case(scene.redis, "ann", case, until_seconds=HOUR, why="x")
        renew(scene.redis, "ann", case)
        take_case(scene.redis, "ann", case)
        extend(scene.redis, open_case(scene.redis, case).incident_id, "ann")
        assert open_case(scene.redis, case).lease_seconds > HOUR - 10
        hold_case(scene.redis, "ann", case, until_seconds=1200, why="nearly done")
        assert 1190 < open_case(scene.redis, case).lease_seconds <= 1200
        let_go(scene.redis, "ann", case)
        assert open_case(scene.redis, case).hold_why == ""
        assert take(scene.redis, "bob") is not None

    def test_it_ends(self, scene: Scene, case: str) -> None:
        """A case would say that it is kept for a reason that is long over."""
        hold_case(scene.redis, "ann", case, until_seconds=HOUR, why="lunch")
        for incident in renew(scene.redis, "ann", case).incidents:
            over = {"lease_until_ms": now_ms(scene.redis), "hold_until_ms": now_ms(scene.redis)}
            scene.redis.hset(incident_key(incident), mapping=over)
        renew(scene.redis, "ann", case)
        shown = open_case(scene.redis, case)
        assert (shown.holder, shown.hold_why, shown.lease_seconds > 590) == ("ann", "", True)

    def test_a_clock_that_went_back_does_not_lengthen_it(self, scene: Scene, case: str) -> None:
        """A case could be taken by nobody until the clock is there again."""
        hold_case(scene.redis, "ann", case, until_seconds=HOUR, why="x")
        for incident in renew(scene.redis, "ann", case).incidents:
            ahead = now_ms(scene.redis) + 86_400_000
            scene.redis.hset(incident_key(incident), mapping={"lease_until_ms": ahead, "hold_until_ms": ahead})
        assert open_case(scene.redis, case).lease_seconds <= 65 * 60
        assert take(scene.redis, "bob") is None
        assert int(scene.redis.hget(incident_key(incident), "lease_until_ms") or 0) <= now_ms(scene.redis) + 3_900_000

    @pytest.mark.parametrize("seconds", [0, 59, 65 * 60 + 1, float("nan"), float("inf"), -1])
    def test_its_length_has_bounds(self, scene: Scene, case: str, seconds: float) -> None:
        """A case would be kept from everybody for a night."""
        with pytest.raises(QueueError, match="expected 1 to 65 min"):
            hold_case(scene.redis, "ann", case, until_seconds=seconds, why="x")

    @pytest.mark.parametrize("why", ["", "  \n", "x" * (MAX_TEXT + 1), "a\x1b[31mb", "\ud800"])
    def test_its_reason_is_text(self, scene: Scene, case: str, why: str) -> None:
        """A queue would show nothing, a page of prose, or a terminal's commands."""
        with pytest.raises(QueueError, match=r"reason|characters"):
            hold_case(scene.redis, "ann", case, until_seconds=600, why=why)

    def test_only_the_holder_holds(self, scene: Scene, case: str) -> None:
        """Anybody could keep any case from the others."""
        with pytest.raises(QueueError, match="is held by ann"):
            hold_case(scene.redis, "bob", case, until_seconds=600, why="x")
        let_go(scene.redis, "ann", case)
        with pytest.raises(QueueError, match="is held by nobody: take it first"):
            hold_case(scene.redis, "bob", case, until_seconds=600, why="x")


@pytest.mark.parametrize("act", ["renew", "extend"])
def test_a_hand_over_that_ended_is_not_renewed(scene: Scene, act: str) -> None:
    """After a laptop slept, a case would go to a colleague to whom it is not handed over any more."""
    incident = scene.raise_incident("cam-1")
    case = case_of(scene.redis, incident)
    take_case(scene.redis, "ann", case)
    hand_over(scene.redis, "ann", case, to="bob", note="")
    let_the_lease_end(scene.redis, incident)
    if act == "renew":
        renew(scene.redis, "ann", case)
    else:
        extend(scene.redis, incident, "ann")
    assert (open_case(scene.redis, case).holder, open_case(scene.redis, case).handed_to) == ("ann", None)


class TestHandOver:
    def test_only_the_named_person_is_given_it(self, scene: Scene, case: str) -> None:
        """A case would go to whoever is fastest, or to nobody."""
        hand_over(scene.redis, "ann", case, to="bob", note="the second half")
        shown = open_case(scene.redis, case)
        assert (shown.holder, shown.handed_to) == ("ann", "bob")
        assert take(scene.redis, "cyd") is None
        assert not anything_free(scene.redis, "cyd")
        assert anything_free(scene.redis, "bob")
        claim = take(scene.redis, "bob")
        assert claim is not None
        assert (len(claim.in_case), claim.again) == (1, False)
        record = describe_incident(scene.redis, claim.incident_id)
        assert (record["holder"], record["handed"]["note"], record["handed"]["accepted"]) == (
            "bob",
            "the second half",
            True,
        )
        assert open_case(scene.redis, case).handed_to is None
        assert take(scene.redis, "ann") is None
        (entry,) = audited(scene.redis, "hand_over")
        assert entry["details"] == {"note": "the second half", "to": "bob"}

    def test_a_closed_page_does_not_withdraw_it(self, scene: Scene, case: str) -> None:
        """Whoever hands a case over and goes home would leave it to chance."""
        hand_over(scene.redis, "ann", case, to="bob", note="")
        let_go(scene.redis, "ann", case, page_closed=True)
        assert open_case(scene.redis, case).lease_seconds > 590
        assert take_case(scene.redis, "bob", case).in_case

    def test_it_is_withdrawn_when_the_lease_ends(self, scene: Scene, case: str) -> None:
        """A case would wait for a person who is not there."""
        hand_over(scene.redis, "ann", case, to="bob", note="")
        let_the_lease_end(scene.redis, *renew(scene.redis, "ann", case).incidents)
        assert open_case(scene.redis, case).handed_to is None
        assert take(scene.redis, "cyd") is not None
        assert describe_incident(scene.redis, open_case(scene.redis, case).incident_id)["handed"] is None
        with pytest.raises(QueueError, match="is held by cyd"):
            take_case(scene.redis, "bob", case)

    @pytest.mark.parametrize("how", [withdraw, let_go, "release"])
    def test_the_giver_takes_it_back(self, scene: Scene, case: str, how: Any) -> None:
        """A case that was handed over by mistake would go away all the same."""
        hand_over(scene.redis, "ann", case, to="bob", note="")
        if how == "release":
            release(scene.redis, open_case(scene.redis, case).incident_id, "ann")
        else:
            how(scene.redis, "ann", case)
        assert open_case(scene.redis, case).handed_to is None

    def test_the_giver_is_given_other_work(self, scene: Scene, case: str) -> None:
        """Whoever handed a case over would be given it at each turn until somebody takes it."""
        hand_over(scene.redis, "ann", case, to="bob", note="")
        other = scene.raise_incident("cam-2", Severity.REVIEW)
        claim = take(scene.redis, "ann")
        assert claim is not None
        assert claim.incident_id == other

    def test_to_people_who_may_hold_it(self, scene: Scene) -> None:
        """A case would wait for somebody who cannot take it."""
        roster, incident = Roster(scene.redis), scene.raise_incident("cam-1")
        kim, case_id = roster.add("kim"), case_of(scene.redis, incident)
        roster.add("sam", Role.AUDITOR)
        roster.add("Bob")
        take_case(scene.redis, kim, case_id)
        with pytest.raises(PeopleError, match="nobody-here is not in the roster"):
            hand_over(scene.redis, kim, case_id, to="nobody-here", note="")
        with pytest.raises(PeopleError, match=r"sam is auditor: case .* needs a moderator"):
            hand_over(scene.redis, kim, case_id, to="sam", note="")
        with pytest.raises(QueueError, match="kim holds it already"):
            hand_over(scene.redis, kim, case_id, to="KIM", note="")
        hand_over(scene.redis, kim, case_id, to="bob ", note="")
        assert open_case(scene.redis, case_id).handed_to == "Bob"

    def test_the_giver_was_removed(self, scene: Scene) -> None:
        """A removed person's hand over would keep a case from the others."""
        roster, incident = Roster(scene.redis), scene.raise_incident("cam-1")
        kim, bob, case_id = roster.add("kim"), roster.add("bob"), case_of(scene.redis, incident)
        take_case(scene.redis, kim, case_id)
        hand_over(scene.redis, kim, case_id, to="bob", note="")
        remove_person(scene.redis, "kim", by=roster.lead)
        assert open_case(scene.redis, case_id).handed_to is None
        assert take_case(scene.redis, roster.lead, case_id).incident_id == incident
        with pytest.raises(QueueError, match="is held by lea"):
            take_case(scene.redis, bob, case_id)

    def test_decided_meanwhile(self, scene: Scene) -> None:
        """A colleague would be given a case that is decided."""
        incident = scene.raise_incident("cam-1")
        case_id = case_of(scene.redis, incident)
        take_case(scene.redis, "ann", case_id)
        hand_over(scene.redis, "ann", case_id, to="bob", note="")
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
        with pytest.raises(QueueError, match="was decided already"):
            take_case(scene.redis, "bob", case_id)
        with pytest.raises(QueueError, match="was decided already"):
            hand_over(scene.redis, "ann", case_id, to="bob", note="")
        assert take(scene.redis, "bob") is None


class TestHelp:
    def test_all_see_the_question(self, scene: Scene, case: str) -> None:
        """A person who needs a second opinion would have to shout."""
        ask_help(scene.redis, "ann", case, what="is this the same room?")
        shown = open_case(scene.redis, case)
        assert (shown.help, shown.help_by) == ("is this the same room?", "ann")
        record = describe_incident(scene.redis, shown.incident_id)
        assert (record["help"]["what"], record["help"]["by"]) == ("is this the same room?", "ann")
        (entry,) = audited(scene.redis, "ask_help")
        assert entry["details"] == {"question": "is this the same room?"}

    def test_it_stays_when_another_takes_the_case(self, scene: Scene, case: str) -> None:
        """The person who comes to help would not be shown the question."""
        ask_help(scene.redis, "ann", case, what="?")
        let_go(scene.redis, "ann", case)
        take_case(scene.redis, "bob", case)
        assert open_case(scene.redis, case).help == "?"
        ask_help(scene.redis, "ann", case, what="")
        assert open_case(scene.redis, case).help == ""

    @pytest.mark.parametrize("by", ["bob", "cyd"])
    def test_the_holder_may_clear_it_and_no_other(self, scene: Scene, case: str, by: str) -> None:
        """Anybody could hide that somebody asks."""
        ask_help(scene.redis, "ann", case, what="?")
        let_go(scene.redis, "ann", case)
        take_case(scene.redis, "bob", case)
        if by == "bob":
            ask_help(scene.redis, by, case, what="")
        else:
            with pytest.raises(QueueError, match="is held by bob"):
                ask_help(scene.redis, by, case, what="")
        assert bool(open_case(scene.redis, case).help) == (by != "bob")

    def test_a_decision_clears_it(self, scene: Scene) -> None:
        """A question would stand after its answer."""
        incident = scene.raise_incident("cam-1")
        take_case(scene.redis, "ann", case_of(scene.redis, incident))
        ask_help(scene.redis, "ann", case_of(scene.redis, incident), what="?")
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
        assert describe_incident(scene.redis, incident)["help"] is None


def test_an_audit_log_that_cannot_be_written_keeps_nobody_from_a_case(scene: Scene, case: str) -> None:
    """A damaged key would keep people from handing over what they cannot finish."""
    scene.redis.delete(AUDIT_UNLINKED.name)
    scene.redis.set(AUDIT_UNLINKED.name, "of another kind")
    hold_case(scene.redis, "ann", case, until_seconds=600, why="x")
    hand_over(scene.redis, "ann", case, to="bob", note="x")
    ask_help(scene.redis, "ann", case, what="x")
    assert take_case(scene.redis, "bob", case).in_case


@pytest.mark.parametrize("minutes", [1, 40])
def test_what_is_said_again_later_is_an_act_of_its_own(scene: Scene, case: str, minutes: int) -> None:
    """A hold would end before its time, or a question be asked twice and be on record once."""
    (incident, *others) = renew(scene.redis, "ann", case).incidents

    def act() -> None:
        hold_case(scene.redis, "ann", case, until_seconds=60 * minutes, why="a call")
        hand_over(scene.redis, "ann", case, to="bob", note="soon")
        ask_help(scene.redis, "ann", case, what="the same room?")

    act()
    act()
    acts = ("case_hold", "hand_over", "ask_help")
    assert [len(audited(scene.redis, one)) for one in acts] == [1, 1, 1]
    for one in (incident, *others):
        for name in ("hold_until_ms", "lease_until_ms", "handed_ms", "help_ms"):
            scene.redis.hincrby(incident_key(one), name, -1000 * min(ONCE_SECONDS, 30 * minutes))
    act()
    assert [len(audited(scene.redis, one)) for one in acts] == ([2, 2, 2] if minutes == 40 else [2, 1, 1])
    assert open_case(scene.redis, case).lease_seconds > 60 * minutes - 10


def test_an_act_that_gained_an_incident_is_on_record(scene: Scene, case: str) -> None:
    """Nobody could say who kept the incident that came last."""
    hold_case(scene.redis, "ann", case, until_seconds=HOUR, why="a call")
    later = scene.raise_incident("cam-1", Severity.REVIEW)
    take_case(scene.redis, "ann", case)
    hold_case(scene.redis, "ann", case, until_seconds=HOUR, why="a call")
    assert len(audited(scene.redis, "case_hold")) == 2
    assert scene.redis.hget(incident_key(later), "hold_why") == "a call"


@pytest.mark.parametrize("damage", ["case", "held", "incident"])
def test_damaged_keys_cost_no_case(scene: Scene, case: str, damage: str) -> None:
    """One damaged key would keep a case from everybody."""
    first, second = renew(scene.redis, "ann", case).incidents
    key = {"case": f"lw:case:{case}", "held": "lw:held:ann", "incident": incident_key(second)}[damage]
    scene.redis.delete(key)
    scene.redis.set(key, "of another kind")
    named = first if damage == "case" else case
    for act in (
        lambda: renew(scene.redis, "ann", named),
        lambda: hold_case(scene.redis, "ann", named, until_seconds=600, why="x"),
        lambda: ask_help(scene.redis, "ann", named, what="x"),
        lambda: let_go(scene.redis, "ann", named),
    ):
        assert first in act().incidents
