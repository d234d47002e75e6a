"""Characters that steer a terminal, and what is found of them."""

STEERING = "\x1b[2J\x1b]0;owned\x07\x7f\x9b31m\u202egnp\u2066\u200f\u061c"
"""Clears a screen, names a window, colours by C1, turns the direction of writing."""


def steering_in(raw: bytes) -> list[str]:
    """What of a log or a terminal's text is neither a visible character nor the end of a line; UTF-8 or it fails."""
    return [character for character in raw.decode() if not character.isprintable() and character != "\n"]
