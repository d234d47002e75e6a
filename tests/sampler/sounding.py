"""Clips with sound."""

import io
from fractions import Fraction

import av
import numpy as np
from media import RATE

SOUND_RATE, SOUND_SAMPLES = 48_000, 1_024
"""Samples a second, and of a packet of AAC."""


def with_sound(data: bytes, *, behind: bool) -> bytes:
    """The MPEG-TS as an MP4 with sound, among its pictures or all of it behind them, as in a long fragment."""
    file = io.BytesIO()
    # Else the muxer holds pictures back until sound comes.
    options = {"max_interleave_delta": "1"} if behind else {}
    with (
        av.open(io.BytesIO(data), format="mpegts") as source,
        av.open(file, "w", format="mp4", options=options) as output,
    ):
        pictures = [packet for packet in source.demux(video=0) if packet.size]
        stream = output.add_stream_from_template(source.streams.video[0])
        begin_seconds = min(packet.pts * packet.time_base for packet in pictures)
        sound = output.add_stream("aac", rate=SOUND_RATE)
        packets = []
        for number in range(round(len(pictures) * SOUND_RATE / RATE / SOUND_SAMPLES)):
            hum = np.sin(np.arange(SOUND_SAMPLES, dtype=np.float32) / 20)[np.newaxis]
            frame = av.AudioFrame.from_ndarray(hum, format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
            frame.pts = round(begin_seconds * SOUND_RATE) + number * SOUND_SAMPLES
            packets += sound.encode(frame)
        packets += sound.encode(None)
        for packet in pictures:
            packet.stream = stream
        both = [*pictures, *packets]
        for packet in both if behind else sorted(both, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return file.getvalue()
