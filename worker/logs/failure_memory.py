"""Bounded memory of failures by name (`worker.logs.failure_log`), and the number of those that do not fit."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from worker.logs.distinct_names import DistinctNames

REPEAT_SECONDS: Final = 600.0
"""Between two lines about a failure that lasts."""

MOST_RUNS: Final = 3
"""Number of times within `REPEAT_SECONDS` that the same failure is logged as new: one that comes and goes each second
is not logged each second."""

MOST_NAMES: Final = 4_096
"""Remembered failures, some 400 bytes each: names of streams are hostile and many."""


@dataclass(kw_only=True)
class FailureRun:
    """A run of failures of one name."""

    began_at: float
    logged_at: float
    met_at: float
    window_at: float
    """Time when the first of `runs` began."""
    runs: int = 1
    """Runs of this name that began since `window_at`."""
    times: int = 0
    """Failures in this run."""
    lasts: bool = True
    logged: bool = True
    """Its beginning was logged, so its end is too."""

    def is_past(self, now: float) -> bool:
        """Returns whether it has ended, or did not occur for `REPEAT_SECONDS`, so that the next failure begins a new
        run."""
        return not self.lasts or now - self.met_at >= REPEAT_SECONDS

    def begin_again(self, now: float) -> None:
        """Begins a new run after a past one."""
        if now - self.window_at >= REPEAT_SECONDS:
            self.window_at, self.runs = now, 0
        self.runs += 1
        self.began_at, self.times, self.lasts = now, 0, True
        self.logged = self.runs <= MOST_RUNS


class FailureMemory:
    """Runs of failures of one kind, by name.

    When it is full, past runs are evicted, ended ones first. Lasting ones stay: otherwise each of many failures that
    alternate would seem to begin again and again.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, FailureRun] = OrderedDict()
        """Ended runs, then the others by their last failure."""
        self._forgotten = DistinctNames(REPEAT_SECONDS)
        self.beyond = DistinctNames(REPEAT_SECONDS)
        """Names for which there was no room."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def met(self, name: str, now: float) -> tuple[FailureRun, bool] | None:
        """Records a failure; returns its run, and whether that begins; None: there is no room for another."""
        run = self._known.get(name)
        began = run is None or run.is_past(now)
        if run is None:
            if len(self._known) >= MOST_NAMES and not self._evict(now):
                return None
            run = self._known[name] = FailureRun(began_at=now, logged_at=now, met_at=now, window_at=now)
            run.logged = not self._forgotten.has(name, now)
        elif began:
            run.begin_again(now)
        self._known.move_to_end(name)
        run.times, run.met_at = run.times + 1, now
        return run, began

    def over(self, name: str) -> FailureRun | None:
        """Ends a run, and returns it; None: none lasts."""
        run = self._known.get(name)
        if run is None or not run.lasts:
            return None
        run.lasts = False
        self._known.move_to_end(name, last=False)
        return run

    def _evict(self, now: float) -> bool:
        name, first = next(iter(self._known.items()))
        if not first.is_past(now):
            return False
        del self._known[name]
        if now - first.met_at < REPEAT_SECONDS:  # if it fails again soon, that is not logged as new
            self._forgotten.add(name, now)
        return True
