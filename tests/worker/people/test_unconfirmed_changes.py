"""Changes of the roster that are made, and whose answers from Redis never come: no token is lost with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Ran, livewarden
from people_made import Roster
from redis import Redis
from redis_between import Command, Send, redis_between

from worker.people.actor import Role
from worker.people.changes import renew_token
from worker.people.roster import PEOPLE, authenticate
from worker.store.redis_client import RETRIES, connect


class LosesChanges:
    """Loses the answers to the first `count` changes of the roster."""

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self, command: Command, send: Send) -> bytes | None:
        answer = send()
        changes = command[0] in (b"EVAL", b"EVALSHA") and command[3] == PEOPLE.encode()
        if not changes or answer.startswith(b"-") or not self._left:
            return answer
        self._left -= 1
        return None


@pytest.fixture
def unanswered_url(redis_url: str) -> Iterator[str]:
    with redis_between(redis_url, LosesChanges(10**6)) as url:
        yield url


def run(url: str, *arguments: object, token: str = "") -> Ran:
    return livewarden(*arguments, environment={"LIVEWARDEN_REDIS_URL": url, "LIVEWARDEN_TOKEN": token})


def test_the_first_lead_has_a_token(redis: Redis, unanswered_url: str) -> None:
    """The roster would be theirs alone to change, by a token that nobody ever saw."""
    added = run(unanswered_url, "people", "add", "lea", "--role", "lead")
    assert added.status == 2
    assert "may be in force" in added.err
    assert authenticate(redis, "lea", added.out.strip()).role is Role.LEAD


def test_a_lead_s_new_token_is_kept_beside_the_one_before(redis: Redis, unanswered_url: str, tmp_path: Path) -> None:
    """The only lead would be locked out by the command that replaces a token which leaked."""
    old, file = Roster(redis).tokens["lea"], tmp_path / "lea.token"
    file.write_text(old)
    renewed = run(unanswered_url, "people", "token", "lea", "--out", file, token=old)
    assert renewed.status == 2
    (beside,) = (one for one in tmp_path.iterdir() if one != file)
    assert f"the token is in {beside}\n" in renewed.out
    assert file.read_text() == old
    assert authenticate(redis, "lea", beside.read_text().strip()).role is Role.LEAD


def test_a_change_whose_answer_is_lost_for_some_seconds_is_confirmed(redis: Redis, redis_url: str) -> None:
    """A lead would read of a failure on the desk's page, and their token be void."""
    roster = Roster(redis)
    with redis_between(redis_url, LosesChanges(RETRIES + 2)) as url, connect(url) as client:
        token = renew_token(client, "lea", by=roster.lead)
    assert authenticate(redis, "lea", token).role is Role.LEAD
