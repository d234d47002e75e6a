"""The bound on a window's rate of pictures. Runs in the decoder child."""

from collections.abc import Sequence

from sampler.errors import ImplausibleRateError
from sampler.limits import Limits

RATE_PICTURES = 8
"""So many pictures are needed to call a rate implausible."""


def hold_rate(seconds: Sequence[float], limits: Limits) -> None:
    """Raises ImplausibleRateError, unless pictures with these times come no faster than the limit."""
    span = max(seconds) - min(seconds)
    if len(seconds) >= RATE_PICTURES and len(seconds) - 1 > span * limits.frames_per_second:
        raise ImplausibleRateError(
            f"{len(seconds)} pictures in {span:.6f} s: expected at most {limits.frames_per_second} a second"
        )
