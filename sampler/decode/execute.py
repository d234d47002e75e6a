"""Decodes the pictures of a plan and no more. Runs in the decoder child."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from config.profiles import SamplingProfile
from sampler.decode.cells import Cells, cells_of, means_differ
from sampler.decode.needed import decodable, needed_packets
from sampler.decode.probe import TELL_PREDICTION, is_predicted, prober
from sampler.decode.refresh import RefreshMap
from sampler.decode.scenes import Change, SceneWatch
from sampler.decode.settled import DecodedTarget, settled
from sampler.demux.packet_reader import PacketWindow
from sampler.demux.packets import PacketRun
from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.errors import DecoderMemoryError
from sampler.frames import SampleReason
from sampler.limits import ROOM, Limits
from sampler.plan.budget import SampleBudget
from sampler.plan.plan import Plan, PlannedPicture, RunPlan

THRIFTY_SHARE = 0.5
"""If more of the pictures than this must be decoded, the loop filter is left out on all but keyframes. That saves a
sixth of decoding. Over GOPs of 2 s it moved PDQ by 2 bits in the mean and 10 at the most, of a distance of 31; of 10 s,
at a bit rate so low that pictures are coarse, by 4 and 18."""
DAMAGE_BUDGET = 32
"""Packets that FFmpeg may refuse in one run before the run is given up: a second of damage. Each costs little, but a
hostile segment could hold thousands."""
KNOWN_RESERVE, BEFORE_RESERVE = 0.5, 0.25
"""Share of the bucket that stays for what is new: of a flash or a cut to what a sample has shown, and of the picture
before a cut."""
CROWD_BUDGET = 10_000
"""NAL units beyond those that are read in one run's packets, over (>) which the run is given up. Each is read by FFmpeg
several times: 300,000 parameter sets in 6 s of video, 3 MB, took 9 s."""
NO_PICTURE = -1
"""In place of a packet's index: what comes of it is no picture of the window."""


class Waiting(NamedTuple):
    """A picture that there was no token for: it is not lost while others show the same."""

    seconds: float
    cells: Cells


