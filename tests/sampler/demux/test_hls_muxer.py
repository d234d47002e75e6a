"""Open GOPs in the segments of FFmpeg's HLS muxer, which stamps the keyframe of an fMP4 segment as shown before its
leading pictures."""

import io
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from av.container import OutputContainer
from kinds import CLOSED, GOP, MPEG2, SAME, distance, shown, x265
from media import CLOCK, RATE, cut, encode, in_mp4, keyframes, number_in, painted, steady, x264
from numpy.typing import NDArray
from sounding import with_sound

from config.profiles import BALANCED, VIGILANT, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.errors import UndecodableError
from sampler.frames import SampledSegment
from sampler.limits import Limits

DENSE = VIGILANT.model_copy(update={"audits_per_minute": 60.0})
SEGMENTS = 3
OPEN = {
    **{f"h264, {count} b-frames": x264(open_gop=1, bframes=count, b_adapt=0, **CLOSED) for count in (2, 3, 5, 8, 16)},
    "h264, chosen b-frames": x264(open_gop=1, bframes=16, b_adapt=1, ref=4, **CLOSED),
    "h264, strict pyramid": x264(open_gop=1, bframes=5, b_adapt=0, b_pyramid="strict", ref=2, **CLOSED),
    "h264, no pyramid": x264(open_gop=1, bframes=3, b_adapt=0, b_pyramid="none", ref=1, **CLOSED),
    "h264, interlaced": x264(open_gop=1, bframes=3, b_adapt=0, tff=1, **CLOSED),
    **{f"hevc, {count} b-frames": x265(open_gop=1, bframes=count, b_adapt=0, rc_lookahead=20) for count in (2, 16)},
    "mpeg-2": MPEG2,
    "mpeg-2, 6 b-frames": replace(MPEG2, options=MPEG2.options | {"bf": "6"}),
    "mpeg-2, interlaced": replace(MPEG2, options=MPEG2.options | {"flags": "+ildct+ilme", "top": "1"}),
    "mpeg-4": replace(MPEG2, codec="mpeg4"),
}


@cache
def clip(kind: str) -> bytes:
    """An MPEG-TS of the kind."""
    return encode(OPEN[kind], steady(SEGMENTS * GOP))


@cache
def pictures(kind: str) -> tuple[NDArray[np.float64], ...]:
    """What a player shows of it."""
    return tuple(shown(clip(kind)).values())


def muxed(folder: str, kind: str) -> OutputContainer:
    """FFmpeg's HLS muxer, opened to write segments of the kind."""
    options = {
        "hls_time": str(GOP / RATE),
        "hls_list_size": "0",
        "hls_segment_type": kind,
        "hls_segment_filename": f"{folder}/%d.part",
    }
    return av.open(f"{folder}/index.m3u8", "w", format="hls", options=options)


def packaged(data: bytes, kind: str) -> tuple[bytes, list[bytes]]:
    """Init section, b"" without one, and segments as FFmpeg's HLS muxer makes them of an MPEG-TS."""
    with TemporaryDirectory() as folder:
        with av.open(io.BytesIO(data), format="mpegts") as source, muxed(folder, kind) as output:
            streams = [output.add_stream_from_template(stream) for stream in source.streams]
            for packet in source.demux():
                if packet.size:
                    packet.stream = streams[packet.stream.index]
                    output.mux(packet)
        init = Path(folder, "init.mp4")
        parts = [Path(folder, f"{number}.part").read_bytes() for number in range(SEGMENTS)]
        return init.read_bytes() if init.exists() else b"", parts


def without_headers(codec: str) -> bytes:
    """The first MPEG-TS segment of pictures that are encoded for the muxer, which asks for their headers apart."""
    with TemporaryDirectory() as folder:
        with muxed(folder, "mpegts") as output:
            stream = output.add_stream(codec, rate=RATE, options=MPEG2.options)
            stream.width, stream.height, stream.codec_context.time_base = 192, 108, Fraction(1, RATE)
            for index in range(GOP):
                frame = av.VideoFrame.from_ndarray(painted(MPEG2, index, 0).astype(np.uint8), format="gray")
                output.mux(stream.encode(frame.reformat(format="yuv420p")))
            output.mux(stream.encode())
        return Path(folder, "0.part").read_bytes()


