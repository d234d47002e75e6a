"""Detection of lost state in Redis: empty, an older copy, or only a clock that goes back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hls_origin import eventually
from kombu import Connection, Exchange, Queue
from redis import Redis
from redis_clock import server_with_clock

from config.schemas import check_event
from worker.bank.keys import SNAPSHOT
from worker.doctor.diagnosis import State
from worker.doctor.redis import diagnose
from worker.events.operations import OPERATIONS
from worker.health.redis_epoch import EPOCH, FORGIVEN_MS, SEED, Epoch, EpochWatch, read_epoch
from worker.runtime.broker import bind_queues
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_client import connect


class Living:
    """A process that reports its presence."""

    def __init__(self, redis: Redis) -> None:
        self._redis, self._watch = redis, EpochWatch(deployment="test")

    def sign(self) -> Epoch:
        return self._watch.check(self._redis, SNAPSHOT)

    def signs_for(self, milliseconds: int) -> Epoch:
        """Reports presence until Redis's clock has advanced by so much."""
        begun = self.sign()
        eventually(lambda: self.sign().alive_ms - begun.alive_ms > milliseconds, within_seconds=60, what="it goes on")
        return self.sign()


def losses(redis: Redis) -> list[dict]:
    events = [json.loads(fields["event"]) for _, fields in redis.xrange(OPERATIONS)]
    for event in events:
        check_event(event)
    return [event["data"] for event in events]


def test_a_new_deployment_has_lost_nothing(redis: Redis) -> None:
    """Each first start would call an operator."""
    one = Living(redis)
    assert one.sign().lost == ""
    assert Living(redis).sign().id == one.signs_for(2_500).id
    assert losses(redis) == []
    assert diagnose(read_epoch(redis), 0).state is State.OK


def test_an_emptied_redis_is_noticed_by_all_and_published_once(redis: Redis) -> None:
    """Operators would not learn that nothing is watched, or each process would call them."""
    one, other = Living(redis), Living(redis)
    before = one.sign()
    seed = redis.get(SEED)
    latest = other.signs_for(500)
    redis.flushall()
    after = one.sign()
    assert (after.lost, after.since_ms, after.found) == (before.id, before.alive_ms, "nothing")
    assert after.id != before.id
    assert other.sign().since_ms == latest.alive_ms, "the last instant at which any of them saw it"
    assert redis.get(SEED) not in (None, seed)
    one.signs_for(2_500)
    other.sign()
    (loss,) = losses(redis)
    assert loss["since"] is not None
    assert diagnose(read_epoch(redis), after.begun_ms).state is State.WARN


def test_a_process_that_starts_first_hides_no_loss(redis: Redis) -> None:
    """A worker that restarts together with Redis would make the loss look like a new deployment."""
    one = Living(redis)
    before = one.sign()
    redis.flushall()
    new = Living(redis)
    assert new.sign().lost == ""
    assert one.sign().lost == new.sign().lost == before.id


def test_an_older_copy_is_a_loss_and_a_second_of_lost_writes_is_none(redis: Redis) -> None:
    """A Redis restored from yesterday's backup would pass for current."""
    one, other = Living(redis), Living(redis)
    first, copy = one.sign(), redis.dump(EPOCH)
    other.sign()
    second = one.signs_for(FORGIVEN_MS + 1_000)
    other.sign()
    last = redis.dump(EPOCH)
    assert one.signs_for(1_000).id == first.id
    redis.restore(EPOCH, 0, last, replace=True)
    assert one.sign().id == first.id, "as `appendfsync everysec` may leave it"
    newest = one.sign()
    redis.restore(EPOCH, 0, copy, replace=True)
    after = one.sign()
    assert after.id != first.id
    assert (after.lost, after.found, after.since_ms) == (first.id, "older_copy", newest.alive_ms)
    assert other.sign().id == after.id
    assert second.id == first.id


