"""Pictures that were decoded and taken, settled once it is known what follows them. Runs in the decoder child."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from av.video.frame import VideoFrame

from config.profiles import SamplingProfile
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import PacketRun
from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.plan.planned_picture import PlannedPicture

LARGEST_WAIT = 4
"""Pictures that wait for the one that supersedes them: three of a gap of 2 s, the last of which begins within it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedTarget:
    """A decoded picture and the target that it answers."""

    frame: VideoFrame
    index: int
    """Index of its packet in the window: the target's own, or the next one shown, where that one was damaged."""
    target: PlannedPicture
    concealed: bool
    """True if it depends on pictures that were made up."""
    superseded: bool
    """Concealed, and taken for nothing but time, while a picture that is right follows within the gap."""


def is_recovery_near(window: PacketWindow, run: PacketRun, index: int, gap_seconds: float) -> bool:
    """True if a recovery point of the run promises a picture that is right within the gap after one."""
    if run.recovered is None:
        return False
    wait_seconds = window.packets[run.recovered].seconds - window.packets[index].seconds
    return 0 < wait_seconds <= gap_seconds + SAME_INSTANT_SECONDS


def settled(window: PacketWindow, profile: SamplingProfile, taken: Iterable[DecodedTarget]) -> Iterator[DecodedTarget]:
    """The pictures taken of a run, those that are `superseded` once the one is there that supersedes them: a recovery
    point may promise it in vain."""
    waiting: list[DecodedTarget] = []
    for one in taken:
        if one.concealed and not one.superseded:
            yield one
            continue
        if one.concealed and len(waiting) < LARGEST_WAIT:
            waiting.append(one)
            continue
        yield from _resolved(window, profile, waiting, None if one.concealed else one)
        waiting = []
        yield replace(one, superseded=False)
    yield from _resolved(window, profile, waiting, None)


def _resolved(
    window: PacketWindow, profile: SamplingProfile, waiting: Sequence[DecodedTarget], right: DecodedTarget | None
) -> Iterator[DecodedTarget]:
    """Those that waited, `superseded` only if the picture that is `right` follows within the gap."""
    for one in waiting:
        seconds = window.packets[one.index].seconds
        latest = seconds + profile.max_gap_seconds + SAME_INSTANT_SECONDS
        follows = right is not None and window.packets[right.index].seconds <= latest
        yield replace(one, superseded=one.superseded and follows)