def test_a_video_whose_header_the_muxer_left_out_is_said_to_have_none(decoder: Decoder) -> None:
    """The broadcaster would look for damage, where the muxer leaves out what all players need."""
    with pytest.raises(UndecodableError, match="has no header"):
        decoder.sample(without_headers("mpeg4"), profile=DENSE, seed=b"muxer")


def assert_right(segment: SampledSegment, kind: str) -> None:
    for frame in segment.frames:
        luma = frame.picture.luma()
        assert not frame.concealed
        assert distance(luma, pictures(kind)[number_in(luma)]) < SAME


@pytest.mark.parametrize("container", ["fmp4", "mpegts"])
@pytest.mark.parametrize("kind", OPEN)
def test_every_segment_is_moderated_with_the_one_before(decoder: Decoder, kind: str, container: str) -> None:
    """Most of an honest stream would be concealed, or pictures made up by the decoder would count as moderated."""
    init, parts = packaged(clip(kind), container)
    before = None
    for number, part in enumerate(parts):
        alone = decoder.sample(part, init=init, profile=DENSE, seed=b"muxer")
        joined = decoder.sample(part, init=init, profile=DENSE, seed=b"muxer", before=before, before_init=init)

        assert_right(alone, kind)
        assert {stretch.reason for stretch in alone.unmoderated} <= {"leading"}
        assert (alone.leading_seconds > 0) == (number > 0)
        assert_right(joined, kind)
        assert joined.unmoderated == ()
        assert joined.leading_seconds == 0
        before = part


def late_leading(data: bytes) -> bytes:
    """The MPEG-TS with the leading pictures of its last keyframe decoded after the next picture."""
    start = keyframes(data)[-1]
    with av.open(io.BytesIO(data), format="mpegts") as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        decoded = [packet.dts for packet in packets]
        late = next(index for index in range(start + 1, len(packets)) if packets[index].pts > packets[start].pts)
        packets.insert(start + 1, packets.pop(late))
        file = io.BytesIO()
        with av.open(file, "w", format="mpegts", options={"avoid_negative_ts": "disabled"}) as output:
            stream = output.add_stream_from_template(source.streams.video[0])
            for packet, dts in zip(packets, decoded, strict=True):
                packet.dts, packet.stream = min(dts - CLOCK, packet.pts), stream
                output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["h264, 2 b-frames", "h264, no pyramid", "h264, 5 b-frames"])
def test_pictures_before_the_keyframe_are_told_wherever_they_are_decoded(decoder: Decoder, kind: str) -> None:
    """What the decoder makes up in place of the GOP before would match nothing, and count as moderated."""
    data = late_leading(clip(kind))
    (part,) = cut(data, [keyframes(data)[-1], SEGMENTS * GOP])
    segment = decoder.sample(part.data, profile=DENSE, seed=b"muxer")

    for frame in segment.frames:
        luma = frame.picture.luma()
        assert frame.concealed or distance(luma, pictures(kind)[number_in(luma)]) < SAME


@pytest.mark.parametrize("container", ["fmp4", "mpegts", "mp4"])
@pytest.mark.parametrize("kind", [kind for kind in OPEN if "16 b-" in kind or "mpeg-" in kind])
def test_all_segments_in_one_file_are_moderated(kind: str, container: str) -> None:
    """A recording of a stream would be concealed where its segments meet."""
    if container == "mp4":
        data = encode(in_mp4(OPEN[kind], whole=True), steady(SEGMENTS * GOP))
    else:
        init, parts = packaged(clip(kind), container)
        data = init + b"".join(parts)
    for seconds in (1.0, Limits().window_seconds):
        with Decoder(limits=Limits(window_seconds=seconds)) as decoder:
            segment = decoder.sample(data, profile=DENSE, seed=b"muxer")

        assert_right(segment, kind)
        assert segment.unmoderated == ()
        assert segment.leading_seconds == 0


