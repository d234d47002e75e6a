"""Samples one video track of an input. Runs in the decoder child."""

import gc
import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from config.profiles import SamplingProfile
from sampler.child.answers import MAX_PIXEL_ASPECT, ORIGIN_SECONDS
from sampler.child.leading import LeadingPictures, leading_plan
from sampler.child.outbox import Outbox
from sampler.child.pages import in_small_pages, small_pages
from sampler.decode.execute import Executor
from sampler.decode.presentation.planes import store
from sampler.decode.presentation.shown import ODD_COLOURS, ShownOtherwise
from sampler.decode.presentation.view import View
from sampler.decode.settled import DecodedTarget
from sampler.demux.packet_reader import Demuxer
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import reordered_seconds
from sampler.demux.primer import Primer
from sampler.demux.segment_before import read_segment_before
from sampler.demux.source import InputFile
from sampler.demux.timeline import SAME_INSTANT_SECONDS
from sampler.demux.video_streams import SECOND_VIDEO_STREAM
from sampler.errors import DecoderMemoryError, TooLargeError, TooSmallError, UndecodableError
from sampler.frames import HashedOnly
from sampler.limits import Limits, has_room
from sampler.plan.budget import MACROBLOCK_PIXELS, DecodingBound, SampleBudget, shared
from sampler.plan.coverage import (
    LEADING_STRETCHES,
    MOST_REFUSED,
    picture_seconds,
    picture_stretches,
    refused_stretches,
    spoken_for_until,
)
from sampler.plan.intervals import Interval, at_most, joined, without
from sampler.plan.plan import plan

DECODING_BYTES = 12
"""Memory that decoding takes for each pixel, in H.264 at its leanest: eight pictures of 4:2:0."""

VIEWS_PER_SECOND = 1.0
"""Further views of samples that classifiers work on, for a second of video: ordinary streams have no more. All are
hashed; with two views of each sample, all classified, the most expensive streams cost half as much again."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Descriptors of a request's inputs."""

    input: int
    before: int | None
    """The segment before; None: it did not come along."""


