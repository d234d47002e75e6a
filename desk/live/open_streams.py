"""Open streams of events, by person: a bound, so that one browser cannot take the desk from the others."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from desk.errors import RequestRefusedError
from worker.people.actor import folded

MOST_OF_PERSON: Final = 5
"""A browser has six connections to a host where there is no HTTP/2: one stays for everything else."""


class OpenStreams:
    """Counts the streams that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    @contextmanager
    def opened(self, name: str) -> Iterator[None]:
        """Counts one of a person, while the block runs.

        Raises:
            RequestRefusedError: `MOST_OF_PERSON` are open.
        """
        key = folded(name)
        with self._lock:
            if self._open[key] >= MOST_OF_PERSON:
                raise RequestRefusedError(429, "refused.streams")
            self._open[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]