def test_a_copy_of_an_earlier_epoch_is_a_loss(redis: Redis) -> None:
    """A Redis restored from before it was emptied would pass for a newer one, and the loss would go unreported."""
    one, other = Living(redis), Living(redis)
    first = one.sign()
    copy = redis.dump(EPOCH)
    other.sign()
    redis.flushall()
    emptied = one.signs_for(500)
    other.signs_for(1)
    redis.restore(EPOCH, 0, copy, replace=True)
    after = one.sign()
    assert after.id not in (first.id, emptied.id)
    assert (after.lost, after.found) == (emptied.id, "older_copy")
    assert after.begun_ms > emptied.alive_ms
    assert other.sign().id == one.sign().id == after.id


def test_a_process_that_starts_first_on_an_older_copy_hides_no_loss(redis: Redis) -> None:
    """If a worker starts together with the restored Redis, the loss of hours would go unreported."""
    one = Living(redis)
    first, copy = one.sign(), redis.dump(EPOCH)
    one.signs_for(FORGIVEN_MS + 1_000)
    last = one.signs_for(1_000)
    redis.restore(EPOCH, 0, copy, replace=True)
    assert Living(redis).sign().id == first.id
    after = one.sign()
    assert (after.lost, after.found, after.since_ms) == (first.id, "older_copy", last.alive_ms)


def test_a_clock_that_goes_back_loses_nothing(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> None:
    """Platforms would be asked to register everything again whenever a host's clock is corrected."""
    with server_with_clock(tmp_path / "server", ci_or_skip) as server, connect(server.url) as redis:
        one = Living(redis)
        before = one.sign()
        server.set_back(600)
        assert one.sign().id == before.id
        assert Living(redis).sign().id == before.id
        redis.flushall()
        assert one.sign().lost == before.id, "and yet an emptied one is noticed"


def test_a_loss_without_surviving_processes_is_detected_by_the_banks_folder(redis: Redis) -> None:
    """The loss of Redis and all workers together would go unreported."""
    redis.hset(SNAPSHOT, mapping={"name": "snapshot-1", "watermark": "1-0", "adopted": 1})
    one = Living(redis)
    epoch = one.sign()
    assert (epoch.lost, epoch.since_ms, epoch.bank) == ("unknown", None, "behind")
    one.signs_for(2_500)
    (loss,) = losses(redis)
    assert loss["since"] is None


def test_a_segment_begun_right_after_a_loss_has_audits(redis: Redis, process: WorkerProcess) -> None:
    """Each segment would fail until some process reports its presence."""
    before = process.seed("segment")
    redis.flushall()
    after = process.seed("segment")
    assert after != before
    assert process.seed("segment") == after
    Living(redis).sign()
    assert process.seed("segment") == after


def test_a_producer_that_uses_an_exchange_still_arrives_after_a_loss(redis: Redis, redis_url: str) -> None:
    """kombu binds a queue once: every later message would vanish without an error."""
    queue = Queue("intake", Exchange("intake"), routing_key="intake")
    epochs = EpochWatch(deployment="test", begin=lambda client: bind_queues(client, ["intake"]))
    epochs.check(redis, SNAPSHOT)
    with Connection(redis_url) as connection, connection.Producer() as producer:

        def send() -> int:
            producer.publish({}, exchange="intake", routing_key="intake", declare=[queue], serializer="json")
            return redis.llen("intake")

        assert send() == 1
        redis.flushall()
        assert send() == 0, "kombu"
        epochs.check(redis, SNAPSHOT)
        assert send() == 1


@pytest.mark.parametrize("whole", [False, True])
def test_doctor_shows_a_loss_for_a_day_or_until_the_bank_is_complete(whole: bool) -> None:
    """An operator who returns from a weekend would not learn that lists are missing."""
    epoch = Epoch(id="b", begun_ms=0, alive_ms=1, lost="a", since_ms=0, bank="whole" if whole else "behind")
    assert diagnose(epoch, 3600_000).state is State.WARN
    assert diagnose(epoch, 48 * 3600_000).state is (State.OK if whole else State.WARN)
