"""CPU time by stage of the pipeline."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time


class StageClock:
    """CPU seconds of this thread, by stage of the pipeline."""

    def __init__(self) -> None:
        self.spent = {"hash": 0.0, "match": 0.0, "classify": 0.0}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds what the block takes."""
        started = thread_time()
        try:
            yield
        finally:
            self.spent[name] += thread_time() - started
