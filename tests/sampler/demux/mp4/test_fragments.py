"""Fragments of an MP4 that FFmpeg leaves out in silence, and that browsers show."""

import io
import struct
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import av
import pytest
from media import FRAME_TICKS, RATE, encode_pictures, fragments, in_mp4, number_in, painted, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.errors import TooLargeError
from sampler.frames import SampledSegment
from sampler.limits import Limits

SECOND = "second_video_stream"
PICTURES = 2 * RATE
RECIPE = in_mp4(x264(bframes=0, keyint=1000, min_keyint=1000, scenecut=0), fragment_seconds=100)
HIDDEN = 512
"""Number that pictures of the other fragment begin with."""
BASE_IS_MOOF, BASE_DATA_OFFSET, DESCRIPTION_INDEX = 0x20000, 0x1, 0x2
SYNC, PREDICTED = 0x2000000, 0x1010000
SAMPLE_ENTRIES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


@cache
def init_and_pictures(first: int) -> tuple[bytes, tuple[bytes, ...]]:
    """An init section, and coded pictures that show the numbers from the first on."""
    clip = encode_pictures(RECIPE, steady(PICTURES), lambda index: painted(RECIPE, first + index, first))
    with av.open(io.BytesIO(clip)) as source:
        pictures = tuple(bytes(packet) for packet in source.demux(video=0) if packet.size)
    return fragments(clip)[0], pictures


