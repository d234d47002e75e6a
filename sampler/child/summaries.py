"""The last message of a decoder process, read: for each video track a summary of what was seen of it.

As all of its answers, these are read as those of a process that may have been taken over (sampler/child/answers.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from config.profiles import SamplingProfile
from sampler.child.answers import ORIGIN_SECONDS, Bounds, PictureSummary
from sampler.child.checks import checked_count, checked_flag, checked_number
from sampler.demux.codecs.parameter_sets import MOST_BYTES
from sampler.demux.timeline import JUMP_SECONDS
from sampler.demux.video_streams import SAMPLED_TRACKS, SECOND_VIDEO_STREAM
from sampler.errors import TooLargeError, UndecodableError
from sampler.frames import LEAVES_ALL, HeadlessError, PacketSummary, SampledFrame, SampledSegment, Stretch
from sampler.picture import VIEWS
from sampler.plan.budget import BURST_SECONDS
from sampler.plan.coverage import (
    CONCEALED,
    LEADING,
    LEADING_STRETCHES,
    MOST_REFUSED,
    NO_PICTURES,
    UNDECODABLE,
    longest_gap_seconds,
    unseen_stretches,
    with_refused,
)
from sampler.plan.intervals import without
from sampler.plan.tracks import as_one

NOTES = frozenset(
    [
        *LEAVES_ALL,
        "cover_picture",
        "subtitle_pictures",
        "odd_colours",
        "odd_aspect",
        "spherical",
        "pts_jump",
        "pts_missing",
        "damaged",
        "padded",
        "truncated",
    ]
)
"""Notes on an input, each at most once."""


def read_segment(
    done: dict[str, Any],
    frames: Sequence[SampledFrame],
    seen: Sequence[PictureSummary],
    profile: SamplingProfile,
    bounds: Bounds,
    *,
    transfer_seconds: float,
    elapsed_seconds: float,
) -> SampledSegment:
    """All that came of one input.

    Args:
        done: the last message.
        frames: those that are kept.
        seen: one for each picture that was handed over.
        profile: that of the request.
        bounds: of the request.
        transfer_seconds: CPU of the parent.
        elapsed_seconds: since the request was sent; the decoder has one thread, so its CPU took no longer.

    Raises:
        UndecodableError, TooLargeError: no picture was taken, and not only those were requested that lean on the
            segment before; `HeadlessError`, where that may help.
        ValueError, TypeError, KeyError, ...: nonsense.
    """
    summaries = done["tracks"]
    is_nothing = not seen and bounds.first is None
    if is_nothing and any(summary["refused"] for summary in summaries):
        raise TooLargeError("decoding the first picture takes more than the profile allows for the whole segment")
    if is_nothing and not any(summary["leaning_until_seconds"] for summary in summaries):
        raise UndecodableError("no picture of the segment could be decoded")
    checked_count(len(summaries), 1, SAMPLED_TRACKS)
    numbers = [checked_count(summary["track"], 0, SAMPLED_TRACKS - 1) for summary in summaries]
    if numbers != sorted(set(numbers)):
        raise ValueError(f"video tracks {numbers}: expected each once")
    tracks = [
        _read_track(
            summary,
            [one for one in seen if one.track == number],
            profile,
            bounds,
            elapsed_seconds=elapsed_seconds,
        )
        for number, summary in zip(numbers, summaries, strict=True)
    ]
    segment = as_one(tracks, leading_only=bounds.first is not None)
    if SECOND_VIDEO_STREAM not in segment.notes and not {one.track for one in seen} <= set(numbers):
        raise ValueError("pictures of a track that there is not")
    if is_nothing:
        raise HeadlessError(segment)
    return replace(
        segment,
        frames=tuple(sorted(frames, key=lambda frame: frame.pts_seconds)),
        cpu_seconds=segment.cpu_seconds | {"transfer": transfer_seconds},
    )


def _read_track(
    summary: dict[str, Any],
    seen: Sequence[PictureSummary],
    profile: SamplingProfile,
    bounds: Bounds,
    *,
    elapsed_seconds: float,
) -> SampledSegment:
    """All that came of one video track, without its pictures."""
    frames_total = checked_count(summary["frames_total"], 1, bounds.coded)
    alike = Counter(one.shape for one in seen)
    if len(seen) > 2 * VIEWS * frames_total or any(count > 2 * frames_total for count in alike.values()):
        raise ValueError(f"{len(seen)} pictures were taken of {frames_total}")
    longest = JUMP_SECONDS * (frames_total + 2.0)
    begins = checked_number(summary["begins_seconds"], 0.0, JUMP_SECONDS)
    duration = checked_number(summary["duration_seconds"], begins, longest + begins)
    # Pictures of GOPs in a strange order may be shown before the first one.
    if not all(-longest <= one.seconds <= duration and one.until_seconds <= 2 * longest for one in seen):
        raise ValueError(f"a picture outside of the {duration} s that the input lasts")
    notes = tuple(summary["notes"])
    if not set(notes) <= NOTES or len(set(notes)) < len(notes):
        raise ValueError("a note that there is not")
    clean = sorted((one.seconds, one.until_seconds) for one in seen if not one.concealed)
    first = clean[0][0] if clean else 0.0
    frame_seconds = checked_number(summary["frame_seconds"], 0.0, JUMP_SECONDS)
    leading = _leading(summary["leading"], -longest, duration)
    undecodable = _intervals(summary["undecodable"], duration)
    not_given = sorted([*undecodable, *((one.start_seconds, one.end_seconds) for one in leading)])
    made_up = without(_intervals(summary["concealed"], duration), not_given)
    lost = [
        Stretch(start_seconds=start, end_seconds=end, reason=reason)
        for reason, stretches in ((UNDECODABLE, undecodable), (CONCEALED, made_up))
        for start, end in stretches
    ]
    leaning_until = checked_number(summary["leaning_until_seconds"], 0.0, duration)
    until = duration
    if bounds.first is not None:
        # None but these pictures were sampled, if the segment before fits.
        until = 0.0 if leaning_until else min(bounds.first.leaning_until_seconds, duration)
    unmoderated = leading
    if until > 0:
        unmoderated = unseen_stretches(
            clean,
            duration_seconds=until,
            frame_seconds=frame_seconds,
            max_gap_seconds=profile.max_gap_seconds,
            reason=_unseen_reason(notes, seen=len(seen), clean=len(clean)),
            lost=sorted([*leading, *lost], key=lambda stretch: stretch.start_seconds),
            cut_seconds=max((one.seconds for one in seen if one.cut and one.seconds <= first), default=begins),
            begins_seconds=begins,
        )
    unmoderated = with_refused(unmoderated, _intervals(summary["refused"], duration))
    before_seconds = checked_number(summary["before_seconds"], 0.0, JUMP_SECONDS)
    if before_seconds > frame_seconds and bounds.first is None:
        before = Stretch(start_seconds=-before_seconds, end_seconds=0.0, reason=NO_PICTURES)
        unmoderated = (before, *unmoderated)
    return SampledSegment(
        frames=(),
        duration_seconds=duration,
        frames_total=frames_total,
        # Suspects are decoded by themselves first, up to three times, once after a keyframe; leading pictures in two
        # runs; and all of a run of which some did not come out once more.
        frames_decoded=checked_count(summary["frames_decoded"], 0, 7 * (frames_total + bounds.primers)),
        max_gap_seconds=longest_gap_seconds([seconds for seconds, _ in clean], duration, begins_seconds=begins),
        unmoderated=unmoderated,
        leading_seconds=checked_number(summary["leading_seconds"], 0.0, 2 * longest),
        leaning_until_seconds=leaning_until,
        reordered_seconds=checked_number(summary["reordered_seconds"], 0.0, 2 * longest),
        origin_seconds=checked_number(summary["origin_seconds"], -ORIGIN_SECONDS, ORIGIN_SECONDS),
        macroblocks_left=checked_number(
            summary["macroblocks_left"], 0.0, profile.macroblocks_per_second * max(duration, BURST_SECONDS)
        ),
        cpu_seconds={
            "demux": checked_number(summary["demux_seconds"], 0.0, elapsed_seconds),
            "decode": checked_number(summary["decode_seconds"], 0.0, elapsed_seconds),
        },
        notes=notes,
        packets=_packets(summary["packets"], longest, bounds),
        parameter_sets=_parameter_sets(summary["parameter_sets"]),
    )


def _leading(stretches: Any, earliest: float, latest: float) -> tuple[Stretch, ...]:
    """Stretches of leading pictures that were not decoded, ascending and apart."""
    checked_count(len(stretches), 0, LEADING_STRETCHES)
    found = []
    for start, end in stretches:
        begun = checked_number(start, earliest, latest)
        earliest = checked_number(end, begun, latest)
        found.append(Stretch(start_seconds=begun, end_seconds=earliest, reason=LEADING))
    return tuple(found)


def _intervals(stretches: Any, duration: float) -> list[tuple[float, float]]:
    """Stretches of the track, ascending and apart."""
    checked_count(len(stretches), 0, MOST_REFUSED)
    read: list[tuple[float, float]] = []
    for start, end in stretches:
        start = checked_number(start, read[-1][1] if read else 0.0, duration)
        read.append((start, checked_number(end, start, duration)))
    return read


def _parameter_sets(text: Any) -> bytes:
    if len(text) > 2 * MOST_BYTES:
        raise ValueError(f"parameter sets: expected at most {MOST_BYTES} bytes")
    return bytes.fromhex(text)


def _packets(packets: Any, longest: float, bounds: Bounds) -> tuple[PacketSummary, ...]:
    # Two fields, each its own packet, may be one picture.
    checked_count(len(packets), 0, 2 * bounds.coded if bounds.packets else 0)
    return tuple(
        PacketSummary(
            pts_seconds=checked_number(seconds, -longest, longest),
            size_bytes=checked_count(size, 0, bounds.size_bytes),
            keyframe=checked_flag(keyframe),
        )
        for seconds, size, keyframe in packets
    )


def _unseen_reason(notes: tuple[str, ...], *, seen: int, clean: int) -> str:
    """Reason of unmoderated stretches of this track, should there be any.

    Args:
        notes: on it.
        seen: pictures that were taken.
        clean: those of them that are not concealed.
    """
    for note in LEAVES_ALL:
        if note in notes:
            return note
    if clean < seen:
        return CONCEALED
    return UNDECODABLE if "damaged" in notes or not seen else "gap"
