"""Outcomes of hidden inserts: seen, in the ledger, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.clips import Insert
from bench.hidden_clips import HiddenClip
from bench.staging import PHOTOGRAPHS, still_photograph, thumbnail
from models.pdq.pdq import PdqHash, hash_luma
from sampler.frames import SampledFrame, SampledSegment, Stretch

MATCH_BITS = 31
"""PDQ distance of a match, <=."""
CHANGED_LEVELS = 4
"""Luma levels by which a point of a thumbnail differs where the insert shows, >=."""

WRONG_LEVELS = 16
"""Mean difference of luma levels over a thumbnail, from which (>) a picture is another one."""


@dataclass(frozen=True, kw_only=True)
class HiddenOutcome:
    """Outcome of one insert."""

    seconds: float
    seen: bool
    ledgered: bool
    """All of it lies in stretches that the sampler reports as unmoderated."""
    matched: bool | None
    """A sample matches the listed picture that it shows. None: it shows none."""


@dataclass(frozen=True, kw_only=True)
class HiddenResult:
    """Outcomes of one clip, and its cost."""

    row: str
    encoder: str
    outcomes: tuple[HiddenOutcome, ...]
    duration_seconds: float
    samples: int
    wrong: int
    """Samples that count as moderated and do not show what the stream showed then."""
    concealed: int
    cpu_seconds: float
    unmoderated_seconds: float


def judge_hidden(hidden: HiddenClip, sampled: Sequence[SampledSegment | None]) -> HiddenResult:
    """Compares the samples of a clip's segments with its inserts; None: the segment could not be sampled."""
    frames: list[tuple[float, SampledFrame]] = []
    unseen: list[tuple[float, float]] = []
    duration_seconds = hidden.clip.frames_total / hidden.frames_per_second
    ends = [*hidden.starts_seconds[1:], duration_seconds]
    cpu_seconds = 0.0
    for start, end, segment in zip(hidden.starts_seconds, ends, sampled, strict=True):
        if segment is None:
            unseen.append((start, end))
            continue
        frames += [(start + frame.pts_seconds, frame) for frame in segment.frames]
        unseen += [_moved(stretch, start) for stretch in segment.unmoderated]
        cpu_seconds += sum(segment.cpu_seconds.values())
    tolerance = 0.25 / hidden.frames_per_second
    outcomes = []
    for insert, film in zip(hidden.clip.inserts, hidden.films, strict=True):
        during = [
            (seconds, frame)
            for seconds, frame in frames
            if insert.start_seconds - tolerance <= seconds + hidden.whole_seconds
            and seconds - hidden.whole_seconds < insert.end_seconds - tolerance
        ]
        fading = [
            frame
            for seconds, frame in frames
            if insert.start_seconds - hidden.fade_seconds <= seconds < insert.end_seconds + hidden.fade_seconds
        ]
        outcomes.append(
            HiddenOutcome(
                seconds=insert.seconds,
                seen=any(not frame.concealed and shows(hidden, seconds, frame) for seconds, frame in during),
                ledgered=_covered(insert, unseen, 1 / hidden.frames_per_second),
                matched=_matched(hidden, film, fading) if film in PHOTOGRAPHS else None,
            )
        )
    return HiddenResult(
        row=hidden.row,
        encoder=hidden.clip.encoder,
        outcomes=tuple(outcomes),
        duration_seconds=duration_seconds,
        samples=len(frames),
        wrong=sum(
            is_wrong(hidden, seconds, frame)
            for seconds, frame in frames
            if not frame.concealed and not any(start <= seconds < end for start, end in unseen)
        ),
        concealed=sum(frame.concealed for _, frame in frames),
        cpu_seconds=cpu_seconds,
        unmoderated_seconds=sum(end - start for start, end in unseen),
    )


def is_wrong(hidden: HiddenClip, seconds: float, frame: SampledFrame) -> bool:
    """True if the picture taken is not that which its track showed, even coarsely: a second track shows the ground."""
    taken = thumbnail(frame.picture.planes[0]).astype(np.int16)
    shown = hidden.plain if frame.track else hidden.shown
    return bool(np.abs(taken - shown[_index(hidden, seconds)]).mean() > WRONG_LEVELS)


def shows(hidden: HiddenClip, seconds: float, frame: SampledFrame) -> bool:
    """True if the picture taken shows the insert: where it changes the picture, it is nearer to that than half of the
    change. One made up from nothing is as far from the one as from the other."""
    index = _index(hidden, seconds)
    taken = thumbnail(frame.picture.planes[0]).astype(np.int16)
    shown, plain = hidden.shown[index].astype(np.int16), hidden.plain[index].astype(np.int16)
    changed = np.abs(shown - plain) >= CHANGED_LEVELS
    if not changed.any():
        return False
    return bool(np.abs(taken - shown)[changed].mean() < np.abs(shown - plain)[changed].mean() / 2)


def _index(hidden: HiddenClip, seconds: float) -> int:
    return min(round(seconds * hidden.frames_per_second), len(hidden.shown) - 1)


def _moved(stretch: Stretch, seconds: float) -> tuple[float, float]:
    return stretch.start_seconds + seconds, stretch.end_seconds + seconds


def _covered(insert: Insert, unseen: Sequence[tuple[float, float]], frame_seconds: float) -> bool:
    """True if these stretches cover the insert but for a picture at each end."""
    covered = insert.start_seconds + frame_seconds
    for start, end in sorted(unseen):
        if start <= covered:
            covered = max(covered, end)
    return covered >= insert.end_seconds - frame_seconds


def _matched(hidden: HiddenClip, film: str, frames: Sequence[SampledFrame]) -> bool:
    listed = _listed(film, hidden.width, hidden.height)
    hashes = [hash_luma(frame.picture.luma()) for frame in frames]
    return any(pdq.hashable and pdq.distance(listed) <= MATCH_BITS for pdq in hashes)


@cache
def _listed(film: str, width: int, height: int) -> PdqHash:
    rgb = still_photograph(film, width, height)
    luma: NDArray[np.uint8] = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    return hash_luma(luma)
