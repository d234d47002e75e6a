"""Ways to hide inserts, and material without cuts: the rows of `bench.hiding`."""

from dataclasses import dataclass, replace
from fractions import Fraction

from bench import staging
from bench.clips import ENCODERS, EncoderSetting
from bench.staging import Finish, Transition, dim, flicker, portrait

SEGMENT_SECONDS = 4
SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 1.5
"""Durations of inserts at full extent."""
STROBE_SECONDS = 2
LEADING_PICTURES = 12
"""Length of the inserts that leading pictures hide: 0.5 s. Of 16 B-frames 13 come before a keyframe every 2 s."""
GROUNDS = ("bikes, one shot", "bigbuckbunny", "carphone_pristine", "handheld", "pan")
FILMS = (*GROUNDS, "discs")
LOADED = (*FILMS, "still")
PHOTOGRAPHS = staging.PHOTOGRAPHS
UNPICTURED = tuple(name for name in GROUNDS if name != "handheld")
"""Grounds that are no picture of one of the photographs."""

X264_LOW_DELAY, X264_BUFFERED, X264_QUALITY = ENCODERS[:3]
X265 = EncoderSetting(name="x265 CRF 26", zero_latency=False, parameters="bframes=3:crf=26", codec="libx265")
AV1 = EncoderSetting(
    name="SVT-AV1 CRF 40", zero_latency=False, parameters="crf=40", preset="10", codec="libsvtav1", container="mp4"
)
VP9 = EncoderSetting(
    name="VP9 CRF 36",
    zero_latency=False,
    parameters="crf=36:b=0:deadline=realtime:cpu-used=8",
    codec="libvpx-vp9",
    container="mp4",
)
X264_TIGHT = EncoderSetting(
    name="tight VBV, B-frames",
    zero_latency=False,
    parameters="bframes=3:bitrate={kbits}:vbv-maxrate={kbits}:vbv-bufsize={fifth}",
)
X264_ONE_KEYFRAME = replace(X264_LOW_DELAY, name="zerolatency CRF 23", parameters="crf=23")
PLAIN = (X264_LOW_DELAY, X264_QUALITY, X265, X264_BUFFERED)
MIXED = (X264_QUALITY, X265, AV1, VP9, X264_LOW_DELAY)
DIM_CONTRASTS = (0.08, 0.1, 0.13)
FAINT_CONTRASTS = (0.1, 0.2)
OPEN = (
    EncoderSetting(
        name="x264, open GOPs", zero_latency=False, parameters="open-gop=1:bframes=16:b-adapt=0:b-bias=100:crf=23"
    ),
    EncoderSetting(
        name="x265, open GOPs",
        zero_latency=False,
        parameters="open-gop=1:bframes=16:b-adapt=0:rc-lookahead=30:crf=26",
        codec="libx265",
    ),
)


@dataclass(frozen=True, kw_only=True)
class HiddenRow:
    """A way to hide inserts, for which several clips are made."""

    name: str
    encoders: tuple[EncoderSetting, ...] = PLAIN
    frames_per_second: int = 24
    gop_pictures: int = 96
    area: float = 1.0
    """Part of the picture that the insert takes."""
    fade_seconds: float = 0.0
    """Time in which inserts come, and in which they go."""
    transition: Transition = Transition.FADE
    """Way in which they do."""
    contrasts: tuple[float, float] | None = None
    """Least and greatest contrast of inserts, each of which is shown over even ground. None: all have their own."""
    strobe_period: int = 0
    """A strobe elsewhere in the segment flashes every so many pictures; 0: there is none."""
    repeats: int | Fraction = 1
    """Times that each picture of the camera is sent, in the mean."""
    finishes: tuple[Finish | None, ...] = (None,)
    grounds: tuple[str, ...] = GROUNDS
    films: tuple[str, ...] = FILMS
    """Films of inserts."""
    leading: int | None = None
    """Inserts lie in the leading pictures of every second keyframe: of even ones (0), which begin segments, or odd
    ones (1). None: they lie elsewhere."""
    decoys: bool = False
    """Inserts fill all between keyframes, which alone show the ground."""
    lies: bool = False
    """There is one keyframe; each segment but the first begins with a recovery point that is none."""
    second_track: bool = False
    """A second track shows the ground alone, and names the first its chapter track."""
    padded: bool = False
    """Bytes that decoders skip follow the pictures, as many as a broadcaster wants."""
    bare: bool = False
    """Segments but the first have no parameter sets."""
    floor: float = 0.9
    """Share to be seen at `balanced`."""

    @property
    def segment_pictures(self) -> int:
        return SEGMENT_SECONDS * self.frames_per_second


