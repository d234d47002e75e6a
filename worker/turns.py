"""Whose turn it is: the order in which a worker asks the queues.

Strict priority would starve the last queue for as long as the others are never empty. So `segments` comes last, yet
after `SEGMENTS_EVERY - 1` messages from other queues it is asked first.
"""

from collections.abc import Iterable

CONTROL = "control"
URGENT = "segments.urgent"
SEGMENTS = "segments"

QUEUES = (CONTROL, URGENT, SEGMENTS)
"""By priority."""

SEGMENTS_EVERY = 8
"""`segments` gets at least one turn in this many, under any load."""


class WeightedTurns:
    """The cycle class that kombu's `queue_order_strategy` names.

    kombu tells the queues by `update`, asks for their order by `consume`, takes one message from the first queue that
    has any, and tells `rotate` which one that was.
    """

    def __init__(self, queues: Iterable[str] = ()) -> None:
        self._queues = list(queues)
        self._others_in_a_row = 0

    def update(self, queues: Iterable[str]) -> None:
        """Sets the queues that are consumed from."""
        self._queues = list(queues)

    def consume(self, n: int) -> list[str]:
        """The first `n` queues to ask, in this order."""
        ordered = sorted(self._queues, key=lambda queue: QUEUES.index(queue) if queue in QUEUES else len(QUEUES))
        if SEGMENTS in ordered and self._others_in_a_row >= SEGMENTS_EVERY - 1:
            ordered.remove(SEGMENTS)
            ordered.insert(0, SEGMENTS)
        return ordered[:n]

    def rotate(self, last_used: str) -> None:
        """Notes which queue the last message came from."""
        self._others_in_a_row = 0 if last_used == SEGMENTS else self._others_in_a_row + 1
