"""Pictures that were published as altered, as the queue page states them to leads."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from redis import Redis

from worker.evidence.altered import read_published

SHOWN_MS: Final = 7 * 24 * 3_600_000
"""Time for which one is stated, so that a lead who was away for some days is informed."""
MOST_KEPT: Final = 1_000
"""Pictures that are counted, the newest."""
MOST_NAMED: Final = 3
"""Incidents that are named; the audit log has all."""


@dataclass(frozen=True, kw_only=True)
class AlteredNow:
    """The pictures that are stated."""

    count: int
    incidents: tuple[str, ...]
    """Incidents of the newest, each once, the newest first, <= MOST_NAMED."""


class AlteredFeed:
    """Reads on from where it was: operators' events of other types may be many."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._after = ""
        self._found: deque[tuple[int, str]] = deque(maxlen=MOST_KEPT)
        """Time of publication by Redis's clock, and incident; the oldest first."""

    def read(self, now_ms: int) -> AlteredNow:
        """Returns what is stated at that time of Redis's clock.

        Raises:
            StoreError: Redis failed, or this user of it may not read operators' events.
        """
        oldest_ms = now_ms - SHOWN_MS
        published, self._after = read_published(self._redis, after=self._after or f"{oldest_ms}-0")
        self._found.extend((one.published_ms, one.incident) for one in published)
        while self._found and self._found[0][0] <= oldest_ms:
            self._found.popleft()
        incidents = dict.fromkeys(incident for _, incident in reversed(self._found))
        return AlteredNow(count=len(self._found), incidents=tuple(incidents)[:MOST_NAMED])
