"""Sizes at which VP9 and AV1 pictures want to be rendered. Runs in the decoder child.

Where one is smaller than a picture Chromium's hardware decoders show that much of it, from its upper left corner. Its
others, and Firefox's, show all. Encoders of streams that change their size name a larger one, which nobody heeds; some
chips code whole blocks, and name what is to be seen of them.
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from sampler.demux.codecs import av1, vp9
from sampler.demux.codecs.av1_sizes import Av1Sizes

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

MOST_SIZES = 16
"""Different ones that are kept (<=), about."""


class RenderSize(NamedTuple):
    """A size in pixels, at which a picture is to be rendered."""

    width: int
    height: int


class RenderSizes:
    """Those that a stream's pictures name."""

    def __init__(self, codec: str, extradata: bytes) -> None:
        """Takes a stream's decoder by its name, and the container's parameters."""
        self._is_vp9 = codec in vp9.DECODERS
        self._av1 = Av1Sizes(extradata) if codec in av1.DECODERS else None
        self.found: set[RenderSize] = set()
        self.first_unread: float = math.inf
        """The first packet of those that were read last in which more pictures are than were read; infinite: none."""

    def read(self, payloads: "Iterable[Packet[VideoStream]]") -> None:
        """Reads the next packets."""
        self.first_unread = math.inf
        for index, payload in enumerate(payloads if self._is_vp9 or self._av1 is not None else ()):
            data, is_read = bytes(payload), True
            if self._av1 is None:
                sizes = vp9.render_sizes_in(data)
            else:
                sizes, is_read = self._av1.render_sizes(data)
            if not is_read:
                self.first_unread = min(self.first_unread, index)
            if sizes and len(self.found) < MOST_SIZES:
                self.found.update(RenderSize(*size) for size in sizes)
