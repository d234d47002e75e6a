"""Persistence: how often, and how close together, a rule must hold before a person is called."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.counts import counted
from config.facts import VideoFrame
from config.policy.cel.windows import MAX_WINDOW_SAMPLES

LATE_SECONDS = 120
"""Longest time by which a segment may end later than its neighbours, by capture time, and still be counted with them: a
live window is rarely longer. It bounds the state of a rule that does not yet persist."""

_Key = TypeVar("_Key", int, str)


class RuleHeld(NamedTuple):
    """A capture time at which a rule held."""

    capture_ms: int
    frames: Collection[VideoFrame] = ()
    """Frames of listed videos for which it held."""
    ordinal: int | None = None
    """The sample's number in capture order; None: not counted (config/facts.py, `Hit`)."""


class Persistence(BaseModel):
    """Condition under which a rule that holds calls a person. Counted by capture time, so in any order of segments."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    hits: int = Field(default=1, ge=1, le=100, strict=True)
    """Distinct instants at which the rule holds."""
    within_seconds: float = Field(default=10.0, gt=0, le=3600, strict=True)
    """The first and the last of them are at most (<=) this far apart."""
    of_samples: int | None = Field(default=None, ge=1, le=MAX_WINDOW_SAMPLES, strict=True)
    """Instead of `within_seconds`: the first and the last are among so many samples in a row, in capture order. More
    samples are taken where pictures change, so this is no measure of time."""
    video_frames: int | None = Field(default=None, ge=2, le=100, strict=True)
    """Instead of `hits`: distinct frames of one listed video that the rule holds for, at as many distinct instants. So
    neither one picture that is like many frames counts, nor one frame that is seen again and again."""

    @model_validator(mode="after")
    def _counts_one_thing(self) -> Self:
        given = self.model_fields_set
        if self.video_frames is not None and "hits" in given:
            raise ValueError("hits or video_frames: a rule counts one or the other")
        if self.of_samples is not None and ("within_seconds" in given or self.video_frames is not None):
            raise ValueError("of_samples: expected it with `hits` alone: it stands in place of within_seconds")
        if self.of_samples is not None and self.hits > self.of_samples:
            of = counted(self.of_samples, "sample")
            raise ValueError(f"hits: {self.hits} of {of}: expected no more hits than samples")
        return self

    def met_by(self, seen: Iterable[RuleHeld]) -> int | None:
        """The capture time at which the rule first persists, whichever it counts; None if it does not."""
        if self.video_frames is None:
            return self._met_at(sorted({one.capture_ms: one for one in seen}.values(), key=lambda one: one.capture_ms))
        videos: dict[tuple[str, str], set[tuple[int, str]]] = {}
        for one in seen:
            for frame in one.frames:
                videos.setdefault((frame.list, frame.video), set()).add((one.capture_ms, frame.entry))
        met = (_run_at(sorted(frames), self.video_frames, self.within_ms) for frames in videos.values())
        return min((at for at in met if at is not None), default=None)

    def _met_at(self, seen: Sequence[RuleHeld]) -> int | None:
        """Distinct instants, by capture time."""
        for first, last in zip(seen, seen[self.hits - 1 :], strict=False):
            if self.reach(first, last):
                return last.capture_ms
        return None

    def reach(self, first: RuleHeld, last: RuleHeld) -> bool:
        """True if a sample at `last` still counts with one at `first`.

        A look-back does not count the samples between: those near in time count then, so that a person looks rather
        too often.
        """
        if self.of_samples is None:
            return last.capture_ms - first.capture_ms <= self.within_ms
        if first.ordinal is None or last.ordinal is None:
            return last.capture_ms - first.capture_ms <= LATE_SECONDS * 1000
        return last.ordinal - first.ordinal < self.of_samples

    @property
    def within_ms(self) -> int:
        """`within_seconds` in whole milliseconds."""
        return round(self.within_seconds * 1000)

    def remembers(self, seen: RuleHeld, newest: RuleHeld) -> bool:
        """True if it may still make the rule persist, with a later one."""
        if self.of_samples is None:
            return seen.capture_ms >= newest.capture_ms - self.remembered_ms
        return self.reach(seen, newest)

    @property
    def remembered_ms(self) -> int:
        """Hits older than this, by capture time, can no longer make the rule persist, unless it counts samples."""
        return self.within_ms + LATE_SECONDS * 1000


def _run_at(frames: Sequence[tuple[int, str]], needed: int, within_ms: int) -> int | None:
    """The capture time at which, of (capture time, entry) in order, enough of both lie within the time."""
    captures: Counter[int] = Counter()
    entries: Counter[str] = Counter()
    first = 0
    for capture_ms, entry in frames:
        captures[capture_ms] += 1
        entries[entry] += 1
        while frames[first][0] < capture_ms - within_ms:
            _take_one(captures, frames[first][0])
            _take_one(entries, frames[first][1])
            first += 1
        if len(captures) >= needed and len(entries) >= needed:
            return capture_ms
    return None


def _take_one(left: Counter[_Key], key: _Key) -> None:
    left[key] -= 1
    if not left[key]:
        del left[key]