INIT, SHOWN = init_and_pictures(0)
_, OTHERS = init_and_pictures(HIDDEN)


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def edited(data: bytes, path: Sequence[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """The boxes with the content of those at `path` changed."""
    made = b""
    while data:
        size, kind = struct.unpack_from(">I4s", data)
        content, data = data[8:size], data[size:]
        if kind == path[0]:
            content = edited(content, path[1:], change) if path[1:] else change(content)
        made += box(kind, content)
    return made


def traf(
    pictures: Sequence[bytes],
    offset: int | None,
    *,
    track: int = 1,
    start: int = 0,
    index: int | None = None,
    flags: int = BASE_IS_MOOF,
    base: int | None = None,
    head_last: bool = False,
) -> bytes:
    """A track fragment of pictures, the first of which is a keyframe (ISO/IEC 14496-12, 8.8.6 to 8.8.12)."""
    entry = b"" if index is None else struct.pack(">I", index)
    first = b"" if base is None else struct.pack(">Q", base)
    flags = flags if base is None else BASE_DATA_OFFSET
    head = box(b"tfhd", struct.pack(">II", flags | (DESCRIPTION_INDEX if entry else 0), track), first, entry)
    time = box(b"tfdt", struct.pack(">IQ", 1 << 24, start))
    place = b"" if offset is None else struct.pack(">i", offset)
    rows = [
        struct.pack(">III", FRAME_TICKS, len(one), PREDICTED if number else SYNC) for number, one in enumerate(pictures)
    ]
    run = box(b"trun", struct.pack(">II", 0x701 if place else 0x700, len(pictures)), place, *rows)
    return box(b"traf", *((time, run, head) if head_last else (head, time, run)))


def moof(*parts: Callable[[int], bytes]) -> bytes:
    """The head of a fragment, of parts that are made of the offset at which its data begins."""
    number = box(b"mfhd", struct.pack(">II", 0, 1))
    offset = len(box(b"moof", number, *(part(0) for part in parts))) + 8
    return box(b"moof", number, *(part(offset) for part in parts))


def fragment(pictures: Sequence[bytes], **claims: int) -> bytes:
    return moof(lambda offset: traf(pictures, offset, **claims)) + box(b"mdat", *pictures)


def of_two_bases() -> bytes:
    """A fragment whose second part has its place told from nothing: browsers count from the fragment's beginning,
    FFmpeg from the end of the first part."""
    sizes = [max(len(one), len(other)) + 8 for one, other in zip(SHOWN, OTHERS, strict=True)]
    shown, others = (
        [one + struct.pack(">I", size - len(one) - 4) + b"\x0c".ljust(size - len(one) - 4, b"\xff")
         for one, size in zip(several, sizes, strict=True)]
        for several in (SHOWN, OTHERS)
    )  # fmt: skip
    first = SHOWN[0] + struct.pack(">I", sum(sizes)) + b"\x0c".ljust(sum(sizes), b"\xff")
    head = moof(
        lambda offset: traf([first], offset),
        lambda offset: traf(shown, offset + len(first), start=FRAME_TICKS, flags=0),
    )
    place = len(head) + 8 + len(first)
    gap = place - sum(sizes)
    return head + box(b"mdat", first, *others, bytes(gap), *shown)


def with_entries(init: bytes, kind: bytes) -> bytes:
    """The init section with a second sample entry, of another kind."""
    return edited(
        init, SAMPLE_ENTRIES, lambda stsd: struct.pack(">II", 0, 2) + stsd[8:] + stsd[8:].replace(b"avc1", kind)
    )


def with_default(init: bytes, track: int, index: int = 1) -> bytes:
    """The init section with defaults for the fragments of a track that it does not have, or has (`trex`)."""
    added = box(b"trex", struct.pack(">6I", 0, track, index, 0, 0, 0))
    return edited(init, (b"moov", b"mvex"), lambda mvex: (b"" if track == 1 else mvex) + added)


def of_track(init: bytes, track: int) -> bytes:
    """The init section with another number for its track."""
    numbered = edited(init, (b"moov", b"trak", b"tkhd"), lambda head: head[:12] + struct.pack(">I", track) + head[16:])
    return edited(numbered, (b"moov", b"mvex", b"trex"), lambda trex: trex[:4] + struct.pack(">I", track) + trex[8:])


def with_pictures(*, edits: int = 1) -> bytes:
    """An init section that has pictures itself, which its edit list shows so many times (8.6.6)."""
    whole = encode_pictures(in_mp4(RECIPE, whole=True), steady(PICTURES), lambda index: painted(RECIPE, index, 0))
    extended = edited(
        whole, (b"moov",), lambda moov: moov + box(b"mvex", box(b"trex", struct.pack(">6I", 0, 1, 1, 0, 0, 0)))
    )
    row = struct.pack(">IiI", PICTURES * FRAME_TICKS, 0, 0x10000)
    return edited(extended, (b"moov", b"trak", b"edts", b"elst"), lambda _: struct.pack(">II", 0, edits) + row * edits)


def sample(decoder: Decoder, init: bytes, data: bytes) -> SampledSegment:
    return decoder.sample(data, init=init, profile=BALANCED, seed=b"fragments")


UNSEEN = {
    "of a track that comes up with it": (
        with_default(INIT, 2),
        fragment(SHOWN) + of_track(INIT, 2) + fragment(OTHERS, track=2),
    ),
    "of a second sample entry of another kind": (
        with_entries(INIT, b"avc3"),
        fragment(SHOWN) + fragment(OTHERS, index=2),
    ),
    "of a sample entry that there is not": (INIT, fragment(SHOWN) + fragment(OTHERS, index=7)),
    "of a second sample entry by default": (
        with_default(with_entries(INIT, b"avc3"), 1, index=2),
        fragment(SHOWN, index=1) + fragment(OTHERS),
    ),
    "under another movie box": (INIT, fragment(SHOWN) + with_entries(INIT, b"avc1") + fragment(OTHERS)),
    "whose place is told from nothing": (INIT, of_two_bases()),
    "whose place is told from the beginning": (
        INIT,
        moof(lambda offset: traf(SHOWN, offset + len(INIT), base=0)) + box(b"mdat", *SHOWN),
    ),
    "whose run comes before its head": (
        INIT,
        moof(
            lambda offset: traf(SHOWN, offset),
            lambda offset: traf(OTHERS, offset + len(b"".join(SHOWN)), start=PICTURES * FRAME_TICKS, head_last=True),
        )
        + box(b"mdat", *SHOWN, *OTHERS),
    ),
    "whose place is not told": (
        INIT,
        fragment(SHOWN) + moof(lambda _: traf(OTHERS, None)) + box(b"mdat", *OTHERS),
    ),
    "whose pictures are in the segment behind it": (
        INIT,
        fragment(SHOWN)
        + moof(lambda offset: traf(OTHERS, offset, start=PICTURES * FRAME_TICKS))
        + struct.pack(">I4s", 1_000_000, b"mdat"),
    ),
    "that goes on in the segment behind it": (
        INIT,
        fragment(SHOWN) + struct.pack(">I4s", 1_000_000, b"moof") + box(b"mfhd", struct.pack(">II", 0, 2)),
    ),
    "whose pictures are not there, but those of its init section": (
        b"",
        with_pictures() + fragment(SHOWN) + moof(lambda offset: traf(OTHERS, offset + 1_000_000)),
    ),
    "whose pictures are not there, but twice those of its init section": (
        b"",
        with_pictures(edits=2) + fragment(SHOWN) + moof(lambda offset: traf(OTHERS, offset + 1_000_000)),
    ),
    "behind pictures of its init section": (with_pictures(), fragment(OTHERS)),
    "behind a fragment of its init section": (INIT + fragment(SHOWN), fragment(OTHERS)),
    "behind an init section whose last box takes it in": (
        INIT + struct.pack(">I4s", 8 + len(fragment(OTHERS)), b"free"),
        fragment(OTHERS) + fragment(SHOWN),
    ),
    "of which FFmpeg gives less than it says": (
        INIT,
        fragment(SHOWN) + moof(lambda offset: traf(OTHERS, offset + 1_000_000)) + box(b"mdat", *OTHERS),
    ),
}
"""Init section and segment, by the kind of the fragment in it."""


@pytest.mark.parametrize("name", UNSEEN)
def test_a_fragment_that_may_be_read_in_two_ways_leaves_all_unmoderated(decoder: Decoder, name: str) -> None:
    """Every viewer in a browser would see pictures that nobody here does, and all would count as moderated."""
    seen = sample(decoder, *UNSEEN[name])

    assert [stretch.reason for stretch in seen.unmoderated] == [SECOND]
    assert sum(stretch.seconds for stretch in seen.unmoderated) == pytest.approx(seen.duration_seconds)


@pytest.mark.parametrize("left", [0.5, 0.0, None], ids=["half of its pictures", "no picture", "half of its head"])
def test_a_recording_that_breaks_off_is_moderated_up_to_there(
    decoder: Decoder, tmp_path: Path, left: float | None
) -> None:
    """A recording that a crash cut off would be unmoderated as a whole, in the words of a second video."""
    head = moof(lambda offset: traf(OTHERS, offset, start=PICTURES * FRAME_TICKS))
    last = head + box(b"mdat", *OTHERS)
    kept = len(head) // 2 if left is None else len(head) + 8 + round(left * (len(last) - len(head) - 8))
    path = tmp_path / "recording.mp4"
    path.write_bytes(INIT + fragment(SHOWN) + last[:kept])

    with path.open("rb") as file:
        seen = decoder.sample(file, profile=BALANCED, seed=b"fragments")

    assert SECOND not in seen.notes
    assert seen.unmoderated == ()
    assert (seen.frames_total > PICTURES) == (left == 0.5)


def test_a_recording_with_a_picture_that_is_not_where_it_says_is_unmoderated(decoder: Decoder, tmp_path: Path) -> None:
    """Whoever breaks a recording off would hide what FFmpeg leaves out before that."""
    elsewhere = moof(lambda offset: traf(OTHERS, offset + 1_000_000)) + box(b"mdat", *OTHERS)
    for hidden in (elsewhere, fragment(OTHERS, index=2)):
        path = tmp_path / "recording.mp4"
        path.write_bytes(INIT + fragment(SHOWN) + hidden + fragment(OTHERS, start=2 * PICTURES * FRAME_TICKS)[:-100])
        with path.open("rb") as file:
            seen = decoder.sample(file, profile=BALANCED, seed=b"fragments")
        assert {stretch.reason for stretch in seen.unmoderated} == {SECOND}


@pytest.mark.parametrize("between", [b"", INIT], ids=["alone", "with its init section"])
def test_a_fragment_in_the_time_of_another_is_sampled(decoder: Decoder, between: bytes) -> None:
    """FFmpeg hides its pictures, and browsers put them in the place of those before."""
    seen = sample(decoder, INIT, fragment(SHOWN) + between + fragment(OTHERS))
    numbers = {number_in(frame.picture.luma()) for frame in seen.frames}

    assert min(numbers) < HIDDEN
    assert max(numbers) >= HIDDEN
    assert seen.unmoderated == ()


def test_more_boxes_than_a_segment_can_have_are_refused() -> None:
    """Millions of empty ones take seconds of CPU whenever a segment is read, and would hide what is behind them."""
    many = box(b"free") * 1400
    with Decoder(limits=Limits(frames=200)) as decoder:
        for hidden in (many, box(b"moof", many), box(b"moof", box(b"traf", many)), box(b"moov", box(b"udta", many))):
            with pytest.raises(TooLargeError):
                sample(decoder, INIT, fragment(SHOWN) + hidden)
        assert sample(decoder, INIT, fragment(SHOWN) + box(b"free") * 600).unmoderated == ()


def segment_index(references: int, *, long_head: bool = False) -> bytes:
    """A `sidx` of so many references to what comes behind it (ISO/IEC 14496-12, 8.16.3); `long_head`: with times and
    places of 64 bits."""
    head = struct.pack(">BxxxII", long_head, 1, 90_000) + bytes(16 if long_head else 8)
    return box(b"sidx", head, struct.pack(">HH", 0, references), struct.pack(">III", 1000, FRAME_TICKS, 0) * references)


@pytest.mark.parametrize("long_head", [False, True])
def test_more_references_than_a_segment_can_have_are_refused(decoder: Decoder, long_head: bool) -> None:
    """FFmpeg moves all for each that it finds out of order: 8 MB would take all the time that a decoder has."""
    flood = segment_index(60_000, long_head=long_head) * 10
    with pytest.raises(TooLargeError, match="references"):
        sample(decoder, INIT, flood + fragment(SHOWN))


@pytest.mark.parametrize("long_head", [False, True])
def test_an_index_of_an_ordinary_length_is_read(decoder: Decoder, long_head: bool) -> None:
    """Packagers index each chunk of a segment, or hours of a recording."""
    seen = sample(decoder, INIT, segment_index(5_000, long_head=long_head) + fragment(SHOWN))
    assert seen.frames
    assert seen.unmoderated == ()


def test_ordinary_fragments_are_moderated(decoder: Decoder) -> None:
    """Streams in fMP4 would be unmoderated for the way in which packagers write them."""
    half = PICTURES // 2
    several = fragment(SHOWN[:half]) + box(b"free") + fragment(SHOWN[half:], start=half * FRAME_TICKS)
    repeated = INIT + several
    with_offset = fragment(SHOWN, flags=0)
    with_base = fragment(SHOWN, base=len(INIT))
    for data in (several, repeated, with_offset, with_base, fragment(SHOWN, index=1)):
        seen = sample(decoder, INIT, data)
        assert seen.notes == ()
        assert seen.unmoderated == ()
    for edits in (1, 2):
        whole = with_pictures(edits=edits)
        seen = sample(decoder, b"", whole + fragment(SHOWN, start=edits * PICTURES * FRAME_TICKS))
        assert seen.notes == ()
        assert seen.unmoderated == ()


@pytest.mark.parametrize("offset", [0, 100])
def test_an_mpeg_ts_within_a_box_leaves_all_unmoderated(decoder: Decoder, offset: int) -> None:
    """hls.js plays the packets that it finds there, where FFmpeg sees another video around them."""
    packets = encode_pictures(x264(), steady(PICTURES), lambda index: painted(RECIPE, HIDDEN + index, HIDDEN))
    data = box(b"free", bytes(offset), packets) + fragment(SHOWN)

    assert [one.reason for one in sample(decoder, INIT, data).unmoderated] == [SECOND]
    few = box(b"free", bytes(offset), packets[: 2 * 188]) + fragment(SHOWN)
    assert sample(decoder, INIT, few).unmoderated == ()
