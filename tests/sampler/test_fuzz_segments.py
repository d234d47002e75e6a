"""Mutated segments: whatever comes, the answer is a segment or an error of ours, and the worker lives."""

import os
from collections.abc import Callable
from random import Random

import pytest
from hostile_media import TS_PACKET_BYTES, segment

from config.profiles import VIGILANT
from sampler.decoder import Decoder
from sampler.errors import DecoderDiedError, SamplerError

ROUNDS = int(os.environ.get("LIVEWARDEN_FUZZ_ROUNDS", "150"))
"""Bounded on every run; `make fuzz` goes further. A round's seed is its number, so any one can be run again."""
HEADERS_BYTES = 2_000
"""Where boxes, tables and parameter sets lie thickest."""
NASTY = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Mutation = Callable[[bytearray, Random], None]


def flip_bits(data: bytearray, random: Random) -> None:
    """Up to 64 bits anywhere."""
    for _ in range(random.randint(1, 64)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def flip_header_bits(data: bytearray, random: Random) -> None:
    """Up to 8 bits in front."""
    for _ in range(random.randint(1, 8)):
        data[random.randrange(min(len(data), HEADERS_BYTES))] ^= 1 << random.randrange(8)


def truncate(data: bytearray, random: Random) -> None:
    """The end is cut off."""
    del data[random.randrange(1, len(data)) :]


def splice(data: bytearray, random: Random) -> None:
    """A stretch is put, or copied, to another place."""
    start = random.randrange(len(data))
    stretch = data[start : start + random.randint(1, 4 * TS_PACKET_BYTES)]
    if random.random() < 0.5:
        del data[start : start + len(stretch)]
    place = random.randrange(len(data) + 1)
    data[place:place] = stretch


def drop_packets(data: bytearray, random: Random) -> None:
    """Stretches of a TS packet's size get lost."""
    for _ in range(random.randint(1, 20)):
        start = random.randrange(len(data) // TS_PACKET_BYTES + 1) * TS_PACKET_BYTES
        del data[start : start + TS_PACKET_BYTES]


def lie_about_lengths(data: bytearray, random: Random) -> None:
    """Big-endian fields of 1, 2 or 4 bytes, three of four of them in front, take values at the edges."""
    for _ in range(random.randint(1, 4)):
        size = random.choice((1, 2, 4))
        reach = HEADERS_BYTES if random.random() < 0.75 else len(data)
        place = random.randrange(max(min(reach, len(data)) - size, 1))
        value = random.choice(NASTY) & (1 << 8 * size) - 1
        data[place : place + size] = value.to_bytes(size, "big")


MUTATIONS: tuple[Mutation, ...] = (flip_bits, flip_header_bits, truncate, splice, drop_packets, lie_about_lengths)


def mutated(number: int) -> bytes:
    """The segment of one round."""
    random = Random(number)
    data = bytearray(segment(random.choice(("mpegts", "mp4")), seconds=1.0))
    for mutate in random.choices(MUTATIONS, k=random.randint(1, 3)):
        if data:
            mutate(data, random)
    return bytes(data)


@pytest.mark.fuzz
def test_mutated_segments_never_harm_the_worker() -> None:
    """A damaged segment would raise what no caller expects, or take the decoder down."""
    outcomes: dict[str, int] = {}
    dead: list[int] = []
    with Decoder() as decoder:
        for number in range(ROUNDS):
            try:
                seen = decoder.sample(mutated(number), profile=VIGILANT, seed=b"fuzz")
            except SamplerError as error:
                outcome = error.reason
                if isinstance(error, DecoderDiedError):
                    dead.append(number)
            else:
                outcome = "seen"
                assert seen.frames
                assert all(frame.picture.luma().size for frame in seen.frames)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        assert dead == []
        assert decoder.sample(segment(), profile=VIGILANT, seed=b"fuzz").frames
    # Mutations that always, or never, leave something to see would try nothing.
    assert outcomes["seen"] > ROUNDS // 10
    assert sum(outcomes.values()) - outcomes["seen"] > ROUNDS // 10
