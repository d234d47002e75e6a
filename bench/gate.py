"""The near-duplicate gate's constants, measured: `python -m bench.gate` (four minutes of CPU).

Still scenes with a sensor's noise, coded by x264; windows with other content over them, plain and with the means of
their 4 × 4 blocks restored, as somebody would who knew that those are compared; other details over kept means, or other
colours; pictures that come back after a cut.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import skimage.data
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.pdq.pdq import PdqHash, hash_luma
from sampler.picture import Picture
from worker.moderation.gate import ALIKE_BITS, MAX_DIFFERENCE, MAX_DIFFERENCE_ALIKE, MAX_DISTANCE_BITS, max_difference
from worker.moderation.gate_key import CHROMA_COLUMNS, CHROMA_ROWS, Chroma, GateCells, GateKey
from worker.moderation.segment_gate import (
    MAX_WINDOW_DIFFERENCE,
    TOLERANCE_BACK,
    thumbnail_difference,
    thumbnail_of,
)

WIDTH, HEIGHT = 640, 360
SCENES = (
    *("astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "colorwheel", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon", "page", "retina", "rocket", "text"),
)
"""Pictures of scikit-image that PDQ can hash."""
RATE = 15
STILL_SECONDS = 16
GOP_SECONDS = 2
NOISE = 4.0
"""Standard deviation of the sensor's noise, in levels of 255."""
KBITS = 400
TIGHT_KBITS = 100
"""Size of the encoder's buffer that makes a picture after a cut coarse."""
KEYS = tuple(GateKey(bytes([number])) for number in range(12))
TRIALS = 1500
"""Windows whose block means are restored."""
PLAIN_TRIALS = 250
"""Windows of each area."""
GRID = 4
MAX_BLOCK_DIFFERENCE = 1.0
"""The measure that projections took the place of: 4 × 4 block means of luma, each within one level."""
STILL_LENGTH = 60
COLOURED = ("astronaut", "chelsea", "coffee", "rocket", "retina", "immunohistochemistry")
"""Scenes with details and colours of their own."""
DETAIL_SIGMA = 12
"""Pixels: what a blur by so much leaves of a picture is no detail."""
KEPT_CELLS = (64, 36)

Luma = NDArray[np.uint8]
"""uint8, (HEIGHT, WIDTH)."""


