"""Texts that others wrote, as a terminal may show them."""


def printable(text: str) -> str:
    """On one line, without what steers a terminal: names of models, lists, entries and people come from files."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
