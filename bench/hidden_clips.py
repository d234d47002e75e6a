"""Clips in which inserts are hidden in the ways that issue 17 lists, made by recorded recipes and kept in a folder."""

import hashlib
import os
import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from bench import clips, forged_clips, hidden_rows, material, staging
from bench.clips import Clip, EncoderSetting, Insert, muxed, seconds
from bench.forged_clips import with_chapter_track, with_padding, with_recovery_points, without_parameter_sets
from bench.hidden_rows import (
    LEADING_PICTURES,
    LONGEST_SECONDS,
    SEGMENT_SECONDS,
    SHORTEST_SECONDS,
    STROBE_SECONDS,
    HiddenRow,
)
from bench.material import Reel
from bench.staging import (
    THUMBNAIL_HEIGHT,
    THUMBNAIL_WIDTH,
    HiddenInsert,
    StagedReel,
    Strobe,
    Transition,
    held,
    planes,
    thumbnail,
)

WHOLE = 0.15
"""Share of a picture that may be missing of an insert that counts as shown."""


@dataclass(frozen=True, kw_only=True)
class HiddenClip:
    """A clip of a row, with what it shows."""

    clip: Clip
    row: str
    frames_per_second: int
    starts_seconds: tuple[float, ...]
    """Time of the first picture shown of each segment, from the clip's first."""
    shown: NDArray[np.uint8]
    """uint8, (frames, 27, 48): luma of each picture."""
    plain: NDArray[np.uint8]
    """The same, had nothing been inserted."""
    films: tuple[str, ...]
    """Film of each insert."""
    fade_seconds: float
    width: int
    height: int
    whole_seconds: float = 0.0
    """So long before it, and after it, an insert that comes in piece by piece shows all but `WHOLE` of it."""


MakeClip = Callable[[], HiddenClip]