class GatePicture(NamedTuple):
    """A picture as the gate is given it."""

    luma: Luma
    chroma: Chroma


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A picture as the gate compares it."""

    pdq: PdqHash
    cells: GateCells
    blocks: NDArray[np.float32]

    @classmethod
    def of(cls, shown: GatePicture) -> "Measured":
        """Measures a picture."""
        luma = shown.luma
        blocks = cv2.resize(luma.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
        return cls(pdq=hash_luma(luma), cells=GateCells.of(luma, shown.chroma), blocks=np.asarray(blocks, np.float32))

    def near(self, other: "Measured") -> bool:
        """Returns whether PDQ takes both for the same."""
        return self.pdq.distance(other.pdq) <= MAX_DISTANCE_BITS

    def repeats(self, other: "Measured", *, tolerance: float = 1.0) -> list[bool]:
        """Returns whether PDQ and the projections take both for the same, by each key."""
        most = tolerance * max_difference(self.pdq.distance(other.pdq))
        return [self.near(other) and difference <= most for difference in self.differences(other)]

    def same_blocks(self, other: "Measured") -> bool:
        """Returns whether the block means do."""
        return bool(np.abs(self.blocks - other.blocks).max() <= MAX_BLOCK_DIFFERENCE)

    def differences(self, other: "Measured") -> list[float]:
        """Differences of the projections, by each key."""
        return [
            float(np.sqrt(np.mean(np.subtract(key.projections(self.cells), key.projections(other.cells)) ** 2)))
            for key in KEYS
        ]

    def in_windows(self, other: "Measured") -> float:
        """The difference of the thumbnails."""
        return thumbnail_difference(thumbnail_of(self.cells), thumbnail_of(other.cells))


def main() -> None:
    """Measures what the constants of the gate are chosen by."""
    cv2.setNumThreads(1)
    random = np.random.default_rng(1)
    pictures = {name: _still(name, random) for name in SCENES}
    stills = {name: [Measured.of(one) for one in several] for name, several in pictures.items()}
    table = Table("", "measured")
    for text, measured in (
        *_still_rows(stills),
        *_restored_rows(pictures, stills, random),
        *_window_rows(pictures, stills, random),
        *_alone_rows(random),
        *_back_rows(random),
        *_reuse_rows(),
    ):
        table.add_row(text, measured)
    console = Console(highlight=False)
    console.width = max(console.width, 120)
    console.print(table)


Rows = Iterator[tuple[str, str]]


def _still_rows(stills: dict[str, list[Measured]]) -> Rows:
    pairs = [(one, pictures[0]) for pictures in stills.values() for one in pictures[1:]]
    blocks = [one.near(first) and one.same_blocks(first) for one, first in pairs]
    differences = np.array([one.differences(first) for one, first in pairs])
    both = [one.repeats(first) for one, first in pairs]
    yield "still: PDQ bits, median and most", _median_and_most([one.pdq.distance(first.pdq) for one, first in pairs])
    yield "still: repeated by PDQ and block means", f"{np.mean(blocks):.4f}"
    yield "still: repeated by PDQ and projections", f"{np.mean(both):.4f}"
    for most in (MAX_DIFFERENCE, MAX_DIFFERENCE_ALIKE):
        yield f"still: projections <= {most}", f"{np.mean(differences <= most):.4f}"
    alike = np.mean([one.pdq.distance(first.pdq) <= ALIKE_BITS for one, first in pairs])
    yield f"still: PDQ bits <= {ALIKE_BITS}", f"{alike:.4f}"
    yield "still: thumbnails, median and most", _median_and_most([one.in_windows(first) for one, first in pairs])


def _restored_rows(
    pictures: dict[str, list[GatePicture]], stills: dict[str, list[Measured]], random: np.random.Generator
) -> Rows:
    passed, by_all = [], []
    for _ in range(TRIALS):
        under, shown, window, place = _window(pictures, 9, random)
        gain = float(random.choice([1.0, 0.7, 0.5]))
        luma = restored(under.luma, (window - window.mean()) * gain + 110, place)
        measured, first = Measured.of(GatePicture(luma, under.chroma)), stills[shown][0]
        caught = 1 - float(np.mean(measured.repeats(first)))
        by_all.append(caught)
        if measured.near(first) and measured.same_blocks(first):
            passed.append((gain, caught))
    yield "windows of 1/9, block means restored: classified", f"{np.mean(by_all):.4f} of {TRIALS}"
    yield "those of them that PDQ and block means pass", f"{len(passed)}: {np.mean([share for _, share in passed]):.3f}"
    for gain in (1.0, 0.7, 0.5):
        shares = [share for one, share in passed if one == gain]
        yield f"  at {gain} of the contrast", f"{len(shares)}: {np.mean(shares):.3f}"


def _window_rows(
    pictures: dict[str, list[GatePicture]], stills: dict[str, list[Measured]], random: np.random.Generator
) -> Rows:
    for area in (9, 16, 25):
        for text, over in (("plain", _plain), ("block means restored", restored)):
            found = []
            for _ in range(PLAIN_TRIALS):
                under, shown, window, place = _window(pictures, area, random)
                picture = GatePicture(over(under.luma, window, place), under.chroma)
                found.append(Measured.of(picture).in_windows(stills[shown][0]))
            noticed = np.mean(np.array(found) > MAX_WINDOW_DIFFERENCE)
            low = np.quantile(found, [0, 0.01, 0.05])
            yield f"thumbnails, window of 1/{area}, {text}: least, 1 %, 5 %", f"{low.round(1)}; noticed {noticed:.3f}"


def _alone_rows(random: np.random.Generator) -> Rows:
    """Another photograph's details, or colours, and nothing else of it, over all of a picture or a quarter."""
    for text, make in (("details over kept means", _details), ("colours alone", _colours)):
        for area in ("whole", "a quarter"):
            found, windows = [], []
            for scene in COLOURED:
                for other in COLOURED:
                    if scene == other:
                        continue
                    ground, changed = _noise(scene, random), make(scene, other)
                    if area == "a quarter":
                        inner = (slice(HEIGHT // 4, HEIGHT * 3 // 4), slice(WIDTH // 4, WIDTH * 3 // 4))
                        part, changed = changed[inner], _photograph(scene, WIDTH, HEIGHT)
                        changed[inner] = part
                    first, then = (Measured.of(_as_shown(one)) for one in (ground, _noisy(changed, random)))
                    found.append(1 - float(np.mean(then.repeats(first))))
                    windows.append(then.in_windows(first) > MAX_WINDOW_DIFFERENCE)
            counts = f"{np.mean(found):.3f} of {len(found)}; by thumbnails {np.mean(windows):.3f}"
            yield f"{text}, {area}: classified", counts


def _details(scene: str, other: str) -> NDArray[np.uint8]:
    """The details of `other` over the means of `scene` in cells of 64 × 36, as far as clipping lets them be."""
    ground, shown = (_photograph(name, WIDTH, HEIGHT).astype(np.float32) for name in (scene, other))
    mixed = cv2.GaussianBlur(ground, (0, 0), DETAIL_SIGMA) + shown - cv2.GaussianBlur(shown, (0, 0), DETAIL_SIGMA)
    for _ in range(6):
        missing = _kept_cells(ground) - _kept_cells(mixed)
        mixed = np.clip(mixed + cv2.resize(missing, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST), 0, 255)
    return mixed.astype(np.uint8)


def _kept_cells(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(rgb, KEPT_CELLS, interpolation=cv2.INTER_AREA), np.float32)


def _colours(scene: str, other: str) -> NDArray[np.uint8]:
    """The colours of `other` with the luma of `scene`."""
    luma, mixed = (cv2.cvtColor(_photograph(name, WIDTH, HEIGHT), cv2.COLOR_RGB2YCrCb) for name in (scene, other))
    mixed[..., 0] = luma[..., 0]
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_YCrCb2RGB), np.uint8)


