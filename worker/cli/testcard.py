"""`livewarden testcard`: writes the harmless picture that replaces known material in tests and drills."""

from pathlib import Path
from typing import Annotated

import typer

WIDTH, HEIGHT = 1280, 720


def write_testcard(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.png|FILE.mp4", help="File to write; its suffix decides the format.")
    ],
) -> None:
    """Write the test card: a harmless generated picture that the built-in list `selftest` matches.

    Show it on a stream of purpose `drill` to try all steps up to the moderators' queue.
    """
    from models.testcard import testcard
    from worker.errors import LocalFileError
    from worker.moderation.card_file import card_mp4, card_png
    from worker.store.local_file import write_file

    makers = {".png": card_png, ".mp4": card_mp4}
    make = makers.get(file.suffix.lower())
    if make is None:
        raise LocalFileError(f"{file}: expected a name that ends in {' or '.join(makers)}")
    write_file(file, make(testcard(WIDTH, HEIGHT)))
    typer.echo(f"wrote {file}", err=True)
