"""The plan: the pictures of an input to decode, with reasons, chosen from packets alone, before any decoding.

A pure function of (packets, profile, seed). Each segment is planned separately: its first decodable picture is taken,
and no more than `max_gap_seconds` is left at its end, so that segments may be worked on in any order.

Some pictures are owed: the first of a segment, keyframes as far apart as the profile allows, and those that no gap
may be without. Others are taken while there are tokens, the strongest of each half second first: keyframes nearer than
that which look different by their size, cuts, audits. Where packets say too little, or suspect more than there are
tokens for, a run is watched: all of it is decoded, and cuts are found among the pictures.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from config.profiles import SamplingProfile
from sampler.demux.packets import PacketRun, VideoPacket, own_pictures, runs
from sampler.frames import SampleReason
from sampler.plan.budget import DecodingBound
from sampler.plan.gaps import SecretInstants, audit, begins_before, close_holes, fill_gaps, first_after
from sampler.plan.leads import with_leads
from sampler.plan.padding import find_doubts, with_room
from sampler.plan.planned_picture import PlannedPicture
from sampler.plan.run_plan import Plan, RunPlan
from sampler.plan.second_opinion import with_second_opinion
from sampler.plan.suspects import Proof, Suspect, find_suspects, proofs_of
from sampler.plan.telling import is_flat, is_short, tells
from sampler.plan.wishes import Wish, grant

PASSED_OVER_DOUBLINGS = 0.25
"""A keyframe that is near the last sample is skipped if a short GOP begins with it, which is watched, unless its size
differs from the last keyframe's by this many doublings (19 %)."""


class _Part(NamedTuple):
    run: PacketRun
    own: list[int]
    suspects: list[Suspect]


def plan(
    packets: Sequence[VideoPacket],
    *,
    profile: SamplingProfile,
    seed: bytes,
    end_seconds: float,
    picture_macroblocks: float = 0,
    sample_weight: float = 1.0,
    decoder: str = "",
    probed: bool = False,
    compared: bool = False,
    has_second_decoder: bool = False,
    leading_macroblocks: float | None = None,
    primer: int = 0,
    read_bytes: float = 0.0,
) -> Plan:
    """The pictures to take of `packets`, run by run.

    Args:
        packets: of one input or one window of it, in decoding order.
        profile: how densely to sample.
        seed: secret and different for every segment: without it the places of samples are unpredictable.
        end_seconds: where the last picture's time ends.
        picture_macroblocks: of the largest picture; 0: decoding is not bounded.
        sample_weight: cost of a macroblock by its samples, beside one of 4:2:0 and 8 bits.
        decoder: as FFmpeg calls it; some take more CPU a macroblock than others.
        probed: True if the executor probes suspects before it decodes their references.
        compared: True if packets of this codec say nothing, so that pictures have to be compared.
        has_second_decoder: True if players have one of two decoders, and the executor both.
        leading_macroblocks: that may be decoded for leading pictures, if the rest of the input was sampled before, so
            that no picture has to be; None: as many as the profile allows for all.
        primer: packets of the segment before; runs that begin after them are not sampled for `leading_macroblocks`.
        read_bytes: of the input that the packets came from, with all that is not video.
    """
    parts = [
        _Part(
            run,
            own,
            []
            if compared
            else find_suspects(packets, run, own, profile, picture_macroblocks=picture_macroblocks, probed=probed),
        )
        for run in runs(packets)
        if (own := own_pictures(packets, run))
    ]
    if not parts:
        return Plan(runs=())
    start_seconds = min(packets[part.own[0]].seconds for part in parts)
    # The GOP before has its time too, if it is there to be decoded.
    span_seconds = end_seconds - min(start_seconds, packets[0].seconds)
    bound = DecodingBound.of(
        profile,
        span_seconds=span_seconds,
        picture_macroblocks=sample_weight * picture_macroblocks,
        decoder=decoder,
        read_bytes=read_bytes,
    )
    if leading_macroblocks is not None:
        bound = replace(bound, macroblocks=leading_macroblocks, first_bytes=0)
    owed, wishes = _owed(packets, parts, profile, SecretInstants(seed), end_seconds)
    if leading_macroblocks is not None:
        parts = [part for part in parts if part.run.start < primer]
        owed = {index: owed[index] for part in parts for index in part.own if index in owed}
        wishes = [wish for wish in wishes if wish.part < len(parts)]
    for number, part in enumerate(parts):
        wishes += [
            Wish(packets[one.cut.index].seconds, one.cut.score, one.pictures, SampleReason.CUT, number, one)
            for one in part.suspects
        ]
    granted, refused = grant(packets, profile, bound, start_seconds, owed, wishes)
    unsure = {wish.part for wish in refused if wish.suspect is not None and not wish.suspect.weak}
    unsure |= _over_bound(packets, parts, owed, granted, bound)
    silent = {number for number, part in enumerate(parts) if compared or not tells(packets, part.run)}
    flat = {number for number, part in enumerate(parts) if number not in silent and is_flat(packets, part.run)}
    if not probed or leading_macroblocks is not None:
        silent, flat = silent | flat, set()
    watched = _affordable(packets, parts, owed, unsure | silent, flat, bound, SecretInstants(seed))
    wishes = [wish for wish in wishes if wish.part not in watched or _is_wanted_anyway(wish, parts[wish.part].run)]
    granted, refused = grant(packets, profile, bound, start_seconds, owed, wishes)
    unseen = {wish.seconds for wish in refused if not wish.is_optional}
    taken = {*owed, *(index for wish in granted if wish.suspect is None for index in wish.pictures)}
    for number in silent:
        own = parts[number].own
        # What is watched is compared with the picture before it.
        follows = number - 1 in watched and parts[number - 1].run.stop == parts[number].run.start
        if own[0] not in taken and not (number in watched and follows):
            unseen.add(packets[own[0]].seconds)
        if number not in watched:
            unseen |= set(_after(packets, own, taken))
    # Of leading pictures each has to be accounted for.
    probed_from = primer if probed and leading_macroblocks is None else len(packets)
    planned = _assembled(packets, parts, owed, granted, watched, bound, unseen, probed_from, end_seconds)
    if probed and leading_macroblocks is None:
        planned = with_leads(packets, planned, gap_seconds=profile.max_gap_seconds, silent=silent | flat)
    if has_second_decoder:
        planned = with_second_opinion(packets, planned, SecretInstants(seed))
    if not probed:
        return planned
    planned, flat = with_room(packets, planned, flat - watched)
    doubts = find_doubts(packets, planned.runs, profile, SecretInstants(seed), picture_macroblocks, flat=flat)
    return replace(planned, doubts=doubts)


