"""Work that every forked process does, done once before any is forked, on made-up packets. Runs in the fork server.

Python specialises a function's code as it runs it, and writes that into memory that forked processes share: each would
do so again, in copies of its own.
"""

from typing import TYPE_CHECKING, cast

from av.packet import Packet

from config.profiles import BALANCED
from sampler.demux.nal import NalCodec, NalReader
from sampler.demux.packets import VideoPacket, describe
from sampler.plan.plan import plan

if TYPE_CHECKING:
    from av.video.stream import VideoStream

ROUNDS = 4
"""Code is specialised after a few runs."""
PICTURES, GOP, RATE = 96, 48, 24
START = "000001"
HEADS = {
    NalCodec.H264: (
        f"{START}6764001facd9405005ba1000000300100000030300f18319600000{START}68ef8fcb",
        f"{START}6588840025ffcb28",
        (f"{START}419a241884bfce1d", f"{START}019e614425ff626d"),
    ),
    NalCodec.HEVC: (
        f"{START}40010c01ffff01600000030090000003000003003f95940900"
        f"{START}42010101600000030090000003000003003fa0050201696595964932b9a0200000030020000003030100"
        f"{START}4401c172b46240",
        f"{START}2801af1530c3d361",
        (f"{START}0201d02149e3f642", f"{START}0001e024fd7e8902"),
    ),
}
"""Parameter sets of x264 and x265, and how their slices begin: of keyframes, and of two kinds of others."""


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
    sets, keyframe, others = (
        [bytes.fromhex(part) for part in (several if isinstance(several, tuple) else (several,))]
        for several in HEADS[codec]
    )
    reader = NalReader(codec, sets[0])
    packets: list[VideoPacket] = []
    keyframe_seconds: float | None = None
    for index in range(PICTURES):
        begins = index % GOP == 0
        head = sets[0] + keyframe[0] if begins else others[index % 2]
        data = head + b"\x55" * ((20_000 if begins else 2_000) + 997 * index % 3_000)
        payload = cast("Packet[VideoStream]", Packet(data))
        read = reader.read(data, flagged=begins)
        packet = describe(payload, read, index / RATE, keyframe_seconds)
        keyframe_seconds = packet.seconds if begins else None
        packets.append(packet)
    return packets
