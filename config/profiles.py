"""Sampling profiles: how densely a stream is sampled, and what that may cost."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field


class SamplingProfile(BaseModel):
    """Number and places of the pictures taken from a segment. Durations are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    max_gap_seconds: float = Field(gt=0, le=60, strict=True)
    """No stretch of decodable pictures longer than this goes without a sample."""
    keyframe_spacing_seconds: float = Field(ge=0, le=60, strict=True)
    """Keyframes nearer than this to the sample before are skipped, unless their packets suggest new content."""
    cut_doublings: float = Field(ge=-4, le=16, strict=True)
    """Evidence from which a packet counts as a hidden cut, in doublings of its size (sampler/plan/cut_score.py). Lower
    sees more and decodes more."""
    cuts_per_second: float = Field(ge=0, strict=True)
    """Bound on pictures taken for cuts, the strongest first: a stream of nothing but cuts costs no more."""
    audits_per_minute: float = Field(ge=0, strict=True)
    """Pictures taken at random instants, each of which costs half a GOP of decoding on the average; and segments that
    are moderated in another rendition too (worker/runtime/rendition_audit.py), which costs as much as that one does."""
    samples_per_second: float = Field(default=5.0, ge=0, strict=True)
    """Bound on all samples, counted by half seconds, but for those that keyframes and gaps call for. What it refuses is
    skipped: `budget` in the ledger."""
    macroblocks_per_second: int = Field(default=900_000, ge=0, strict=True)
    """Bound on what is decoded for a second of video, in blocks of 16×16 pixels of H.264: 1080p has 8,160 a picture.
    Other codecs, bytes and samples count by what they cost (sampler/plan/budget.py). What it refuses is skipped:
    `budget`."""
    exact_pictures: bool = False
    """True if the loop filter always runs. Else it is left out where most pictures must be decoded, or suspected cuts
    alone, which moves PDQ by 2 to 4 bits in the mean (sampler/decode/runs/thrift.py)."""


ECONOMY: Final = SamplingProfile(
    name="economy",
    max_gap_seconds=4,
    keyframe_spacing_seconds=1,
    cut_doublings=0.8,
    cuts_per_second=1,
    audits_per_minute=0.1,
    samples_per_second=3,
    macroblocks_per_second=450_000,
)
BALANCED: Final = SamplingProfile(
    name="balanced",
    max_gap_seconds=2,
    keyframe_spacing_seconds=0.5,
    cut_doublings=0.3,
    cuts_per_second=3,
    audits_per_minute=0.3,
)
VIGILANT: Final = SamplingProfile(
    name="vigilant",
    max_gap_seconds=0.5,
    keyframe_spacing_seconds=0.2,
    cut_doublings=-0.2,
    cuts_per_second=8,
    audits_per_minute=1,
    samples_per_second=16,
    macroblocks_per_second=3_600_000,
    exact_pictures=True,
)

PROFILES: Final = {profile.name: profile for profile in (ECONOMY, BALANCED, VIGILANT)}
"""The built-in profiles by name; a policy may add its own."""
