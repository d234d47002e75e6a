"""Decodes the pictures of a plan and no more. Runs in the decoder child."""

from collections.abc import Generator, Iterator, Set
from copy import copy
from dataclasses import replace

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from config.profiles import SamplingProfile
from sampler.decode.decoders.decoding_meter import DecodingMeter
from sampler.decode.decoders.run_decoder import RunDecoder
from sampler.decode.decoders.second_decoder import second_decoder
from sampler.decode.latest_sample import LatestSample
from sampler.decode.runs.made_up import made_up
from sampler.decode.runs.needed import decodable, needed_packets
from sampler.decode.runs.over_bound import refused_suspects
from sampler.decode.runs.probe import is_predicted, prober
from sampler.decode.runs.probed_runs import probed_run
from sampler.decode.runs.restless import watched_where_cheaper
from sampler.decode.runs.thrift import is_thrifty
from sampler.decode.scenes.cells import Cells, means_differ
from sampler.decode.scenes.lookout import Lookout
from sampler.decode.scenes.scene_watch import SceneWatch
from sampler.decode.settled import DecodedTarget, is_recovery_near, settled
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import PacketRun
from sampler.frames import SampleReason
from sampler.limits import ROOM, Limits
from sampler.plan.budget import BURST_SECONDS, SampleBudget
from sampler.plan.padding import watched_whole
from sampler.plan.planned_picture import PlannedPicture, proofs_of_all
from sampler.plan.run_plan import Decoding, Plan, RunPlan


