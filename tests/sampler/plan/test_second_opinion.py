"""The choice of runs that a second decoder works on."""

from config.profiles import BALANCED
from sampler.demux.packets import VideoPacket
from sampler.plan.plan import plan
from sampler.plan.run_plan import Decoding, Plan

RATE, GOP, SECONDS = 25, 25, 16


def planned(seed: bytes, *, macroblocks: int, has_second_decoder: bool = True, first: int = 0) -> Plan:
    packets = [
        VideoPacket(seconds=number / RATE, size_bytes=1000, keyframe=number % GOP == first)
        for number in range(RATE * SECONDS)
    ]
    return plan(
        packets,
        profile=BALANCED,
        seed=seed,
        end_seconds=SECONDS,
        picture_macroblocks=macroblocks,
        decoder="vp9",
        compared=True,
        has_second_decoder=has_second_decoder,
    )


def test_some_are_decoded_by_both_and_nobody_knows_which() -> None:
    """What a player of the other decoder shows would be sampled now and then, and nobody would be told."""
    found = [[part.decoding for part in planned(bytes([seed]), macroblocks=920).runs] for seed in range(40)]
    drawn = [one for several in found for one in several]

    assert 0.12 < drawn.count(Decoding.BOTH) / len(drawn) < 0.21
    assert 0.35 < drawn.count(Decoding.SECOND) / len(drawn) < 0.48
    assert len({tuple(several) for several in found}) == len(found)


def test_nobody_knows_who_decodes_what_where_there_is_not() -> None:
    """A broadcaster who knew it would hide an insert from the one that is used."""
    found = [[part.decoding for part in planned(seed, macroblocks=6_000).runs] for seed in (b"1", b"2", b"3")]

    for one in found:
        assert {Decoding.OWN, Decoding.SECOND} < set(one)
    assert found[0] != found[1] != found[2]


def test_both_decoders_are_within_the_bound() -> None:
    """A stream that has to be decoded twice would take twice a segment's CPU."""
    for macroblocks in (920, 3_600, 6_000, 8_160, 20_000):
        result = planned(b"1", macroblocks=macroblocks)
        assert result.spare_macroblocks >= 0
        once = planned(b"1", macroblocks=macroblocks, has_second_decoder=False)
        assert [part.targets for part in result.runs] == [part.targets for part in once.runs]
        assert result.refused_seconds == once.refused_seconds, "it costs others nothing"


def test_pictures_without_a_keyframe_are_the_own_decoders() -> None:
    """They lean on another segment, and count for nothing but hashes."""
    headless = planned(b"1", macroblocks=920, first=10).runs[0]

    assert headless.run.headless
    assert headless.decoding is Decoding.OWN
