"""The installed command `livewarden`, run as a person would."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("livewarden")
SECONDS = 60
"""For one run, on a busy machine; a run takes 1 to 3 s."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run gave."""

    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as JSON, an object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """The records of one type."""
        return [record for record in self.records if record["type"] == name]

    @property
    def message(self) -> str:
        """The one line that was told on stderr; fails if there is another or a traceback."""
        (line,) = self.err.splitlines()
        assert line.startswith("livewarden: ")
        assert "Traceback" not in line
        return line.removeprefix("livewarden: ")


def livewarden(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    through: Sequence[str] = (),
) -> Ran:
    """Runs `livewarden` with `arguments`; of this process's environment it gets no setting of livewarden's.

    `through`: a command that starts it in the end.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIVEWARDEN_")}
    done = subprocess.run(
        [*through, str(COMMAND), *map(str, arguments)],
        env={**inherited, "COLUMNS": "200", **(environment or {})},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Ran(status=done.returncode, out=done.stdout, err=done.stderr)
