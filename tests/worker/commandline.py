"""The installed command `livewarden`, run as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from process_server import PROCESS_SERVER

COMMAND = Path(sys.executable).with_name("livewarden")
SECONDS = 60
"""Limit of one run on a busy machine; a run takes 1 to 3 s."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The result of a run."""

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
        """The one line on stderr; fails if there is another, or a traceback."""
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
    """Runs `livewarden` with `arguments`, without this process's livewarden settings.

    `through`: a command that finally executes it, as its own program.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIVEWARDEN_")}
    called = [str(COMMAND), *map(str, arguments)]
    variables = {**inherited, "COLUMNS": "200", **(environment or {})}
    with TemporaryFile() as out, TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        if through:
            status = subprocess.run(
                [*through, *called],
                env=variables,
                cwd=folder,
                stdin=nothing,
                stdout=out,
                stderr=err,
                timeout=SECONDS,
                check=False,
            ).returncode
        else:
            files = [nothing.fileno(), out.fileno(), err.fileno()]
            process = PROCESS_SERVER.start("livewarden", called, environment=variables, folder=folder, files=files)
            try:
                status = process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return Ran(status=status, out=texts[0], err=texts[1])
