"""Packets of other streams before the pictures: each may lie elsewhere in the file."""

import os

import numpy as np
from media import CLOCK, encode_pictures, in_mp4, steady, x264
from sounding import with_scattered_sound

from sampler.demux.open_input import READ_BYTES
from sampler.demux.packet_reader import Demuxer
from sampler.demux.source import InputFile
from sampler.limits import Limits

LATE_SECONDS = 4


def test_few_packets_before_the_pictures_are_read() -> None:
    """A segment of 5 MB, with a million packets of sound before its pictures, would hold a process until it is
    killed."""
    picture = np.random.default_rng(1).uniform(0, 255, (108, 192))
    ticks = [tick + LATE_SECONDS * CLOCK for tick in steady(25)]
    data = with_scattered_sound(encode_pictures(in_mp4(x264(), whole=True), ticks, lambda _: picture), 120_000)
    descriptor = os.memfd_create("input")
    try:
        os.write(descriptor, data)
        source = InputFile(descriptor, len(data))
        reads = 0

        def count(_offset: int, read: bytes) -> None:
            nonlocal reads
            reads += len(read) > READ_BYTES / 2

        source.on_read = count
        demuxer = Demuxer(source, Limits(), init_bytes=0, track=0, parameter_sets=b"")
        (window,) = demuxer.windows()
        demuxer.close()
    finally:
        os.close(descriptor)
    assert len(window.packets) == len(ticks)
    assert demuxer.before_seconds > 1
    assert reads < 36_000
