"""The near-duplicate gate: skips classifiers for pictures that repeat one.

A picture is compared with the one *last classified*, not with the one last sampled, so that slow change adds up until
it is classified. Kept of that one are its PDQ hash and 16 block means: enough to see that nothing happened, not enough
to see a picture. The gate never holds up a hash check.

The two measures fail apart, hence both must agree. On 19 scikit-image pictures as still scenes, with noise of sigma 4,
re-encoded by x264 at 400 kbit/s, PDQ moved by up to 24 bits (mostly <= 16) while no block mean moved by more than
0.93; content changed in a window of a tenth of the area moved PDQ by as little as 2 bits, yet in 98 % of 556 trials
some block mean by more than 1, although the window's own mean was kept equal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pdq.pdq import PdqHash

GRID = 4
"""Blocks a side; 16 in all is the most that may be kept of a picture."""

MAX_DISTANCE_BITS = 16
"""PDQ bits by which a repeated picture may differ, <=; see the figures above."""

MAX_BLOCK_DIFFERENCE = 1.0
"""Luma levels of 255 by which any one block mean may differ, <=; see the figures above."""

MAX_SKIP_MS = 30_000
"""Capture time since the picture last classified, <=: whatever the measures, a picture is classified twice a minute."""

FROZEN_AFTER_MS = 10_000
"""Capture time without a change, >=, from which a picture counts as frozen."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The part of a picture that is kept."""

    pdq: PdqHash
    blocks: tuple[float, ...]
    """Mean luma of each of 4 × 4 blocks, row by row, 0 to 255, to a hundredth of a level."""

    @classmethod
    def of(cls, luma: NDArray[np.uint8], pdq: PdqHash) -> Self:
        """Takes the fingerprint of `luma` (uint8, (H, W), full range), whose hash is `pdq`."""
        means = cv2.resize(luma.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
        return cls(pdq=pdq, blocks=tuple(round(float(mean), 2) for mean in means.ravel()))

    def resembles(self, other: Self, *, flat: bool) -> bool:
        """Returns whether this picture shows the same as `other`.

        Args:
            flat: this picture has no content, so that its block means are all there is. Of other pictures under
                PDQ's quality bound the bits are noise: they resemble nothing, and each one is classified.
        """
        difference = max(abs(one - two) for one, two in zip(self.blocks, other.blocks, strict=True))
        if difference > MAX_BLOCK_DIFFERENCE:
            return False
        if flat:
            return not other.pdq.hashable
        hashable = self.pdq.hashable and other.pdq.hashable
        return hashable and self.pdq.distance(other.pdq) <= MAX_DISTANCE_BITS


@dataclass(frozen=True, kw_only=True)
class GateState:
    """The picture last classified of one (stream, epoch), by capture time.

    Two states of one stream merge by keeping the later `capture_ms`, which gives the same in any order.
    """

    fingerprint: Fingerprint
    capture_ms: int
    unchanged_since_ms: int
    """Capture time of the first of the classified pictures, up to this one, that each repeated the one before."""
    scores: Mapping[str, float]
    """Its scores, which pictures that repeat it take over."""

    def to_json(self) -> str:
        """Returns the state as Redis keeps it."""
        return json.dumps(
            {
                "pdq": self.fingerprint.pdq.hex,
                "quality": self.fingerprint.pdq.quality,
                "blocks": self.fingerprint.blocks,
                "capture_ms": self.capture_ms,
                "unchanged_since_ms": self.unchanged_since_ms,
                "scores": dict(self.scores),
            },
            separators=(",", ":"),
        )

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Reads as `from_json`; None, as if no picture was classified yet, if it cannot be read."""
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
        if len(kept["blocks"]) != GRID * GRID:
            raise ValueError(f"blocks: expected {GRID * GRID}")
        return cls(
            fingerprint=Fingerprint(
                pdq=PdqHash(bits=bytes.fromhex(kept["pdq"]), quality=kept["quality"]), blocks=tuple(kept["blocks"])
            ),
            capture_ms=int(kept["capture_ms"]),
            unchanged_since_ms=int(kept.get("unchanged_since_ms", kept["capture_ms"])),
            scores={str(name): float(score) for name, score in kept["scores"].items()},
        )


@dataclass(frozen=True, kw_only=True)
class GateView:
    """The gate's answer for one picture."""

    repeated: GateState | None
    """The classified picture whose scores this one takes over; None: it is to be classified."""
    unchanged_since_ms: int
    """Capture time since which the picture has not changed, as far back as classified pictures go."""
    capture_ms: int
    fingerprint: Fingerprint

    @property
    def frozen(self) -> bool:
        return self.capture_ms - self.unchanged_since_ms >= FROZEN_AFTER_MS

    def classified(self, scores: Mapping[str, float]) -> GateState:
        """The state after this picture was classified."""
        return GateState(
            fingerprint=self.fingerprint,
            capture_ms=self.capture_ms,
            unchanged_since_ms=self.unchanged_since_ms,
            scores=scores,
        )


def view(state: GateState | None, fingerprint: Fingerprint, *, capture_ms: int, flat: bool) -> GateView:
    """Decides whether the picture taken at `capture_ms` needs the classifiers.

    A picture older than the one last classified (its segment ended late) is never taken for a repetition: else one
    classified picture could stand for 30 s on both of its sides.
    """
    if state is None or capture_ms < state.capture_ms or not fingerprint.resembles(state.fingerprint, flat=flat):
        return GateView(repeated=None, unchanged_since_ms=capture_ms, capture_ms=capture_ms, fingerprint=fingerprint)
    return GateView(
        repeated=state if capture_ms - state.capture_ms <= MAX_SKIP_MS else None,
        unchanged_since_ms=state.unchanged_since_ms,
        capture_ms=capture_ms,
        fingerprint=fingerprint,
    )
