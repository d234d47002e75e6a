"""The order in which workers ask the queues."""

from worker.turns import QUEUES, SEGMENTS, SEGMENTS_EVERY, URGENT, WeightedTurns


def serve(turns: WeightedTurns, full: set[str]) -> str:
    """Takes a message as kombu does: from the first queue in order that has one."""
    queue = next(queue for queue in turns.consume(len(QUEUES)) if queue in full)
    turns.rotate(queue)
    return queue


def test_segments_are_never_starved():
    """Under a flood of urgent streams all others would go unwatched."""
    turns = WeightedTurns(QUEUES)
    served = [serve(turns, set(QUEUES)) for _ in range(80)]
    assert served.count(SEGMENTS) == 80 // SEGMENTS_EVERY


def test_urgent_segments_come_first():
    """A stream that gave cause for worry must not wait behind ordinary ones."""
    turns = WeightedTurns()
    turns.update(QUEUES)
    served = [serve(turns, {URGENT, SEGMENTS}) for _ in range(SEGMENTS_EVERY)]
    assert served == [URGENT] * (SEGMENTS_EVERY - 1) + [SEGMENTS]


def test_an_idle_urgent_queue_costs_nothing():
    """Ordinary segments are taken at once where nothing else waits."""
    turns = WeightedTurns(QUEUES)
    assert [serve(turns, {SEGMENTS}) for _ in range(20)] == [SEGMENTS] * 20
