"""Work that every forked process does, done once before any is forked, on made-up packets. Runs in the fork server.

Python specialises a function's code as it runs it, and writes that into memory that forked processes share: each would
do so again, in copies of its own.
"""

from typing import NamedTuple

from config.profiles import BALANCED
from sampler.demux.codecs.nal import NalCodec, NalReader
from sampler.demux.packets import VideoPacket, describe
from sampler.plan.plan import plan

ROUNDS = 4
"""Code is specialised after a few runs."""
PICTURES, GOP, RATE = 96, 48, 24


class _Heads(NamedTuple):
    """Beginnings of an encoder's packets."""

    sets: bytes
    keyframe: bytes
    others: tuple[bytes, bytes]


HEADS = {
    NalCodec.H264: _Heads(
        bytes.fromhex("0000016764001facd9405005ba1000000300100000030300f1831960000000000168ef8fcb"),
        bytes.fromhex("0000016588840025ffcb28"),
        (bytes.fromhex("000001419a241884bfce1d"), bytes.fromhex("000001019e614425ff626d")),
    ),
    NalCodec.HEVC: _Heads(
        bytes.fromhex(
            "00000140010c01ffff01600000030090000003000003003f95940900"
            "00000142010101600000030090000003000003003fa0050201696595964932b9a0200000030020000003030100"
            "0000014401c172b46240"
        ),
        bytes.fromhex("0000012801af1530c3d361"),
        (bytes.fromhex("0000010201d02149e3f642"), bytes.fromhex("0000010001e024fd7e8902")),
    ),
}
"""Those of x264 and x265."""


def warm_up() -> None:
    """Plans a few made-up segments."""
    for codec in NalCodec:
        for number in range(ROUNDS):
            packets = _packets(codec)
            plan(
                packets,
                profile=BALANCED,
                seed=bytes([number]),
                end_seconds=PICTURES / RATE,
                picture_macroblocks=920,
                decoder=codec.value,
                probed=True,
            )


def _packets(codec: NalCodec) -> list[VideoPacket]:
    sets, keyframe, others = HEADS[codec]
    reader = NalReader(codec, sets)
    packets: list[VideoPacket] = []
    keyframe_seconds: float | None = None
    for index in range(PICTURES):
        begins = index % GOP == 0
        head = sets + keyframe if begins else others[index % 2]
        data = head + b"\x55" * ((20_000 if begins else 2_000) + 997 * index % 3_000)
        read = reader.read(data)
        packet = describe(read, index / RATE, keyframe_seconds)
        keyframe_seconds = packet.seconds if begins else None
        packets.append(packet)
    return packets
