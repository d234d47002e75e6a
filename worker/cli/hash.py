"""`livewarden hash`: the PDQ hash of picture files."""

import os
from pathlib import Path
from typing import Annotated

import typer

from config.errors import LivewardenError
from worker.logs.printable import printable


def hash_images(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Picture files: PNG, JPEG, WebP, BMP …")],
) -> None:
    """Print the PDQ hash, its quality and the path of each picture, one a line.

    A picture that cannot be hashed is reported on stderr; the others are printed, and the status is 2. A quality under
    50 means that the picture has too little detail to be matched.
    """
    from models.pdq.pdq import hash_rgb
    from sampler.child.decoder import Decoder
    from sampler.limits import Limits
    from worker.store.local_file import read_file

    limits = Limits()
    failed = False
    with Decoder(limits=limits) as decoder:
        for path in images:
            try:
                hashed = hash_rgb(decoder.picture(read_file(path, max_bytes=limits.input_bytes)).rgb())
            except LivewardenError as error:
                typer.echo(f"livewarden: {_naming(path, error)}", err=True)
                failed = True
            else:
                typer.echo(f"{hashed.hex} {hashed.quality} ".encode() + _name_bytes(path))
    if failed:
        raise typer.Exit(2)


def _name_bytes(path: Path) -> bytes:
    """The name as it was given, which may not be UTF-8, without control characters."""
    return b"".join(os.fsencode(character if _is_byte(character) else printable(character)) for character in str(path))


def _is_byte(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"


def _naming(path: Path, error: LivewardenError) -> str:
    """The error's text, with the file in front where the text lacks it: the decoder knows only bytes."""
    text = str(error)
    return text if text.startswith(str(path)) else f"{path}: {text}"
