"""Packets with bytes of our own in them. Runs in the decoder child."""

from typing import TYPE_CHECKING, cast

from av.packet import Packet

if TYPE_CHECKING:
    from av.video.stream import VideoStream


def rewritten(payload: "Packet[VideoStream]", data: bytes) -> "Packet[VideoStream]":
    """A packet of other bytes, with the times of the first."""
    made = cast("Packet[VideoStream]", Packet(data))
    made.pts, made.dts, made.time_base = payload.pts, payload.dts, payload.time_base
    made.is_keyframe = payload.is_keyframe
    return made
