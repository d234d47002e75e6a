"""Decodes what a plan asks for and no more. Runs in the decoder child."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from sampler.demux import Window
from sampler.errors import DecoderMemoryError
from sampler.limits import Limits
from sampler.packets import Run
from sampler.plan import RunPlan, Target

PREDICTED_SHARE = 0.8
"""Of a picture's area, over which it is no cut. On 1,116 inserts nine of ten first pictures had under 0.15, and most
pictures that were only large for their motion over 0.9; any bound from 0.2 to 0.8 kept every insert found."""
ROOM = 2
"""FFmpeg's own bound counts pictures with the margins that it works in; the exact one is held elsewhere."""
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
    concealed: bool
    """Whether it leans on pictures that were made up."""


class Executor:
    """One decoder, run over one window after another."""

    def __init__(self, context: VideoCodecContext, limits: Limits) -> None:
        context.thread_count = 1
        context.options = {"max_pixels": str(ROOM * limits.picture_pixels), "export_side_data": "mvs"}
        self._context = context
        self.frames_decoded = 0
        self.damaged = 0

    def run(self, window: Window, plan: tuple[RunPlan, ...]) -> Iterator[Taken]:
        """The targets of the plan that could be decoded, by presentation time within each run."""
        for part in plan:
            yield from self._run(window, part)

    def _run(self, window: Window, part: RunPlan) -> Iterator[Taken]:
        run, targets = part.run, part.targets
        # Pictures that lean on made-up ones are given, and marked, in headless runs only.
        self._context.flags = Flags.output_corrupt if run.headless else 0
        proofs = {index for target in targets for index in target.proofs}
        if proofs and not run.headless:
            first = None
            refuted = set()
            for index, frame in self._decode(window, [run.start, *sorted(proofs)]):
                if index == run.start:
                    first = frame
                elif not _is_new_content(frame):
                    refuted.add(index)
            targets = tuple(target for target in targets if not target.proofs or set(target.proofs) - refuted)
            if first is not None and [target.index for target in targets] == [run.start]:
                yield Taken(frame=first, index=run.start, target=targets[0], concealed=first.is_corrupt)
                return
        pending = list(targets)
        for index, frame in self._decode(window, _needed(window, run, {target.index for target in targets})):
            # Pictures come in presentation order, so one that is shown at or after a target answers it: the target's
            # own picture, if it is not damaged, comes first.
            seconds = window.packets[index].seconds
            while pending and window.packets[pending[0].index].seconds <= seconds:
                concealed = frame.is_corrupt or (run.headless and run.recovered is None)
                yield Taken(frame=frame, index=index, target=pending.pop(0), concealed=concealed)

    def _decode(self, window: Window, indices: Iterable[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Decodes packets from a run's beginning on, and gives each picture with the index of its packet.

        That index takes the time stamp's place in the decoder, so that a picture is told by it whatever the
        broadcaster's time stamps are: missing, doubled, wrapped.
        """
        damage = 0
        try:
            for index in indices:
                payload = window.payloads[index]
                payload.pts = index
                self.frames_decoded += 1
                try:
                    frames = self._context.decode(payload)
                except av.error.MemoryError as error:
                    raise DecoderMemoryError("the decoder hit its memory bound") from error
                except av.error.FFmpegError:
                    damage += 1
                    if damage > DAMAGE_BUDGET:
                        break
                    continue
                yield from self._told(frames, window)
            yield from self._told(self._drain(), window)
        finally:
            self.damaged += damage
            self._context.flush_buffers()

    def _drain(self) -> list[VideoFrame]:
        """What the decoder still holds back for reordering."""
        try:
            return self._context.decode(None)
        except av.error.FFmpegError:
            self.damaged += 1
            return []

    def _told(self, frames: list[VideoFrame], window: Window) -> list[tuple[int, VideoFrame]]:
        """The pictures with their packets' indices; damage can make FFmpeg give one without."""
        return [
            (frame.pts, frame) for frame in frames if frame.pts is not None and 0 <= frame.pts < len(window.packets)
        ]


def _is_new_content(frame: VideoFrame) -> bool:
    """Whether most of the picture is coded anew and not predicted from others, as at a cut.

    Decoded without those it leans on, a picture looks wrong, but which blocks are predicted is in its own bits. Where
    the decoder does not tell (only those of H.264 and the MPEGs do), the packet's size has to be believed.
    """
    vectors = frame.side_data.get("MOTION_VECTORS")
    if vectors is None:
        return True
    table = vectors.to_ndarray()
    area = table["w"].astype(np.int64) * table["h"]
    backward = table["source"] < 0
    predicted = max(area[backward].sum(), area[~backward].sum())
    return bool(predicted <= PREDICTED_SHARE * frame.width * frame.height)


def _needed(window: Window, run: Run, wanted: set[int]) -> list[int]:
    """Packets to be decoded for the wanted ones, in decoding order: up to the last one, without those none leans on."""
    return [
        index
        for index, packet in enumerate(window.packets[run.start : max(wanted, default=run.start - 1) + 1], run.start)
        if index in wanted or (packet.reference and packet.seconds >= run.clean_from_seconds)
    ]
