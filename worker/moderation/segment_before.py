"""The segment before one, for pictures that lean on it, the leading ones of an open GOP and those of an intra refresh:
fetched and decoded only where they are there."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from config.profiles import SamplingProfile
from sampler.child.decoder import Decoder
from sampler.frames import HeadlessError, SampledFrame, SampledSegment


@dataclass(frozen=True, kw_only=True)
class SegmentBytes:
    """The bytes of a segment, and of its initialisation section (EXT-X-MAP), b"" without one."""

    data: bytes
    init: bytes = b""


FetchBefore = Callable[[], SegmentBytes | None]
"""Gives the segment before; None: it is not known, or cannot be fetched in time."""


@dataclass(frozen=True, kw_only=True)
class SamplerInput:
    """The input of one segment's sampling."""

    data: bytes | BinaryIO
    """Its bytes, or a file open for reading."""
    init: bytes
    seed: bytes
    before: FetchBefore | None
    """Called at most once a try, between both passes. None: the segment before is not known."""
    parameter_sets: bytes = b""
    """Those in force at the end of the segment before; b"": not known."""
    padded: bool = False
    """Segments of late had bytes behind pictures."""

    def sample(
        self,
        decoder: Decoder,
        profile: SamplingProfile,
        consume: Callable[[SampledFrame], None],
        *,
        go_back: Callable[[], None],
        fresh: bool,
    ) -> SampledSegment:
        """Samples the segment; then, with the segment before, the pictures at its beginning that need it.

        Args:
            consume: is given each picture as it comes.
            go_back: called before pictures come that are earlier than those so far: another track's, and those that
                lean on the segment before.
            fresh: decode in a new process.

        Raises:
            sampler.errors.SamplerError: nothing could be sampled, or the decoder died of these pictures.
        """
        track, is_seen = 0, False

        def in_turn(frame: SampledFrame) -> None:
            nonlocal track, is_seen
            is_seen = True
            if frame.track != track:
                go_back()
            track = frame.track
            consume(frame)

        sample = partial(
            decoder.sample,
            self.data,
            init=self.init,
            profile=profile,
            seed=self.seed,
            consume=in_turn,
            fresh=fresh,
            parameter_sets=self.parameter_sets,
            padded=self.padded,
        )
        headless = None
        try:
            sampled = sample()
        except HeadlessError as error:
            headless, sampled = error, error.alone
        if sampled.needs_before and self.before is not None and (found := self.before()) is not None:
            go_back()
            track = 0
            sampled = sampled.with_leading(sample(before=found.data, before_init=found.init, first=sampled))
        if headless is not None and not is_seen:
            raise headless
        return sampled
