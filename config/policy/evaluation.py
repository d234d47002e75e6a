"""Evaluation of a policy, segment by segment, by which live moderation, scans and replay agree.

Pure: the state of a stream is passed in and returned. Most rules use one sample, and are evaluated immediately.
Those that use a window, coverage, or N of M samples are evaluated in capture order, so that the same is
raised in whatever order segments end: a segment waits until no earlier one is still to come.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Final

from config.facts import Evaluation, Hit, SampleFacts, SegmentFacts, SegmentPosition, StreamFacts, Surroundings
from config.policy.cel.windows import WindowSample
from config.policy.persistence import LATE_SECONDS
from config.policy.policy import Policy
from config.policy.sample_evaluation import most_telling

MAX_WAITING_SAMPLES: Final = 2_000
"""Segments that wait for an earlier one; of more, the oldest are judged without it. LATE_SECONDS of a stream that is
sampled as densely as can be have about as many."""


@dataclass(frozen=True, kw_only=True)
class OrderState:
    """State of one watch generation and epoch of a stream, for the rules that are judged in order."""

    past: tuple[WindowSample, ...] = ()
    """Samples that were judged and that windows can still reach, by capture time."""
    ordinal: int | None = None
    """Number of the newest judged sample, among those that were classified. The first one's is its capture time in
    milliseconds, so that what is forgotten and begun again lies far from what was before. None: there was none."""
    waiting: tuple[SegmentFacts, ...] = ()
    """Segments that have ended and are not judged yet, by position: an earlier one may still come."""


@dataclass(frozen=True, kw_only=True)
class SegmentJudgement:
    """Result of one more segment."""

    hits: tuple[Hit, ...]
    """Hits of its own samples, and of those that had waited for it; before persistence, shadow rules among them."""
    state: OrderState
    problem_samples: Mapping[str, int] = field(default_factory=dict)
    """Samples by slug for `degraded`. A rule that could not be evaluated counts once a sample."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Slugs for `degraded`, sorted: rules that could not be evaluated."""
        return tuple(sorted(self.problem_samples))


def judge(
    policy: Policy, state: OrderState, segment: SegmentFacts, *, earliest_pending: SegmentPosition | None = None
) -> SegmentJudgement:
    """Judges one more segment by all rules, whichever of its stream ends next.

    Args:
        state: of the segment's watch generation and epoch; `OrderState()` before the first.
        segment: also one of which nothing was seen: others may have waited for it.
        earliest_pending: position of the earliest segment of the same epoch that is still to come; None: there is none,
            and what comes later is later.
    """
    evaluations = [policy.evaluate(segment.stream, sample) for sample in segment.samples]
    later = judge_in_order(policy, state, segment, earliest_pending=earliest_pending)
    return SegmentJudgement(
        hits=(*(hit for evaluation in evaluations for hit in evaluation.hits), *later.hits),
        state=later.state,
        problem_samples=Counter(one for each in evaluations for one in each.problems) + Counter(later.problem_samples),
    )


def judge_alone(policy: Policy, stream: StreamFacts, sample: SampleFacts) -> Evaluation:
    """Judges one sample by all rules, as if nothing lay around it: for look-back, which does not read all again.

    A window then holds the sample alone, and N of M samples are counted as if they were in a row.
    """
    windows = policy.windows
    around = Surroundings(answers=windows.answers((), windows.of(sample)))
    found = [policy.evaluate(stream, sample)]
    if policy.in_order:
        found.append(policy.evaluate(stream, sample, around))
    return Evaluation(
        hits=tuple(hit for each in found for hit in each.hits),
        problems=tuple(dict.fromkeys(problem for each in found for problem in each.problems)),
    )


def judge_in_order(
    policy: Policy, state: OrderState, segment: SegmentFacts, *, earliest_pending: SegmentPosition | None = None
) -> SegmentJudgement:
    """As `judge`, by the rules alone that are judged in order: the others were evaluated with the samples."""
    if not policy.in_order:
        return SegmentJudgement(hits=(), state=OrderState())
    waiting = sorted([*state.waiting, segment] if segment.samples else state.waiting, key=lambda one: one.position)
    ripe = _ripe(waiting, max(segment.capture_ms, *(one.capture_ms for one in waiting), 0), earliest_pending)
    memory = _Memory(policy, state)
    hits: list[Hit] = []
    problems: Counter[str] = Counter()
    for one in waiting[:ripe]:
        for sample in sorted(one.samples, key=lambda sample: sample.capture_ms):
            around, ordinal = memory.next(sample, one)
            evaluation = policy.evaluate(one.stream, sample, around)
            source = one.source if sample.source is None else sample.source
            hits += [replace(hit, segment=one.key, source=source, ordinal=ordinal) for hit in evaluation.hits]
            problems.update(evaluation.problems)
    return SegmentJudgement(
        hits=tuple(hits),
        state=OrderState(
            past=tuple(memory.past), ordinal=memory.ordinal, waiting=tuple(_kept(one) for one in waiting[ripe:])
        ),
        problem_samples=problems,
    )


class _Memory:
    """The state, advanced sample by sample."""

    def __init__(self, policy: Policy, state: OrderState) -> None:
        self._windows = policy.windows
        self.past = list(state.past)
        self.ordinal = state.ordinal

    def next(self, sample: SampleFacts, segment: SegmentFacts) -> tuple[Surroundings, int]:
        """The surroundings of a sample, and its number; that of a late one is the number of the one before it."""
        now = self._windows.of(sample, segment.silent)
        around = Surroundings(answers=self._windows.answers(self.past, now), coverage=segment.coverage)
        if self.ordinal is None:
            self.ordinal = sample.capture_ms
        elif sample.classified:
            self.ordinal += 1
        self.past = self._windows.keep(self.past, now)
        later = bisect_right(self.past, sample.capture_ms, key=lambda one: one.capture_ms)
        return around, self.ordinal - sum(one.classified for one in self.past[later:])


def _kept(segment: SegmentFacts) -> SegmentFacts:
    """The segment without fields that rules do not use: it may have to wait in Redis, JSON has no NaN, and some
    pictures match a crowd."""
    return replace(
        segment,
        samples=tuple(
            replace(
                sample,
                matches=most_telling(sample.matches),
                scores={name: score for name, score in sample.scores.items() if math.isfinite(score)},
            )
            for sample in segment.samples
        ),
    )


def _ripe(waiting: Sequence[SegmentFacts], newest_ms: int, earliest_pending: SegmentPosition | None) -> int:
    """Number of the segments, by position, that need not wait any longer."""
    if earliest_pending is None:
        return len(waiting)
    # Nothing waits without bound: a segment as late as this is judged when it comes, by the state at that time.
    late_ms = newest_ms - LATE_SECONDS * 1000
    ripe = sum(1 for _ in takewhile(lambda one: one.position < earliest_pending or one.capture_ms < late_ms, waiting))
    left = sum(len(one.samples) for one in waiting[ripe:])
    while left > MAX_WAITING_SAMPLES:
        left -= len(waiting[ripe].samples)
        ripe += 1
    return ripe
