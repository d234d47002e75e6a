"""Hits that a sample may turn out to have once all before it has ended, as far as the sample alone shows them.

Rules that are judged in order hold for good only when earlier segments have ended, maybe on another worker, and pixels
are gone by then. So evidence is kept of each sample on which such a rule may hold.
"""

from config.facts import Hit, SampleFacts, StreamFacts, Surroundings
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.windows import WindowCall
from config.policy.policy import Policy
from config.policy.rules import Rule
from config.policy.sample_evaluation import SampleEvaluator


def possible_hits(policy: Policy, stream: StreamFacts, sample: SampleFacts) -> tuple[Hit, ...]:
    """Possible hits of the live rules that are judged in order; those of the others are known at once.

    The parts of a condition that need neither windows nor coverage must hold. Where none of them is about the picture,
    it must also count in a window of the condition, or make the condition hold with a window of this sample alone:
    a rule on windows or coverage alone would else keep every picture of the stream. Never raises.
    """
    rules = [rule for rule in policy.in_order if rule.mode == "live"]
    if not rules:
        return ()
    sample, _ = policy.usable(stream, sample)
    windows = policy.windows
    around = Surroundings(answers=windows.answers((), windows.of(sample)))
    evaluator = SampleEvaluator(stream, sample, around, policy.names_in_order)
    return tuple(_hit(evaluator, rule, sample) for rule in rules if _may_hold(evaluator, rule, sample))


def _may_hold(evaluator: SampleEvaluator, rule: Rule, sample: SampleFacts) -> bool:
    condition = rule.condition
    if not _holds(evaluator, rule, alone=True):
        return False
    if condition.alone_tells or not condition.needs_surroundings:
        return True
    counted = any(_counts(call, sample) for call in condition.windows)
    return counted or (not condition.uses_coverage and _holds(evaluator, rule, alone=False))


def _holds(evaluator: SampleEvaluator, rule: Rule, *, alone: bool) -> bool:
    condition = rule.condition.of_sample_alone if alone else rule.condition
    try:
        return evaluator.holds(condition)
    except ConditionError:
        return False  # reported when the rule is judged


def _counts(call: WindowCall, sample: SampleFacts) -> bool:
    """True if a window counts the sample. `max` and `samples` take any: their condition is tried on the sample."""
    if call.function == "matched":
        return any(match.list == call.name for match in sample.matches)
    return call.function in ("count", "fraction") and sample.scores.get(call.name, 0.0) >= call.threshold


def _hit(evaluator: SampleEvaluator, rule: Rule, sample: SampleFacts) -> Hit:
    return Hit(
        rule=rule.name,
        severity=rule.severity,
        capture_ms=sample.capture_ms,
        pts_seconds=sample.pts_seconds,
        reason=sample.reason,
        principles=rule.serves(matched=bool(sample.matches), scored=bool(sample.scores)),
        matches=sample.matches,
        scores=dict(sample.scores),
        grounds=evaluator.grounds(rule.condition),
        pdq=sample.pdq,
    )
