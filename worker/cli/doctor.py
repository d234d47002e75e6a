"""`livewarden doctor`: checks a deployment, and advises where something is missing."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from config.counts import counted
from worker.cli.ending import end_where_stuck
from worker.cli.json_lines import print_json
from worker.cli.options import Json

if TYPE_CHECKING:
    from worker.doctor.diagnosis import Diagnosis


def doctor(as_json: Json = False) -> None:
    """Check what a deployment needs: Redis and its persistence, policy, lists, models, decoder, clock.

    Status 1 if something fails; warnings leave it at 0.
    """
    from worker.doctor.diagnosis import State
    from worker.doctor.doctor import examine

    diagnoses = list(examine(os.environ, when_stuck=end_where_stuck))
    if as_json:
        print_json(*({"type": "check", **vars(diagnosis)} for diagnosis in diagnoses))
    else:
        _print_checks(diagnoses)
    raise typer.Exit(int(any(diagnosis.state == State.FAIL for diagnosis in diagnoses)))


def _print_checks(diagnoses: "Sequence[Diagnosis]") -> None:
    from rich.text import Text

    from worker.cli.screen import Screen
    from worker.doctor.diagnosis import State
    from worker.tables.checks import Checks
    from worker.tables.lines import blocks

    styles = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}
    checks = Checks()
    for one in diagnoses:
        state = Text(str(one.state), styles[one.state])
        checks.add(state, one.name, one.found, advice=one.advice, well=one.state == State.OK)
    number = Counter(one.state for one in diagnoses)
    warnings, failures = counted(number[State.WARN], "warning"), counted(number[State.FAIL], "failure")
    line = f"{counted(len(diagnoses), 'check')}: {number[State.OK]} ok, {warnings}, {failures}"
    Screen().print(blocks(checks, Text(line, "bold")))
