"""Checks of the roster: whether names of people are proved, and whether somebody can change it."""

from collections import Counter
from collections.abc import Iterator

from redis import Redis

from config.counts import counted
from worker.doctor.diagnosis import Diagnosis, fail, ok, warn
from worker.errors import StoreError
from worker.people.actor import Role
from worker.people.roster import PEOPLE, ROSTER_ROLES, Person, read_roster

_NAME = "people"


def examine_people(redis: Redis) -> Iterator[Diagnosis]:
    """Counts the people of the roster by their roles, and finds records that cannot be read."""
    if redis.type(PEOPLE) not in ("hash", "none"):
        yield fail(
            _NAME,
            f"{PEOPLE} is no hash, as livewarden makes it: it counts as no roster, and names are not checked",
            f"remove the foreign key (`DEL {PEOPLE}`), and find out who wrote it; then add your people again",
        )
        return
    records = read_roster(redis)
    if not records:
        yield warn(
            _NAME,
            "there is no roster: anybody may act under any name, and the audit log has every act as unverified",
            "begin one with `livewarden people add NAME --role lead`",
        )
        return
    people, damaged = [], []
    for name, text in records.items():
        try:
            people.append(Person.from_json(name, text))
        except StoreError:
            damaged.append(name)
    roles = Counter(person.role for person in people)
    found = ", ".join(counted(roles[role], role) for role in ROSTER_ROLES if roles[role])
    if damaged:
        yield fail(
            _NAME,
            f"records that cannot be read: {', '.join(sorted(damaged))}",
            "a lead removes and adds these people again (`livewarden people remove`, `add`): until then they can do "
            "nothing",
        )
    elif roles[Role.LEAD] == 1:
        yield warn(
            _NAME, f"{found}: if that lead's token is lost, nobody can change the roster", "make another person a lead"
        )
    else:
        yield ok(_NAME, found)
