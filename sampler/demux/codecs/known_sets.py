"""Parameter sets of one kind that a stream has shown, each read once. Runs in the decoder child.

Encoders repeat theirs with every keyframe. One who floods a stream with different ones has each of them read, which
takes up to half a millisecond.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from sampler.demux.codecs.bits import Bits, HeaderError

MOST_DIFFERENT = 256
"""So many different ones are read. There are 32 SPS and 256 PPS at once (H.264 7.4.2)."""

Fields = TypeVar("Fields")


class FloodError(HeaderError):
    """There are more different parameter sets than are read."""


class KnownSets(Generic[Fields]):
    """The fields of those that came so far."""

    def __init__(self, read: Callable[[Bits], tuple[int, Fields]], *, head_bytes: int, most_bytes: int) -> None:
        """None came so far.

        Args:
            read: identifier and fields of a parameter set; raises HeaderError.
            head_bytes: of the unit's head.
            most_bytes: so much of a unit is read.
        """
        self._read = read
        self._head_bytes, self._most_bytes = head_bytes, most_bytes
        self._found: dict[bytes, tuple[int, Fields] | None] = {}

    def read(self, unit: bytes) -> tuple[int, Fields]:
        """Identifier and fields of a parameter set, of its NAL unit.

        Raises:
            FloodError: it is one more than are read.
            HeaderError: it makes no sense.
        """
        unit = unit[: self._most_bytes]
        if unit not in self._found:
            if len(self._found) >= MOST_DIFFERENT:
                raise FloodError
            self._found[unit] = None
            self._found[unit] = self._read(Bits(unit[self._head_bytes :]))
        found = self._found[unit]
        if found is None:
            raise HeaderError
        return found
