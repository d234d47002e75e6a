"""The pipeline that joins sampler, models and policy: the bytes of a segment in, a verdict out.

No Celery, no Redis and no network in it: `livewarden scan` runs the same on a file as a worker on a live segment.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import thread_time, time
from types import MappingProxyType
from typing import BinaryIO

import cv2

from config.facts import PADDED_PICTURES, SampleFacts
from config.policy.policy import Policy
from config.profiles import SamplingProfile
from models.classifiers.classifier import Classifier, WhenStuck
from models.pdq.variants import hash_with_variants
from sampler.child.decoder import Decoder
from sampler.errors import SamplerError
from sampler.frames import SampledFrame, SampleReason, Stretch
from sampler.picture import Picture
from worker.bank.allowance import mark_allowed
from worker.bank.lists_in_force import BankSource, ListsInForce
from worker.incidents.segment_evidence import NO_EVIDENCE
from worker.moderation.evidence_capture import CaptureRequest, SegmentCapture
from worker.moderation.gate import GateState
from worker.moderation.gate_key import CHROMA_COLUMNS, CHROMA_ROWS, GateKey
from worker.moderation.list_matching import list_matches
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.picture_encoder import PictureEncoder
from worker.moderation.sample_coverage import CLASSIFIER_FAILED, Instant, SampleCoverage
from worker.moderation.segment_before import FetchBefore, SamplerInput
from worker.moderation.segment_gate import SegmentGate
from worker.moderation.stage_clock import StageClock
from worker.moderation.stages import SegmentStages, Stages
from worker.moderation.verdict import CpuSeconds, SampleVerdict, SegmentVerdict

PADDED_OF_LATE = 0.5
"""Number of the signal from which (>=) all of a segment is decoded, its packets unread: one had bytes behind its
pictures less than a half-life ago."""
UNCONFINED = "decoder-unconfined"
"""In `degraded` of events: the process that decoded pictures could do more than decode."""

Observer = Callable[[Picture, SampleVerdict], None]
"""Called with each picture and its verdict, once that is complete; must not keep the picture."""

_NO_SCORES: Mapping[str, float] = MappingProxyType({})


class Pipeline:
    """Moderates segments; built once a worker process, after the fork, and again when lists or policy change."""

    def __init__(
        self,
        *,
        decoder: Decoder,
        bank: BankSource,
        classifiers: Sequence[Classifier],
        policy: Policy,
        profile: SamplingProfile | None = None,
    ) -> None:
        """Builds no session yet.

        Args:
            bank: called once a segment.
            profile: instead of those that the policy names.
        """
        self._decoder = decoder
        self._bank = bank
        self._stages = Stages(classifiers, policy.cascade)
        self._policy = policy
        self._profile = profile
        self._encoder = PictureEncoder()
        cv2.setNumThreads(1)  # of this process: its CPU is counted by the thread that works

    def warm_up(self, *, when_stuck: WhenStuck | None = None) -> None:
        """Builds the sessions that the first picture would have to wait for.

        Args:
            when_stuck: called with a model's run that does not end.

        Raises:
            models.errors.ClassifierError: weights are missing, altered or not what their manifest says.
        """
        self._stages.prepare(when_stuck=when_stuck)

    def moderate(
        self,
        data: bytes | BinaryIO,
        *,
        context: ModerationContext,
        seed: bytes,
        init: bytes = b"",
        gate: GateState | None = None,
        gate_seed: bytes | None = None,
        stuck: Collection[str] = (),
        observe: Observer | None = None,
        capture: CaptureRequest | None = None,
        fresh: bool = False,
        before: FetchBefore | None = None,
    ) -> SegmentVerdict:
        """Moderates each picture that the sampler takes from one segment, as it comes.

        Decoding that fails in a process that had other streams' inputs before is tried again, immediately, in a new
        process: a decoder that another stream took over would else make this one undecodable, or quarantined.

        Args:
            data: the segment's bytes, or a file open for reading; `init`: the bytes of its EXT-X-MAP.
            seed: secret; decides which pictures are audited.
            gate: the classified picture that the same stream and epoch showed last.
            gate_seed: secret of the stream and epoch that the gate draws from. None: `seed`.
            stuck: models that are left out; pictures are hashed and matched all the same.
            observe: called with each picture; then nothing is tried again.
            capture: seals evidence. None: no picture is kept.
            fresh: decode in a new process from the beginning.
            before: fetches the segment before, if leading pictures need it; what it raises is passed on.

        Raises:
            sampler.errors.SamplerError: nothing could be sampled; its `reason` goes to the ledger.
        """
        moderate = partial(
            self._moderate,
            SamplerInput(
                data=data,
                init=init,
                seed=seed,
                before=before,
                parameter_sets=context.parameter_sets,
                padded=context.stream.signals.get(PADDED_PICTURES, 0.0) >= PADDED_OF_LATE,
            ),
            context=context,
            gate=gate,
            gate_key=GateKey(seed if gate_seed is None else gate_seed),
            stuck=stuck,
            observe=observe,
            capture=capture,
        )
        try:
            return moderate(fresh=fresh)
        except SamplerError:
            if not self._decoder.shared or observe is not None:
                raise
        return moderate(fresh=True)

    def _moderate(
        self,
        sampling: SamplerInput,
        *,
        context: ModerationContext,
        gate: GateState | None,
        gate_key: GateKey,
        stuck: Collection[str],
        observe: Observer | None,
        capture: CaptureRequest | None,
        fresh: bool,
    ) -> SegmentVerdict:
        started = thread_time()
        clock = StageClock()
        in_force = self._bank()
        degraded: set[str] = set(in_force.degraded)
        stages = self._stages.segment(degraded, stuck)
        profile = self._policy.profile_for(context.stream) if self._profile is None else self._profile
        samples: list[SampleVerdict] = []
        tracks: dict[int, list[Instant]] = {}
        # Both anew with each try: what another decoder answered is no evidence.
        gates = [SegmentGate(gate_key, gate)]
        evidence = None
        if capture is not None:
            evidence = SegmentCapture(
                capture, self._policy, context.stream, lists=in_force.versions, encoder=self._encoder
            )

        def go_back() -> None:
            # Earlier pictures are compared with what came before the segment.
            gates.append(SegmentGate(gate_key, gate))
            if evidence is not None:
                evidence.go_back()

        def consume(frame: SampledFrame) -> None:
            sample = self._moderate_frame(frame, context, in_force, gates[-1], clock, stages, degraded)
            samples.append(sample)
            if not sample.concealed:
                # Concealed pictures cover nothing, which the sampler has counted already.
                tracks.setdefault(frame.track, []).append((frame.pts_seconds, sample))
            if evidence is not None:
                evidence.offer(frame.picture, sample)
            if observe is not None:
                observe(frame.picture, sample)

        segment = sampling.sample(self._decoder, profile, consume, go_back=go_back, fresh=fresh)
        self._mark_unconfined(degraded)
        coverage = SampleCoverage(segment=segment, reach_seconds=profile.max_gap_seconds, tracks=tuple(tracks.values()))
        child = {stage: segment.cpu_seconds[stage] for stage in ("demux", "decode")}
        return SegmentVerdict(
            samples=tuple(sorted(samples, key=lambda sample: sample.pts_seconds)),
            duration_seconds=segment.duration_seconds,
            unmoderated=coverage.unmoderated(),
            unhashable_seconds=coverage.unhashable_seconds(),
            frames_total=segment.frames_total,
            frames_decoded=segment.frames_decoded,
            max_gap_seconds=segment.max_gap_seconds,
            cpu_seconds=CpuSeconds(**child, **clock.spent, total=thread_time() - started + sum(child.values())),
            gate=max((one.state for one in gates if one.state), key=lambda state: state.capture_ms, default=None),
            model_tallies=stages.model_tallies,
            list_versions=in_force.versions,
            bank=in_force.mark,
            degraded=tuple(sorted(degraded)),
            notes=segment.notes,
            reordered_seconds=segment.reordered_seconds,
            origin_seconds=segment.origin_seconds,
            parameter_sets=segment.parameter_sets,
            evidence=NO_EVIDENCE if evidence is None else evidence.evidence(),
        )

    def moderate_picture(
        self, data: bytes, *, context: ModerationContext, observe: Observer | None = None
    ) -> SegmentVerdict:
        """Moderates one still picture: PNG, JPEG, WebP, GIF, BMP or TIFF.

        Raises:
            sampler.errors.SamplerError: it cannot be decoded.
        """
        started = thread_time()
        clock = StageClock()
        in_force = self._bank()
        degraded: set[str] = set(in_force.degraded)
        stages = self._stages.segment(degraded)
        picture = self._decoder.picture(data)
        self._mark_unconfined(degraded)
        frame = SampledFrame(pts_seconds=0.0, reason=SampleReason.KEYFRAME, keyframe=True, picture=picture, flat=None)
        sample = self._moderate_frame(frame, context, in_force, SegmentGate(GateKey(b"")), clock, stages, degraded)
        if observe is not None:
            observe(picture, sample)
        unseen = Stretch(start_seconds=0.0, end_seconds=0.0, reason=CLASSIFIER_FAILED)
        return SegmentVerdict(
            samples=(sample,),
            duration_seconds=0.0,
            unmoderated=() if sample.classified else (unseen,),
            unhashable_seconds=0.0,
            frames_total=1,
            frames_decoded=1,
            max_gap_seconds=0.0,
            cpu_seconds=CpuSeconds(**clock.spent, total=thread_time() - started),
            gate=None,
            model_tallies=stages.model_tallies,
            list_versions=in_force.versions,
            bank=in_force.mark,
            degraded=tuple(sorted(degraded)),
        )

    def _mark_unconfined(self, degraded: set[str]) -> None:
        """Marks the verdict after decoding, when it is known which child did it: it may have been started anew."""
        if self._decoder.unconfined:
            degraded.add(UNCONFINED)

    def _moderate_frame(
        self,
        frame: SampledFrame,
        context: ModerationContext,
        in_force: ListsInForce,
        gate: SegmentGate,
        clock: StageClock,
        stages: SegmentStages,
        degraded: set[str],
    ) -> SampleVerdict:
        """Moderates one picture. The order matters: hashes are matched before any model or store gets the picture."""
        with clock.stage("hash"):
            luma = frame.picture.luma()
            pdq, variants = hash_with_variants(luma, in_force.variants)
        with clock.stage("match"):
            judged_ms = round(time() * 1000) if context.judged_ms is None else context.judged_ms
            matches = mark_allowed(list_matches(in_force.bank, pdq, variants), now_ms=judged_ms)
        capture_ms = context.capture_ms + round((frame.late_seconds + frame.pts_seconds) * 1000)
        chroma = frame.picture.chroma(CHROMA_COLUMNS, CHROMA_ROWS)
        seen = gate.view(luma, chroma, pdq, capture_ms=capture_ms, flat=frame.flat is not None)
        facts = SampleFacts(
            capture_ms=capture_ms,
            pts_seconds=context.offset_seconds + frame.pts_seconds,
            reason=str(frame.reason),
            pdq_quality=pdq.quality,
            matches=matches,
            pdq=pdq.hex if pdq.hashable else "",
        )
        if frame.hashed_only is not None:
            scores, classified = _NO_SCORES, False
        elif seen.repeated is not None:
            scores, classified = seen.repeated.scores, True
            gate.taken_over(seen)
        else:
            with clock.stage("classify"):
                result = stages.classify(frame.picture, context.stream, facts)
            scores, classified = result.scores, result.complete
            if classified:
                gate.classified(seen, scores)
        facts = replace(facts, scores=scores, classified=classified)
        evaluation = self._policy.evaluate(context.stream, facts)
        if frame.hashed_only is None:
            degraded.update(evaluation.problems)
        return SampleVerdict(
            pts_seconds=facts.pts_seconds,
            capture_ms=capture_ms,
            reason=frame.reason,
            keyframe=frame.keyframe,
            width=frame.picture.width,
            height=frame.picture.height,
            pdq=facts.pdq or None,
            pdq_quality=pdq.quality,
            variants=variants,
            matches=matches,
            scores=scores,
            deduplicated=seen.repeated is not None and frame.hashed_only is None,
            concealed=frame.concealed,
            classified=classified,
            flat=frame.flat,
            frozen=seen.frozen,
            hits=evaluation.hits,
        )
