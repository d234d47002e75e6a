"""A scan: the pipeline over a file or a playlist, without Redis, and what comes out of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import process_time
from typing import Any

from config.facts import SELFTEST, ListMatch, SampleFacts, Severity, StreamFacts
from config.persistence import Persistence, Seen
from config.policy import Policy
from models.bank.bank import Bank
from sampler.errors import SamplerError
from sampler.frames import Stretch
from worker.accounting import SHORT, account, longest_gap
from worker.errors import FetchError, LocalFileError, ScanError
from worker.filedigests import match_file
from worker.gate import GateState
from worker.mediasource import Media, Part, Payload
from worker.pipeline import Observer, Origin, Pipeline
from worker.stillfile import is_picture, picture_bytes
from worker.verdict import CpuSeconds, SampleVerdict, SegmentVerdict

SCANNED = StreamFacts(stream_id="scan", purpose="drill")
"""A scan is a drill: the test card counts."""

FILE = "file"
"""What a rule is told to have made us look, where the file itself is listed."""

FOUND, UNSEEN, CLEAN = 1, 2, 0
"""Exit statuses."""

SLACK_SECONDS = 1e-3
"""Time stamps of MPEG-TS count 1/90000 s and EXTINF is rounded: less than this is no time."""


@dataclass(frozen=True, kw_only=True)
class ScanFinding:
    """A rule of the policy that holds on pictures in a row."""

    rule: str
    severity: Severity
    pts_seconds: float
    """Of the first of the pictures."""

    def to_record(self) -> dict[str, Any]:
        """As `livewarden scan --json` prints it."""
        return {
            "type": "finding",
            "rule": self.rule,
            "severity": str(self.severity),
            "pts_seconds": round(self.pts_seconds, 6),
        }


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """A stretch of the whole input that nobody looked at."""

    stretch: Stretch
    part: str
    """Name of the part that it lies in."""
    detail: str = ""
    """What went wrong, where there is more to say than the reason."""


@dataclass(kw_only=True)
class ScanResult:
    """What was seen so far; grows with each part."""

    file_matches: tuple[ListMatch, ...] = ()
    """Entries that are digests of the whole file."""
    samples: list[SampleVerdict] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    degraded: set[str] = field(default_factory=set)
    duration_seconds: float = 0.0
    pictures_seconds: float = 0.0
    """Of `duration_seconds`: what holds pictures."""
    frames_total: int = 0
    frames_decoded: int = 0
    cpu_seconds: CpuSeconds = field(default_factory=CpuSeconds)

    @property
    def unmoderated_seconds(self) -> float:
        return sum((unseen.stretch.seconds for unseen in self.unseen), 0.0)

    @property
    def frame_seconds(self) -> float:
        """The mean time that a picture is shown."""
        return self.pictures_seconds / self.frames_total if self.frames_total else 0.0

    def findings(self, policy: Policy) -> list[ScanFinding]:
        """What the policy lets through, with its persistence: one for each rule and row of pictures, by time."""
        found = [
            ScanFinding(rule=rule.name, severity=rule.severity, pts_seconds=self.samples[row[0]].pts_seconds)
            for rule in policy.rules
            if rule.mode == "live"
            for row in _rows(self._persisting(rule.name, rule.persistence))
        ]
        found += self._of_file(policy)
        return sorted(found, key=lambda finding: (finding.pts_seconds, finding.severity.rank))

    def _of_file(self, policy: Policy) -> list[ScanFinding]:
        """What the file's own digest gives cause for: it is the very file, so that nothing has to persist."""
        if not self.file_matches:
            return []
        facts = SampleFacts(capture_ms=0, pts_seconds=0.0, reason=FILE, pdq_quality=0, matches=self.file_matches)
        hits = policy.evaluate(SCANNED, facts).hits
        return [
            ScanFinding(rule=hit.rule, severity=hit.severity, pts_seconds=0.0)
            for hit in hits
            if policy.rule(hit.rule).mode == "live"
        ]

    def _persisting(self, rule: str, persistence: Persistence) -> list[int]:
        """Indices of the samples on which the rule holds often enough, near enough together."""
        held = [
            (index, Seen(hit.capture_ms, hit.frames, hit.ordinal))
            for index, sample in enumerate(self.samples)
            for hit in sample.hits
            if hit.rule == rule
        ]
        kept: set[int] = set()
        for start, (_, first) in enumerate(held):
            together = [one for one in held[start:] if persistence.reach(first, one[1])]
            met_at = persistence.met_by(seen for _, seen in together)
            if met_at is not None:
                kept.update(index for index, seen in together if seen.capture_ms <= met_at)
        return sorted(kept)

    def only_selftest(self, findings: Sequence[ScanFinding]) -> bool:
        """Whether all that was found is the test card: a finding counts as that if each of its rule's hits matched it
        and no other list."""
        if self.file_matches or any(match.list != SELFTEST for sample in self.samples for match in sample.matches):
            return False
        rules = {finding.rule for finding in findings}
        return all(hit.matches for sample in self.samples for hit in sample.hits if hit.rule in rules)

    def exit_status(self, findings: Sequence[ScanFinding]) -> int:
        """1: there is a finding, whatever went unseen; else 2: over one frame's time is unmoderated; else 0."""
        if findings:
            return FOUND
        return UNSEEN if self.unmoderated_seconds > self.frame_seconds + SLACK_SECONDS else CLEAN

    def file_record(self) -> dict[str, Any]:
        """As `livewarden scan --json` prints it, first, where the file itself is listed."""
        found = [{"list": match.list, "entry": match.entry, "distance": match.distance} for match in self.file_matches]
        return {"type": "file", "matches": found}

    def summary(self) -> dict[str, Any]:
        """As `livewarden scan --json` prints it, last."""
        gap = longest_gap((sample.pts_seconds for sample in self.samples), self.duration_seconds)
        return {
            "type": "summary",
            "duration_seconds": round(self.duration_seconds, 6),
            "unmoderated_seconds": round(self.unmoderated_seconds, 6),
            "frames_total": self.frames_total,
            "frames_decoded": self.frames_decoded,
            "samples": len(self.samples),
            "max_gap_seconds": round(gap, 6),
            "cpu_seconds": {stage: round(seconds, 6) for stage, seconds in vars(self.cpu_seconds).items()},
        }


