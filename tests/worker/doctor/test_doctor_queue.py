"""`doctor` on the queue."""

from scene import Scene

from worker.doctor.queue import examine_queue
from worker.queue.claims import take


def test_a_sound_queue_is_no_row(scene: Scene) -> None:
    """An operator would read rows that say nothing."""
    scene.raise_incident("cam-1")
    take(scene.redis, "ann")
    assert list(examine_queue(scene.redis)) == []


def test_what_nobody_is_given_is_reported(scene: Scene) -> None:
    """An escalation would wait for ever, and nobody would know."""
    damaged = scene.raise_incident("cam-1")
    scene.redis.hset(f"lw:incident:{damaged}", "event", "{")
    entry_id = scene.redis.xadd("lw:escalations:high", {"event": "{"})
    take(scene.redis, "ann")
    first, second = examine_queue(scene.redis)
    assert (first.name, first.found) == (
        "queue",
        f"1 open incident with damaged records, which nobody is given: {damaged}",
    )
    assert second.found == (
        f"1 entry set aside, ever: 1 malformed; the newest is {entry_id} of lw:escalations:high: no escalation event"
    )
