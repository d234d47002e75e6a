"""Pictures of a stream that lie near others: in capture order, by time and by number."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from config.policy.policy import Policy

Mask = npt.NDArray[np.bool_]
"""(n,)."""

_APART = 2**40
"""Distance between two streams, of times in ms and of numbers: 34 years."""


@dataclass(frozen=True, kw_only=True)
class RuleReach:
    """The greatest reach of a policy's rules around a picture."""

    window_ms: int
    window_samples: int
    persistence_samples: int
    """The M of N of M samples."""

    @classmethod
    def of(cls, policy: Policy) -> Self:
        spans = [call.span for rule in policy.rules for call in rule.condition.windows]
        return cls(
            window_ms=max((span.ms or 0 for span in spans), default=0),
            window_samples=max((span.samples or 0 for span in spans), default=0),
            persistence_samples=max((rule.persistence.of_samples or 0 for rule in policy.rules), default=0),
        )


def near(table: pa.Table, seeds: Mask, reach: RuleReach) -> Mask:
    """(n,): the rows that have one of `seeds` within reach, in the same watch and epoch of a stream.

    Both before and after, since a window around a seed also holds the pictures before it. Rows beyond that lie between
    pictures that are too far apart to count together.
    """
    order, time, number = _positions(table)
    inside = seeds[order]
    inside = _dilated(inside, time, reach.window_ms) | _dilated(inside, number, reach.window_samples)
    inside = _dilated(inside, number, reach.persistence_samples)
    found = np.zeros(len(seeds), np.bool_)
    found[order] = inside
    return found


def _positions(table: pa.Table) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows in capture order, stream by stream; the time of each, and the number of classified ones up to it. From
    one stream to the next both jump so far that no rows of them are near."""
    stream = table["stream_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    generation, epoch = table["generation"].to_numpy(), table["epoch"].to_numpy()
    capture = table["capture_ms"].to_numpy()
    order = np.lexsort((capture, epoch, generation, stream))
    changes = [np.diff(of[order], prepend=of[order[:1]]) != 0 for of in (stream, generation, epoch)]
    apart = np.cumsum(np.logical_or.reduce(changes)).astype(np.int64) * _APART
    classified = table["looked_at"].to_numpy(zero_copy_only=False).astype(np.bool_)[order]
    return order, capture[order] - int(capture.min()) + apart, np.cumsum(classified) + apart


def _dilated(inside: Mask, position: npt.NDArray[np.int64], reach: int) -> Mask:
    """Rows with one inside at most (<=) `reach` before or after; `position` never decreases."""
    if reach == 0 or not inside.any():
        return inside
    marked = position[inside]
    before = np.searchsorted(marked, position, "right") - 1
    after = np.minimum(before + 1, len(marked) - 1)
    near_before = (before >= 0) & (position - marked[np.maximum(before, 0)] <= reach)
    near_after = (marked[after] >= position) & (marked[after] - position <= reach)
    dilated: Mask = inside | near_before | near_after
    return dilated
