"""Checks of the values in the decoder process's answers: whatever is out of bounds is a ValueError."""

import math


def checked_number(value: object, least: float, most: float) -> float:
    """A number in [least, most], so a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"expected a number from {least} to {most}")
    assert math.isfinite(value)
    return float(value)


def checked_count(value: object, least: int, most: int) -> int:
    """A whole number in [least, most]."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"expected a whole number from {least} to {most}")
    return value


def checked_flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value