def _as_shown(rgb: NDArray[np.uint8]) -> GatePicture:
    return _shown(Picture(planes=(rgb,), full_range=True, matrix="bt601"))


def _shown(picture: Picture) -> GatePicture:
    return GatePicture(picture.luma(), np.asarray(picture.chroma(CHROMA_COLUMNS, CHROMA_ROWS), np.uint8))


def _back_rows(random: np.random.Generator) -> Rows:
    """Two pictures in turn, each for 0.8 s, in one GOP: the first compared with itself when it comes back."""
    for buffer_kbits in (KBITS, TIGHT_KBITS):
        rows = []
        for number, name in enumerate(SCENES):
            other = SCENES[(number + 3) % len(SCENES)]
            shots = [_noise(shot, random) for shot in (name, other, name, other, name) for _ in range(12)]
            decoded = _coded(shots, gop_frames=250, buffer_kbits=buffer_kbits, tune="zerolatency")
            first = Measured.of(decoded[0])
            rows += [(first, Measured.of(decoded[index])) for index in (24, 25, 30, 35, 48, 49, 54)]
        differences = np.array([one.differences(first) for first, one in rows])
        windows = np.array([one.in_windows(first) for first, one in rows])
        repeated = (windows <= MAX_WINDOW_DIFFERENCE)[:, None] & np.array(
            [one.repeats(first, tolerance=TOLERANCE_BACK) for first, one in rows]
        )
        text = f"came back, buffer of {buffer_kbits} kbit"
        yield f"{text}: thumbnails, median and most", _median_and_most(windows)
        yield f"{text}: projections, median and most", _median_and_most(differences)
        yield f"{text}: not classified again", f"{np.mean(repeated):.3f}"


def _reuse_rows() -> Rows:
    for seconds in (STILL_LENGTH, 10 * STILL_LENGTH):
        shares = []
        for number in range(400):
            key, last_ms, classified = GateKey(number.to_bytes(2)), None, 0
            for at_ms in range(0, seconds * 1000, 2000):
                if last_ms is None or at_ms - last_ms > key.reuse_ms(last_ms):
                    last_ms, classified = at_ms, classified + 1
            shares.append(classified / (seconds / 2))
        yield f"still scene of {seconds} s, a sample each 2 s: classified", f"{np.mean(shares):.3f}"


def _median_and_most(values: "Sequence[float] | NDArray[Any]") -> str:
    return f"{np.median(values):.2f}, {np.max(values):.2f}"