def _owed(
    packets: Sequence[VideoPacket],
    parts: Sequence[_Part],
    profile: SamplingProfile,
    instants: SecretInstants,
    end_seconds: float,
) -> tuple[dict[int, SampleReason], list[Wish]]:
    """The pictures that are taken whatever they cost, and those that time and keyframes suggest besides.

    Gaps are filled as if there were nothing else: a cut may turn out to be none.
    """
    owed, wishes = _keyframes(packets, parts, profile)
    last_seconds = -math.inf
    for number, (_, own, _) in enumerate(parts):
        until = packets[parts[number + 1].own[0]].seconds if number + 1 < len(parts) else end_seconds
        filled = fill_gaps(packets, own, last_seconds, until, profile.max_gap_seconds, instants, owed)
        last_seconds = max((packets[index].seconds for index in own if index in owed), default=last_seconds)
        # Where gaps were filled, nobody knows when either.
        if not filled and (index := audit(packets, own, until, profile.audits_per_minute, instants)) is not None:
            wishes.append(Wish(packets[index].seconds, math.inf, (index,), SampleReason.AUDIT, number))
    close_holes(packets, [part.own for part in parts], profile.max_gap_seconds, owed)
    return owed, wishes


def _keyframes(
    packets: Sequence[VideoPacket], parts: Sequence[_Part], profile: SamplingProfile
) -> tuple[dict[int, SampleReason], list[Wish]]:
    """The first pictures of runs that are far enough apart; and those nearer than that, unless they look alike by
    their size."""
    owed: dict[int, SampleReason] = {}
    wishes: list[Wish] = []
    last_seconds = -math.inf
    last: VideoPacket | None = None
    for number, (run, own, _) in enumerate(parts):
        # Pictures that lean on their keyframe alone may be shown before it (RADL).
        at = run.start if packets[run.start].keyframe and run.start in own else own[0]
        first = packets[at]
        if not first.keyframe or (at != own[0] and number == 0):
            owed[own[0]] = SampleReason.GAP
        if not first.keyframe:
            if run.recovered in own:
                owed[run.recovered] = SampleReason.GAP
            continue
        if last is not None and first.seconds - last_seconds < profile.keyframe_spacing_seconds:
            doublings = abs(math.log2(max(first.size_bytes, 1) / max(last.size_bytes, 1)))
            if doublings < PASSED_OVER_DOUBLINGS and is_short(packets, run):
                continue
            wishes.append(Wish(first.seconds, doublings, (at,), SampleReason.KEYFRAME, number))
        else:
            owed[at] = SampleReason.KEYFRAME
            last_seconds = first.seconds
        last = first
    return owed, wishes


