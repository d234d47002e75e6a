"""The judge: which rules hold, segment by segment. Live moderation, scans and replay all ask this one.

Pure: what has to be remembered of a stream is handed in and given back. Most rules look at one sample, and are asked
at once. Those that look at a window, at coverage, or at N of M samples are asked in capture order, so that the same is
raised in whatever order segments end: a segment's samples wait until no earlier segment is still to come.
"""

from dataclasses import dataclass

from config.facts import Hit, Place, SegmentFacts
from config.policy import Policy


@dataclass(frozen=True, kw_only=True)
class OrderState:
    """What is remembered of one watch generation and epoch of a stream, for the rules that are judged in order."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What follows from one more segment."""

    hits: tuple[Hit, ...]
    """Of its own samples, and of those that had waited for it; before persistence, shadow rules among them."""
    state: OrderState
    problems: tuple[str, ...] = ()
    """Slugs for `degraded`: rules that could not be evaluated."""


def judge(
    policy: Policy, state: OrderState, segment: SegmentFacts, *, earliest_pending: Place | None = None
) -> Judgement:
    """Judges one more segment, whichever of its stream ends next.

    Args:
        state: of the segment's watch generation and epoch; `OrderState()` before the first.
        segment: also one of which nothing was seen: others may have waited for it.
        earliest_pending: place of the earliest segment of the same epoch that is still to come; None: there is none
            (all later ones come later).
    """
    evaluations = [policy.evaluate(segment.stream, sample) for sample in segment.samples]
    return Judgement(
        hits=tuple(hit for evaluation in evaluations for hit in evaluation.hits),
        state=state,
        problems=tuple(sorted({problem for evaluation in evaluations for problem in evaluation.problems})),
    )
