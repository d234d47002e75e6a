"""Results of the video tracks of one input, as one: a stretch is moderated only if it is in all of them."""

from collections.abc import Sequence

from sampler.frames import SampledSegment, Stretch
from sampler.plan.coverage import NO_PICTURES
from sampler.plan.intervals import joined, without

SHORTER_SECONDS = 0.5
"""A track may end so long (<=) before another: packagers cut both roughly at the same place."""


def as_one(tracks: Sequence[SampledSegment], *, leading_only: bool) -> SampledSegment:
    """The result of an input, from those of its tracks.

    Args:
        tracks: one at least, without pictures; all count from the first picture of the one that begins first.
        leading_only: only leading pictures were requested, so that nothing is known of where tracks end.
    """
    if len(tracks) == 1:
        return tracks[0]
    duration_seconds = max(track.duration_seconds for track in tracks)
    parts = [track.unmoderated if leading_only else _with_end(track, duration_seconds) for track in tracks]
    stages = dict.fromkeys(stage for track in tracks for stage in track.cpu_seconds)
    return SampledSegment(
        frames=(),
        duration_seconds=duration_seconds,
        frames_total=sum(track.frames_total for track in tracks),
        frames_decoded=sum(track.frames_decoded for track in tracks),
        max_gap_seconds=max(track.max_gap_seconds for track in tracks),
        unmoderated=_in_any(parts),
        cpu_seconds={stage: sum(track.cpu_seconds.get(stage, 0.0) for track in tracks) for stage in stages},
        notes=tuple(dict.fromkeys(note for track in tracks for note in track.notes)),
        packets=tuple(
            sorted((packet for track in tracks for packet in track.packets), key=lambda packet: packet.pts_seconds)
        ),
        leading_seconds=sum(track.leading_seconds for track in tracks),
        # One track's end of those would speak for the other's pictures: what the first pass lacks stays so.
        leaning_until_seconds=0.0,
        reordered_seconds=min(track.reordered_seconds for track in tracks),
        origin_seconds=tracks[0].origin_seconds,
        macroblocks_left=sum(track.macroblocks_left for track in tracks),
    )


def _with_end(track: SampledSegment, duration_seconds: float) -> tuple[Stretch, ...]:
    """The stretches of a track, and the end of the input in which it has no pictures."""
    if duration_seconds - track.duration_seconds <= SHORTER_SECONDS:
        return track.unmoderated
    end = Stretch(start_seconds=track.duration_seconds, end_seconds=duration_seconds, reason=NO_PICTURES)
    return (*track.unmoderated, end)


def _in_any(parts: Sequence[Sequence[Stretch]]) -> tuple[Stretch, ...]:
    """The stretches of all, apart from each other, by time; where several have one, the first one's reason stands."""
    earlier = [[stretch for stretch in part if stretch.end_seconds <= 0] for part in parts]
    # Before the first picture of one the others may show theirs.
    found = min(earlier, key=lambda stretches: sum(stretch.seconds for stretch in stretches))
    for part in parts:
        later = [stretch for stretch in part if stretch.end_seconds > 0]
        for reason in dict.fromkeys(stretch.reason for stretch in later):
            intervals = [(one.start_seconds, one.end_seconds) for one in later if one.reason == reason]
            holes = joined((one.start_seconds, one.end_seconds) for one in found)
            found += [
                Stretch(start_seconds=start, end_seconds=end, reason=reason) for start, end in without(intervals, holes)
            ]
    return tuple(sorted(found, key=lambda stretch: stretch.start_seconds))