def _over_bound(
    packets: Sequence[VideoPacket],
    parts: Sequence[_Part],
    owed: Mapping[int, SampleReason],
    granted: Sequence[Wish],
    bound: DecodingBound,
) -> set[int]:
    """The runs of which suspects would be left out, if all of them were cuts: where all is compared only cuts are
    taken."""
    if all(wish.suspect is None for wish in granted):
        return set()
    wished = {*owed, *(index for wish in granted for index in wish.pictures)}
    targets = {number: [index for index in part.own if index in wished] for number, part in enumerate(parts)}
    dropped, _ = bound.refuse(packets, [part.run for part in parts], targets, frozenset())
    late = {*dropped}.difference(owed)
    return {number for number, indices in targets.items() if late.intersection(indices)}


def _is_wanted_anyway(wish: Wish, run: PacketRun) -> bool:
    """True if a wish stays where all of its run is watched: what comes in piece by piece differs little from picture to
    picture. But so does smear that refresh clears."""
    return wish.suspect is None or (wish.suspect.swells and run.recovered is None)


def _affordable(
    packets: Sequence[VideoPacket],
    parts: Sequence[_Part],
    owed: Mapping[int, SampleReason],
    wanted: Set[int],
    flat: Set[int],
    bound: DecodingBound,
    instants: SecretInstants,
) -> frozenset[int]:
    """The runs to watch, of those that are `wanted`; where not all can be, nobody knows which. Those that are
    `flat` are all watched, or all probed."""
    order = sorted(wanted, key=lambda number: next(instants.draws("watch", packets[parts[number].own[0]].seconds)))
    watched: set[int] = set()
    spent = bound.handed_over(len(owed))
    for several in (*([number] for number in order), sorted(flat - wanted)):
        more = sum(bound.run_cost(packets, parts[number].run, 0) for number in several)
        if spent + more <= bound.macroblocks:
            spent += more
            watched |= {*several}
    return frozenset(watched)


def _after(packets: Sequence[VideoPacket], own: Sequence[int], taken: Set[int]) -> list[float]:
    """Times of the pictures that follow samples."""
    return [packets[after].seconds for before, after in pairwise(own) if before in taken and after not in taken]


def _assembled(
    packets: Sequence[VideoPacket],
    parts: Sequence[_Part],
    owed: Mapping[int, SampleReason],
    granted: Sequence[Wish],
    watched: frozenset[int],
    bound: DecodingBound,
    unseen: set[float],
    probed_from: int,
    end_seconds: float,
) -> Plan:
    """The plan of what was granted, without what cannot be decoded for the bound. Suspects of runs that begin at
    `probed_from` or later are refused only once their packets were probed."""
    reasons = {index: wish.reason for wish in granted if wish.suspect is None for index in wish.pictures}
    reasons |= owed
    suspects = [wish.suspect for wish in granted if wish.suspect is not None]
    proofs, begun = proofs_of(suspects), {suspect.begun for suspect in suspects}
    settled = {suspect.cut.index for suspect in suspects if suspect.swells}
    begins = {suspect.begun: suspect.proof or Proof(suspect.cut.index, 1.0, suspect.cut.before) for suspect in suspects}
    targets = {
        number: [index for index in part.own if index in reasons or index in proofs]
        for number, part in enumerate(parts)
    }
    refused, spare = bound.refuse(packets, [part.run for part in parts], targets, watched)
    dropped = set(refused)
    owed_seconds = sorted(packets[index].seconds for index in owed.keys() - dropped)
    shown_seconds = sorted(packets[index].seconds for part in parts for index in part.own)
    over: set[int] = set()
    for number, part in enumerate(parts):
        late = dropped.intersection(targets[number])
        # Beside what is refused anyway they may be its beginning.
        is_doubtful = all(index not in reasons and proofs[index] for index in late)
        over |= late if is_doubtful and number not in watched and part.run.start >= probed_from else set()
    unseen |= {packets[index].seconds for index in dropped - over}

    def picture(index: int) -> PlannedPicture:
        if index in reasons:
            until = begins_before(shown_seconds, first_after(owed_seconds, packets[index].seconds, end_seconds))
            return PlannedPicture(
                index=index,
                reason=reasons[index],
                until_seconds=until if reasons[index] is SampleReason.KEYFRAME else None,
                begins=begins.get(index),
            )
        return PlannedPicture(
            index=index,
            reason=SampleReason.CUT,
            proofs=proofs[index],
            ends=index not in begun,
            settles=index in settled,
        )

    return Plan(
        runs=tuple(
            RunPlan(
                run=part.run,
                own=tuple(part.own),
                targets=tuple(picture(index) for index in targets[number] if index not in dropped),
                over_bound=tuple(picture(index) for index in targets[number] if index in over),
                watched=number in watched,
                watching_macroblocks=bound.run_cost(packets, part.run, 0),
                sample_macroblocks=bound.handed_over(1),
            )
            for number, part in enumerate(parts)
        ),
        refused_seconds=tuple(sorted(unseen)),
        spare_macroblocks=spare,
        bound=bound,
    )
