"""Files that pages need: a table in memory, so that no request is a path on the disk."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, Self

from desk.errors import DeskError

TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""Media types of the files that are served; others of the folder are not."""


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    """One file."""

    content: bytes
    media_type: str
    digest: str
    """Beginning of its SHA-256, in hex: part of its address, which may then be cached for ever."""


class StaticFiles:
    """All files, by path below /static/."""

    def __init__(self, by_path: dict[str, StaticFile]) -> None:
        self._by_path = by_path

    @classmethod
    @cache
    def load(cls) -> Self:
        """Reads the files that are shipped."""
        folder = files("desk").joinpath("static")
        return cls({**_read(folder, ""), **_read(folder.joinpath("vendor"), "vendor/")})

    def find(self, path: str) -> StaticFile | None:
        """The file of that path; None: there is none."""
        return self._by_path.get(path)

    def address(self, path: str) -> str:
        """The address of a file, which changes with its content.

        Raises:
            DeskError: there is none; a template has a typo.
        """
        found = self.find(path)
        if found is None:
            raise DeskError(f"no static file {path}")
        return f"/static/{path}?v={found.digest}"


def _read(folder: Traversable, prefix: str) -> dict[str, StaticFile]:
    found = {}
    for entry in folder.iterdir():
        media_type = TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None and entry.is_file():
            content = entry.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            found[prefix + entry.name] = StaticFile(content=content, media_type=media_type, digest=digest)
    return found
