"""Listed hashes are compared with all that a guessed margin may hold, and with nothing else."""

from collections.abc import Callable
from itertools import permutations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.pdq.continued_hash import REACH
from models.pdq.margins import hash_crops
from models.pdq.pdq import PdqHash, hash_luma

Array = npt.NDArray[np.uint8]
Photograph = Callable[[str], Array]

PHOTOGRAPHS = ("rocket.jpg", "hubble_deep_field.jpg", "gravel.png", "coffee.png", "astronaut.png", "brick.png")


def luma_of(photograph: Photograph, name: str) -> Array:
    luma = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    return np.asarray(cv2.resize(luma, (640, 480), interpolation=cv2.INTER_AREA), np.uint8)


def cropped(luma: Array) -> Array:
    """Without 5 % at each side."""
    return np.ascontiguousarray(luma[24:-24, 32:-32])


def differing(one: PdqHash, other: PdqHash) -> int:
    """Bits that differ, whatever is known of them."""
    return (int.from_bytes(one.bits) ^ int.from_bytes(other.bits)).bit_count()


@pytest.mark.parametrize("name", ["rocket.jpg", "hubble_deep_field.jpg"])
def test_a_cropped_picture_is_matched_though_its_guess_is_too_far(photograph: Photograph, name: str) -> None:
    """Cutting a twentieth off each side would hide known material whose margin is rich in detail."""
    luma = luma_of(photograph, name)
    guesses, listed = list(hash_crops(cropped(luma))), hash_luma(luma)
    assert min(differing(guess, listed) for guess in guesses) > 31
    assert min(guess.distance(listed) for guess in guesses) <= 31


def test_another_picture_stays_as_far_as_it_is(photograph: Photograph) -> None:
    """A margin that may hold anything would make one picture of another, and a false incident."""
    lumas = [luma_of(photograph, name) for name in PHOTOGRAPHS]
    for shown, other in permutations(lumas, 2):
        listed = hash_luma(other)
        for guess in hash_crops(cropped(shown)):
            assert guess.distance(listed) == differing(guess, listed) > 80


@pytest.mark.parametrize("flipped", [32, 40, REACH])
def test_bits_that_differ_anywhere_are_no_margin(photograph: Photograph, flipped: int) -> None:
    """The comparison would be nothing but a larger distance, at which other pictures match."""
    random = np.random.default_rng(flipped)
    guess = list(hash_crops(cropped(luma_of(photograph, "coffee.png"))))[3]
    for _ in range(20):
        bits = np.unpackbits(np.frombuffer(guess.bits, np.uint8))
        bits[random.choice(256, flipped, replace=False)] ^= 1
        listed = PdqHash(bits=np.packbits(bits).tobytes(), quality=100)
        assert guess.distance(listed) > 31


def test_what_is_beyond_reach_keeps_its_distance(photograph: Photograph) -> None:
    """The index does not find all of those, so a match would depend on the list's size."""
    guess = list(hash_crops(cropped(luma_of(photograph, "rocket.jpg"))))[3]
    beyond = (int.from_bytes(guess.bits) ^ (1 << REACH + 1) - 1).to_bytes(32)
    assert guess.distance(PdqHash(bits=beyond, quality=100)) == REACH + 1


def test_the_guess_itself_is_at_distance_0(photograph: Photograph) -> None:
    """A match as it was before would become weaker."""
    for guess in hash_crops(cropped(luma_of(photograph, "rocket.jpg"))):
        assert guess.distance(PdqHash(bits=guess.bits, quality=100)) == 0


@pytest.mark.parametrize("shape", [(5, 5), (5, 400), (64, 64), (480, 640)])
def test_even_and_tiny_pictures_are_compared_too(shape: tuple[int, int]) -> None:
    """A division by a margin without detail would stop the moderation of a stream."""
    ramp = np.asarray(np.linspace(0, 255, shape[0] * shape[1]).reshape(shape), np.uint8)
    listed = PdqHash(bits=bytes(32), quality=100)
    for luma in (np.zeros(shape, np.uint8), ramp):
        for guess in hash_crops(luma):
            close = PdqHash(bits=bytes([guess.bits[0] ^ 0xFF, *guess.bits[1:]]), quality=100)
            assert 0 <= guess.distance(close) <= 8
            assert guess.distance(listed) <= 256
