"""Edit lists of files: players that pass over them show pictures that the list leaves out."""

import struct
from collections.abc import Callable

import pytest
from hostile_media import boxes_grown
from kinds import CLOSED, H264
from media import RATE, encode, in_mp4, number_in, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

PICTURES = 100
INSERT = range(40, 53)
RECIPES = {"b-frames": H264, "no b-frames": x264(bframes=0, **CLOSED)}
EMPTY = None

Edits = list[tuple[float, float | None]]
"""Seconds of each edit, and where it begins in the media; or `EMPTY`."""


def edited(data: bytes, edits: Edits, *, twice: bool = False) -> bytes:
    """The MP4 with these edits in place of its own, which counted from its first picture (8.6.6)."""
    media = data.index(b"mdhd") + 16
    (scale,) = struct.unpack_from(">I", data, media)
    (movie_scale,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)

    def of_track(track: bytes) -> bytes:
        at = track.index(b"edts") - 4
        (size,) = struct.unpack_from(">I", track, at)
        (delay,) = struct.unpack_from(">i", track, track.index(b"elst") + 16)
        rows = b"".join(
            struct.pack(
                ">IiI",
                round(seconds * movie_scale),
                -1 if start is EMPTY else delay + round(start * scale),
                1 << 16,
            )
            for seconds, start in edits
        )
        elst = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(edits)) + rows
        edts = struct.pack(">I4s", 8 + len(elst) * (1 + twice), b"edts") + elst * (1 + twice)
        return track[:at] + edts + track[at + size :]

    return boxes_grown(data, (b"moov", b"trak"), of_track)


def clip(kind: str) -> bytes:
    return encode(in_mp4(RECIPES[kind], whole=True), steady(PICTURES), lambda index: index in INSERT)


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"edits")


def sees_insert(segment: SampledSegment) -> bool:
    return any(number_in(frame.picture.luma()) in INSERT for frame in segment.frames)


@pytest.mark.parametrize(
    "edits",
    [
        [(1.0, 0.0), (1.0, 3.0)],
        [(1.6, 0.0), (1.88, 2.12)],
        [(1.0, 0.0)],
        [(1.0, 3.0), (1.0, 0.0)],
        [(1.0, EMPTY), (1.0, EMPTY), (1.0, 3.0)],
    ],
    ids=["one left out", "the insert alone", "ended early", "one after the other", "two empty ones"],
)
@pytest.mark.parametrize("kind", RECIPES)
def test_what_an_edit_list_leaves_out_is_sampled(decoder: Decoder, kind: str, edits: Edits) -> None:
    """Firefox takes the first edit for where the video begins, and shows all from there on."""
    seen = sample(decoder, edited(clip(kind), edits))

    assert sees_insert(seen)
    assert seen.unmoderated == ()
    assert seen.duration_seconds == pytest.approx(PICTURES / RATE, abs=0.1)


@pytest.mark.parametrize("kind", RECIPES)
def test_an_edit_without_a_duration_is_one_to_the_end(decoder: Decoder, kind: str) -> None:
    """Some muxers write 0 for what they do not know yet, and the file would be called undecodable."""
    seen = sample(decoder, edited(clip(kind), [(0.0, 0.0)]))

    assert sees_insert(seen)
    assert seen.unmoderated == ()


@pytest.mark.parametrize("kind", RECIPES)
def test_two_edit_lists_hide_nothing(decoder: Decoder, kind: str) -> None:
    """Players take the one or the other."""
    assert sees_insert(sample(decoder, edited(clip(kind), [(1.0, 3.0)], twice=True)))


def counted_short(track: bytes) -> bytes:
    """Two edits, of which the count says one."""
    at = track.index(b"elst") + 8
    return track[:at] + (1).to_bytes(4) + track[at + 4 :]


def outside(track: bytes) -> bytes:
    """A second list, in the track itself."""
    return track + struct.pack(">I4sIIIiI", 28, b"elst", 0, 1, 0, 0, 1 << 16)


def in_user_data(track: bytes) -> bytes:
    """A second list, far from its place."""
    return track + struct.pack(">I4sI4sIIIiI", 36, b"udta", 28, b"elst", 0, 1, 0, 0, 1 << 16)


def of_no_version(track: bytes) -> bytes:
    """Edits of a form that there is not."""
    at = track.index(b"elst") + 4
    return track[:at] + b"\x02" + track[at + 1 :]


@pytest.mark.parametrize("change", [counted_short, outside, in_user_data, of_no_version])
def test_a_list_that_is_not_as_the_standard_has_it_hides_nothing(
    decoder: Decoder, change: Callable[[bytes], bytes]
) -> None:
    """FFmpeg, and players made with it, would show pictures for seconds that are not sampled, and in no ledger."""
    edits: Edits = {counted_short: [(1.0, 3.0), (1.0, 0.0)], of_no_version: [(1.0, 3.0)]}.get(
        change, [(3.0, EMPTY), (4.0, 0.0)]
    )
    whole = edited(clip("no b-frames"), edits)

    assert sees_insert(sample(decoder, boxes_grown(whole, (b"moov", b"trak"), change)))


@pytest.mark.parametrize("last", [False, True], ids=["two", "behind the track"])
def test_a_scale_that_is_unsure_hides_nothing(decoder: Decoder, last: bool) -> None:
    """Nor where players read an empty edit as one of another length."""

    def change(movie: bytes) -> bytes:
        at = movie.index(b"mvhd") - 4
        (size,) = struct.unpack_from(">I", movie, at)
        header = movie[at : at + size]
        return movie[:at] + movie[at + size :] + header if last else movie[:at] + header + movie[at:]

    whole = edited(clip("no b-frames"), [(3.0, EMPTY), (4.0, 0.0)] if last else [(0.5, EMPTY), (1.0, 3.0)])
    assert sees_insert(sample(decoder, boxes_grown(whole, (b"moov",), change)))


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("empty", [0.0, 0.5])
def test_a_video_that_begins_later_is_not_sampled_before_that(decoder: Decoder, kind: str, empty: float) -> None:
    """A trimmed clip would be judged by what was cut away."""
    edits: Edits = [(1.0, 3.0)] if not empty else [(empty, EMPTY), (1.0, 3.0)]
    seen = sample(decoder, edited(clip(kind), edits))

    assert min(number_in(frame.picture.luma()) for frame in seen.frames) == 3 * RATE
    assert seen.frames[0].pts_seconds == 0
    assert seen.duration_seconds == pytest.approx(1.0, abs=0.1)
