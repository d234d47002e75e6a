"""Streams in which pictures that others lean on are missing again and again."""

import io

import av
from media import encode, muxed, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

RECIPE = x264(keyint=1200, scenecut=0, bframes=1, b_adapt=0, b_pyramid="none", weightp=0, preset="ultrafast")
PICTURES, GOPS = 1200, 20
TICKS = 91
"""A picture's time: the most of them a second that are sampled."""
REFERENCE_BITS = 0x60


def test_a_stream_full_of_gaps_is_sampled(decoder: Decoder) -> None:
    """One of 18,000 tiny pictures kept a decoder busy until it was stopped, and its worker with it."""
    with av.open(io.BytesIO(encode(RECIPE, steady(PICTURES)))) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    # A reference is missing before every other one, and a picture that is none was counted since.
    leans = [any(unit[0] & REFERENCE_BITS and unit[0] & 0x1F == 1 for unit in units(one)) for one in packets]
    kept = [one for number, one in enumerate(packets) if not leans[number] or sum(leans[:number]) % 2]
    pictures = kept * GOPS

    segment = decoder.sample(muxed(pictures, RECIPE, ticks=TICKS), profile=BALANCED, seed=b"gaps")

    assert segment.frames_total == len(pictures)
    assert segment.frames


def units(packet: bytes) -> list[bytes]:
    """The NAL units of a picture."""
    return packet.split(b"\0\0\1")[1:]
