"""People of a roster, for tests: each with a token."""

from redis import Redis

from worker.people.actor import Actor, Role
from worker.people.changes import add_person
from worker.people.roster import authenticate

FIRST_LEAD = "lea"


class Roster:
    """A roster that begins with a lead, and what its people need to act."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.tokens: dict[str, str] = {}
        self.add(FIRST_LEAD, Role.LEAD, by=Actor.named(FIRST_LEAD))

    @property
    def lead(self) -> Actor:
        return self.actor(FIRST_LEAD)

    def add(self, name: str, role: Role = Role.MODERATOR, *, by: Actor | None = None) -> Actor:
        """Adds a person; returns them as authenticated."""
        token = add_person(self.redis, name, role, by=self.lead if by is None else by)
        assert token is not None
        self.tokens[name] = token
        return self.actor(name)

    def actor(self, name: str) -> Actor:
        """The person, authenticated now."""
        return authenticate(self.redis, name, self.tokens[name])
