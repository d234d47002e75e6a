"""The picture of the demo's broadcast: drifting colours with a clock, and the test card from time to time."""

import math
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from models.testcard import testcard

CARD_PERIOD_SECONDS = 20.0
CARD_SECONDS = 3.0
FIRST_CARD_AT_SECONDS = 6.0
"""Early, so that the viewer need not wait for a full period; not in the first segment, so that the stream is first
shown as harmless."""

_DRIFT_PERIODS_SECONDS = (23.0, 31.0)
"""Periods of the window's path over the backdrop, across and down; coprime, so that positions rarely repeat."""
_INK = (245, 240, 232)
_ACCENT = (255, 176, 84)


def shows_card(seconds: float) -> bool:
    """Returns whether the test card is on at `seconds` from the start: for [6, 9), [26, 29), [46, 49)…"""
    since_first = seconds - FIRST_CARD_AT_SECONDS
    return since_first >= 0 and since_first % CARD_PERIOD_SECONDS < CARD_SECONDS


class Scene:
    """Draws the pictures. Expensive parts are drawn once: a picture costs a copy of a window and a few lines."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._card = testcard(width, height)
        self._backdrop = _backdrop(2 * width, 2 * height)

    def picture(self, seconds: float, clock: datetime) -> NDArray[np.uint8]:
        """The picture at `seconds` from the start, with the time of day `clock` on it: uint8, (H, W, 3), RGB."""
        if shows_card(seconds):
            return self._card
        width, height = self._size
        left, top = (
            round((1 + math.sin(2 * math.pi * seconds / period)) / 2 * room)
            for period, room in zip(_DRIFT_PERIODS_SECONDS, (width, height), strict=True)
        )
        picture = np.ascontiguousarray(self._backdrop[top : top + height, left : left + width])
        _draw_clock(picture, clock)
        return picture


def _backdrop(width: int, height: int) -> NDArray[np.uint8]:
    """Soft waves of colour, uint8, (height, width, 3), RGB."""
    x = np.linspace(0, 4 * math.pi, width, dtype=np.float32)[np.newaxis, :]
    y = np.linspace(0, 3 * math.pi, height, dtype=np.float32)[:, np.newaxis]
    waves = [
        np.sin(x + 0.7 * np.sin(y)),
        np.sin(y * 1.3 + np.cos(x * 0.6)),
        np.sin((x + y) * 0.8 + 1.9),
    ]
    darkest, swing = np.array([18, 42, 70], np.float32), np.array([70, 60, 85], np.float32)
    shade = np.stack(waves, axis=-1) * 0.5 + 0.5
    return np.asarray(darkest + swing * shade, dtype=np.uint8)


def _draw_clock(picture: NDArray[np.uint8], clock: datetime) -> None:
    """Draws a dial with a moving second hand and the time in figures, in place."""
    height, width = picture.shape[:2]
    middle, radius = (width // 2, round(height * 0.42)), round(height * 0.27)
    cv2.circle(picture, middle, radius, _INK, 2, cv2.LINE_AA)
    for hour in range(12):
        mark = _on_dial(middle, radius * 0.86, hour / 12), _on_dial(middle, radius, hour / 12)
        cv2.line(picture, *mark, _INK, 2, cv2.LINE_AA)
    seconds = clock.second + clock.microsecond / 1e6
    minutes = clock.minute + seconds / 60
    cv2.line(picture, middle, _on_dial(middle, radius * 0.5, (clock.hour + minutes / 60) / 12), _INK, 5, cv2.LINE_AA)
    cv2.line(picture, middle, _on_dial(middle, radius * 0.75, minutes / 60), _INK, 3, cv2.LINE_AA)
    cv2.line(picture, middle, _on_dial(middle, radius * 0.82, seconds / 60), _ACCENT, 2, cv2.LINE_AA)
    _write(picture, f"{clock:%H:%M:%S}.{clock.microsecond // 100_000}", height * 0.83, scale=height / 300)
    _write(picture, "livewarden demo: a harmless live stream", height * 0.94, scale=height / 720)


def _on_dial(middle: tuple[int, int], radius: float, turn: float) -> tuple[int, int]:
    """The point `radius` from `middle` at the fraction `turn` of the dial, clockwise from the top."""
    angle = 2 * math.pi * turn
    return round(middle[0] + radius * math.sin(angle)), round(middle[1] - radius * math.cos(angle))


def _write(picture: NDArray[np.uint8], text: str, baseline: float, *, scale: float) -> None:
    """Writes `text` across the middle."""
    (text_width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, 1)
    at = ((picture.shape[1] - text_width) // 2, round(baseline))
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_DUPLEX, scale, _INK, 1, cv2.LINE_AA)
