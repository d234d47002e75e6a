"""The end of the segment before an input, or of the window before another, with which pictures are decoded that lean on
it: leading pictures, and the first ones of an input that begins without a keyframe. Runs in the decoder child.

The bytes of the segment before are as hostile as any. Whatever does not fit this input is no primer: then these
pictures stay unmoderated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from sampler.demux.codecs.nal import NalReader
from sampler.demux.packet_window import PacketWindow
from sampler.demux.packets import VideoPacket, has_leading, led_up_to
from sampler.demux.timeline import LONGEST_SHOWN_SECONDS, SAME_INSTANT_SECONDS

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

JOIN_SECONDS = 0.5
"""The segment before ends (<=) so long before this one begins, by decoding times, or one step between its last two
pictures, up to `LONGEST_SHOWN_SECONDS`. Segments that are further apart have another between them, or another clock."""
MPEG_TS_WRAP_TICKS = 1 << 33


@dataclass(frozen=True, kw_only=True, slots=True)
class Primer:
    """Packets from a keyframe or recovery point on, in decoding order."""

    packets: tuple[VideoPacket, ...]
    payloads: "tuple[Packet[VideoStream], ...]"
    """Index for index those of `packets`."""
    last: "tuple[Packet[VideoStream], ...]"
    """The last two of the window, or one, with leading pictures of its own."""

    def in_front_of(self, window: PacketWindow) -> PacketWindow:
        """Puts the packets in front of a window's, as they are planned: none of them is shown."""
        window.replace(led_up_to(window.packets))
        window.packets[:0] = [packet._replace(shown=False) for packet in self.packets]
        window.payloads[:0] = self.payloads
        window.primer = len(self.packets)
        return window


def last_gop(packets: "list[VideoPacket]", payloads: "list[Packet[VideoStream]]", *, since: int = 0) -> Primer | None:
    """The end of a window, from its last keyframe on, or the last recovery point, if there can be one that ends within
    it, without leading pictures, which need one more GOP; None: it has neither from packet `since` on."""
    points = [
        index
        for index, packet in enumerate(packets)
        if index >= since and (packet.keyframe or packet.recovery_frames is not None)
    ]
    if not points:
        return None
    right = (index for index in reversed(points) if index + (packets[index].recovery_frames or 0) < len(packets))
    start = next(right, points[-1])
    kept = [index for index in range(start, len(packets)) if not packets[index].leading]
    return Primer(
        packets=tuple(packets[index] for index in kept),
        payloads=tuple(payloads[index] for index in kept),
        last=tuple(payloads[-2:]),
    )


def moved(primer: Primer, first: "Packet[VideoStream]", first_seconds: float, *, follows: bool) -> Primer | None:
    """The primer on the timeline of the input that begins with packet `first`; None: it does not lead up to it.

    Args:
        primer: of the segment before, on a timeline of its own.
        first: the input's first packet.
        first_seconds: when that is shown, on the input's timeline.
        follows: all pictures of the primer are shown before that one, as they are before a keyframe.
    """
    payloads = (*primer.payloads, first)
    shown = [payload.pts for payload in payloads if payload.pts is not None]
    decoded = [stamp for payload in (*primer.last, first) if (stamp := _decoding_time(payload)) is not None]
    one_clock = all(payload.time_base == first.time_base for payload in primer.payloads)
    if not one_clock or len(shown) < len(payloads) or len(decoded) <= len(primer.last):
        return None
    tick_seconds = float(first.time_base)
    times = [_unwrapped(pts, shown[-1]) for pts in shown]
    *earlier, ends, begins = (_unwrapped(stamp, shown[-1]) for stamp in decoded)
    step_seconds = min((ends - earlier[0]) * tick_seconds, LONGEST_SHOWN_SECONDS) if earlier else 0.0
    most_seconds = max(JOIN_SECONDS, step_seconds) + SAME_INSTANT_SECONDS
    if not 0 < (begins - ends) * tick_seconds <= most_seconds or (follows and max(times[:-1]) >= times[-1]):
        return None
    return Primer(
        packets=tuple(
            packet._replace(seconds=first_seconds - (times[-1] - time) * tick_seconds)
            for packet, time in zip(primer.packets, times, strict=False)
        ),
        payloads=primer.payloads,
        last=primer.last,
    )


def led_up_by(
    before: Primer, window: PacketWindow, first_seconds: float, new_reader: Callable[[], NalReader] | None
) -> Primer | None:
    """The primer of the segment before, in front of an input's first window; None: it does not lead up to that, or need
    not, or its pictures and those that lean on it name one from before its keyframe.

    Args:
        before: on a timeline of its own.
        window: counted from the input's origin.
        first_seconds: when the window's first picture is shown.
        new_reader: gives one that has read nothing yet; None: the codec has no such headers.
    """
    leads = has_leading(window.packets)
    if not leads and window.packets[0].keyframe:
        return None
    primer = moved(before, window.payloads[0], first_seconds, follows=leads)
    if primer is None or leads or new_reader is None:
        return primer
    first = sum(1 for _ in takewhile(lambda packet: not packet.keyframe, window.packets))
    reader = new_reader()
    payloads = (*primer.payloads, *window.payloads[:first])
    return None if any(reader.read(bytes(payload)).outside for payload in payloads) else primer


def is_same_stream(context: "VideoCodecContext", other: "VideoCodecContext") -> bool:
    """True if the packets of both can go through one decoder: codec and parameters are the same, and size, if known."""
    same = all(getattr(context, name) == getattr(other, name) for name in ("name", "extradata"))
    sizes = {(one.width, one.height) for one in (context, other)} - {(0, 0)}
    return same and len(sizes) <= 1


def _decoding_time(payload: "Packet[VideoStream]") -> int | None:
    return payload.dts if payload.dts is not None else payload.pts


def _unwrapped(stamp: int, near: int) -> int:
    """The stamp on the turn of MPEG-TS's clock that is nearest to `near`."""
    return near + (stamp - near + MPEG_TS_WRAP_TICKS // 2) % MPEG_TS_WRAP_TICKS - MPEG_TS_WRAP_TICKS // 2
