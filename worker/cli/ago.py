"""Times as people say them on the command line: how long ago."""

import re

import typer

MAX_DAYS = 3_650
"""Ten years: no log reaches further back, and what is much longer ago has no date."""

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_of(text: str, option: str) -> int:
    """Of "90s", "30m", "24h" or "2d".

    Raises:
        typer.BadParameter: it is something else, or longer ago than MAX_DAYS; `option` is whose value it is.
    """
    found = re.fullmatch(r"(\d{1,12})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r}: expected a number and s, m, h or d, as in 24h", param_hint=option)
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > MAX_DAYS * _UNITS["d"]:
        raise typer.BadParameter(f"{text!r}: expected at most {MAX_DAYS}d", param_hint=option)
    return seconds
