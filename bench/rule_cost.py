"""The cost of a policy for one sample: twenty rules like those of a trust-and-safety team."""

import time
from collections.abc import Callable
from itertools import cycle
from statistics import median

from config.facts import ListMatch, SampleFacts, SegmentFacts, StreamFacts
from config.policy.evaluation import OrderState, judge
from config.policy.policy import Policy, parse_policy

RULES = 20
SAMPLES = 2_000
"""Samples, measured one by one; the median counts."""

_ALONE = (
    'matches.exists(m, m.list != "allow" && m.distance <= {distance})',
    'score("m{number}/nsfw") >= 0.9',
    'score("m{number}/nsfw") >= 0.7 && stream.risk_prior >= 0.5',
    'scores["m{number}/nsfw"] - scores["m{number}/sfw"] > 0.6 && sample.quality >= 50',
    'signal("reports") >= 3.0 && score("m{number}/nsfw") >= 0.5',
)
_AROUND = 'window.count("m{number}/nsfw", 0.8, "30s") >= 3'

_STREAM = StreamFacts(stream_id="cam-1", risk_prior=0.6, metadata={"category": "talk"}, signals={"reports": 1.0})


def microseconds_alone() -> float:
    """Time for one sample, with rules over the sample alone."""
    policy = _policy(_ALONE)
    return _median_microseconds(lambda sample: policy.evaluate(_STREAM, sample))


def microseconds_in_order() -> float:
    """Time for one sample in its own segment, with rules of which each sixth has a window of 30 s."""
    policy = _policy((*_ALONE, _AROUND))
    state = OrderState()

    def ask(sample: SampleFacts) -> None:
        nonlocal state
        segment = SegmentFacts(
            key=str(sample.capture_ms), capture_ms=sample.capture_ms, stream=_STREAM, samples=(sample,)
        )
        state = judge(policy, state, segment).state

    return _median_microseconds(ask)


def _policy(conditions: tuple[str, ...]) -> Policy:
    rules = ""
    for number, condition in zip(range(RULES), cycle(conditions), strict=False):
        when = condition.format(number=number % 3, distance=31 - number)
        rules += f"  - {{name: rule-{number}, severity: review, when: '{when}'}}\n"
    return parse_policy(f'version: "1"\nrules:\n{rules}'.encode(), "bench")


def _median_microseconds(ask: Callable[[SampleFacts], object]) -> float:
    spent = []
    for number in range(SAMPLES):
        sample = _sample(number)
        started = time.perf_counter()
        ask(sample)
        spent.append(time.perf_counter() - started)
    return 1e6 * median(spent)


def _sample(number: int) -> SampleFacts:
    """One in ten matches a list, one in ten scores high."""
    high = 0.95 if number % 10 == 0 else 0.1 + number % 7 / 100
    match = ListMatch(list="known", entry="1", distance=30)
    return SampleFacts(
        capture_ms=1000 * number,
        pts_seconds=float(number),
        reason="keyframe",
        pdq_quality=90,
        matches=(match,) if number % 10 == 5 else (),
        scores={
            key: value for model in range(3) for key, value in ((f"m{model}/nsfw", high), (f"m{model}/sfw", 1 - high))
        },
    )
