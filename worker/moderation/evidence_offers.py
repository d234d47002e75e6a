"""Rules that hold on a picture, and the hits of a segment that are kept of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.facts import Hit
from config.policy.policy import Policy
from worker.evidence.item import SealedItem
from worker.evidence.record import EvidenceRecord
from worker.incidents.evidence_choice import Telling, telling


@dataclass(frozen=True, kw_only=True)
class RuleOffer:
    """A rule that holds, or may hold, on a picture."""

    hit: Hit
    score: float
    distance: int | None

    @property
    def known(self) -> bool:
        """It holds by matches on hash lists alone."""
        return bool(self.hit.grounds)

    @property
    def telling(self) -> Telling:
        """Its place in the order in which pictures are preferred."""
        return telling(self.hit.severity, self.score, self.distance)


@dataclass(frozen=True, kw_only=True)
class HeldHit:
    """A sealed hit, which a more telling one may replace."""

    offer: RuleOffer
    item: SealedItem
    record: EvidenceRecord


def offer_of(hit: Hit, policy: Policy) -> RuleOffer:
    """Returns the offer of a hit."""
    named = policy.rule(hit.rule).condition.scores
    scores = [score for name, score in hit.scores.items() if name in named and math.isfinite(score)]
    matches = hit.grounds or (hit.matches if policy.rule(hit.rule).condition.uses_matches else ())
    return RuleOffer(
        hit=hit,
        score=max(scores, default=0.0),
        distance=min((match.distance for match in matches), default=None),
    )


def least_needed(held: Mapping[str, Sequence[HeldHit]], offer: RuleOffer) -> HeldHit | None:
    """Returns the hit that makes room for the first one of another rule: the least telling that is not its rule's
    only first one, then a first one of a rule that is less severe; None: there is none."""
    further = [each for several in held.values() for each in several[1:]]
    firsts = [several[0] for several in held.values() if several]
    less = [each for each in firsts if each.offer.telling.severity > offer.telling.severity]
    return max(further or less, key=lambda each: each.offer.telling, default=None)
