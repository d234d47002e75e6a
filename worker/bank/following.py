"""What each process that follows the bank tells of itself: up to which change it has come."""

import json
from dataclasses import dataclass

from worker.bank.changelog import START, position


@dataclass(frozen=True, kw_only=True)
class Following:
    """How far a process had come, and when it told so."""

    position: str
    at_ms: int
    """By Redis's clock."""

    def to_json(self) -> str:
        """As it is kept in Redis."""
        return json.dumps({"position": self.position, "at_ms": self.at_ms})


def told_by(text: object) -> Following | None:
    """Reads what a process told; None: it is damaged."""
    try:
        record = json.loads(str(text))
        where = str(record.get("position", START))
        position(where)
        return Following(position=where, at_ms=int(record["at_ms"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
