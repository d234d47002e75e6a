"""People authenticated by the roster."""

import json

import pytest
from people_made import Roster
from redis import Redis

from worker.errors import PeopleError, QueueError, StoreError
from worker.people.actor import Actor, Role
from worker.people.changes import add_person, remove_person, renew_token
from worker.people.roster import PEOPLE, actor_of_proof, authenticate


@pytest.fixture
def roster(redis: Redis) -> Roster:
    return Roster(redis)


class TestWithoutARoster:
    def test_everybody_acts_unverified_in_the_role_that_they_state(self, redis: Redis) -> None:
        """A deployment that has never heard of rosters would stop working at an update."""
        assert authenticate(redis, " kim ", None) == Actor(name="kim", role=Role.MODERATOR)
        lead = authenticate(redis, "kim", "a token of elsewhere", role="lead")
        assert (lead.role, lead.verified, lead.proof) == (Role.LEAD, False, "")

    @pytest.mark.parametrize("kind", ["string", "list"])
    def test_foreign_data_in_its_place_is_no_roster(self, redis: Redis, kind: str) -> None:
        """Nobody could take an incident until somebody has removed a foreign key."""
        redis.set(PEOPLE, "x") if kind == "string" else redis.rpush(PEOPLE, "x")
        assert not authenticate(redis, "kim", None).verified


class TestWithARoster:
    def test_the_right_token_gives_the_role_of_the_roster(self, roster: Roster) -> None:
        """A person could not act, or would act in another role."""
        kim = roster.add("Kim")
        assert (kim.name, kim.role, kim.verified) == ("Kim", Role.MODERATOR, True)
        assert authenticate(roster.redis, "kIM", roster.tokens["Kim"]) == kim, "one person in two spellings"
        assert authenticate(roster.redis, "Kim", roster.tokens["Kim"], role="moderator") == kim

    @pytest.mark.parametrize("token", [None, "", "lwt_guess", "\udcff"])
    def test_a_missing_or_wrong_token_is_refused(self, roster: Roster, token: str | None) -> None:
        """Anybody could decide in the name of anybody."""
        roster.add("kim")
        with pytest.raises(PeopleError, match="token") as refused:
            authenticate(roster.redis, "kim", token)
        assert "guess" not in str(refused.value)

    def test_another_s_token_is_refused(self, roster: Roster) -> None:
        """A moderator could act as a lead."""
        roster.add("kim")
        with pytest.raises(PeopleError, match="the token is not lea's"):
            authenticate(roster.redis, "lea", roster.tokens["kim"])

    def test_a_stranger_is_refused(self, roster: Roster) -> None:
        """A misspelt name would become a person of its own."""
        with pytest.raises(PeopleError, match="kmi is not in the roster: a lead adds people"):
            authenticate(roster.redis, "kmi", roster.tokens["lea"])

    def test_a_role_that_the_roster_does_not_say_is_refused(self, roster: Roster) -> None:
        """A moderator could make themselves a lead by an option."""
        roster.add("kim")
        with pytest.raises(PeopleError, match="--role lead: kim is moderator in the roster: leave --role out"):
            authenticate(roster.redis, "kim", roster.tokens["kim"], role="lead")
        with pytest.raises(PeopleError, match="expected one of"):
            authenticate(roster.redis, "kim", roster.tokens["kim"], role="boss")

    def test_a_damaged_record_is_refused_and_named(self, roster: Roster) -> None:
        """A damaged record would let anybody in, or end every command in a traceback."""
        roster.add("kim")
        for damaged in ("{", "[]", "null", '{"role": "boss"}', '{"role": "lead"}', "[" * 100_000):
            roster.redis.hset(PEOPLE, "kim", damaged)
            with pytest.raises(StoreError, match="record of 'kim' is damaged"):
                authenticate(roster.redis, "kim", roster.tokens["kim"])
        assert roster.lead.verified

    def test_names_are_checked(self, roster: Roster) -> None:
        """A name could steer the terminal of whoever reads the refusal."""
        with pytest.raises(QueueError, match="--by"):
            authenticate(roster.redis, "a\x1b[31m", None)


class TestProof:
    def test_a_proof_is_the_person_in_the_role_of_this_moment(self, roster: Roster) -> None:
        """Somebody who is signed in would keep a role that was taken away."""
        kim = roster.add("kim")
        assert actor_of_proof(roster.redis, "kim", kim.proof) == kim
        add_person(roster.redis, "kim", "auditor", by=roster.lead)
        assert actor_of_proof(roster.redis, "kim", kim.proof).role is Role.AUDITOR

    def test_a_proof_ends_with_its_token_and_its_person(self, roster: Roster) -> None:
        """Somebody who was dismissed would stay signed in."""
        kim = roster.add("kim")
        with pytest.raises(PeopleError, match="new token"):
            actor_of_proof(roster.redis, "kim", roster.lead.proof)
        renew_token(roster.redis, "kim", by=roster.lead)
        with pytest.raises(PeopleError, match="new token"):
            actor_of_proof(roster.redis, "kim", kim.proof)
        remove_person(roster.redis, "kim", by=roster.lead)
        with pytest.raises(PeopleError, match="not in the roster"):
            actor_of_proof(roster.redis, "kim", kim.proof)

    def test_an_older_record_without_a_proof_is_nobody_s(self, roster: Roster) -> None:
        """An empty digest would be anybody's."""
        roster.add("kim")
        record = json.loads(str(roster.redis.hget(PEOPLE, "kim"))) | {"proof_sha1": ""}
        roster.redis.hset(PEOPLE, "kim", json.dumps(record))
        with pytest.raises(PeopleError, match="new token"):
            actor_of_proof(roster.redis, "kim", "")
