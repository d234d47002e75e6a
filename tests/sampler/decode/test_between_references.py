"""Inserts that lie between two pictures that others lean on: B-frames alone show them."""

import math

import cv2
import numpy as np
import pytest
from media import CLOCK, encode_pictures, photograph, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

WIDTH, HEIGHT = 192, 108
SCENE = photograph("coffee", WIDTH + 16, HEIGHT + 16)
SECONDS = 6


def handheld(index: int) -> NDArray[np.float64]:
    """What a shaking camera with a noisy sensor has of a scene."""
    across, down = round(8 + 7 * math.sin(index / 5)), round(8 + 7 * math.cos(index / 7))
    noise = np.random.default_rng(index).normal(0, 4, (HEIGHT, WIDTH))
    return np.clip(SCENE[down : down + HEIGHT, across : across + WIDTH] + noise, 0, 255)


def discs(index: int) -> NDArray[np.float64]:
    """Flat discs that move over light ground, as in a presentation."""
    picture = np.full((HEIGHT, WIDTH), 225, np.uint8)
    for number in range(8):
        x = int(WIDTH * (1 + math.sin(number + index * (number + 1) / 50)) / 2)
        y = int(HEIGHT * (1 + math.sin(2 * number + index * (number + 2) / 60)) / 2)
        cv2.circle(picture, (x, y), HEIGHT // 8 + number, 30 * number, cv2.FILLED, cv2.LINE_AA)
    return picture.astype(np.float64)


@pytest.mark.parametrize(("rate", "bframes"), [(10, 5), (10, 8), (12, 8), (15, 8), (25, 16)])
def test_an_insert_among_b_frames_is_sampled(decoder: Decoder, rate: int, bframes: int) -> None:
    """Encoders that send few pictures a second and many B-frames would hide half a second of anything."""
    recipe = x264(preset="fast", bframes=bframes, b_adapt=0, keyint=2 * rate, min_keyint=2 * rate, scenecut=0, crf=24)
    length = math.ceil(rate * 0.6)
    missed = []
    for start in range(2, SECONDS * rate - length, 3):
        shown = range(start, start + length)
        data = encode_pictures(
            recipe,
            [index * CLOCK // rate for index in range(SECONDS * rate)],
            lambda index, shown=shown: (discs if index in shown else handheld)(index),
        )
        found = decoder.sample(data, profile=BALANCED, seed=b"between")
        seen = {round(frame.pts_seconds * rate) for frame in found.frames}
        missed += [start] if not found.unmoderated and not seen.intersection(shown) else []

    assert missed == []
