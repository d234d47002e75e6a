"""Labels of a timeline's drawing: escaped, cut, and anchored so that none hangs over an edge."""

from html import escape

from worker.timeline.layout import MAX_LABEL_CHARACTERS, NARROW_CHARACTER_PERCENT, PlacedLabel, edge_of

_WORDS = {"leading": "leading pictures"}
"""Reasons that are no words of their own."""


def reason_text(reason: str) -> str:
    """A reason of the ledger in words."""
    return _WORDS.get(reason, reason.replace("_", " "))


def anchored(x_percent: float, text: str) -> str:
    """The class of a label that is centred, but does not hang over an edge of the drawing."""
    return ("mid", "end", "begin")[edge_of(x_percent, text)]


def beside(label: PlacedLabel) -> str:
    """Place at which a label beside its mark begins; or ends, where it would hang over the edge."""
    characters = min(len(label.text), MAX_LABEL_CHARACTERS)
    over = label.x_percent + characters * NARROW_CHARACTER_PERCENT > 100
    return ' class="end" x="-5"' if over else ' x="5"'


def safe(text: str) -> str:
    """A string as text or in an attribute, without characters that turn text around or that XML lacks."""
    return escape("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text))


def short(text: str) -> str:
    """A label in the drawing."""
    return safe(text if len(text) <= MAX_LABEL_CHARACTERS else f"{text[: MAX_LABEL_CHARACTERS - 1]}…")
