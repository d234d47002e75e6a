"""Changes of the roster, in a real Valkey."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from people_made import Roster
from redis import Redis

from worker.errors import PeopleError, QueueError, StoreError
from worker.people.actor import Actor, Role
from worker.people.changes import add_person, remove_person, renew_token
from worker.people.roster import MAX_PEOPLE, PEOPLE, authenticate, read_roster
from worker.people.tokens import is_token
from worker.store.redis_client import connect, run_script
from worker.store.redis_keys import AUDIT_UNLINKED


@pytest.fixture
def roster(redis: Redis) -> Roster:
    return Roster(redis)


def audited(redis: Redis) -> list[dict[str, Any]]:
    """Entries of the audit log, oldest first, without their random ids."""
    entries = [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]
    for entry in entries:
        entry.pop("id")
    return entries


class TestTheFirstPerson:
    def test_a_lead_begins_the_roster_without_a_token(self, redis: Redis) -> None:
        """Nobody could ever begin a roster."""
        token = add_person(redis, "lea", "lead", by=Actor.named("lea"))
        assert authenticate(redis, "lea", token).role is Role.LEAD
        (entry,) = audited(redis)
        assert (entry["act"], entry["by"], entry["verified"], entry["subject"]) == ("role", "lea", False, "lea")
        assert entry["details"] == {"change": "added", "role": "lead"}

    @pytest.mark.parametrize("role", ["moderator", "operator", "auditor"])
    def test_nobody_else_begins_it(self, redis: Redis, role: str) -> None:
        """From then on nobody could change the roster."""
        with pytest.raises(PeopleError, match="it begins with a lead"):
            add_person(redis, "kim", role, by=Actor.named("kim"))
        assert not redis.exists(PEOPLE)

    def test_of_two_who_begin_it_at_once_one_succeeds(self, redis: Redis, redis_url: str) -> None:
        """A stranger who is quick could be a lead beside the first one."""

        def begin(name: str) -> bool:
            with connect(redis_url) as own:
                try:
                    return add_person(own, name, "lead", by=Actor.named(name)) is not None
                except PeopleError:
                    return False

        with ThreadPoolExecutor(8) as pool:
            begun = list(pool.map(begin, [f"lead-{number}" for number in range(8)]))
        assert begun.count(True) == 1
        assert redis.hlen(PEOPLE) == 1


class TestChanges:
    def test_only_a_verified_lead_changes_the_roster(self, roster: Roster) -> None:
        """A moderator could make themselves a lead, or anybody remove anybody."""
        kim, ops = roster.add("kim"), roster.add("ops", Role.OPERATOR)
        others = (kim, ops, Actor.named("lea"), Actor(name="lea", role=Role.LEAD, verified=True, proof="guess"))
        before = roster.redis.hgetall(PEOPLE)
        for other in others:
            for change in (
                lambda by: add_person(roster.redis, "zoe", "moderator", by=by),
                lambda by: add_person(roster.redis, "kim", "lead", by=by),
                lambda by: remove_person(roster.redis, "ops", by=by),
                lambda by: renew_token(roster.redis, "lea", by=by),
            ):
                with pytest.raises(PeopleError, match=r"only a lead may|needs a token|was removed from the roster"):
                    change(other)
        assert roster.redis.hgetall(PEOPLE) == before

    def test_a_role_changes_and_the_token_stays(self, roster: Roster) -> None:
        """A promotion would lock a person out until the new token has reached them."""
        kim = roster.add("kim")
        assert add_person(roster.redis, "KIM", "lead", by=roster.lead) is None
        assert roster.actor("kim").role is Role.LEAD
        assert roster.actor("kim").proof == kim.proof
        assert audited(roster.redis)[-1]["details"] == {"change": "role", "role": "lead", "was": "moderator"}
        with pytest.raises(PeopleError, match="kim is lead already"):
            add_person(roster.redis, "kim", "lead", by=roster.lead)

    def test_a_removed_person_can_do_nothing(self, roster: Roster) -> None:
        """A person who has left could go on with what their terminal had authenticated."""
        eve = roster.add("eve", Role.LEAD)
        remove_person(roster.redis, "eve", by=roster.lead)
        with pytest.raises(PeopleError, match="eve is not in the roster"):
            roster.actor("eve")
        with pytest.raises(PeopleError, match="eve was removed from the roster, or has a new token"):
            add_person(roster.redis, "zoe", "lead", by=eve)
        assert audited(roster.redis)[-1]["details"] == {"change": "removed", "was": "lead"}
        with pytest.raises(PeopleError, match="eve is not in the roster"):
            remove_person(roster.redis, "eve", by=roster.lead)

    def test_a_new_token_ends_the_one_before(self, roster: Roster) -> None:
        """A lost token could be used for ever."""
        before = roster.add("kim")
        roster.tokens["old"], roster.tokens["kim"] = roster.tokens["kim"], renew_token(roster.redis, "kim", by=before)
        assert roster.actor("kim").verified
        with pytest.raises(PeopleError, match="the token is not kim's"):
            authenticate(roster.redis, "kim", roster.tokens["old"])
        with pytest.raises(PeopleError, match="has a new token"):
            renew_token(roster.redis, "kim", by=before)
        roster.tokens["kim"] = renew_token(roster.redis, "kim", by=roster.lead)
        assert roster.actor("kim").role is Role.MODERATOR
        assert audited(roster.redis)[-1]["details"] == {"change": "token", "role": "moderator", "was": "moderator"}

    def test_the_last_lead_stays(self, roster: Roster) -> None:
        """Nobody could change the roster any more."""
        for change in (
            lambda: remove_person(roster.redis, "lea", by=roster.lead),
            lambda: add_person(roster.redis, "lea", "moderator", by=roster.lead),
        ):
            with pytest.raises(PeopleError, match="lea is the last lead"):
                change()
        roster.add("kim", Role.LEAD)
        remove_person(roster.redis, "lea", by=roster.lead)
        assert list(read_roster(roster.redis)) == ["kim"]

    def test_two_leads_who_remove_each_other_leave_one(self, roster: Roster, redis_url: str) -> None:
        """Between the reading and the writing of both, the roster would lose its last lead."""
        leads = [roster.lead, roster.add("kim", Role.LEAD)]

        def remove_other(by: Actor) -> bool:
            with connect(redis_url) as own:
                try:
                    remove_person(own, "kim" if by.name == "lea" else "lea", by=by)
                except PeopleError:
                    return False
                return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(remove_other, leads)) == [False, True]
        assert roster.redis.hlen(PEOPLE) == 1

    def test_one_person_in_two_spellings_is_one(self, roster: Roster) -> None:
        """Kim could confirm as KIM what Kim put forward."""
        roster.add("Kim")
        with pytest.raises(PeopleError, match="Kim is moderator already"):
            add_person(roster.redis, "kIM", "moderator", by=roster.lead)

    def test_a_damaged_record_can_be_removed_and_nothing_else(self, roster: Roster) -> None:
        """A damaged record would stay for good."""
        roster.add("kim")
        roster.redis.hset(PEOPLE, "kim", "{")
        with pytest.raises(StoreError, match="record of 'kim' is damaged"):
            renew_token(roster.redis, "kim", by=roster.lead)
        remove_person(roster.redis, "kim", by=roster.lead)
        assert roster.add("kim").verified

    @pytest.mark.parametrize(("name", "role"), [("kim", "boss"), ("kim", "platform"), ("kim", "")])
    def test_a_role_that_no_person_has_is_refused(self, roster: Roster, name: str, role: str) -> None:
        """A person could act in no role, and learn it at the first escalation."""
        with pytest.raises(PeopleError, match="--role"):
            add_person(roster.redis, name, role, by=roster.lead)

    def test_the_name_of_livewardens_own_acts_is_refused(self, roster: Roster) -> None:
        """A person's acts could hide among those that the audit log has by no person."""
        with pytest.raises(PeopleError, match="choose another"):
            add_person(roster.redis, "Worker", "moderator", by=roster.lead)

    def test_a_name_that_cannot_be_shown_is_refused(self, roster: Roster) -> None:
        """A name could steer the terminal of whoever lists the roster."""
        with pytest.raises(QueueError, match="expected a name of"):
            add_person(roster.redis, "a\nb", "moderator", by=roster.lead)

    def test_the_roster_has_a_bound(self, roster: Roster) -> None:
        """A script that goes wrong could fill Redis."""
        roster.redis.hset(PEOPLE, mapping={f"p{number}": "{}" for number in range(MAX_PEOPLE - 1)})
        with pytest.raises(PeopleError, match="the roster has 1000 people"):
            roster.add("kim")

    def test_nothing_of_a_token_is_in_redis(self, roster: Roster) -> None:
        """A reader of Redis or of its disk could act as anybody."""
        roster.add("kim")
        everything = str([roster.redis.hgetall(PEOPLE), roster.redis.xrange(AUDIT_UNLINKED.name)])
        for name, token in roster.tokens.items():
            assert token not in everything
            assert roster.actor(name).proof not in everything

    def test_a_change_of_what_another_has_changed_meanwhile_reads_again(self, roster: Roster) -> None:
        """A lead who changes a role could bring back the token that the person has just replaced."""
        kim = roster.add("kim")
        stale = roster.redis.hget(PEOPLE, "kim")
        roster.tokens["kim"] = renew_token(roster.redis, "kim", by=kim)
        lead = roster.lead
        written = [lead.name, lead.proof, "kim", stale, stale, MAX_PEOPLE, ""]
        assert run_script(roster.redis, "people_change", keys=[PEOPLE], args=written) == ["clash"]
        assert roster.actor("kim").verified

    def test_many_changes_at_once_are_all_made(self, roster: Roster, redis_url: str) -> None:
        """Leads who work at the same time would undo one another's changes, unnoticed."""
        roster.add("kim")
        leads = [roster.add(f"lead-{number}", Role.LEAD) for number in range(4)]

        def renew(by: Actor) -> str:
            with connect(redis_url) as own:
                return renew_token(own, "kim", by=by)

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(renew, leads))
        in_force = json.loads(roster.redis.hget(PEOPLE, "kim"))["token_sha256"]
        accepted = [token for token in made if is_token(token, in_force)]
        assert len(accepted) == 1
        assert len([entry for entry in audited(roster.redis) if entry["details"]["change"] == "token"]) == 4
