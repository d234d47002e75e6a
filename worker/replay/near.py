"""Which pictures of a stream lie near others: in capture order, by time and by number."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from config.policy.policy import Policy

Mask = npt.NDArray[np.bool_]
"""(n,)."""

_APART = 2**40
"""Between the times, in ms, and the numbers of two streams: 34 years."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a policy's rules look around a picture, at most."""

    window_ms: int
    window_samples: int
    persistence_samples: int
    """N of M samples: the M."""

    @classmethod
    def of(cls, policy: Policy) -> Self:
        spans = [call.span for rule in policy.rules for call in rule.condition.windows]
        return cls(
            window_ms=max((span.ms or 0 for span in spans), default=0),
            window_samples=max((span.samples or 0 for span in spans), default=0),
            persistence_samples=max((rule.persistence.of_samples or 0 for rule in policy.rules), default=0),
        )


def near(table: pa.Table, sparks: Mask, reach: Reach) -> Mask:
    """(n,): the rows that have one of `sparks` within reach, in the same watch and epoch of a stream.

    Both before and after: a window that a spark is in is made of what lies before it as well. What is left out beyond
    that would only lie between pictures that are too far apart to count together.
    """
    order, time, number = _places(table)
    inside = sparks[order]
    inside = _dilated(inside, time, reach.window_ms) | _dilated(inside, number, reach.window_samples)
    inside = _dilated(inside, number, reach.persistence_samples)
    found = np.zeros(len(sparks), np.bool_)
    found[order] = inside
    return found


def _places(table: pa.Table) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows in capture order, stream by stream; the time of each, and how many were looked at up to it. Between two
    streams both jump by so much that nothing of them is near."""
    stream = table["stream_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    generation, epoch = table["generation"].to_numpy(), table["epoch"].to_numpy()
    capture = table["capture_ms"].to_numpy()
    order = np.lexsort((capture, epoch, generation, stream))
    changes = [np.diff(of[order], prepend=of[order[:1]]) != 0 for of in (stream, generation, epoch)]
    apart = np.cumsum(np.logical_or.reduce(changes)).astype(np.int64) * _APART
    looked_at = table["looked_at"].to_numpy(zero_copy_only=False).astype(np.bool_)[order]
    return order, capture[order] - int(capture.min()) + apart, np.cumsum(looked_at) + apart


def _dilated(inside: Mask, place: npt.NDArray[np.int64], reach: int) -> Mask:
    """Where there is one inside at most (<=) `reach` before or after; `place` does not fall."""
    if reach == 0 or not inside.any():
        return inside
    there = place[inside]
    before = np.searchsorted(there, place, "right") - 1
    after = np.minimum(before + 1, len(there) - 1)
    near_before = (before >= 0) & (place - there[np.maximum(before, 0)] <= reach)
    near_after = (there[after] >= place) & (there[after] - place <= reach)
    dilated: Mask = inside | near_before | near_after
    return dilated
