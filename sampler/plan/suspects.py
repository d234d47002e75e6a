"""Suspected cuts of a window, each with the pictures to take for it and the packets that must prove it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from config.profiles import SamplingProfile
from sampler.demux.packets import PacketRun, VideoPacket, is_paired
from sampler.plan.calms import find_calms
from sampler.plan.cut_score import Cut, find_cuts
from sampler.plan.swells import find_swells

SURE_DOUBLINGS = 3.0
"""Score from which a cut is sampled whatever its own packet shows: of 1,387 suspects in clips with inserts 454 had
it, and 8 of those were none. Else an encoder made for it could hide an insert as one large residual."""
PREDICTED_SHARE = 0.5
"""Share of a picture's area, over which it is no cut by the lowest score. On 1,116 inserts nine of ten first pictures
had under 0.15, and most that were only large for their motion over 0.9; fast motion and blur have 0.4 to 0.8. Any bound
from 0.2 to 0.8 kept every insert found."""
WINDOW_SHARE = 0.8
"""The same by the strongest: a cut in a window of a fifth of the picture, over a ground that stays."""
WEAK_DOUBLINGS, WEAK_MACROBLOCKS = 1.0, 1_620
"""Taken off the required score for suspects that are probed if a token is left for them: a window of a ninth of the
picture stands out so little. In pictures over that size (720×576) probes would cost more than all else."""
WEAK_STANDS_OUT, WEAK_SHARE = 0.2, 18
"""They stand out from their neighbours by so many doublings (>=), and are such a part of their keyframe (>=), as the
smallest window is of the picture: else every large picture of a talking head in x265 is one. Of 115 weak suspects of it
that were no cuts 44 are left so, of 141 weak cuts in windows over films 113, with no insert seen less; with 0.35 one in
a ninth of 22 was missed besides."""
WEAK_RESERVE = 0.5
"""Share of the bucket of cuts that weak suspects leave to others where packets tell sizes alone: there they are many.
Without it 2 a second were probed of a talking head in x265, and a GOP watched for suspects that found no token; with
it 1.5, and none."""
SWELL_DOUBLINGS = 0.8
"""Taken off the required score for changes that build up: on seven contents without cuts by x264 and x265, and four
films, none had as much as is left at `balanced` but 15 pictures a second sent as 60, one in six seconds."""
LEADING_SHARE = 10
"""Leading pictures that others lean on are probed if they are at least (>=) such a part of their keyframe."""
PROBED_DOUBLINGS = 0.8
"""Taken off the required score, where only sizes are known and suspects are probed before anything else is
decoded for them: without quantisers a cut shows less. On x265 that probes 1 to 6 % of the pictures, and of 420 inserts
of 0.25 to 2 s 418 were seen instead of 405."""


class Proof(NamedTuple):
    """A packet that must be coded as new content for a picture to be worth taking."""

    packet: int
    """Its index, in decoding order."""
    predicted_share: float | None
    """Share of the picture's area up to (<=) which it may be predicted from others all the same; None: all of it may,
    and only the pictures are compared."""
    before: int
    """Packet of the picture before the cut: it must look different."""
    weak: bool = False
    """It stands out less than the profile asks for, or in sum only."""


class Suspect(NamedTuple):
    """A cut that packets suggest."""

    cut: Cut
    begun: int | None
    """The first picture that shows all that is new; None: a picture sampled on the way may have shown that too."""
    pictures: tuple[int, ...]
    """Pictures on both sides of it that can be taken. The one before costs no decoding, and is the insert's last where
    only its end is seen."""
    proof: Proof | None
    """None: it is sure."""

    @property
    def weak(self) -> bool:
        """True if it is below the profile's threshold, and worth a probe only where there is a token for it."""
        return self.proof is not None and self.proof.weak

    @property
    def swells(self) -> bool:
        """True if it builds up over many pictures."""
        return self.begun is None