class Executor:
    """One decoder, run over one window after another."""

    def __init__(self, context: VideoCodecContext, limits: Limits, profile: SamplingProfile) -> None:
        """Takes over the stream's own context, which knows the container's parameters.

        Args:
            context: not yet opened.
            limits: on pictures.
            profile: how exact pictures must be, and how long a gap may be.
        """
        self._context = context
        self._profile = profile
        self._max_pixels = ROOM * limits.picture_pixels
        self._tell_prediction = TELL_PREDICTION.get(context.name, {})
        self._is_h264 = context.name == "h264"
        # Of a context whose decoder could not be opened the name is not to be read again: it crashes.
        self._prober = prober(context, max_pixels=self._max_pixels)
        self._scenes = SceneWatch()
        self.frames_decoded = 0
        self.damaged = 0
        self._refresh: RefreshMap | None = None
        self._spoiled = 0
        self._wrong: set[int] = set()
        """Pictures of the run that lean on made-up ones, though the decoder may not know it."""
        self.broken: set[int] = set()
        """Beginnings of the runs of the last window in which packets were refused."""
        self.refused_seconds: list[float] = []
        """Times of pictures that there was no budget for, in the last window."""

    @property
    def probes(self) -> bool:
        """True if a suspected cut's own packet is probed before all up to it is decoded; else all is decoded, and
        pictures are compared."""
        return self._prober is not None

    def run(self, window: PacketWindow, plan: Plan) -> Iterator[DecodedTarget]:
        """The targets of the plan that could be decoded and whose cuts are proven, and of runs that are watched what is
        new in them, by presentation time in each run."""
        self.broken = set()
        self.refused_seconds = list(plan.refused_seconds)
        parts = [(part, *self._probed(window, part)) for part in plan.runs]
        if not self._context.is_open:
            needed = sum(
                part.run.tail - part.run.start if part.watched else len(needed_packets(window, part.run, targets))
                for part, targets, _ in parts
            )
            self._open(thrifty=not self._profile.exact_pictures and needed > THRIFTY_SHARE * len(window.packets))
        start_seconds = min((window.packets[part.own[0]].seconds for part in plan.runs), default=0.0)
        budget = SampleBudget(self._profile.samples_per_second, start_seconds)
        followed = -1
        for part, targets, refuted in parts:
            damaged = self.damaged
            if part.watched:
                if part.run.start != followed:
                    self._scenes.forget()
                followed = part.run.stop
                yield from settled(window, self._profile, self._watch(window, part, budget))
            else:
                for taken in settled(window, self._profile, self._run(window, part.run, targets, refuted)):
                    if taken.target.ends and self._scenes.has_shown(taken.frame):
                        continue
                    self._scenes.remember(taken.frame)
                    budget.spend(budget.half_second(window.packets[taken.index].seconds), owed=True)
                    yield taken
            if self.damaged > damaged:
                self.broken.add(part.run.start)

    def _open(self, *, thrifty: bool) -> None:
        """Sets the decoder up; what the first window needs decides for all."""
        options = {"max_pixels": str(self._max_pixels)} | self._tell_prediction
        if thrifty:
            options["skip_loop_filter"] = "nokey"
        self._context.thread_count = 1
        self._context.options = options

    def _probed(self, window: PacketWindow, part: RunPlan) -> tuple[tuple[PlannedPicture, ...], set[int]]:
        """The targets up to the last one that is sure, or whose cut its own packet proves; and the suspects after that.

        All before that is decoded anyway, and each cut there proves itself in passing: asking costs a picture.
        """
        run, targets = part.run, part.targets
        if self._prober is None or part.watched:
            return targets, set()
        sure = max((target.index for target in targets if not target.proofs), default=-1)
        refuted: set[int] = set()
        keyframe = window.payloads[run.start]
        before = self._prober.frames_decoded
        suspects = {proof for target in targets for proof in target.proofs if proof.packet > sure}
        for suspect in sorted(suspects, reverse=True):
            if self._prober.is_new_content(window.payloads[suspect.packet], keyframe, suspect.predicted_share):
                break
            refuted.add(suspect.packet)
        self.frames_decoded += self._prober.frames_decoded - before
        return tuple(target for target in targets if not target.is_refuted(refuted)), refuted

    def _run(
        self, window: PacketWindow, run: PacketRun, targets: tuple[PlannedPicture, ...], refuted: set[int]
    ) -> Iterator[DecodedTarget]:
        """Decodes one run; adds the suspects that turn out to be no cuts to those that did already."""
        pending = list(targets)
        suspects = {proof.packet: proof for target in targets for proof in target.proofs}
        befores = {proof.before for proof in suspects.values()}
        shown: dict[int, Cells] = {}
        held: list[DecodedTarget] = []
        for index, frame in self._decode(window, run, needed_packets(window, run, targets)):
            proof = suspects.get(index)
            if proof is not None and (
                is_predicted(frame, proof.predicted_share)
                or (proof.before in shown and not means_differ(shown[proof.before], cells_of(frame)))
            ):
                refuted.add(index)
            if index in befores:
                shown[index] = cells_of(frame)
            # Pictures come in presentation order, so one that is shown at or after a target answers it: the target's
            # own picture, if it is not damaged, comes first.
            seconds = window.packets[index].seconds
            while pending and window.packets[pending[0].index].seconds <= seconds:
                held.append(self._taken(window, run, index, frame, pending.pop(0)))
            # A picture before a cut waits for the cut's own.
            while held and all(window.packets[proof.packet].seconds <= seconds for proof in held[0].target.proofs):
                taken = held.pop(0)
                if not taken.target.is_refuted(refuted):
                    yield taken
        yield from (taken for taken in held if not taken.target.is_refuted(refuted))

    def _watch(self, window: PacketWindow, part: RunPlan, budget: SampleBudget) -> Iterator[DecodedTarget]:
        """Decodes all of a run, and takes what is new in it besides the targets: the pictures on both sides of a cut,
        and the first clear one after a fade."""
        run = part.run
        pending, own = list(part.targets), set(part.own)
        before: tuple[int, VideoFrame] | None = None
        waiting: Waiting | None = None
        for index, frame in self._decode(window, run, decodable(window, run)):
            if index not in own:
                continue
            seconds = window.packets[index].seconds
            half_second = budget.half_second(seconds)
            novelty = self._scenes.look(frame, seconds)
            answers = [target for target in pending if window.packets[target.index].seconds <= seconds]
            pending = pending[len(answers) :]
            budget.spend(half_second, len(answers), owed=True)
            # What samples have shown may not use up what is new.
            common = novelty is not None and (novelty.known or novelty.change is Change.FLASH)
            reserve = KNOWN_RESERVE if common else 0.0
            if (
                novelty is not None
                and novelty.change is Change.CUT
                and before is not None
                and not self._scenes.has_shown(before[1])
                and budget.spend(half_second, reserve=max(reserve, BEFORE_RESERVE))
            ):
                yield self._taken(window, run, *before, PlannedPicture(index=before[0], reason=SampleReason.CUT))
            lasts = waiting is not None and self._scenes.still_shows(waiting.cells)
            if (novelty is not None or lasts) and not answers and budget.spend(half_second, reserve=reserve):
                answers = [PlannedPicture(index=index, reason=SampleReason.CUT)]
            yield from (self._taken(window, run, index, frame, target) for target in answers)
            if answers:
                self._scenes.remember(frame)
            if waiting is not None and (answers or not lasts):
                if not lasts:
                    self.refused_seconds.append(waiting.seconds)
                waiting = None
            if novelty is not None and not novelty.known and not answers and (shown := self._scenes.shown) is not None:
                waiting = waiting or Waiting(seconds, shown)
            before = None if answers else (index, frame)
        if waiting is not None:
            self.refused_seconds.append(waiting.seconds)

    def _prime(self, payload: "Packet[VideoStream]") -> None:
        """Decodes a headless run's first packet once more than it is there, so that it has something to lean on.

        Where frame_num begins at 0, FFmpeg sees no gap that it would fill with grey, refuses a first picture without
        references, and with it loses the first columns of an intra refresh; all that leans on them stays wrong, and is
        called right.
        """
        payload.pts = NO_PICTURE
        self.frames_decoded += 1
        with suppress(av.error.FFmpegError, ValueError):
            self._context.decode(payload)

    def _taken(
        self, window: PacketWindow, run: PacketRun, index: int, frame: VideoFrame, target: PlannedPicture
    ) -> DecodedTarget:
        concealed = frame.is_corrupt or (run.headless and run.recovered is None) or index in self._wrong
        replaced = False
        if concealed and run.recovered is not None and target.reason is not SampleReason.CUT:
            wait_seconds = window.packets[run.recovered].seconds - window.packets[index].seconds
            replaced = 0 < wait_seconds <= self._profile.max_gap_seconds + SAME_INSTANT_SECONDS
        return DecodedTarget(frame=frame, index=index, target=target, concealed=concealed, replaced=replaced)

    def _decode(self, window: PacketWindow, run: PacketRun, indices: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Decodes packets of a run, from its beginning on, and gives each picture with the index of its packet.

        That index takes the time stamp's place in the decoder, so that it identifies a picture whatever the
        broadcaster's time stamps are: missing, doubled, wrapped. In a run without a keyframe packets may well be
        refused until all is right: their parameter sets were in an earlier segment.
        """
        # Pictures that lean on made-up ones are given, and marked, in headless runs only.
        self._context.flags = Flags.output_corrupt if run.headless else 0
        sound_from = run.start if run.recovered is None else run.recovered
        self._wrong = set()
        self._refresh, self._spoiled = None, len(window.packets)
        if run.headless and indices and self._is_h264:
            self._spoil(run.start)
            self._prime(window.payloads[indices[0]])
        damage = crowd = 0
        try:
            for index in indices:
                payload = window.payloads[index]
                crowd += window.packets[index].unread_units
                if crowd > CROWD_BUDGET:
                    damage += 1
                    break
                payload.pts = index
                self.frames_decoded += not window.packets[index].completes
                try:
                    frames = self._context.decode(payload)
                except av.error.MemoryError as error:
                    raise DecoderMemoryError("the decoder hit its memory bound") from error
                except (av.error.FFmpegError, ValueError):
                    # ValueError: of PyAV 19, on the second packet, if the container's parameters open no decoder.
                    if index >= sound_from:
                        damage += 1
                        if window.packets[index].reference:
                            self._spoil(index)
                    if damage > DAMAGE_BUDGET:
                        break
                    continue
                yield from self._told(frames, window, headless=run.headless)
            yield from self._told(self._drain(), window, headless=run.headless)
        finally:
            self.damaged += damage
            self._context.flush_buffers()

    def _drain(self) -> list[VideoFrame]:
        """Pictures that the decoder still holds back for reordering."""
        try:
            return self._context.decode(None)
        except (av.error.FFmpegError, ValueError):
            self.damaged += 1
            return []

    def _told(
        self, frames: list[VideoFrame], window: PacketWindow, *, headless: bool
    ) -> Iterator[tuple[int, VideoFrame]]:
        """The pictures with their packets' indices; damage can make FFmpeg give one without."""
        for frame in frames:
            if frame.pts is None or not 0 <= frame.pts < len(window.packets):
                continue
            reference = window.packets[frame.pts].reference
            # In the middle of a GOP it means no more than that no recovery point has passed.
            if frame.is_corrupt and reference and not headless:
                self._spoil(frame.pts)
            if frame.pts >= self._spoiled and (
                self._refresh is None or not self._refresh.follow(frame, reference=reference)
            ):
                self._wrong.add(frame.pts)
            yield frame.pts, frame

    def _spoil(self, index: int) -> None:
        """From a packet on, pictures lean on what is missing or damaged; with H.264 until they are proven right."""
        self._spoiled = min(self._spoiled, index)
        if self._is_h264 and (self._refresh is None or self._refresh.complete):
            self._refresh = RefreshMap()
