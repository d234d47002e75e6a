"""Characters that control a terminal, and their detection."""

STEERING = "\x1b[2J\x1b]0;owned\x07\x7f\x9b31m\u202egnp\u2066\u200f\u061c"
"""Clears a screen, sets a window's title, colours by C1, reverses the writing direction."""


def steering_in(raw: bytes) -> list[str]:
    """Characters of a log or a terminal's text that are neither visible nor the end of a line; fails unless it is
    UTF-8."""
    return [character for character in raw.decode() if not character.isprintable() and character != "\n"]
