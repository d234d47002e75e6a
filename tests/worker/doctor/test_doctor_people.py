"""What `livewarden doctor` says of the roster."""

from people_made import Roster
from redis import Redis

from worker.doctor.diagnosis import State
from worker.doctor.people import examine_people
from worker.people.actor import Role
from worker.people.roster import PEOPLE


def test_a_deployment_without_a_roster_says_so(redis: Redis) -> None:
    """An operator would take every name in the record for proved."""
    (found,) = examine_people(redis)
    assert (found.name, found.state) == ("people", State.WARN)
    assert "unverified" in found.found
    assert "livewarden people add NAME --role lead" in found.advice


def test_people_are_counted_by_role(redis: Redis) -> None:
    """A lost token of the only lead would lock everybody out of the roster, without a warning before."""
    roster = Roster(redis)
    roster.add("kim")
    roster.add("zoe")
    (found,) = examine_people(redis)
    assert (found.state, found.found.partition(":")[0]) == (State.WARN, "2 moderators, 1 lead")
    roster.add("max", Role.LEAD)
    (found,) = examine_people(redis)
    assert (found.state, found.found) == (State.OK, "2 moderators, 2 leads")


def test_damaged_records_are_named(redis: Redis) -> None:
    """A person could do nothing, and nobody would know why."""
    roster = Roster(redis)
    roster.add("kim")
    redis.hset(PEOPLE, "kim", "{")
    (found,) = examine_people(redis)
    assert (found.state, found.found) == (State.FAIL, "records that cannot be read: kim")
    redis.delete(PEOPLE)
    redis.set(PEOPLE, "x")
    (found,) = examine_people(redis)
    assert (found.state, "counts as no roster" in found.found) == (State.FAIL, True)