def find_suspects(
    packets: Sequence[VideoPacket],
    run: PacketRun,
    own: Sequence[int],
    profile: SamplingProfile,
    *,
    picture_macroblocks: float,
    probed: bool,
) -> list[Suspect]:
    """The suspected cuts of a run, among its pictures `own` and the leading ones after it.

    Args:
        picture_macroblocks: size of the largest picture.
        probed: True if the executor probes suspects before it decodes their references.
    """
    weakest = WEAK_DOUBLINGS if probed and picture_macroblocks <= WEAK_MACROBLOCKS else 0.0
    sizes_alone = any(packet.quantiser is None for packet in packets[run.start : run.tail])
    threshold = profile.cut_doublings - (PROBED_DOUBLINGS if probed and sizes_alone else 0)
    takeable = set(own)
    suspects = []
    for cut in find_cuts(packets, run.start, run.tail, threshold - weakest):
        if cut.score < threshold and not _may_be_weak(cut, packets[cut.index], packets[run.start]):
            continue
        begun = _first_whole(packets, own, cut.index)
        pictures = tuple(sorted({begun, cut.before} & takeable))
        if pictures and cut.index != run.stop:
            sure = cut.score >= SURE_DOUBLINGS
            proof = None if sure else _proof(cut, threshold, paired=is_paired(packets, cut.index))
            suspects.append(Suspect(cut, begun, pictures, proof))
    known = {suspect.cut.index for suspect in suspects if not suspect.weak}
    leading = [
        Suspect(cut, cut.index, pictures, _proof(cut, threshold))
        for cut in _leading_cuts(packets, run, threshold)
        if cut.index not in known and (pictures := tuple(sorted({cut.index, cut.before} & takeable)))
    ]
    replaced = {suspect.cut.index for suspect in leading}
    swells = [
        Suspect(swell, None, pictures, Proof(swell.index, None, swell.before, weak=True))
        for swell in find_swells(packets, run.start, run.stop, profile.cut_doublings - SWELL_DOUBLINGS)
        if (pictures := tuple(sorted({swell.index, swell.before} & takeable)))
    ]
    calms = [
        Suspect(calm, calm.index, pictures, Proof(calm.index, None, calm.before, weak=True))
        for calm in find_calms(packets, run.start, run.stop)
        if (pictures := tuple(sorted({calm.index, calm.before} & takeable)))
    ]
    return [suspect for suspect in suspects if suspect.cut.index not in replaced] + leading + swells + calms


def _first_whole(packets: Sequence[VideoPacket], own: Sequence[int], index: int) -> int:
    """The first picture that shows all that is new from a packet on: if its second field brought it, the next one."""
    if not is_paired(packets, index) or index not in own:
        return index
    place = own.index(index) + 1
    return own[place] if place < len(own) else index


def _may_be_weak(cut: Cut, packet: VideoPacket, keyframe: VideoPacket) -> bool:
    """A picture that no other leans on need not be probed: the next one has to code anew what it showed."""
    is_large = packet.size_bytes >= keyframe.size_bytes / WEAK_SHARE
    return packet.reference and is_large and cut.stands_out >= WEAK_STANDS_OUT


def _leading_cuts(packets: Sequence[VideoPacket], run: PacketRun, threshold: float) -> list[Cut]:
    """The leading pictures after a run that others lean on, often a single one: it stands alone between a keyframe and
    pictures that show what it shows, so that no size says anything of it. All of them are suspects."""
    leading = range(run.stop + 1, run.tail)
    before = max(range(run.start, run.stop), key=lambda index: packets[index].seconds, default=run.start)
    smallest = packets[run.stop].size_bytes / LEADING_SHARE if leading else 0
    return [
        Cut(index=index, before=before, score=threshold, stands_out=threshold)
        for index in leading
        if packets[index].reference and packets[index].size_bytes >= smallest
    ]


def reserve_of(suspect: Suspect, packets: Sequence[VideoPacket]) -> float:
    """Share of the bucket of cuts that is to be left when a suspect takes a token."""
    # Those that stand out in sum only are few.
    is_common = suspect.weak and not suspect.swells and packets[suspect.cut.index].quantiser is None
    return WEAK_RESERVE if is_common else 0.0


def proofs_of(suspects: Sequence[Suspect]) -> Mapping[int, tuple[Proof, ...]]:
    """For each picture to take the packets one of which must prove it; (): it is taken anyway."""
    found: dict[int, list[Suspect]] = {}
    for suspect in suspects:
        for index in suspect.pictures:
            found.setdefault(index, []).append(suspect)
    return {
        index: ()
        if any(suspect.proof is None for suspect in several)
        else tuple(suspect.proof for suspect in several if suspect.proof is not None)
        for index, several in found.items()
    }


def _proof(cut: Cut, threshold: float, *, paired: bool = False) -> Proof:
    """The higher the score, the less of the picture must be new; a weak one needs a window of it. Of `paired` fields
    either may be new, and one alone proves nothing."""
    if paired:
        return Proof(cut.index, None, cut.before, weak=cut.score < threshold)
    if cut.score < threshold:
        return Proof(cut.index, 0.0, cut.before, weak=True)
    strength = (cut.score - threshold) / (SURE_DOUBLINGS - threshold)
    return Proof(cut.index, PREDICTED_SHARE + strength * (WINDOW_SHARE - PREDICTED_SHARE), cut.before)
