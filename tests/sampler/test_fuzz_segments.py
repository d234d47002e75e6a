"""Mutated segments: whatever the input, the answer is a segment or one of our errors, and the worker lives."""

import os
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hostile_media import TS_PACKET_BYTES, growing, init_and_fragments, segment, still
from kinds import GOP, HEVC_OPEN_GOP
from media import Recipe, cut, encode, keyframes, steady, x264

from config.profiles import VIGILANT
from sampler.child.decoder import Decoder
from sampler.errors import DecoderDiedError, DecoderTimeoutError, SamplerError

ROUNDS = int(os.environ.get("LIVEWARDEN_FUZZ_ROUNDS") or "150")
"""Bounded on every run; `make fuzz` runs more. A round's seed is its number, so any one can be repeated."""
FOUND = (75, 124, 238, 2737, 4965)
"""Rounds that once did harm: a track's number below 0, several new streams together, parameters that open no
decoder."""
REFRESH = x264(intra_refresh=1, keyint=GOP, scenecut=0, bframes=0)
HEADERS_BYTES = 2_000
"""The part in which boxes, tables and parameter sets are densest."""
NASTY = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Mutation = Callable[[bytearray, Random], None]


def flip_bits(data: bytearray, random: Random) -> None:
    """Up to 64 bits anywhere."""
    for _ in range(random.randint(1, 64)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def flip_header_bits(data: bytearray, random: Random) -> None:
    """Up to 8 bits near the beginning."""
    for _ in range(random.randint(1, 8)):
        data[random.randrange(min(len(data), HEADERS_BYTES))] ^= 1 << random.randrange(8)


def truncate(data: bytearray, random: Random) -> None:
    """Cuts off the end."""
    del data[random.randrange(1, len(data)) :]


def splice(data: bytearray, random: Random) -> None:
    """Moves or copies a stretch to another place."""
    start = random.randrange(len(data))
    stretch = data[start : start + random.randint(1, 4 * TS_PACKET_BYTES)]
    if random.random() < 0.5:
        del data[start : start + len(stretch)]
    place = random.randrange(len(data) + 1)
    data[place:place] = stretch


def drop_packets(data: bytearray, random: Random) -> None:
    """Removes stretches of a TS packet's size."""
    for _ in range(random.randint(1, 20)):
        start = random.randrange(len(data) // TS_PACKET_BYTES + 1) * TS_PACKET_BYTES
        del data[start : start + TS_PACKET_BYTES]


def lie_about_lengths(data: bytearray, random: Random) -> None:
    """Sets big-endian fields of 1, 2 or 4 bytes, three of four of them near the beginning, to extreme values."""
    for _ in range(random.randint(1, 4)):
        size = random.choice((1, 2, 4))
        reach = HEADERS_BYTES if random.random() < 0.75 else len(data)
        place = random.randrange(max(min(reach, len(data)) - size, 1))
        value = random.choice(NASTY) & (1 << 8 * size) - 1
        data[place : place + size] = value.to_bytes(size, "big")


MUTATIONS: tuple[Mutation, ...] = (flip_bits, flip_header_bits, truncate, splice, drop_packets, lie_about_lengths)


SEEDS: dict[str, Callable[[], bytes]] = {
    "H.264 in TS": lambda: segment(seconds=1.0),
    "H.264 in MP4": lambda: segment("mp4", seconds=1.0),
    "H.264 beside sound": lambda: segment(seconds=1.0, audio_seconds=1.0),
    "H.264 of two sizes": lambda: growing("mpegts", "libx264"),
    "HEVC in TS": lambda: segment(codec="libx265", seconds=1.0),
    "HEVC in MP4": lambda: segment("mp4", codec="libx265", seconds=1.0),
    "AV1": lambda: segment("mp4", codec="libsvtav1", seconds=1.0),
    "VP9": lambda: segment("mp4", codec="libvpx-vp9", seconds=1.0),
    "MPEG-2": lambda: segment(codec="mpeg2video", seconds=1.0),
    "CENC": lambda: segment("mp4", encrypted=True, seconds=1.0),
}
STILLS = (".png", ".jpg", ".webp", ".gif", ".bmp", ".tiff")


def mutated(number: int) -> tuple[bytes, bytes]:
    """Init section and segment of one round: MP4 comes in one piece or in two, with the mutations in either."""
    random = Random(number)
    whole = SEEDS[random.choice(list(SEEDS))]()
    parted = whole[4:8] == b"ftyp" and random.random() < 0.5
    init, data = map(bytearray, init_and_fragments(whole) if parted else (b"", whole))
    for mutate in random.choices(MUTATIONS, k=random.randint(1, 3)):
        damaged = init if init and random.random() < 0.5 else data
        if damaged:
            mutate(damaged, random)
    return bytes(init), bytes(data)


@pytest.mark.fuzz
def test_mutated_segments_never_harm_the_worker() -> None:
    """A damaged segment would raise what no caller expects, or take the decoder down."""
    outcomes: Counter[str] = Counter()
    harmed: list[tuple[int, str]] = []
    with Decoder() as decoder:
        for number in (*FOUND, *range(ROUNDS)):
            init, data = mutated(number)
            try:
                seen = decoder.sample(data, init=init, profile=VIGILANT, seed=b"fuzz")
            except SamplerError as error:
                outcomes[error.reason] += 1
                if isinstance(error, DecoderDiedError | DecoderTimeoutError):
                    harmed.append((number, error.reason))
            else:
                outcomes["seen"] += 1
                assert seen.frames
                assert all(frame.picture.luma().size for frame in seen.frames)
                assert all(stretch.seconds > 0 for stretch in seen.unmoderated)
        assert harmed == []
        assert decoder.sample(segment(), profile=VIGILANT, seed=b"fuzz").frames
    # Mutations that always, or never, leave something to decode would test nothing.
    assert outcomes["seen"] > ROUNDS // 10
    assert outcomes.total() - outcomes["seen"] > ROUNDS // 10


@pytest.mark.fuzz
@pytest.mark.parametrize(("recipe", "at_once"), [(HEVC_OPEN_GOP, 0.5), (REFRESH, 0.0)])
def test_mutated_segments_before_never_harm_the_worker(recipe: Recipe, at_once: float) -> None:
    """A damaged segment would take down the decoder of the next one, or spoil its pictures."""
    data = encode(recipe, steady(2 * GOP))
    first, second = cut(data, [0, keyframes(data)[1], 2 * GOP])
    with Decoder() as decoder:
        alone = decoder.sample(second.data, profile=VIGILANT, seed=b"fuzz")
        assert alone.needs_before
        for number in range(ROUNDS):
            random = Random(number)
            before = bytearray(first.data)
            for mutate in random.choices(MUTATIONS, k=random.randint(1, 3)):
                mutate(before, random)
            seen = decoder.sample(
                second.data,
                profile=VIGILANT,
                seed=b"fuzz",
                before=bytes(before),
                first=None if random.random() < at_once else alone,
            )
            assert seen.leading_seconds in (0.0, alone.leading_seconds)
            assert bool(seen.leading_seconds) == any(stretch.reason == "leading" for stretch in seen.unmoderated)
            assert all(stretch.seconds > 0 for stretch in alone.with_leading(seen).unmoderated)


@pytest.mark.fuzz
def test_mutated_stills_never_harm_the_worker() -> None:
    """`livewarden hash` and pushed pictures would end the decoder, or raise what no caller expects."""
    harmed: list[int] = []
    with Decoder() as decoder:
        for number in range(ROUNDS):
            random = Random(number)
            data = bytearray(still(random.choice(STILLS)))
            random.choice(MUTATIONS)(data, random)
            try:
                assert decoder.picture(bytes(data)).luma().size
            except DecoderDiedError:
                harmed.append(number)
            except SamplerError:
                continue
    assert harmed == []
