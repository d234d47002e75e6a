"""Numbers with their nouns, as people read them: "1 picture", "2 hashes"."""

from typing import Final

_OF_ONE: Final = {"are": "is", "were": "was", "have": "has", "do": "does"}
"""Verbs that take no plain "s" for one thing."""


def counted(number: float, noun: str, verb: str = "") -> str:
    """`number` and `noun`, in the plural unless the number is 1: "1 new PDQ hash", "1,204 entries", "0.5 hours".

    Args:
        noun: in the singular.
        verb: what they do, in the plural: "1 message waits", "2 streams are".
    """
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    if number == 1:
        return f"{shown} {noun} {_OF_ONE.get(verb, f'{verb}s')}" if verb else f"{shown} {noun}"
    return f"{shown} {plural(noun)} {verb}" if verb else f"{shown} {plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a regular English noun, in lower case; the last of several words is the noun."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