def sample_track(
    track: int,
    request: dict[str, Any],
    inputs: Inputs,
    outbox: Outbox,
    limits: Limits,
    profile: SamplingProfile,
) -> tuple[dict[str, Any], int]:
    """Samples one video track; returns its summary, and how many are sampled."""
    seed = bytes.fromhex(request["seed"])
    started = time.process_time()
    decode_seconds = 0.0
    leading = LeadingPictures()
    leading_macroblocks: float | None = request["leading_macroblocks"]
    leading_only = leading_macroblocks is not None
    handed_over = outbox.pictures
    source = InputFile(inputs.input, request["size"], recording=request["recording"])
    with small_pages():
        opened = Demuxer(
            source,
            limits,
            init_bytes=request["init_size"],
            track=track,
            parameter_sets=bytes.fromhex(request["parameter_sets"]),
        )
    with (
        closing(opened) as demuxer,
        _segment_before(request, inputs, limits, demuxer) as segment_before,
    ):
        profile = shared(profile, demuxer.tracks)
        # Not read again later: of a context whose decoder could not be opened it crashes.
        name = demuxer.codec_context.name
        if leading_macroblocks is not None:
            leading_macroblocks /= demuxer.tracks
        shown_otherwise = ShownOtherwise(source, demuxer.stream, limits)
        executor = Executor(
            demuxer.codec_context,
            limits,
            profile,
            probing_extradata=demuxer.probing_extradata,
            watches_all=request["padded"] and (not leading_only or request["leaning_until_seconds"] > 0),
        )
        more_views = SampleBudget(VIEWS_PER_SECOND, 0.0)
        packets: list[tuple[float, int, bool]] = []
        seen_seconds: list[float] = []
        refused_seconds: list[float] = []
        undecodable: list[Interval] = []
        made_up: list[Interval] = []
        read_bytes, reordered, picture = 0.0, 0.0, math.inf
        for number, window in enumerate(in_small_pages(demuxer.windows(segment_before))):
            read_before, read_bytes = read_bytes, source.read_bytes
            if number:
                # What the last one leaves goes with the track.
                gc.collect()
            if leading_only:
                leading.leave(window, demuxer.origin_seconds + request["leaning_until_seconds"])
            shown_otherwise.read(window)
            reordered = max(reordered, reordered_seconds(window.packets[window.primer :]))
            end_seconds = min(_end_seconds(window, demuxer), leading.end_seconds)
            planned = plan(
                window.packets,
                profile=profile,
                seed=seed,
                end_seconds=end_seconds,
                picture_macroblocks=demuxer.picture_pixels / MACROBLOCK_PIXELS,
                sample_weight=demuxer.sample_weight,
                decoder=name,
                probed=executor.probes,
                compared=not executor.probes,
                has_second_decoder=executor.has_second_decoder,
                leading_macroblocks=leading_macroblocks,
                primer=window.primer,
                read_bytes=read_bytes - read_before,
            )
            if leading_only:
                planned = leading_plan(window, planned, max_gap_seconds=profile.max_gap_seconds)
            shown = sorted(packet.seconds for packet in window.packets if packet.shown)
            picture = min(picture, picture_seconds(shown))
            before = time.process_time()
            taken_indices: set[int] = set()
            for taken in executor.run(window, planned):
                until = spoken_for_until(
                    shown,
                    window.packets[taken.index].seconds,
                    end_seconds=end_seconds,
                    max_gap_seconds=profile.max_gap_seconds,
                )
                shown_otherwise.look(taken.frame)
                for number, view in enumerate(shown_otherwise.views(taken.frame)):
                    hashed_only = HashedOnly.SUPERSEDED if taken.superseded else None
                    if number:
                        executor.meter.hand_over()
                        half_second = more_views.half_second(window.packets[taken.index].seconds)
                        if not more_views.spend(half_second):
                            hashed_only = hashed_only or HashedOnly.FURTHER_VIEW
                    _hand_over(taken, until, window, demuxer, outbox, view, hashed_only=hashed_only)
                if not taken.concealed:
                    taken_indices.add(taken.index)
                    seen_seconds.append(window.packets[taken.index].seconds - demuxer.origin_seconds)
            shown_otherwise.account(executor.reached)
            taken_indices |= executor.alike
            refused_seconds += [seconds - demuxer.origin_seconds for seconds in executor.refused_seconds]
            absent = picture_stretches(shown, executor.lost_seconds, end_seconds)
            wrong = picture_stretches(shown, executor.made_up_seconds, end_seconds)
            undecodable, made_up = undecodable + absent, made_up + wrong
            decode_seconds += time.process_time() - before
            leading.account(
                window,
                taken_indices,
                end_seconds,
                broken=0 in executor.broken,
                refused=planned.refused_seconds,
                wrong=[*absent, *wrong],
            )
            if request["packets"]:
                packets += [
                    (packet.seconds - demuxer.origin_seconds, packet.size_bytes, packet.keyframe)
                    for packet in window.packets[window.primer :]
                ]
            if leading_only:
                break
        if executor.damaged and not has_room(DECODING_BYTES * demuxer.picture_pixels):
            raise DecoderMemoryError("the decoder came so near to its memory bound that damage proves nothing")
        is_silent = demuxer.tracks == 1 and not leading_only and outbox.pictures == handed_over
        if is_silent and name == "mpeg4" and not demuxer.codec_context.width:
            raise UndecodableError("the MPEG-4 video has no header (VOL): FFmpeg's HLS muxer needs -bsf:v dump_extra")
    shown_otherwise.notes |= {ODD_COLOURS} if demuxer.is_remapped else set()
    notes = [*demuxer.notes, *sorted(shown_otherwise.notes)]
    if executor.ambiguous and SECOND_VIDEO_STREAM not in notes:
        notes.append(SECOND_VIDEO_STREAM)
    notes += ["pts_jump"] * bool(demuxer.timeline.jumps) + ["pts_missing"] * bool(demuxer.timeline.missing)
    notes += ["damaged"] * bool(executor.damaged) + ["padded"] * executor.padded
    origin_seconds = demuxer.origin_seconds
    lost = joined(
        (start - origin_seconds, min(end - origin_seconds, demuxer.duration_seconds)) for start, end in leading.lost
    )
    duration_seconds = demuxer.duration_seconds
    bound = DecodingBound.of(
        profile,
        span_seconds=duration_seconds - demuxer.begins_seconds,
        picture_macroblocks=demuxer.sample_weight * demuxer.picture_pixels / MACROBLOCK_PIXELS,
        decoder=name,
        read_bytes=source.read_bytes,
    )
    picture = min(picture, demuxer.timeline.frame_seconds)
    summary = {
        "track": track,
        "duration_seconds": duration_seconds,
        "origin_seconds": origin_seconds if abs(origin_seconds) <= ORIGIN_SECONDS else 0.0,
        "begins_seconds": demuxer.begins_seconds,
        "before_seconds": demuxer.before_seconds,
        "reordered_seconds": reordered,
        "frame_seconds": picture,
        "frames_total": demuxer.frames_total,
        "frames_decoded": executor.frames_decoded,
        "leading": at_most(lost, LEADING_STRETCHES),
        "leading_seconds": leading.wanted_seconds,
        "leaning_until_seconds": leading.leaning_seconds(demuxer, picture),
        "macroblocks_left": bound.left(
            executor.frames_decoded, outbox.pictures - handed_over, size_bytes=executor.bytes_decoded
        ),
        "undecodable": at_most(without(_longer(undecodable, made_up, demuxer, picture), lost), MOST_REFUSED),
        "concealed": at_most(_longer(made_up, undecodable, demuxer, picture), MOST_REFUSED),
        "notes": notes,
        "parameter_sets": demuxer.parameter_sets.hex(),
        "packets": sorted(packets),
        "refused": refused_stretches(
            refused_seconds,
            seen_seconds,
            leading.end_seconds - origin_seconds if leading_only else duration_seconds,
        ),
        "demux_seconds": time.process_time() - started - decode_seconds,
        "decode_seconds": decode_seconds,
    }
    return summary, demuxer.tracks


