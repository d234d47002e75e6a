"""Subtitles that are pictures: players draw them over the video, and nothing here looks at them."""

import io
from fractions import Fraction

import av
import pytest
from media import RATE, encode, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

PAGE = bytes.fromhex("20000f10000100020500ff")
"""An empty DVB page; of other codecs, a packet that says nothing."""
M2TS = {"mpegts_m2ts_mode": "1"}
"""Of Blu-ray, as the only one in which FFmpeg's muxer writes its subtitles. Each packet has four bytes in front."""


def subtitled(container: str, codec: str, options: dict[str, str]) -> bytes:
    """Two seconds of video, and a packet of subtitles a second."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(encode(x264(bframes=0), steady(2 * RATE))), format="mpegts") as source,
        av.open(file, "w", format=container, options=options) as output,
    ):
        video = output.add_stream_from_template(source.streams.video[0])
        subtitles = output.add_mux_stream(codec)
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            if number % RATE == 0:
                page = av.Packet(PAGE)
                page.stream, page.time_base = subtitles, Fraction(1, RATE)
                page.pts = page.dts = number
                page.duration = RATE
                output.mux(page)
            packet.stream = video
            output.mux(packet)
    data = file.getvalue()
    return b"".join(data[at + 4 : at + 192] for at in range(0, len(data), 192)) if options == M2TS else data


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mpegts", "dvb_subtitle", {}),
        ("mpegts", "dvb_teletext", {}),
        ("mpegts", "hdmv_pgs_subtitle", M2TS),
        ("mp4", "dvd_subtitle", {}),
    ],
    ids=["DVB", "teletext", "PGS", "subp"],
)
def test_subtitles_that_may_be_pictures_are_noted(
    decoder: Decoder, container: str, codec: str, options: dict[str, str]
) -> None:
    """Whatever viewers see over the video would look like a stream of which all was seen. Broadcast television has
    such subtitles, so its time counts as moderated all the same."""
    seen = decoder.sample(subtitled(container, codec, options), profile=BALANCED, seed=b"subtitles")

    assert seen.notes == ("subtitle_pictures",)
    assert seen.unmoderated == ()


def test_subtitles_of_text_are_not(decoder: Decoder) -> None:
    """Each film with subtitles would be suspicious."""
    seen = decoder.sample(subtitled("mp4", "mov_text", {}), profile=BALANCED, seed=b"subtitles")

    assert seen.notes == ()
