"""Spellings of a name: what a roster takes for one person may be two in the directory behind a proxy."""


def is_same_name(one: str, other: str) -> bool:
    """Returns whether two names differ in case and surrounding white space alone, letter by letter.

    Folding makes `ß` equal to `ss`, and the Kelvin sign to `k`: a stranger of such a name would be a person of the
    roster.
    """
    pairs = list(zip(left := one.strip(), right := other.strip(), strict=False))
    return len(left) == len(right) and all(
        a == b or (a.isascii() == b.isascii() and a.casefold() == b.casefold()) for a, b in pairs
    )
