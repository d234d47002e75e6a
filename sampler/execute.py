"""Decodes what a plan asks for and no more. Runs in the decoder child."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from sampler.demux import Window
from sampler.errors import DecoderMemoryError
from sampler.limits import Limits
from sampler.packets import Run
from sampler.plan import RunPlan, Target
from sampler.probe import TELLS_PREDICTION, Prober

THRIFTY_SHARE = 0.5
"""If more of the pictures than this must be decoded, the loop filter is left out on all but keyframes. That saves a
sixth of decoding. Over GOPs of 2 s it moved PDQ by 2 bits in the mean and 10 at the most, of a distance of 31; of 10 s,
at a bit rate so low that pictures are coarse, by 4 and 18."""
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

    def __init__(self, context: VideoCodecContext, limits: Limits, *, exact: bool) -> None:
        """Takes over the stream's own context, which knows the container's parameters.

        Args:
            context: not yet opened.
            limits: on pictures.
            exact: never leave the loop filter out.
        """
        self._context = context
        self._limits = limits
        self._exact = exact
        self._prober = Prober(context) if context.name in TELLS_PREDICTION else None
        self.frames_decoded = 0
        self.damaged = 0

    def run(self, window: Window, plan: tuple[RunPlan, ...]) -> Iterator[Taken]:
        """The targets of the plan that could be decoded, by presentation time within each run."""
        proven = [(part.run, self._prove(window, part.targets)) for part in plan]
        if not self._context.is_open:
            needed = sum(len(_needed(window, run, targets)) for run, targets in proven)
            self._open(thrifty=not self._exact and needed > THRIFTY_SHARE * len(window.packets))
        for run, targets in proven:
            yield from self._run(window, run, targets)

    def _open(self, *, thrifty: bool) -> None:
        """Sets the decoder up; what the first window needs decides for all."""
        options = {"max_pixels": str(ROOM * self._limits.picture_pixels)}
        if thrifty:
            options["skip_loop_filter"] = "nokey"
        self._context.thread_count = 1
        self._context.options = options

    def _prove(self, window: Window, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """The targets without those whose cuts turn out to be none."""
        suspects = sorted({index for target in targets for index in target.proofs})
        if self._prober is None or not suspects:
            return targets
        self.frames_decoded += len(suspects)
        cuts = {index for index in suspects if self._prober.is_new_content(window.payloads[index])}
        return tuple(target for target in targets if not target.proofs or cuts & set(target.proofs))

    def _run(self, window: Window, run: Run, targets: tuple[Target, ...]) -> Iterator[Taken]:
        # Pictures that lean on made-up ones are given, and marked, in headless runs only.
        self._context.flags = Flags.output_corrupt if run.headless else 0
        pending = list(targets)
        for index, frame in self._decode(window, _needed(window, run, targets)):
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


def _needed(window: Window, run: Run, targets: tuple[Target, ...]) -> list[int]:
    """Packets to be decoded for the targets, in decoding order: up to the last one, without those none leans on."""
    if not targets:
        return []
    wanted = {target.index for target in targets}
    return [
        index
        for index, packet in enumerate(window.packets[run.start : max(wanted) + 1], run.start)
        if index in wanted or (packet.reference and packet.seconds >= run.clean_from_seconds)
    ]