def _photograph(name: str, width: int, height: int) -> NDArray[np.uint8]:
    loaded = np.asarray(getattr(skimage.data, name)())
    rgb = np.stack([loaded] * 3, axis=-1) if loaded.ndim == 2 else np.ascontiguousarray(loaded[..., :3])
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _noise(name: str, random: np.random.Generator) -> NDArray[np.uint8]:
    return _noisy(_photograph(name, WIDTH, HEIGHT), random)


def _noisy(rgb: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(rgb + random.normal(0, NOISE, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)


def _still(name: str, random: np.random.Generator) -> list[GatePicture]:
    """Keyframes of the scene, and pictures before the next ones."""
    pool = [_noise(name, random) for _ in range(12)]
    pictures = [pool[index] for index in random.integers(0, len(pool), RATE * STILL_SECONDS)]
    decoded = _coded(pictures, gop_frames=RATE * GOP_SECONDS, buffer_kbits=KBITS, tune=None)
    return [one for start in range(0, len(decoded), RATE * GOP_SECONDS) for one in decoded[start :: RATE - 3][:2]]


def _coded(
    pictures: Sequence[NDArray[np.uint8]], *, gop_frames: int, buffer_kbits: int, tune: str | None
) -> list[GatePicture]:
    """The pictures after x264 at 400 kbit/s."""
    coded, decoded = BytesIO(), []
    with av.open(coded, "w", format="mpegts") as output:
        video = output.add_stream("libx264", rate=RATE)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        gop = f"keyint={gop_frames}:min-keyint={gop_frames}:scenecut=0:threads=1"
        rate = f"bitrate={KBITS}:vbv-maxrate={KBITS}:vbv-bufsize={buffer_kbits}"
        video.options = {"preset": "veryfast", "x264-params": f"{gop}:{rate}", **({"tune": tune} if tune else {})}
        for index, picture in enumerate(pictures):
            frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    coded.seek(0)
    with av.open(coded, "r") as stream:
        for frame in stream.decode(video=0):
            stored = np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)
            first, second = stored[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
            decoded.append(_shown(Picture(planes=(stored[:HEIGHT], first, second), full_range=False, matrix="bt601")))
    return decoded


Place = tuple[slice, slice]
"""Rows and columns of a window."""
Over = Callable[[Luma, NDArray[np.float32], Place], Luma]


def _window(
    pictures: dict[str, list[GatePicture]], area: int, random: np.random.Generator
) -> tuple[GatePicture, str, NDArray[np.float32], Place]:
    """A later picture of a still scene, the scene's name, and a window of other content with its place."""
    scene, content = random.choice(SCENES, 2, replace=False)
    width, height = round(WIDTH / area**0.5), round(HEIGHT / area**0.5)
    left, top = int(random.integers(WIDTH - width + 1)), int(random.integers(HEIGHT - height + 1))
    grey = cv2.cvtColor(_photograph(str(content), width, height), cv2.COLOR_RGB2GRAY)
    under = pictures[str(scene)][int(random.integers(1, len(pictures[str(scene)])))]
    place = (slice(top, top + height), slice(left, left + width))
    return under, str(scene), np.asarray(grey, np.float32), place


def _plain(under: Luma, window: NDArray[np.float32], place: Place) -> Luma:
    picture = under.copy()
    picture[place] = window.astype(np.uint8)
    return picture


def restored(under: Luma, window: NDArray[np.float32], place: Place) -> Luma:
    """The picture with the window over it, and with the means of its 4 × 4 blocks as far as clipping lets them be."""
    picture = under.astype(np.float32)
    picture[place] = window
    rows, columns = np.linspace(0, HEIGHT, GRID + 1).astype(int), np.linspace(0, WIDTH, GRID + 1).astype(int)
    for _ in range(4):
        for row in range(GRID):
            for column in range(GRID):
                block = (slice(rows[row], rows[row + 1]), slice(columns[column], columns[column + 1]))
                inside = picture[_common(block[0], place[0]), _common(block[1], place[1])]
                if inside.size:
                    missing = float(under[block].astype(np.float32).sum() - picture[block].sum())
                    inside[...] = np.clip(inside + missing / inside.size, 0, 255)
    return np.rint(picture).astype(np.uint8)


def _common(one: slice, other: slice) -> slice:
    start = max(one.start, other.start)
    return slice(start, max(start, min(one.stop, other.stop)))


if __name__ == "__main__":
    main()
