"""Bounds of what counts as a cut by its packet, and of what must prove it."""

from collections.abc import Sequence

import pytest

from config.profiles import BALANCED
from sampler.demux.packets import VideoPacket, own_pictures, runs
from sampler.plan.cut_score import find_cuts
from sampler.plan.suspects import Suspect, find_suspects

MACROBLOCKS_360P, MACROBLOCKS_1080P = 880, 8_160


def forward(sizes: Sequence[int], quantiser: int | None = None) -> list[VideoPacket]:
    """A GOP without B-frames."""
    return [
        VideoPacket(seconds=number / 25, size_bytes=size, keyframe=number == 0, quantiser=quantiser)
        for number, size in enumerate(sizes)
    ]


def with_one(size: int, *, others: int, keyframe: int) -> list[int]:
    """Sizes of a GOP whose picture 21 has another size than all others."""
    return [keyframe, *[others] * 20, size, *[others] * 20]


def cuts(packets: Sequence[VideoPacket]) -> list[int]:
    return sorted(cut.index for cut in find_cuts(packets, 0, len(packets), BALANCED.cut_doublings))


def suspects(
    packets: Sequence[VideoPacket], *, macroblocks: float = MACROBLOCKS_360P, probed: bool = True
) -> dict[int, Suspect]:
    """The suspected cuts of the first run, by their packets."""
    run = runs(packets)[0]
    found = find_suspects(
        packets, run, own_pictures(packets, run), BALANCED, picture_macroblocks=macroblocks, probed=probed
    )
    return {suspect.cut.index: suspect for suspect in found}


@pytest.mark.parametrize(
    ("macroblocks", "probed", "found"),
    [(MACROBLOCKS_360P, True, True), (MACROBLOCKS_1080P, True, False), (MACROBLOCKS_360P, False, False)],
)
def test_weak_suspects_are_those_that_a_cheap_probe_can_tell(macroblocks: float, probed: bool, found: bool) -> None:
    """Probes of 1080p would cost more than all else; and without probes each large picture would be sampled."""
    packets = forward(with_one(9_000, others=7_200, keyframe=20_000))
    assert (21 in suspects(packets, macroblocks=macroblocks, probed=probed)) == found


@pytest.mark.parametrize(("keyframe", "found"), [(150_000, True), (200_000, False)])
def test_a_weak_suspect_is_no_small_part_of_its_keyframe(keyframe: int, found: bool) -> None:
    """Each twitch of a still scene would be probed, for it stands out from what is nothing."""
    assert (21 in suspects(forward(with_one(9_400, others=7_200, keyframe=keyframe)))) == found


def test_a_sure_cut_needs_no_proof() -> None:
    """An encoder made for it could hide an insert as one large residual, of which no macroblock is new."""
    found = suspects(forward(with_one(15_000, others=800, keyframe=20_000)))
    assert found[21].proof is None


@pytest.mark.parametrize(("size", "least", "most"), [(6_000, 0.5, 0.6), (9_000, 0.6, 0.8)])
def test_a_stronger_cut_needs_less_that_is_new(size: int, least: float, most: float) -> None:
    """Motion would be taken for cuts; or a cut in a window over a scene that stays would go unseen."""
    proof = suspects(forward(with_one(size, others=1_700, keyframe=20_000), quantiser=26))[21].proof
    assert proof is not None
    assert proof.predicted_share is not None
    assert least <= proof.predicted_share <= most


def test_where_only_sizes_are_known_less_is_a_full_suspect() -> None:
    """Inserts in H.265 would be weak suspects, for which there may be no token, and their time be called seen."""
    packets = forward(with_one(7_000, others=3_900, keyframe=20_000))
    assert not suspects(packets)[21].weak
    assert 21 not in suspects(packets, probed=False)


@pytest.mark.parametrize(("size", "found"), [(1_400, True), (900, False)])
def test_a_leading_picture_of_few_bytes_is_no_suspect(size: int, found: bool) -> None:
    """Each open GOP of a still scene would have one probed."""
    packets = [
        *forward([12_500, *[150] * 24], quantiser=26),
        VideoPacket(seconds=28 / 25, size_bytes=13_000, keyframe=True, quantiser=26),
        VideoPacket(seconds=26 / 25, size_bytes=size, keyframe=False, quantiser=26, leading=True),
        VideoPacket(seconds=25 / 25, size_bytes=60, keyframe=False, reference=False, quantiser=26, leading=True),
    ]
    assert (26 in suspects(packets)) == found


def test_headers_of_still_pictures_are_no_cuts() -> None:
    """A still slide would be decoded whole: packets of 3 and of 39 bytes show the same."""
    assert cuts(forward(with_one(39, others=3, keyframe=3_000))) == []


def test_a_keyframe_that_is_made_huge_hides_no_cut() -> None:
    """A broadcaster would pad keyframes, and nothing after them would be a cut."""
    assert cuts(forward(with_one(12_000, others=800, keyframe=1_000_000))) == [21]


def test_the_larger_of_two_scales_is_larger_by_chance() -> None:
    """Motion would be decoded as cuts wherever the quantiser is known."""
    sizes = with_one(10_000, others=5_000, keyframe=20_000)
    assert cuts(forward(sizes)) == [21]
    assert cuts(forward(sizes, quantiser=26)) == []