def _longer(
    stretches: list[Interval], others: list[Interval], demuxer: Demuxer, picture_seconds: float
) -> list[Interval]:
    """Stretches of the track's own time, but those that are no longer than a picture's, with the others beside them:
    these are left out, as with gaps."""
    origin_seconds, duration_seconds = demuxer.origin_seconds, demuxer.duration_seconds
    longest_seconds = picture_seconds + SAME_INSTANT_SECONDS
    brief = [(start, end) for start, end in joined([*stretches, *others]) if end - start <= longest_seconds]
    return [
        (max(start - origin_seconds, 0.0), min(end - origin_seconds, duration_seconds))
        for start, end in without(joined(stretches), brief)
    ]


@contextmanager
def _segment_before(
    request: dict[str, Any], inputs: Inputs, limits: Limits, demuxer: Demuxer
) -> Iterator[Primer | None]:
    if inputs.before is None:
        yield None
        return
    size = request["before_size"]
    read = read_segment_before(
        InputFile(inputs.before, size),
        replace(limits, frames=min(Limits(**json.loads(request["settings"])["limits"]).frames, size)),
        init_bytes=request["before_init_size"],
        like=demuxer,
        parameter_sets=bytes.fromhex(request["parameter_sets"]),
    )
    with ExitStack() as stack:
        with small_pages():
            primer = stack.enter_context(read)
        yield primer


def _end_seconds(window: PacketWindow, demuxer: Demuxer) -> float:
    """End of the last picture of the window, or the time when the next window's keyframe is shown, if that is later."""
    end_seconds = max(packet.seconds for packet in window.packets[window.primer :]) + demuxer.timeline.shown_seconds
    following = window.next_keyframe_seconds
    return end_seconds if following is None else max(end_seconds, following)


def _hand_over(
    taken: DecodedTarget,
    until: float,
    window: PacketWindow,
    demuxer: Demuxer,
    outbox: Outbox,
    view: View,
    *,
    hashed_only: HashedOnly | None,
) -> None:
    frame = taken.frame
    side = demuxer.limits.picture_side_pixels
    if min(frame.width, frame.height) < side:
        raise TooSmallError(f"the video is {frame.width}×{frame.height}: expected at least {side} a side")
    if frame.width * frame.height > demuxer.limits.picture_pixels:
        raise TooLargeError(f"the video is {frame.width}×{frame.height}, over {demuxer.limits.picture_pixels} pixels")
    aspect = float(demuxer.codec_context.sample_aspect_ratio or 1)
    aspect = aspect if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else 1.0
    stored, planes = store(frame, pixel_aspect=aspect, view=view)
    packet = window.packets[taken.index]
    outbox.add(
        stored,
        planes,
        {
            "pts_seconds": packet.seconds - demuxer.origin_seconds,
            "late_seconds": demuxer.before_seconds,
            "until_seconds": until - demuxer.origin_seconds,
            "reason": taken.target.reason.value,
            "keyframe": packet.keyframe,
            "concealed": taken.concealed,
            "hashed_only": hashed_only and hashed_only.value,
            "track": demuxer.track,
        },
    )
