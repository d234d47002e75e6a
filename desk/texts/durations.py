"""Durations in words, with two units at most."""

from desk.texts.catalogue import Texts

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SECONDS_SHOWN = 10 * _MINUTE
"""From here on seconds say nothing."""


def duration(seconds: float, texts: Texts) -> str:
    """A time span: `45 s`, `1 min 45 s`, `33 min`, `2 h 26 min`, `3 d 4 h`; rounded down."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return texts("duration.s", s=whole)
    if whole < _SECONDS_SHOWN:
        minutes, rest = divmod(whole, _MINUTE)
        return texts("duration.min_s", min=minutes, s=rest) if rest else texts("duration.min", min=minutes)
    if whole < _HOUR:
        return texts("duration.min", min=whole // _MINUTE)
    if whole < _DAY:
        return texts("duration.h_min", h=whole // _HOUR, min=whole % _HOUR // _MINUTE)
    return texts("duration.d_h", d=whole // _DAY, h=whole % _DAY // _HOUR)
