"""Results of the sampler: pictures, the times when they were shown, and the reasons why they were taken."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from sampler.errors import UndecodableError
from sampler.picture import Picture


class SampleReason(StrEnum):
    """Reason of a sample."""

    KEYFRAME = "keyframe"
    CUT = "cut"
    """A packet that brings much new content inside a GOP."""
    GAP = "gap"
    """Nothing else within `max_gap_seconds`."""
    AUDIT = "audit"
    """A random instant, from the secret seed."""


class HashedOnly(StrEnum):
    """Reason why a picture is hashed and matched, and no more: classifiers do not work on it."""

    SUPERSEDED = "superseded"
    """Concealed, and taken for no more than the time that has passed, while a picture of the same input that is right
    follows within the profile's `max_gap_seconds`."""
    FURTHER_VIEW = "further_view"
    """Another way in which players show a picture that is there already, where there are many such."""


LEAVES_ALL = ("second_video_stream", "cropped", "turned")
"""Notes that leave all of an input unmoderated, whatever was sampled, and are the reason: what a player shows is
unknown."""


@dataclass(frozen=True, kw_only=True)
class SampledFrame:
    """A picture taken from a segment, and why it was taken."""

    pts_seconds: float
    """Presentation time from the input's first picture, of any of its tracks, >= 0."""
    late_seconds: float = 0.0
    """Seconds from the input's beginning, by its sound, to that first picture."""
    reason: SampleReason
    keyframe: bool
    picture: Picture
    flat: str | None
    """"black", "white" or "blank" (one other shade): a picture that shows nothing. None: it shows something."""
    concealed: bool = False
    """Parts of the picture are made up, since what they lean on was in an earlier segment or is damaged. A match still
    counts; but the picture does not moderate anything."""
    hashed_only: HashedOnly | None = None
    """None: it is for classifiers too."""
    track: int = 0
    """Number of its video track, from 0: which one a player shows is unknown. Each track's times are counted from its
    own first picture."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch [start_seconds, end_seconds) of the input's timeline that was not sampled.

    It lies before 0 where the input has sound, and no picture yet.
    """

    start_seconds: float
    end_seconds: float
    reason: str
    """`gap`, `budget`, `leading`, `undecodable`, `concealed`, `no_pictures`, `second_video_stream`, `cropped`
    or `turned`: why."""

    @property
    def seconds(self) -> float:
        """Length."""
        return self.end_seconds - self.start_seconds

    def after(self, seconds: float) -> "tuple[Stretch, ...]":
        """The part after a time of the input's pictures, if there is one; all, where they have another reason."""
        if self.reason in LEAVES_ALL or self.end_seconds <= 0 or self.start_seconds >= seconds:
            return (self,)
        return (replace(self, start_seconds=seconds),) if self.end_seconds > seconds else ()


@dataclass(frozen=True, kw_only=True)
class PacketSummary:
    """One video packet as `livewarden sample --plot` draws it."""

    pts_seconds: float
    size_bytes: int
    keyframe: bool


@dataclass(frozen=True, kw_only=True)
class SampledSegment:
    """All that one input gave."""

    frames: tuple[SampledFrame, ...]
    """By presentation time."""
    duration_seconds: float
    """From the first picture to the end of the last."""
    frames_total: int
    """Video pictures in the container, whether decodable or not."""
    frames_decoded: int
    """Pictures that the decoder worked on."""
    max_gap_seconds: float
    """The longest stretch without a sample (concealed ones do not count), both ends of the input included."""
    unmoderated: tuple[Stretch, ...]
    """Stretches further than the profile's `max_gap_seconds` from every sample of one of its tracks, by time, with
    reasons."""
    cpu_seconds: dict[str, float]
    """CPU of the child for `demux` (reading packets and planning) and `decode`, and of the parent for `transfer`."""
    notes: tuple[str, ...] = ()
    """Oddities of the input: `second_video_stream`, `cropped`, `turned`, `cover_picture`, `subtitle_pictures`,
    `odd_colours`, `odd_aspect`, `spherical`, `pts_jump`, `pts_missing`, `damaged`, `padded` or `truncated`."""
    packets: tuple[PacketSummary, ...] = field(default=(), repr=False)
    """Every video packet by presentation time, if requested."""
    leading_seconds: float = 0.0
    """Time of the leading pictures at the input's beginning that were not decoded, since the GOP before was not
    there."""
    leaning_until_seconds: float = 0.0
    """The end of the first pictures of an input that begins without a keyframe, which lean on the segment before, and
    did not come out right; 0: there are none."""
    macroblocks_left: float = 0.0
    """Macroblocks that the profile allows to be decoded for both, after all that was."""

    reordered_seconds: float = 0.0
    """The longest time by which a picture is shown after one that is decoded later: in open GOPs the first pictures of
    the next segment may be shown for so long before this one's EXTINF ends."""

    origin_seconds: float = 0.0
    """Time of the first picture by the container's clock, which renditions of a stream share (RFC 8216, section 6.2.4).
    0 where that is out of all bounds."""

    parameter_sets: bytes = field(default=b"", repr=False)
    """H.264 and HEVC parameter sets in force at the end of an MPEG-TS, with start codes, which the next segment may go
    on with; at most 4 kB, b"" where they are not known. As hostile as the input itself."""

    @property
    def needs_before(self) -> bool:
        """True if the segment before is worth fetching."""
        return self.leading_seconds > 0 or self.leaning_until_seconds > 0

    def with_leading(self, leading: "SampledSegment") -> "SampledSegment":
        """This result and that of the same input's pictures that lean on the segment before, as one."""
        # A track that failed this time shows nothing of these pictures.
        failed = (set(leading.notes) - set(self.notes)).intersection(LEAVES_ALL)
        kept = [stretch for stretch in self.unmoderated if failed or stretch.reason != "leading"]
        if not failed and not leading.leaning_until_seconds:
            kept = [part for stretch in kept for part in stretch.after(self.leaning_until_seconds)]
        left = [
            stretch
            for stretch in leading.unmoderated
            if not any(
                other.start_seconds <= stretch.start_seconds and stretch.end_seconds <= other.end_seconds
                for other in kept
            )
        ]
        return replace(
            self,
            frames=tuple(sorted((*self.frames, *leading.frames), key=lambda frame: frame.pts_seconds)),
            frames_decoded=self.frames_decoded + leading.frames_decoded,
            unmoderated=tuple(sorted((*kept, *left), key=lambda stretch: stretch.start_seconds)),
            cpu_seconds={
                name: seconds + leading.cpu_seconds.get(name, 0.0) for name, seconds in self.cpu_seconds.items()
            },
            notes=tuple(dict.fromkeys((*self.notes, *leading.notes))),
            leading_seconds=leading.leading_seconds,
            leaning_until_seconds=leading.leaning_until_seconds,
            macroblocks_left=leading.macroblocks_left,
        )


class HeadlessError(UndecodableError):
    """No picture came out of an input that begins without a keyframe: all lean on the segment before.

    Attributes:
        alone: the input's result, all of it unmoderated, for `Decoder.sample` with the segment before.
    """

    def __init__(self, alone: SampledSegment) -> None:
        super().__init__("no picture of the segment could be decoded without the segment before")
        self.alone = alone
