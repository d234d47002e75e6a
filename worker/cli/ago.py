"""Times as people say them on the command line: how long ago."""

import re

import typer

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_of(text: str, option: str) -> int:
    """Of "90s", "30m", "24h" or "2d".

    Raises:
        typer.BadParameter: it is something else; `option` is whose value it is.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise typer.BadParameter(f"{text!r}: expected a number and s, m, h or d, as in 24h", param_hint=option)
    return int(found[1]) * _UNITS[found[2]]
