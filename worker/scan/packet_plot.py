"""The plot of a segment: packet sizes over time, and the sampled pictures with their reasons."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from math import ceil, floor, log10, sqrt

from PIL import Image, ImageDraw, ImageFont

from sampler.frames import PacketSummary, SampleReason

WIDTH, HEIGHT = 1600, 580
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 1570, 96, 480
"""Pixels of the plotting area."""

_PAPER, _INK, _FAINT, _GRID = "#ffffff", "#1b1f24", "#6b7280", "#e5e7eb"
_PACKET, _KEYFRAME = "#9fb3c8", "#334e68"
_COLOURS = {
    SampleReason.KEYFRAME: "#1a7f37",
    SampleReason.CUT: "#c1121f",
    SampleReason.GAP: "#b45309",
    SampleReason.AUDIT: "#7c3aed",
}
_MARKER_PIXELS = 7

Samples = Sequence[tuple[float, SampleReason]]
"""Presentation time in seconds, and the reason for the sample."""


def packet_plot(packets: Sequence[PacketSummary], samples: Samples, *, duration_seconds: float, title: str) -> bytes:
    """Draws a bar for each packet, a mark over each sample, axes in seconds and KiB; returns the bytes of a PNG file.

    The height of a bar is the square root of the packet's size: on a linear scale keyframes, often fifty times the
    size of the others, would hide the packets that show cuts.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(image)
    duration = max(duration_seconds, 1e-3)
    largest = max((packet.size_bytes for packet in packets), default=1024)

    def x_of(seconds: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, seconds / duration))

    def y_of(size_bytes: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * sqrt(size_bytes / largest)

    for size_kib in _size_ticks(largest / 1024):
        y = y_of(size_kib * 1024)
        draw.line((_LEFT, y, _RIGHT, y), _GRID)
        draw.text((_LEFT - 10, y), f"{size_kib:g}", _INK, _font(14), anchor="rm")
    for seconds in _ticks(duration, 12):
        x = x_of(seconds)
        draw.line((x, _BOTTOM, x, _BOTTOM + 6), _INK)
        draw.text((x, _BOTTOM + 10), f"{seconds:g}", _INK, _font(14), anchor="ma")
    bar_width = max(1.0, 0.7 * (_RIGHT - _LEFT) / max(1, len(packets)))
    # Keyframes last: they stay visible where there are more packets than pixels.
    for packet in sorted(packets, key=lambda packet: packet.keyframe):
        x = x_of(packet.pts_seconds)
        colour = _KEYFRAME if packet.keyframe else _PACKET
        draw.rectangle((x, y_of(packet.size_bytes), x + bar_width, _BOTTOM), fill=colour)
    draw.line((_LEFT, _BOTTOM, _RIGHT, _BOTTOM), _INK)
    for seconds, reason in samples:
        _mark(draw, x_of(seconds) + bar_width / 2, _COLOURS[reason])
    draw.text((_LEFT, 14), title, _INK, _font(18))
    draw.text(((_LEFT + _RIGHT) / 2, _BOTTOM + 32), "seconds", _INK, _font(15), anchor="ma")
    draw.text((_LEFT, 42), "packet size in KiB, square-root scale", _FAINT, _font(13))
    _legend(draw, samples)
    encoded = BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def _mark(draw: ImageDraw.ImageDraw, x: float, colour: str) -> None:
    """Draws a triangle above the plot at `x`, with a thin line down to the axis."""
    draw.line((x, _TOP, x, _BOTTOM), colour)
    tip = _TOP - 2
    draw.polygon(
        [(x, tip), (x - _MARKER_PIXELS, tip - 2 * _MARKER_PIXELS), (x + _MARKER_PIXELS, tip - 2 * _MARKER_PIXELS)],
        fill=colour,
    )


def _legend(draw: ImageDraw.ImageDraw, samples: Samples) -> None:
    entries = [("packet", _PACKET), ("keyframe packet", _KEYFRAME)]
    for reason, colour in _COLOURS.items():
        count = sum(of == reason for _, of in samples)
        entries.append((f"taken: {reason} ({count})", colour))
    x = float(_LEFT)
    for text, colour in entries:
        draw.rectangle((x, HEIGHT - 26, x + 13, HEIGHT - 13), fill=colour)
        draw.text((x + 20, HEIGHT - 27), text, _INK, _font(14))
        x += 20 + draw.textlength(text, _font(14)) + 28


def _ticks(top: float, wanted: int) -> Iterator[float]:
    """Multiples of 1, 2 or 5 times a power of ten, from 0 to `top`, at most about `wanted` of them."""
    raw = top / wanted
    power = 10.0 ** floor(log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return (round(step * index, 9) for index in range(floor(top / step + 1e-9) + 1))


def _size_ticks(largest_kib: float) -> list[float]:
    """Ticks of a square-root axis: each about four times the next smaller, so that they are evenly spaced."""
    power = ceil(log10(largest_kib)) + 1
    rounded = [factor * 10.0**exponent for exponent in range(power, power - 5, -1) for factor in (5, 2, 1)]
    ticks: list[float] = []
    for tick in rounded:
        if tick <= largest_kib and (not ticks or sqrt(ticks[-1]) - sqrt(tick) >= sqrt(largest_kib) / 7):
            ticks.append(tick)
    return [*ticks, 0.0]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
