"""Orientations that players do not agree on: a picture is sampled in each that one of them shows."""

import io

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from kinds import CLOSED
from media import Recipe, encode, encode_pictures, filtered, in_mp4, mapped, photograph, rotated, steady, x264

from config.profiles import BALANCED
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.frames import HashedOnly, SampledSegment
from sampler.picture import Plane

CLIP = x264(bframes=0, **CLOSED)
LISTED = photograph("astronaut", CLIP.width, CLIP.height)
MATCH_BITS = 31
TURNS = {90: 1, 180: 2, 270: 3}


def clip(recipe: Recipe) -> bytes:
    return encode_pictures(recipe, steady(40), lambda _: LISTED)


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"orientations")


def shows(segment: SampledSegment, picture: Plane) -> bool:
    """True if at each instant that is sampled a sample matches the picture."""
    instants = {frame.pts_seconds for frame in segment.frames}
    listed = hash_luma(np.ascontiguousarray(picture).astype(np.uint8))
    found = {
        frame.pts_seconds for frame in segment.frames if hash_luma(frame.picture.luma()).distance(listed) <= MATCH_BITS
    }
    return found == instants


def with_orientation(data: bytes, words: str) -> bytes:
    """The MP4 with an orientation in its H.264 pictures' own data."""
    file = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format="mp4", options=options) as output:
        stream = source.streams.video[0]
        written = output.add_stream_from_template(stream)
        rewrite = BitStreamFilterContext(f"h264_metadata=display_orientation=insert:{words}", stream, written)
        for packet in source.demux(stream):
            for one in rewrite.filter(packet):
                one.stream = written
                output.mux(one)
    return file.getvalue()


@pytest.mark.parametrize("degrees", TURNS)
@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_a_listed_picture_is_found_whether_or_not_a_player_turns_it(
    decoder: Decoder, container: str, degrees: int
) -> None:
    """Browsers pass over what pictures say of their orientation: viewers would see a listed picture upright, and we its
    hash lying on its side."""
    words = f"rotate={degrees}"
    if container == "mp4":
        data = with_orientation(clip(in_mp4(CLIP)), words)
    else:
        data = filtered(clip(CLIP), f"h264_metadata=display_orientation=insert:{words}")
    seen = sample(decoder, data)

    assert shows(seen, LISTED)
    assert shows(seen, np.rot90(LISTED, TURNS[degrees]))
    assert seen.unmoderated == ()


@pytest.mark.parametrize("flip", ["horizontal", "vertical"])
def test_a_listed_picture_is_found_whether_or_not_a_player_mirrors_it(decoder: Decoder, flip: str) -> None:
    """A mirrored hash matches no list."""
    seen = sample(decoder, filtered(clip(CLIP), f"h264_metadata=display_orientation=insert:flip={flip}"))

    assert shows(seen, LISTED)
    assert shows(seen, LISTED[:, ::-1] if flip == "horizontal" else LISTED[::-1])


@pytest.mark.parametrize("degrees", [0, 90])
def test_a_mirrored_track_is_sampled_unmirrored_too(decoder: Decoder, degrees: int) -> None:
    """Firefox rotates by the track's header, and does not mirror."""
    seen = sample(decoder, rotated(clip(in_mp4(CLIP)), degrees, mirrored=True))

    assert shows(seen, np.rot90(LISTED[:, ::-1], -(degrees // 90)))
    assert shows(seen, np.rot90(LISTED, -(degrees // 90)))


@pytest.mark.parametrize("words", ["rotate=0.01", "rotate=180"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_tracks_orientation_counts_beside_that_of_the_pictures(decoder: Decoder, degrees: int, words: str) -> None:
    """FFmpeg forgets the one over the other; browsers obey the one that it forgets."""
    seen = sample(decoder, rotated(with_orientation(clip(in_mp4(CLIP)), words), degrees))

    assert shows(seen, np.rot90(LISTED, -(degrees // 90)))


def test_the_movies_orientation_counts_too(decoder: Decoder) -> None:
    """Browsers multiply it with the track's."""
    data = with_orientation(clip(in_mp4(CLIP)), "rotate=0.01")
    at = data.index(b"mvhd") + 40
    turned = bytes.fromhex("00000000 00010000 00000000 ffff0000 00000000 00000000 00000000 00000000 40000000")
    seen = sample(decoder, data[:at] + turned + data[at + len(turned) :])

    assert shows(seen, np.rot90(LISTED, -1))


def test_an_angle_of_the_track_is_not_hidden_by_that_of_the_pictures(decoder: Decoder) -> None:
    """Viewers in browsers would see a listed picture at an angle, and all would count as moderated."""
    data = mapped(with_orientation(clip(in_mp4(CLIP)), "rotate=0.01"), (0.7071, 0.7071, -0.7071, 0.7071))

    assert {stretch.reason for stretch in sample(decoder, data).unmoderated} == {"turned"}


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_phones_video_is_sampled_once(decoder: Decoder, degrees: int) -> None:
    """All players rotate it alike: sampled twice it would cost twice as much."""
    seen = sample(decoder, rotated(clip(in_mp4(CLIP)), degrees))
    times = [frame.pts_seconds for frame in seen.frames]

    assert shows(seen, np.rot90(LISTED, -(degrees // 90)))
    assert len(times) == len(set(times))


def test_a_single_picture_is_sampled_in_all_that_players_show(decoder: Decoder) -> None:
    """Three pictures of one would count as a lie of its decoder's, and the segment be quarantined."""
    single = encode_pictures(in_mp4(CLIP), steady(1), lambda _: LISTED)
    seen = sample(decoder, rotated(with_orientation(single, "rotate=90"), 0, mirrored=True))

    assert len(seen.frames) == 3
    assert shows(seen, LISTED)
    assert shows(seen, LISTED[:, ::-1])
    assert shows(seen, np.rot90(LISTED))


def test_further_views_of_many_samples_are_for_hashes_alone(decoder: Decoder) -> None:
    """A broadcaster would have classifiers work twice on each sample, for a few bytes."""
    recipe = x264(keyint=1)
    data = encode(recipe, steady(100), lambda index: index // 5)
    seen = sample(decoder, filtered(data, "h264_metadata=display_orientation=insert:rotate=180"))
    instants = {frame.pts_seconds for frame in seen.frames}
    classified = [frame for frame in seen.frames if frame.hashed_only is not HashedOnly.FURTHER_VIEW]

    assert len(instants) > 12
    # FFmpeg's filter leaves the message out of the second picture.
    assert len(seen.frames) >= 2 * len(instants) - 1
    assert {frame.pts_seconds for frame in classified} == instants
    assert len(classified) - len(instants) <= 2 + seen.duration_seconds
