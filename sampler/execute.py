"""Decodes what a plan asks for and no more. Runs in the decoder child."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from sampler.demux import Window
from sampler.errors import DecoderMemoryError
from sampler.libav import translate
from sampler.limits import Limits
from sampler.plan import RunPlan, Target

THRIFTY_SHARE = 0.5
"""If the plan needs more of the pictures than this, the loop filter is left out on all but keyframes. That saves a
fifth of decoding; over GOPs of 10 s it moved PDQ by 3 bits in the mean and 6 at the most, of a distance of 31."""
DAMAGE_BUDGET = 32
"""Packets that FFmpeg may refuse in one run before the run is given up: a second of damage. Each costs little, but a
hostile segment could hold thousands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A decoded picture and the target that it answers."""

    frame: VideoFrame
    index: int
    """Of its packet in the window: the target's own, or the next one shown, where that one was damaged."""
    target: Target


class Executor:
    """One decoder, run over one window after another."""

    def __init__(self, context: VideoCodecContext, limits: Limits) -> None:
        self._context = context
        self._limits = limits
        self.frames_decoded = 0
        self.damaged = 0

    def _open(self, window: Window, plan: tuple[RunPlan, ...]) -> None:
        """Sets the decoder up; what the first window is like decides for all."""
        options = {"max_pixels": str(self._limits.picture_pixels)}
        planned = sum(len(_needed(window, part)) for part in plan)
        if planned > THRIFTY_SHARE * len(window.packets):
            options["skip_loop_filter"] = "nokey"
        self._context.thread_count = 1
        self._context.options = options

    def run(self, window: Window, plan: tuple[RunPlan, ...]) -> Iterator[Taken]:
        """The targets of the plan that could be decoded, by presentation time within each run."""
        if not self._context.is_open:
            self._open(window, plan)
        for part in plan:
            if part.targets:
                yield from self._run(window, part)

    def _run(self, window: Window, part: RunPlan) -> Iterator[Taken]:
        if part.run.concealed:
            self._context.flags |= Flags.output_corrupt
        else:
            self._context.flags &= ~Flags.output_corrupt
        pending = list(part.targets)
        damage = 0
        for index in _needed(window, part):
            # Every picture carries its packet's index as its time stamp: whatever the broadcaster's time stamps are
            # (missing, doubled, wrapped), a picture is told by it.
            payload = window.payloads[index]
            payload.pts = index
            self.frames_decoded += 1
            try:
                frames = self._context.decode(payload)
            except av.error.MemoryError as error:
                raise DecoderMemoryError("the decoder hit its memory bound") from error
            except av.error.FFmpegError as error:
                self.damaged += 1
                damage += 1
                if damage > DAMAGE_BUDGET:
                    break
                _ = translate(error)
                continue
            yield from self._answer(frames, window, pending)
        yield from self._answer(self._drain(), window, pending)

    def _drain(self) -> list[VideoFrame]:
        """What the decoder still holds back for reordering; then it is ready for the next run."""
        try:
            return self._context.decode(None)
        except av.error.FFmpegError:
            self.damaged += 1
            return []
        finally:
            self._context.flush_buffers()

    def _answer(self, frames: list[VideoFrame], window: Window, pending: list[Target]) -> Iterator[Taken]:
        """The targets that these pictures answer. Pictures come in presentation order, so one that is shown at or
        after a target answers it: the target's own picture, if it is not damaged, comes first."""
        for frame in frames:
            index = frame.pts
            if index is None or not 0 <= index < len(window.packets):
                continue
            seconds = window.packets[index].seconds
            while pending and window.packets[pending[0].index].seconds <= seconds:
                yield Taken(frame=frame, index=index, target=pending.pop(0))


def _needed(window: Window, part: RunPlan) -> list[int]:
    """Packets to be decoded for the targets, in decoding order: up to the last one, without those none leans on."""
    if not part.targets:
        return []
    wanted = {target.index for target in part.targets}
    run = part.run
    return [
        index
        for index, packet in enumerate(window.packets[run.start : max(wanted) + 1], run.start)
        if index in wanted or (packet.reference and not (run.leading and packet.seconds < run.clean_from_seconds))
    ]