def sampled(decoder: Decoder, kind: str, container: str, profile: SamplingProfile) -> list[SampledSegment]:
    """Its segments, each sampled with the one before."""
    init, parts = packaged(clip(kind), container)
    return [
        decoder.sample(part, init=init, profile=profile, seed=b"muxer", before=before, before_init=init)
        for before, part in pairwise([None, *parts])
        if part is not None
    ]


@pytest.mark.parametrize("kind", OPEN)
def test_fragments_have_the_samples_of_a_transport_stream(decoder: Decoder, kind: str) -> None:
    """HEVC in HLS comes in fMP4 alone, and x265 opens GOPs: most of its streams would cost twice as much, and a hit on
    a keyframe be looked for up to half a second before viewers saw it."""
    unaudited = BALANCED.model_copy(update={"audits_per_minute": 0.0})
    taken = {
        container: [
            (round(frame.pts_seconds * RATE), number_in(frame.picture.luma()))
            for segment in sampled(decoder, kind, container, unaudited)
            for frame in segment.frames
        ]
        for container in ("fmp4", "mpegts")
    }

    assert taken["fmp4"] == taken["mpegts"]


SLOW = {
    "hevc, 5 a second": (5, x265(open_gop=1, bframes=4, b_adapt=0, keyint=15, min_keyint=15)),
    "hevc, 1 a second": (1, x265(open_gop=0, bframes=2, b_adapt=0, keyint=3, min_keyint=3)),
    "h264, 2 a second": (2, x264(bframes=3, b_adapt=0, keyint=6, min_keyint=6, scenecut=0)),
}
"""Pictures a second, and recipes of GOPs of 3 s."""
SHORT = {
    "hevc, 2 a second": (2, x265(open_gop=1, bframes=5, b_adapt=0, rc_lookahead=10, keyint=6, min_keyint=6)),
    "h264, 2 a second": (2, x264(open_gop=1, bframes=5, b_adapt=0, keyint=6, min_keyint=6, scenecut=0)),
    "hevc, 1 a second": (1, x265(open_gop=1, bframes=1, b_adapt=0, keyint=4, min_keyint=4)),
}
"""The same, or of 4 s, whose GOPs are open, some of them with no picture besides the leading ones."""


@pytest.mark.parametrize("kind", SHORT)
def test_open_gops_of_slow_pictures_are_moderated_with_the_segment_before(decoder: Decoder, kind: str) -> None:
    """Cameras with a picture or two a second would have half of each segment unmoderated for good."""
    rate, recipe = SHORT[kind]
    data = encode(recipe, [index * CLOCK // rate for index in range(SEGMENTS * GOP * rate // RATE)])
    _, parts = packaged(data, "mpegts")
    sets, leading = b"", 0.0
    for before, part in pairwise([None, *parts]):
        assert part is not None
        alone = decoder.sample(part, profile=DENSE, seed=b"slow", parameter_sets=sets)
        segment = decoder.sample(part, profile=DENSE, seed=b"slow", before=before, parameter_sets=sets)
        leading += alone.leading_seconds
        sets = segment.parameter_sets

        assert segment.unmoderated == ()
        assert segment.leading_seconds == 0
    assert leading > 0


@pytest.mark.parametrize("kind", SLOW)
def test_sound_of_slow_pictures_goes_with_their_decoding(decoder: Decoder, kind: str) -> None:
    """Muxers put sound beside the picture that is decoded then, which is shown a second later: each segment would be
    told to have no pictures at its beginning, and its pictures be dated that much later."""
    rate, recipe = SLOW[kind]
    data = encode(recipe, [index * CLOCK // rate for index in range(SEGMENTS * GOP * rate // RATE)])
    _, parts = packaged(with_sound(data, behind=False, container="mpegts"), "mpegts")
    for before, part in pairwise([None, *parts]):
        assert part is not None
        segment = decoder.sample(part, profile=DENSE, seed=b"sound", before=before)

        assert [stretch for stretch in segment.unmoderated if stretch.reason == "no_pictures"] == []
        assert {frame.late_seconds for frame in segment.frames} == {0.0}