class Executor:
    """One decoder, run over one window after another."""

    def __init__(
        self,
        context: VideoCodecContext,
        limits: Limits,
        profile: SamplingProfile,
        *,
        probing_extradata: bytes | None = None,
        watches_all: bool = False,
    ) -> None:
        """Takes over the stream's own context, which knows the container's parameters.

        Args:
            context: not yet opened.
            limits: on pictures.
            profile: how exact pictures must be, and how long a gap may be.
            probing_extradata: parameters for probes of single pictures; None: those of the context.
            watches_all: packets say nothing, as those before them said.
        """
        self._profile = profile
        max_pixels = ROOM * limits.picture_pixels
        # Of a context whose decoder could not be opened the name is not to be read again: it crashes.
        self._prober = prober(context, max_pixels=max_pixels, extradata=probing_extradata)
        self._second = second_decoder(context, max_pixels=max_pixels)
        self._own = RunDecoder(context, max_pixels=max_pixels)
        self._name = context.name
        self.meter = self._own.meter
        self._decoder = self._own
        """That of the run that is worked on."""
        self._scenes = SceneWatch()
        self._latest = LatestSample(self._scenes, gap_seconds=profile.max_gap_seconds)
        self._watches_all = watches_all
        self._follows = False
        """The run that is worked on goes on with what was compared before."""
        self._looked_at = -1
        """The last packet whose picture was compared in it; -1: none."""
        self.padded = False
        """Bytes behind pictures were found: from that window on all of the input is watched."""
        self.broken: set[int] = set()
        """Beginnings of the runs of the last window in which packets were refused."""
        self.refused_seconds: list[float] = []
        """Times of pictures that there was no budget for, in the last window."""
        self.alike: set[int] = set()
        """Packets of the last window whose pictures were to be taken for time, and look like one that is taken."""
        self.lost_seconds, self.made_up_seconds = set[float](), set[float]()
        """Times of the last window's pictures that the decoder did not give, and of those that lean on made-up ones."""

    @property
    def _decoders(self) -> list[RunDecoder]:
        return [self._own] if self._second is None else [self._own, self._second.alone]

    @property
    def has_second_decoder(self) -> bool:
        """True if players have one of two decoders, and both are here."""
        return self._second is not None

    @property
    def ambiguous(self) -> bool:
        """True if players show other pictures than these, or one of several of a packet, and which is unknown."""
        differs = self._second is not None and self._second.differs
        return differs or any(one.several for one in self._decoders)

    @property
    def frames_decoded(self) -> int:
        """Pictures decoded, suspects that were probed among them, and parts of pictures by their share."""
        probed = int(self._prober.frames_decoded) if self._prober is not None else 0
        second = self._second.frames_decoded if self._second is not None else 0
        return self._own.frames_decoded + second + probed

    @property
    def bytes_decoded(self) -> int:
        """Bytes of their packets, without those of suspects."""
        return sum(one.bytes_decoded for one in self._decoders)

    @property
    def damaged(self) -> int:
        """Packets that the decoder refused."""
        return sum(one.damaged for one in self._decoders)

    @property
    def reached(self) -> int:
        """The last packet of the last window that was decoded; -1: none."""
        return max(one.reached for one in self._decoders)

    @property
    def probes(self) -> bool:
        """True if a suspected cut's own packet is probed before all up to it is decoded; else all is decoded, and
        pictures are compared."""
        return self._prober is not None

    def run(self, window: PacketWindow, plan: Plan) -> Iterator[DecodedTarget]:
        """The targets of the plan that could be decoded and whose cuts are proven, and of runs that are watched what is
        new in them, by presentation time in each run."""
        self.broken, self.lost_seconds, self.made_up_seconds, self.alike = set(), set(), set(), set()
        # Suspects, and what is new in the pictures that are decoded, pay when they are taken.
        self.meter = DecodingMeter(plan.bound, self._name, samples=plan.sure_samples)
        for decoder in self._decoders:
            decoder.meter, decoder.reached = self.meter, -1
        if not self._watches_all:
            self._watches_all = self.padded = self._is_padded(window, plan)
        if self._watches_all:
            plan = watched_whole(window.packets, plan)
        self.refused_seconds = list(plan.refused_seconds)
        parts = [probed_run(self._prober, window, part) for part in plan.runs]
        parts, spare = watched_where_cheaper(window, parts, plan.spare_macroblocks)
        if self._prober is not None:
            over, spare = refused_suspects(self._prober, window, parts, plan.bound, spare)
            self.refused_seconds += over
            self._prober.rest()
        if not self._own.is_open:
            self._own.set_up(thrifty=not self._profile.exact_pictures and is_thrifty(window, parts))
        start_seconds = min((window.packets[part.own[0]].seconds for part in plan.runs), default=0.0)
        burst_seconds = plan.bound.burst_seconds if plan.bound is not None else BURST_SECONDS
        budget = SampleBudget(self._profile.samples_per_second, start_seconds, burst_seconds=burst_seconds)
        followed = -1
        for part, targets, refuted in parts:
            damaged, before, self._looked_at = self.damaged, copy(budget), -1
            self._decoder = self._second.alone if self._second and self._second.takes(part.decoding) else self._own
            self._follows = part.run.start == followed
            if self._follows:
                self._scenes.go_on(all_follow=part.watched)
            else:
                self._scenes.forget(all_follow=part.watched)
            followed = part.run.stop if part.watched else -1
            had: set[int] = set()
            refused = yield from self._sampled(window, part, targets, refuted, had, budget)
            from_first = False
            if self._decoder.surprises and not part.watched:
                # What did not come out, or what hides behind it, is found where all is decoded.
                from_first = part.watching_macroblocks > spare
                if not from_first:
                    spare -= part.watching_macroblocks
                    budget = before
                    self._scenes.forget(all_follow=True)
                    followed = part.run.stop
                    absent = self._decoder.absent
                    pending = tuple(target for target in part.targets if target.index in absent and not target.proofs)
                    refused = yield from self._sampled(window, replace(part, watched=True), pending, set(), had, budget)
            if part.led_to and self._looked_at == part.led_to[-1]:
                followed = part.run.stop
            self._lose(window, part, from_first=from_first)
            self.refused_seconds += refused
            if self.damaged > damaged:
                self.broken.add(part.run.start)

    def _sampled(
        self,
        window: PacketWindow,
        part: RunPlan,
        targets: tuple[PlannedPicture, ...],
        refuted: set[int],
        had: set[int],
        budget: SampleBudget,
    ) -> Generator[DecodedTarget, None, list[float]]:
        """Decodes one run, adds what is taken to what it `had` before, and returns the times of what there was no token
        for."""
        lookout = Lookout(self._scenes, budget, watched=part.watched)
        paid = {target.index for target in targets if not target.proofs}
        for taken in settled(window, self._profile, self._run(window, part, targets, refuted, frozenset(had), lookout)):
            if self._latest.shows(taken):
                self.alike |= {taken.index} if taken.target.until_seconds is not None else set()
                continue
            self._latest.take(taken, window.packets[taken.index].seconds)
            had.add(taken.index)
            self.meter.has_sample = True
            if taken.index not in paid:
                self.meter.hand_over()
            yield taken
        own = part.own if part.watched else [target.index for target in targets]
        unpaid = sorted(self._decoder.unpaid.intersection(own))
        return lookout.refused_seconds + [window.packets[index].seconds for index in unpaid]

    def _lose(self, window: PacketWindow, part: RunPlan, *, from_first: bool) -> None:
        """Notes the times of a run's own pictures that did not come out (`from_first`: all after one), or not right."""
        absent = self._decoder.absent.intersection(part.own)
        if from_first and absent:
            first = min(window.packets[index].seconds for index in absent)
            absent |= {index for index in part.own if window.packets[index].seconds >= first}
        self.lost_seconds |= {window.packets[index].seconds for index in absent}
        wrong = made_up(part.own, self._decoder.told, self._decoder.wrong, headless=part.run.headless) - absent
        self.made_up_seconds |= {window.packets[index].seconds for index in wrong}

    def _is_padded(self, window: PacketWindow, plan: Plan) -> bool:
        """True if a picture of the plan's doubts has bytes behind it."""
        probe = self._prober
        return probe is not None and any(
            probe.is_padded(window.payloads[doubt.packet], doubt.share, doubt.place) for doubt in plan.doubts
        )

    def _run(
        self,
        window: PacketWindow,
        part: RunPlan,
        targets: tuple[PlannedPicture, ...],
        refuted: set[int],
        had: Set[int],
        lookout: Lookout,
    ) -> Iterator[DecodedTarget]:
        """Decodes one run; adds the suspects that turn out to be no cuts to those that did already, and takes what is
        new in the pictures that are decoded.

        Only its own picture answers a target, since time stamps may say that others are shown then; in a run that is
        watched the next one that comes does, if its own does not.
        """
        run, pending, own = part.run, list(targets), set(part.own)
        begun = [target.begins for target in targets if target.begins is not None]
        suspects = {proof.packet: proof for proof in (*begun, *proofs_of_all(targets))}
        befores = {proof.before for proof in suspects.values()}
        shown: dict[int, Cells] = {}
        held: list[DecodedTarget] = []
        indices = decodable(window, run) if part.watched else needed_packets(window, run, targets, part.led_to)
        comparison, is_awaited = None, run.headless
        if part.decoding is Decoding.BOTH and self._second is not None and self._decoder is self._own:
            comparison = self._second.beside(window, indices)
        for index, frame in self._decoder.decode(window, run, indices):
            if comparison is not None:
                other = comparison.other(index, frame, self._scenes.measured.of(frame))
                if comparison.fails:
                    # A player that has the second decoder shows nothing.
                    self.lost_seconds.add(window.packets[index].seconds)
                if other is not None:
                    cut = PlannedPicture(index=index, reason=SampleReason.CUT)
                    held.append(self._taken(window, run, index, other, cut))
            proof = suspects.get(index)
            if proof is not None and (
                (proof.predicted_share is not None and is_predicted(frame, proof.predicted_share))
                or (proof.before in shown and not means_differ(shown[proof.before], self._scenes.measured.of(frame)))
            ):
                refuted.add(index)
            if index in befores:
                shown[index] = self._scenes.measured.of(frame)
            seconds = window.packets[index].seconds
            answers = [
                target
                for target in pending
                if target.index == index or (part.watched and window.packets[target.index].seconds <= seconds)
            ]
            pending = [target for target in pending if target not in answers]
            answers = [target.as_found(refuted) for target in answers if not target.is_refuted(refuted)]
            is_right = index not in self._decoder.wrong
            if is_right and index in own and is_awaited:
                # The first one of a headless run speaks for what comes after it, as a keyframe does.
                is_awaited, answers = False, answers or [PlannedPicture(index=index, reason=SampleReason.GAP)]
            clears = is_recovery_near(window, run, index, self._profile.max_gap_seconds)
            # Smear is new in each picture, until refresh clears it.
            if index in own and (is_right or (part.watched and not clears)):
                count, closely = len(answers) or index in had, index in part.led_to
                news = lookout.look(index, frame, seconds, answers=count, closely=closely)
                self._looked_at = index
                if news.before is not None:
                    cut = PlannedPicture(index=news.before[0], reason=SampleReason.CUT)
                    held.append(self._taken(window, run, *news.before, cut))
                if index in had:
                    self._scenes.remember(frame)
                elif news.is_new:
                    sure = [target.as_new() for target in answers]
                    answers = sure or [PlannedPicture(index=index, reason=SampleReason.CUT)]
                elif (part.watched or self._follows) and self._scenes.goes_on:
                    answers = [target.as_going_on() for target in answers]
            held += [self._taken(window, run, index, frame, target) for target in answers]
            # A picture before a cut waits for the cut's own.
            while held and all(window.packets[proof.packet].seconds <= seconds for proof in held[0].target.proofs):
                taken = held.pop(0)
                if self._stands(taken, refuted):
                    yield taken
        lookout.close()
        yield from (taken for taken in held if self._stands(taken, refuted))

    def _stands(self, taken: DecodedTarget, refuted: Set[int]) -> bool:
        """True if a picture is to be taken after all."""
        if not taken.target.is_refuted(refuted):
            return True
        if taken.target.reason is SampleReason.GAP and not taken.concealed:
            self.alike.add(taken.index)
        return False

    def _taken(
        self, window: PacketWindow, run: PacketRun, index: int, frame: VideoFrame, target: PlannedPicture
    ) -> DecodedTarget:
        concealed = index in self._decoder.wrong
        superseded = concealed and target.reason is not SampleReason.CUT
        superseded &= is_recovery_near(window, run, index, self._profile.max_gap_seconds)
        return DecodedTarget(frame=frame, index=index, target=target, concealed=concealed, superseded=superseded)