def make_row(row: HiddenRow, reel: Callable[[], Reel], *, count: int, seed: int) -> list[MakeClip]:
    """Clips of a row with `count` inserts in all, or few more."""
    per_clip = 2 if count <= 6 else 4
    number = -(-count // per_clip)
    return [
        partial(_make, row, reel, number=place, inserts=min(per_clip, count - place * per_clip), seed=seed)
        for place in range(number)
    ]


class ClipFolder:
    """A folder of made clips. A clip counts as made only if it was by these very recipes."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def holds(self, name: str) -> bool:
        """True if the clip need not be made."""
        return self._folder is not None and self._path(self._folder, name).exists()

    def clip(self, name: str, make: MakeClip) -> HiddenClip:
        """The clip from the folder, or a new one, which is kept there."""
        if self._folder is None:
            return make()
        path = self._path(self._folder, name)
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(pickle.dumps(make()))
            part.replace(path)
        found = pickle.loads(path.read_bytes())
        assert isinstance(found, HiddenClip)
        return found

    def _path(self, folder: Path, name: str) -> Path:
        return folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{recipes_digest()}.pickle"


@cache
def recipes_digest() -> str:
    """Digest of the modules that make clips: a changed recipe makes new ones."""
    sources = [
        Path(__file__),
        *(Path(module.__file__ or "") for module in (clips, forged_clips, hidden_rows, material, staging)),
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _make(row: HiddenRow, reel: Callable[[], Reel], *, number: int, inserts: int, seed: int) -> HiddenClip:
    random = np.random.default_rng((seed, number, *row.name.encode()))
    base = row.grounds[(number + len(row.name)) % len(row.grounds)]
    encoder = replace(row.encoders[number % len(row.encoders)], frames_per_second=row.frames_per_second)
    # With leading pictures the last segment would lack the keyframe that they belong to.
    frames = (inserts + (row.leading is not None)) * row.segment_pictures
    films = [name for name in row.films if name != base]
    placed: list[HiddenInsert] = []
    strobes: list[Strobe] = []
    leading: list[int] = []
    if row.leading is not None:
        keyframes = range(row.gop_pictures, frames, row.gop_pictures)
        leading = [stop for stop in keyframes if stop // row.gop_pictures % 2 == row.leading][:inserts]
    for segment in range(inserts):
        first = segment * row.segment_pictures
        if row.strobe_period:
            length = round(STROBE_SECONDS * row.frames_per_second)
            # The strobe lies before the insert, or after it.
            before = bool(random.integers(2))
            start = first + (4 if before else row.segment_pictures - length - 4)
            strobes.append(Strobe(start=start, stop=start + length, period=row.strobe_period))
            span = (4 + length + 4, row.segment_pictures - 2) if before else (2, row.segment_pictures - length - 8)
        else:
            span = (1, row.segment_pictures - 1)
        for start, stop in _places(row, segment, span, leading, random):
            placed.append(
                HiddenInsert(
                    start=start,
                    stop=stop,
                    film=films[int(random.integers(len(films)))],
                    offset=int(random.integers(500)),
                    window=_window(row.area, random),
                    fade=round(row.fade_seconds * row.frames_per_second),
                    transition=row.transition,
                    contrast=1.0 if row.contrasts is None else random.uniform(*row.contrasts),
                    even=None if row.contrasts is None else (first, first + row.segment_pictures),
                )
            )
    staged = StagedReel(
        reel(),
        base=base,
        inserts=placed,
        strobes=strobes,
        repeats=row.repeats,
        finish=row.finishes[number % len(row.finishes)],
    )
    ground = StagedReel(reel(), base=base, inserts=()) if row.second_track else None
    return encoded(row, encoder, staged, placed, base=base, frames=frames, ground=ground)


def make_uncut(row: HiddenRow, reel: Callable[[], Reel], *, segments: int) -> list[MakeClip]:
    """For each encoder of the row a clip of its ground alone."""

    def make(encoder: EncoderSetting) -> HiddenClip:
        base = row.grounds[0]
        staged = StagedReel(reel(), base=base, inserts=(), repeats=row.repeats)
        encoder = replace(encoder, frames_per_second=row.frames_per_second)
        return encoded(row, encoder, staged, [], base=base, frames=segments * row.segment_pictures)

    return [partial(make, encoder) for encoder in row.encoders]


def encoded(
    row: HiddenRow,
    encoder: EncoderSetting,
    staged: StagedReel,
    inserts: list[HiddenInsert],
    *,
    base: str,
    frames: int,
    ground: StagedReel | None = None,
    judged: bool = True,
    segment_seconds: float = SEGMENT_SECONDS,
) -> HiddenClip:
    """The clip in segments; `ground` is shown by its second track. Not `judged`: it is only for its cost, and what it
    shows is not kept."""
    films = [(base, index) for index in range(frames)]
    stream = encoder.encode(staged, films, gop_frames=frames if row.lies else row.gop_pictures)
    if row.lies:
        stream = with_recovery_points(stream, row.segment_pictures)
    if row.padded:
        stream = with_padding(stream)
    segments, starts = _segmented(stream, encoder.container, segment_seconds)
    if row.bare:
        segments = (segments[0], *map(without_parameter_sets, segments[1:]))
    if ground is not None:
        other = encoder.encode(ground, films, gop_frames=row.gop_pictures)
        segments = tuple(map(with_chapter_track, segments, _segmented(other, encoder.container, segment_seconds)[0]))
    rate = encoder.frames_per_second
    return HiddenClip(
        clip=Clip(
            encoder=encoder.name,
            base=base,
            gop_seconds=max(1, row.gop_pictures // rate),
            stream=stream,
            segments=segments,
            segment_seconds=segment_seconds,
            frames_total=frames,
            inserts=tuple(Insert(start_seconds=one.start / rate, end_seconds=one.stop / rate) for one in inserts),
        ),
        row=row.name,
        frames_per_second=rate,
        starts_seconds=starts,
        shown=_thumbnails(staged.picture(base, index) for index in range(frames * judged)),
        plain=_thumbnails(staged.plain(index) for index in range(frames * judged)),
        films=tuple(insert.film for insert in inserts),
        fade_seconds=row.fade_seconds,
        width=staged.width,
        height=staged.height,
        whole_seconds=0.0 if row.transition is Transition.FADE else WHOLE * row.fade_seconds,
    )


def _thumbnails(pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Thumbnails of pictures: uint8, (frames, 27, 48)."""
    small = [thumbnail(planes(picture)[0]) for picture in pictures]
    return np.array(small, np.uint8).reshape(-1, THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH)


def _places(
    row: HiddenRow, segment: int, span: tuple[int, int], leading: list[int], random: np.random.Generator
) -> Iterator[tuple[int, int]]:
    first = segment * row.segment_pictures
    if row.leading is not None:
        yield leading[segment] - LEADING_PICTURES, leading[segment]
    elif row.decoys:
        for start in range(first, first + row.segment_pictures, row.gop_pictures):
            yield start + 1, start + row.gop_pictures
    else:
        fade = round(row.fade_seconds * row.frames_per_second)
        length = round(random.uniform(SHORTEST_SECONDS, LONGEST_SECONDS) * row.frames_per_second)
        low, high = span[0] + fade, span[1] - fade - length
        start = first + int(random.integers(low, high + 1))
        start = held(start, row.repeats)
        yield start, start + length


def _window(area: float, random: np.random.Generator) -> tuple[float, float, float]:
    if area == 1.0:
        return 1.0, 0.0, 0.0
    side = float(np.sqrt(area))
    left, top = random.uniform(staging.WINDOW_MARGIN, 1 - side - staging.WINDOW_MARGIN, 2).tolist()
    return side, left, top


def _segmented(stream: bytes, container: str, segment_seconds: float) -> tuple[tuple[bytes, ...], tuple[float, ...]]:
    """The segments that a packager makes, which cuts at the first keyframe shown after so many seconds."""
    with av.open(BytesIO(stream), "r", format=container) as whole:
        video = whole.streams.video[0]
        packets = [packet for packet in whole.demux(video) if packet.size]
        first_seconds = min(seconds(packet) for packet in packets)
        groups: list[list[Packet[VideoStream]]] = []
        for packet in packets:
            if not groups or (
                packet.is_keyframe and seconds(packet) - first_seconds >= len(groups) * segment_seconds - 1e-3
            ):
                groups.append([])
            groups[-1].append(packet)
        starts = tuple(min(seconds(packet) for packet in group) - first_seconds for group in groups)
        return tuple(muxed(group, video, container) for group in groups), starts
