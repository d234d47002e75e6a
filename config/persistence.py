"""How often, and how close together, a rule must hold before a person is called."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.facts import VideoFrame

LATE_SECONDS = 120
"""How much later than its neighbours, by capture time, a segment may end and still be counted with them: a live window
is seldom longer. It bounds what is remembered of a rule that does not yet persist."""

_Key = TypeVar("_Key", int, str)

Seen = tuple[int, Collection[VideoFrame]]
"""A capture time in milliseconds at which a rule held, and the frames of listed videos that it held for."""


class Persistence(BaseModel):
    """How often a rule must hold before a person is called. Counted by capture time, so in any order of segments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hits: int = Field(default=1, ge=1, le=100)
    """Distinct instants at which the rule holds."""
    within_seconds: float = Field(default=10.0, gt=0, le=3600)
    """The first and the last of them are at most (<=) this far apart."""
    video_frames: int | None = Field(default=None, ge=2, le=100)
    """Instead of `hits`: distinct frames of one listed video that the rule holds for, at as many distinct instants. So
    neither one picture that is like many frames counts, nor one frame that is seen again and again."""

    @model_validator(mode="after")
    def _counts_one_thing(self) -> Self:
        if self.video_frames is not None and "hits" in self.model_fields_set:
            raise ValueError("hits or video_frames: a rule counts one or the other")
        return self

    def met_at(self, captures_ms: Iterable[int]) -> int | None:
        """The capture time at which `hits` are first met, or None if they are not."""
        ordered = sorted(set(captures_ms))
        for first, last in zip(ordered, ordered[self.hits - 1 :], strict=False):
            if last - first <= self.within_ms:
                return last
        return None

    def met_by(self, seen: Iterable[Seen]) -> int | None:
        """The capture time at which the rule first persists, whichever it counts; None if it does not."""
        if self.video_frames is None:
            return self.met_at(capture_ms for capture_ms, _ in seen)
        videos: dict[tuple[str, str], set[tuple[int, str]]] = {}
        for capture_ms, frames in seen:
            for frame in frames:
                videos.setdefault((frame.list, frame.video), set()).add((capture_ms, frame.entry))
        met = (_run_at(sorted(frames), self.video_frames, self.within_ms) for frames in videos.values())
        return min((at for at in met if at is not None), default=None)

    @property
    def within_ms(self) -> int:
        """`within_seconds` in whole milliseconds."""
        return round(self.within_seconds * 1000)

    @property
    def remembered_ms(self) -> int:
        """Hits older than this, by capture time, can no longer make the rule persist."""
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


def _take_one(counted: Counter[_Key], key: _Key) -> None:
    counted[key] -= 1
    if not counted[key]:
        del counted[key]
