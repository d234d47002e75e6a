"""A case in one line of words, for a queue without pictures."""

from typing import Final

from config.counts import counted
from worker.queue.case_order import OpenCase

SEPARATOR: Final = " · "

MINUTES_ALONE: Final = 10
"""From so many on seconds are noise."""

VARIANTS: Final = {"mirror": "mirrored", "rotate": "rotated", "crop": "without its bars"}
"""Forms of a picture in which it matches, in words."""


def case_text(case: OpenCase, now_ms: int) -> str:
    """Returns the line of a case: "Known material · list ncmec · distance 4 · live now, 3 min"."""
    return SEPARATOR.join((*ground_parts(case), state_text(case, now_ms)))


def ground_parts(case: OpenCase) -> tuple[str, ...]:
    """Returns the ground of a case, the first part being its name."""
    ground = case.ground
    on_many = f" on {counted(case.streams, 'stream')}" if case.streams > 1 else ""
    match ground.get("kind"):
        case "known":
            parts = [f"Known material{on_many}", f"list {ground.get('list', '?')}"]
            if "category" in ground:
                parts.append(f"class {ground['category']}")
            parts.append(f"distance {ground.get('distance', '?')}")
            if "variant" in ground:
                parts.append(VARIANTS.get(str(ground["variant"]), str(ground["variant"])))
            return tuple(parts)
        case "reported":
            return ("Imminent danger", "reported by the platform", "no picture judged")
        case "unseen":
            return ("Not seen", "the stream cannot be sampled")
        case "score":
            value = ground.get("value")
            score = f"{value:.2f}" if isinstance(value, int | float) else "?"
            return (f"Rule {case.rule}{on_many}", f"{ground.get('name', '?')} score {score}")
        case _:
            return (f"Rule {case.rule}{on_many}",)


def state_text(case: OpenCase, now_ms: int) -> str:
    """Returns whether the stream is live; while it is, with the time since the first finding."""
    if not case.live:
        return "ended"
    if case.captured_first_ms is None:
        return "live now"
    return f"live now, {span_text(now_ms - case.captured_first_ms)}"


def span_text(milliseconds: int) -> str:
    """Returns a time in its two largest units, minutes from ten on without seconds: "45 s", "1 min 45 s", "11 min",
    "2 h 5 min", "3 d 4 h"."""
    seconds = max(0, milliseconds) // 1000
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return _two(days, "d", hours % 24, "h")
    if hours:
        return _two(hours, "h", minutes % 60, "min")
    if minutes >= MINUTES_ALONE:
        return f"{minutes} min"
    return _two(minutes, "min", seconds % 60, "s") if minutes else f"{seconds} s"


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large} {unit} {small} {smaller}" if small else f"{large} {unit}"
