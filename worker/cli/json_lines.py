"""Output of `--json`: one object a line on standard output."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import typer


def print_json(*records: Mapping[str, Any], ascii_only: bool = True, at_once: bool = False) -> None:
    """Prints objects.

    Args:
        at_once: flushes, so that a script can act on it while the command runs.
    """
    sys.stdout.writelines(json.dumps(record, ensure_ascii=ascii_only) + "\n" for record in records)
    if at_once:
        sys.stdout.flush()


def print_result(record: Mapping[str, Any], line: str, *, as_json: bool) -> None:
    """Prints what a command did: `record` as an object, or a line for people."""
    if as_json:
        print_json(record)
    else:
        typer.echo(line)