class Scan:
    """Runs the pipeline over the parts of a medium, in order."""

    def __init__(self, *, pipeline: Pipeline, bank: Bank, seed: bytes, observe: Observer | None = None) -> None:
        """`bank`: where whole files are looked up; the pipeline has one for their pictures."""
        self._pipeline = pipeline
        self._bank = bank
        self._seed = seed
        self._observe = observe
        self._gate: GateState | None = None
        self.result = ScanResult()

    def run(self, media: Media) -> ScanResult:
        """Scans all parts; a part that cannot be looked at is told in `unseen`, and the next one is tried.

        Raises:
            ScanError: nothing at all could be looked at; the text has the first reason.
        """
        started = process_time()
        for number, part in enumerate(media.parts):
            # Each part has a seed of its own: else audits would look at the same instant of every segment.
            self._scan(part, self._seed + number.to_bytes(4))
        child = self.result.cpu_seconds.demux + self.result.cpu_seconds.decode
        self.result.cpu_seconds = CpuSeconds(
            **{**vars(self.result.cpu_seconds), "total": process_time() - started + child}
        )
        if not self.result.frames_total and not self.result.file_matches:
            first = self.result.unseen[0]
            text = first.detail or f"nothing can be looked at: {first.stretch.reason}"
            raise ScanError(text if text.startswith(first.part) else f"{first.part}: {text}")
        return self.result

    def _scan(self, part: Part, seed: bytes) -> None:
        if part.refused is not None:
            self._lose(part, part.refused, "")
            return
        origin = Origin(
            stream=SCANNED,
            capture_ms=round(self.result.duration_seconds * 1000),
            offset_seconds=self.result.duration_seconds,
        )
        try:
            with part.load() as payload:
                if part.extinf_ms is None:
                    self.result.file_matches += match_file(self._bank, payload.data)
                verdict = self._judge(part, payload, origin, seed)
        except (FetchError, SamplerError) as error:
            self._lose(part, error.reason, str(error))
        except LocalFileError as error:
            self._lose(part, "unreadable", str(error))
        else:
            self._add(part, verdict)

    def _judge(self, part: Part, payload: Payload, origin: Origin, seed: bytes) -> SegmentVerdict:
        data, observe = payload.data, self._observe
        if part.extinf_ms is None and is_picture(data):
            return self._pipeline.moderate_picture(picture_bytes(data), origin=origin, observe=observe)
        return self._pipeline.moderate(
            data, init=payload.init, origin=origin, seed=seed, gate=self._gate, observe=observe
        )

    def _add(self, part: Part, verdict: SegmentVerdict) -> None:
        result = self.result
        offset = result.duration_seconds
        self._gate = verdict.gate
        result.samples += verdict.samples
        result.degraded.update(verdict.degraded)
        result.frames_total += verdict.frames_total
        result.frames_decoded += verdict.frames_decoded
        result.cpu_seconds += verdict.cpu_seconds
        result.pictures_seconds += verdict.duration_seconds
        result.duration_seconds += verdict.duration_seconds
        result.unseen += [
            Unseen(
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
                part.extinf_ms, duration_seconds=verdict.duration_seconds, unmoderated=before, unhashable_seconds=0
            )
            self._skip(part, SHORT, "", share.failed_ms.get(SHORT, 0) / 1000)

    def _lose(self, part: Part, reason: str, detail: str) -> None:
        self._skip(part, reason, detail, (part.extinf_ms or 0) / 1000, even_if_empty=True)

    def _skip(self, part: Part, reason: str, detail: str, seconds: float, *, even_if_empty: bool = False) -> None:
        """Time that the playlist promises and that holds no pictures for us: the input's timeline goes on over it."""
        if not seconds and not even_if_empty:
            return
        start = self.result.duration_seconds
        self.result.duration_seconds += seconds
        self.result.unseen.append(
            Unseen(
                part=part.name,
                detail=detail,
                stretch=Stretch(start_seconds=start, end_seconds=start + seconds, reason=reason),
            )
        )


def _rows(indices: Iterable[int]) -> list[list[int]]:
    """Cuts ascending indices where they do not follow one another."""
    rows: list[list[int]] = []
    for index in indices:
        if rows and rows[-1][-1] == index - 1:
            rows[-1].append(index)
        else:
            rows.append([index])
    return rows