PIECEWISE = HiddenRow(
    name="",
    encoders=(X264_TIGHT, X265, X264_QUALITY, X264_TIGHT, X264_LOW_DELAY, AV1),
    grounds=("still", "bikes, one shot", "bigbuckbunny", "carphone_pristine", "pan"),
    films=("astronaut", "coffee", "rocket"),
)
"""A photograph that comes in piece by piece. It is a picture of none of the grounds."""
ROWS = (
    HiddenRow(name="open GOP, inside", encoders=OPEN, gop_pictures=48, leading=1),
    HiddenRow(name="open GOP, borders", encoders=OPEN, gop_pictures=48, leading=0),
    HiddenRow(name="window of 1/2", area=1 / 2),
    HiddenRow(name="window of 1/4", area=1 / 4),
    HiddenRow(name="window of 1/9", area=1 / 9, floor=0.7),
    HiddenRow(name="strobe of 15", frames_per_second=60, gop_pictures=240, strobe_period=4),
    HiddenRow(name="strobe of 30", frames_per_second=120, gop_pictures=480, strobe_period=4),
    HiddenRow(name="flicker, AV1", encoders=(AV1,), finishes=(flicker(0.45), flicker(0.7))),
    HiddenRow(name="portrait, grain", finishes=(portrait(blurred=False), portrait(blurred=True))),
    HiddenRow(name="fade of 0.2 s", fade_seconds=0.2, films=PHOTOGRAPHS),
    HiddenRow(name="fade of 0.33 s", fade_seconds=0.33, films=PHOTOGRAPHS, floor=0.7),
    HiddenRow(name="fade of 0.5 s", fade_seconds=0.5, films=PHOTOGRAPHS, floor=0.7),
    HiddenRow(name="decoy keyframes", frames_per_second=30, gop_pictures=15, decoys=True),
    HiddenRow(name="lying recovery point", encoders=(X264_LOW_DELAY, X264_ONE_KEYFRAME), lies=True, floor=0.0),
    HiddenRow(name="chapter track", encoders=(replace(X264_QUALITY, container="mp4"),), second_track=True),
    HiddenRow(name="10 in 30", frames_per_second=30, gop_pictures=120, repeats=3),
    HiddenRow(name="25 in 30", encoders=MIXED, frames_per_second=30, gop_pictures=120, repeats=Fraction(6, 5)),
    HiddenRow(name="24 in 60", encoders=MIXED, frames_per_second=60, gop_pictures=240, repeats=Fraction(5, 2)),
    replace(PIECEWISE, name="wipe of 0.5 s", fade_seconds=0.5, transition=Transition.WIPE),
    replace(PIECEWISE, name="wipe of 1 s", fade_seconds=1.0, transition=Transition.WIPE),
    replace(PIECEWISE, name="blocks in 0.4 s", fade_seconds=0.4, transition=Transition.BLOCKS),
    replace(PIECEWISE, name="blocks in 0.7 s", fade_seconds=0.7, transition=Transition.BLOCKS),
    HiddenRow(
        name="dim pictures",
        encoders=MIXED,
        grounds=UNPICTURED,
        finishes=tuple(map(dim, DIM_CONTRASTS)),
        films=PHOTOGRAPHS,
    ),
    HiddenRow(name="faint window of 1/4", encoders=MIXED, area=1 / 4, contrasts=FAINT_CONTRASTS, films=PHOTOGRAPHS),
    HiddenRow(name="padded pictures", encoders=(X264_LOW_DELAY, X264_QUALITY, X265), padded=True),
    HiddenRow(name="bare segments", encoders=(X264_LOW_DELAY, X264_QUALITY, X265), gop_pictures=48, bare=True),
)
CODECS = (X264_QUALITY, X265, AV1)
OPENED = (
    *(replace(one, name=f"{one.name}, open GOPs", parameters=f"{one.parameters}:open-gop=1") for one in CODECS[:2]),
    AV1,
)
"""Encoders that let pictures lean over a keyframe, as x265 does unless told otherwise."""
_UNCUT = (
    HiddenRow(name="talking head", encoders=CODECS, gop_pictures=48, grounds=("carphone_pristine",)),
    HiddenRow(name="handheld", encoders=CODECS, gop_pictures=48, grounds=("handheld",)),
    HiddenRow(name="dark webcam", encoders=CODECS, gop_pictures=48, grounds=("dark webcam",)),
    HiddenRow(name="slides", encoders=CODECS, gop_pictures=48, grounds=("slides",)),
    HiddenRow(name="game", encoders=CODECS, gop_pictures=48, grounds=("game",)),
    HiddenRow(name="talking head, open GOPs", encoders=OPENED, gop_pictures=48, grounds=("carphone_pristine",)),
    HiddenRow(name="game, open GOPs", encoders=OPENED, gop_pictures=48, grounds=("game",)),
    HiddenRow(
        name="10 in 30, uncut",
        encoders=CODECS,
        frames_per_second=30,
        gop_pictures=60,
        repeats=3,
        grounds=("carphone_pristine",),
    ),
    HiddenRow(
        name="15 in 60, uncut",
        encoders=CODECS,
        frames_per_second=60,
        gop_pictures=120,
        repeats=4,
        grounds=("carphone_pristine",),
    ),
)
UNCUT = (
    *_UNCUT,
    *(
        replace(row, name=f"{row.name}, GOPs of {text}", gop_pictures=row.frames_per_second // a_second)
        for text, a_second in (("1 s", 1), ("0.5 s", 2))
        for row in _UNCUT
        if row.encoders is CODECS
    ),
)
"""Material without cuts; some of it as low-latency encoders send it as well."""
UNCUT_FILMS = tuple(dict.fromkeys(ground for row in UNCUT for ground in row.grounds))
