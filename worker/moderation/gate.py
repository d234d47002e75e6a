"""The near-duplicate gate: skips classifiers for pictures that repeat one.

A picture is compared with the one *last classified*, not with the one last sampled, so that slow change adds up until
it is classified. Kept of that one are its PDQ hash and 16 numbers that mean nothing without the deployment's secret:
enough to see that nothing happened, not enough to see a picture. The gate never holds up a hash check.

The two measures fail apart, hence both must agree. Figures of `python -m bench.gate`, on 18 scikit-image pictures as
still scenes at 640 × 360, with noise of sigma 4, encoded by x264 at 400 kbit/s: PDQ moves by up to 24 bits (median 4),
the projections by more than 1.0 in 8.7 % of comparisons and never by 1.65; 95.7 % are repeated at 1.0 and 1.65 (with
4 × 4 block means: 97.4 %), and more at 1.1. Of 1,500 windows of a ninth of the area whose block means are restored
99.99 % are classified at 1.0; of the 90 that PDQ and block means let pass 99.8 %.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Self

from models.pdq.pdq import PdqHash
from worker.moderation.gate_key import PROJECTIONS, GateCells, GateKey

MAX_DISTANCE_BITS = 16
"""PDQ bits by which a repeated picture may differ, <=; see the figures above."""

ALIKE_BITS = 6
"""PDQ bits, <=, at which two pictures have the same structure."""

MAX_DIFFERENCE, MAX_DIFFERENCE_ALIKE = 1.1, 1.65
"""Luma levels of 255, root mean square over the projections, by which it may differ, <=; the second where the structure
is the same.

Small pictures of an encoder with a tight buffer need the second: of a still scene of 320 × 180 at 0.2 s (tight VBV of
`bench.sampling`) each is coarse in its own way, at no more than 6 bits in most. Of its 31 samples 4.3 are classified in
the mean of 24 keys (2.9 by the drawn times alone; 4.8 when luma alone was compared, at 0.8 and 1.3)."""

FROZEN_AFTER_MS = 10_000
"""Capture time without a change, >=, from which a picture counts as frozen."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The part of a picture that is kept."""

    pdq: PdqHash
    projections: tuple[float, ...]
    """16 sums of luma, texture and chroma (`GateKey.projections`)."""

    @classmethod
    def of(cls, cells: GateCells, pdq: PdqHash, key: GateKey) -> Self:
        """Takes the fingerprint of a picture by its cells and its hash."""
        return cls(pdq=pdq, projections=key.projections(cells))

    def resembles(self, other: Self, *, flat: bool, tolerance: float = 1.0) -> bool:
        """Returns whether this picture shows the same as `other`, whose projections are by the same key.

        Args:
            flat: this picture has no content, so that its projections are all there is. Of other pictures under
                PDQ's quality bound the bits are noise: they resemble nothing, and each one is classified.
            tolerance: multiple of the differences by which the projections may differ.
        """
        squares = [(one - two) ** 2 for one, two in zip(self.projections, other.projections, strict=True)]
        difference = sqrt(sum(squares) / len(squares))
        if flat:
            return not other.pdq.hashable and difference <= tolerance * MAX_DIFFERENCE_ALIKE
        if not self.pdq.hashable or not other.pdq.hashable:
            return False
        bits = self.pdq.distance(other.pdq)
        # A damaged state may have what is no number: that is never <=.
        return bits <= MAX_DISTANCE_BITS and difference <= tolerance * max_difference(bits)


def max_difference(bits: int) -> float:
    """Returns by how much the projections of pictures may differ, <=, whose hashes differ in so many bits."""
    return MAX_DIFFERENCE_ALIKE if bits <= ALIKE_BITS else MAX_DIFFERENCE


@dataclass(frozen=True, kw_only=True)
class GateState:
    """The classified picture that one (stream, epoch) shows, by capture time.

    Two states of one stream merge by keeping the later `capture_ms`, which gives the same in any order.
    """

    key: str
    """The mark of the key that its projections are by."""
    fingerprint: Fingerprint
    capture_ms: int
    """Capture time of the picture; or of a later one that came back to it after another was classified."""
    classified_ms: int
    """Capture time of the picture whose scores these are, <= `capture_ms`."""
    unchanged_since_ms: int
    """Capture time of the first of the classified pictures, up to this one, that each repeated the one before."""
    scores: Mapping[str, float]
    """Its scores, which pictures that repeat it take over."""

    def may_stand_for(self, capture_ms: int, key: GateKey) -> bool:
        """Returns whether the picture taken at `capture_ms` may take over these scores, if it resembles this one.

        One that is older than this picture (its segment ended late) never does: else one classified picture could
        stand for the drawn time on both of its sides.
        """
        return self.capture_ms <= capture_ms <= self.classified_ms + key.reuse_ms(self.classified_ms)

    def to_json(self) -> str:
        """Returns the state as Redis keeps it."""
        return json.dumps(
            {
                "key": self.key,
                "pdq": self.fingerprint.pdq.hex,
                "quality": self.fingerprint.pdq.quality,
                "projections": self.fingerprint.projections,
                "capture_ms": self.capture_ms,
                "classified_ms": self.classified_ms,
                "unchanged_since_ms": self.unchanged_since_ms,
                "scores": dict(self.scores),
            },
            separators=(",", ":"),
        )

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Reads as `from_json`; None, as if no picture was classified yet, if it cannot be read.

        So are states of before 16 projections took the place of 16 block means, here and there: workers of both kinds
        side by side classify more than they have to.
        """
        try:
            return cls.from_json(text)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote, of another version too: unknown fields are ignored.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is something else.
        """
        kept = json.loads(text)
        if len(kept["projections"]) != PROJECTIONS:
            raise ValueError(f"projections: expected {PROJECTIONS}")
        return cls(
            key=str(kept["key"]),
            fingerprint=Fingerprint(
                pdq=PdqHash(bits=bytes.fromhex(kept["pdq"]), quality=kept["quality"]),
                projections=tuple(float(one) for one in kept["projections"]),
            ),
            capture_ms=int(kept["capture_ms"]),
            classified_ms=int(kept["classified_ms"]),
            unchanged_since_ms=int(kept["unchanged_since_ms"]),
            scores={str(name): float(score) for name, score in kept["scores"].items()},
        )
