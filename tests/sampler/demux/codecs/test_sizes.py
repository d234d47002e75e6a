"""The limit on pixels: enforced before decoding, wherever the size is written."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hostile_media import HEIGHT, WIDTH, bomb_png, entry_of_size, growing, segment, ts_packets

from config.profiles import BALANCED, VIGILANT
from sampler.child.decoder import Decoder
from sampler.demux.codecs.sizes import announced_pixels
from sampler.errors import TooLargeError
from sampler.limits import Limits

PIXELS = WIDTH * HEIGHT
VIDEO = {
    "H.264 in TS": ("mpegts", "libx264"),
    "H.264 in MP4": ("mp4", "libx264"),
    "HEVC in TS": ("mpegts", "libx265"),
    "HEVC in MP4": ("mp4", "libx265"),
    "AV1": ("mp4", "libsvtav1"),
    "VP9": ("mp4", "libvpx-vp9"),
    "MPEG-2": ("mpegts", "mpeg2video"),
}
ENTRIES = {"libx264": b"avc1", "libx265": b"hev1", "libsvtav1": b"av01", "libvpx-vp9": b"vp09"}
GROWING = {name: media for name, media in VIDEO.items() if name != "H.264 in MP4" and name != "HEVC in MP4"}
"""Kinds with parameter sets in the stream: MP4 has them in its header only."""
ODD = (162, 98)
"""Not whole macroblocks: coded as 176×112, shown as they are."""


@pytest.fixture(scope="module", params=[0, -1], ids=["at the bound", "over it by one pixel"])
def bounded(request: pytest.FixtureRequest) -> Iterator[tuple[Decoder, int]]:
    """A decoder whose limit is one picture of the media, or one pixel less."""
    with Decoder(limits=Limits(picture_pixels=PIXELS + request.param)) as started:
        yield started, request.param


@pytest.mark.parametrize("name", VIDEO)
def test_the_limit_on_pixels_is_inclusive(bounded: tuple[Decoder, int], name: str) -> None:
    """A video exactly as large as allowed would be refused, or a larger one be reported as damaged."""
    decoder, over = bounded
    container, codec = VIDEO[name]
    data = segment(container, codec=codec)
    if not over:
        assert decoder.sample(data, profile=BALANCED, seed=b"").frames
        return
    with pytest.raises(TooLargeError) as caught:
        decoder.sample(data, profile=BALANCED, seed=b"")
    assert caught.value.reason == "too_large"
    assert str(PIXELS - 1) in str(caught.value)


@pytest.mark.parametrize("name", VIDEO)
def test_a_size_that_is_no_multiple_of_a_block_counts_as_shown(name: str) -> None:
    """Video of 1080 lines, coded as 1088, would be refused at a limit of 1920×1080."""
    container, codec = VIDEO[name]
    width, height = ODD
    with Decoder(limits=Limits(picture_pixels=width * height)) as decoder:
        seen = decoder.sample(segment(container, codec=codec, width=width, height=height), profile=BALANCED, seed=b"")
    assert (seen.frames[0].picture.width, seen.frames[0].picture.height) == ODD


@pytest.mark.parametrize("codec", ENTRIES)
def test_a_small_size_in_the_container_is_not_trusted(bounded: tuple[Decoder, int], codec: str) -> None:
    """A broadcaster could pass a picture bomb with a small number in a header."""
    decoder, over = bounded
    data = entry_of_size(segment("mp4", codec=codec), ENTRIES[codec], 64, 64)
    if not over:
        assert decoder.sample(data, profile=BALANCED, seed=b"").frames[0].picture.width == WIDTH
        return
    with pytest.raises(TooLargeError):
        decoder.sample(data, profile=BALANCED, seed=b"")


@pytest.mark.parametrize("name", GROWING)
def test_a_stream_that_grows_over_the_limit_is_too_large(bounded: tuple[Decoder, int], name: str) -> None:
    """Pictures over the limit would be reported as damaged, and operators would look for damage."""
    decoder, over = bounded
    data = growing(*GROWING[name])
    with pytest.raises(TooLargeError):
        decoder.sample(data, profile=VIGILANT, seed=b"")
    if not over:
        with Decoder(limits=Limits(picture_pixels=4 * PIXELS)) as wider:
            seen = wider.sample(data, profile=VIGILANT, seed=b"")
        assert {frame.picture.width for frame in seen.frames} == {WIDTH, 2 * WIDTH}


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_the_size_is_read_from_the_stream_alone(bounded: tuple[Decoder, int], codec: str) -> None:
    """MPEG-TS has no size field: a segment that begins inside a GOP has its size only at the next keyframe."""
    decoder, over = bounded
    whole = segment(codec=codec)
    cut = ts_packets(whole, 0x100)[3]
    data = whole[: 3 * 188] + whole[cut:] + segment(codec=codec, seconds=1.5)[3 * 188 :]
    if not over:
        assert decoder.sample(data, profile=BALANCED, seed=b"").frames
        return
    with pytest.raises(TooLargeError):
        decoder.sample(data, profile=BALANCED, seed=b"")


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif"])
def test_the_limit_on_stills_is_inclusive(bounded: tuple[Decoder, int], extension: str) -> None:
    """A picture exactly as large as allowed would be refused, or a larger one be decoded."""
    decoder, over = bounded
    done, encoded = cv2.imencode(extension, np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    assert done
    if not over:
        assert decoder.picture(bytes(encoded)).width == WIDTH
        return
    with pytest.raises(TooLargeError, match=str(PIXELS - 1)):
        decoder.picture(bytes(encoded))


def test_the_default_limit_is_sixty_four_million_pixels() -> None:
    """A phone's largest pictures would be refused, or a bomb be decoded."""
    with Decoder() as decoder:
        assert decoder.picture(bomb_png(8_000, 8_000)).width == 8_000
        with pytest.raises(TooLargeError):
            decoder.picture(bomb_png(8_000, 8_001))


@pytest.mark.parametrize("codec", ["hevc", "av1", "vp9", "mpeg2video"])
def test_an_invalid_header_gives_no_size(codec: str) -> None:
    """A truncated header would end the decoder child."""
    for head in (b"", b"\0", bytes(600), b"\xff" * 600, b"\0\0\1\x42\x01" + b"\xff" * 40, b"\x0a\xff" * 20):
        assert announced_pixels(codec, head) >= 0
        assert announced_pixels(codec, head, head) >= 0
        assert announced_pixels(codec, head, b"\x01" + bytes(20) + head) >= 0
