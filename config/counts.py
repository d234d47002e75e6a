"""Numbers with their nouns, as people read them: "1 picture", "2 hashes"."""


def counted(number: float, noun: str) -> str:
    """`number` and `noun`, in the plural unless the number is 1: "1 new PDQ hash", "1,204 entries", "0.5 hours"."""
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Of a regular English noun, in lower case; of several words the last one is the noun."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
