"""A scan: the pipeline over a file or a playlist, without Redis."""

from dataclasses import replace
from time import process_time

from config.facts import Hit, SegmentFacts
from config.policy.evaluation import OrderState, judge_in_order
from config.policy.policy import Policy
from models.bank.bank import Bank
from sampler.errors import SamplerError
from sampler.frames import Stretch
from worker.errors import FetchError, LocalFileError, ScanError
from worker.moderation.accounting import SHORT, account
from worker.moderation.gate import GateState
from worker.moderation.moderation_context import ModerationContext
from worker.moderation.pipeline import Observer, Pipeline
from worker.moderation.segment_before import SegmentBytes
from worker.moderation.stages import ModelTally
from worker.moderation.verdict import CpuSeconds, SampleVerdict, SegmentVerdict
from worker.scan.file_digests import match_file
from worker.scan.media_source import Media, Part, Payload, is_picture, picture_bytes
from worker.scan.result import SCANNED, ScanResult, UnmoderatedStretch


class Scan:
    """Runs the pipeline over the parts of a medium, in order."""

    def __init__(
        self, *, pipeline: Pipeline, policy: Policy, bank: Bank, seed: bytes, observe: Observer | None = None
    ) -> None:
        """`bank`: for digests of files; the pipeline has one for their pictures, and evaluates `policy`."""
        self._pipeline = pipeline
        self._policy = policy
        self._order = OrderState()
        self._bank = bank
        self._seed = seed
        self._observe = observe
        self._gate: GateState | None = None
        self._before: SegmentBytes | None = None
        """The segment before, of a playlist."""
        self._parameter_sets = b""
        """Those in force at its end."""
        self.result = ScanResult()

    def run(self, media: Media) -> ScanResult:
        """Scans all parts; a part that cannot be moderated goes into `unseen`, and the next one is tried.

        Raises:
            ScanError: nothing could be moderated; the text has the first reason.
        """
        started = process_time()
        self.result.rendition, self.result.not_scanned = media.rendition, media.not_scanned
        for number, part in enumerate(media.parts):
            # Each part has a seed of its own: else audits would sample the same instant of every segment.
            self._scan(part, self._seed + number.to_bytes(4))
        child = self.result.cpu_seconds.demux + self.result.cpu_seconds.decode
        self.result.cpu_seconds = CpuSeconds(
            **{**vars(self.result.cpu_seconds), "total": process_time() - started + child}
        )
        if not self.result.frames_total and not self.result.file_matches:
            first = self.result.unseen[0]
            text = first.detail or f"nothing can be moderated: {first.stretch.reason}"
            raise ScanError(text if text.startswith(first.part) else f"{first.part}: {text}")
        return self.result

    def _scan(self, part: Part, seed: bytes) -> None:
        before, self._before = self._before if part.goes_on else None, None
        parameter_sets, self._parameter_sets = self._parameter_sets if part.goes_on else b"", b""
        if part.refused is not None:
            self._lose(part, part.refused, "")
            return
        context = ModerationContext(
            stream=SCANNED,
            capture_ms=round(self.result.duration_seconds * 1000),
            offset_seconds=self.result.duration_seconds,
            parameter_sets=parameter_sets,
        )
        try:
            with part.load() as payload:
                if part.extinf_ms is None:
                    self.result.file_matches += match_file(self._bank, payload.data)
                if part.extinf_ms is not None and isinstance(payload.data, bytes):
                    self._before = SegmentBytes(data=payload.data, init=payload.init)
                verdict = self._moderate(part, payload, before, context, seed)
        except (FetchError, SamplerError) as error:
            self._lose(part, error.reason, str(error))
        except LocalFileError as error:
            self._lose(part, "unreadable", str(error))
        else:
            self._parameter_sets = verdict.parameter_sets
            self._add(part, verdict)

    def _moderate(
        self, part: Part, payload: Payload, before: SegmentBytes | None, context: ModerationContext, seed: bytes
    ) -> SegmentVerdict:
        data, observe = payload.data, self._observe
        if part.extinf_ms is None and is_picture(data):
            return self._pipeline.moderate_picture(picture_bytes(data), context=context, observe=observe)
        return self._pipeline.moderate(
            data,
            init=payload.init,
            context=context,
            seed=seed,
            gate=self._gate,
            gate_seed=self._seed,
            observe=observe,
            before=lambda: before,
        )

    def _add(self, part: Part, verdict: SegmentVerdict) -> None:
        result = self.result
        offset = result.duration_seconds
        self._gate = verdict.gate
        result.samples += self._with_ordered_hits(part, verdict)
        result.degraded.update(verdict.degraded)
        result.frames_total += verdict.frames_total
        result.frames_decoded += verdict.frames_decoded
        result.cpu_seconds += verdict.cpu_seconds
        for model, tally in verdict.model_tallies.items():
            result.model_tallies.setdefault(model, ModelTally()).add(tally)
        result.pictures_seconds += verdict.duration_seconds
        result.duration_seconds += verdict.duration_seconds
        result.unseen += [
            UnmoderatedStretch(
                part=part.name,
                stretch=Stretch(
                    start_seconds=offset + stretch.start_seconds,
                    end_seconds=offset + stretch.end_seconds,
                    reason=stretch.reason,
                ),
            )
            for stretch in verdict.unmoderated
        ]
        if part.extinf_ms is not None:
            before = [stretch for stretch in verdict.unmoderated if stretch.end_seconds <= 0]
            share = account(
                part.extinf_ms,
                duration_seconds=verdict.duration_seconds,
                reordered_seconds=verdict.reordered_seconds,
                unmoderated=before,
                unhashable_seconds=0,
            )
            self._skip(part, SHORT, "", share.failed_ms.get(SHORT, 0) / 1000)

    def _with_ordered_hits(self, part: Part, verdict: SegmentVerdict) -> list[SampleVerdict]:
        """The samples, with the hits of rules that are evaluated in order: parts come in that order."""
        measured_ms = round(verdict.duration_seconds * 1000)
        segment_ms = measured_ms if part.extinf_ms is None else part.extinf_ms
        segment = SegmentFacts(
            key=part.name,
            capture_ms=round(self.result.duration_seconds * 1000),
            stream=SCANNED,
            samples=tuple(sample.facts for sample in verdict.samples),
            coverage=verdict.ledger_share(segment_ms).coverage(segment_ms),
        )
        judged = judge_in_order(self._policy, self._order, segment)
        self._order = judged.state
        self.result.degraded.update(judged.problems)
        hits: dict[int, list[Hit]] = {}
        for hit in judged.hits:
            hits.setdefault(hit.capture_ms, []).append(hit)
        return [replace(sample, hits=(*sample.hits, *hits.pop(sample.capture_ms, ()))) for sample in verdict.samples]

    def _lose(self, part: Part, reason: str, detail: str) -> None:
        self._skip(part, reason, detail, (part.extinf_ms or 0) / 1000, even_if_empty=True)

    def _skip(self, part: Part, reason: str, detail: str, seconds: float, *, even_if_empty: bool = False) -> None:
        """Adds time of the playlist without pictures to the input's timeline."""
        if not seconds and not even_if_empty:
            return
        start = self.result.duration_seconds
        self.result.duration_seconds += seconds
        self.result.unseen.append(
            UnmoderatedStretch(
                part=part.name,
                detail=detail,
                stretch=Stretch(start_seconds=start, end_seconds=start + seconds, reason=reason),
            )
        )
