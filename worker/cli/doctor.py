"""`livewarden doctor`: what a deployment needs, and what to do where it is missing."""

import json
import os
import sys
from typing import TYPE_CHECKING

import typer

from worker.cli.ending import end_where_stuck
from worker.cli.options import Json

if TYPE_CHECKING:
    from worker.diagnosis import Diagnosis


def doctor(as_json: Json = False) -> None:
    """Check what a deployment needs: Redis and its persistence, policy, lists, models, decoder, clock.

    Status 1 if something fails; warnings leave it at 0.
    """
    from worker.checkup.doctor import examine
    from worker.diagnosis import State

    diagnoses = list(examine(os.environ, when_stuck=end_where_stuck))
    if as_json:
        for diagnosis in diagnoses:
            sys.stdout.write(json.dumps({"type": "check", **vars(diagnosis)}) + "\n")
    else:
        _print_table(diagnoses)
    raise typer.Exit(int(any(diagnosis.state == State.FAIL for diagnosis in diagnoses)))


def _print_table(diagnoses: "list[Diagnosis]") -> None:
    from rich.table import Table
    from rich.text import Text

    from worker.cli.screen import Screen

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    table = Table(show_lines=True)
    for heading in ("", "check", "found", "what to do"):
        table.add_column(heading)
    for diagnosis in diagnoses:
        state = str(diagnosis.state)
        table.add_row(Text(state, styles[state]), Text(diagnosis.name), Text(diagnosis.found), Text(diagnosis.advice))
    Screen().print(table)
