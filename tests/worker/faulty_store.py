"""A store that misbehaves: the protocol `faulty` of fsspec, a local folder with faults that a test sets."""

import threading
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem


class FaultyFiles(LocalFileSystem):
    """A local folder behind faults."""

    protocol = "faulty"
    cachable = False

    refuses: Exception | None = None
    """Raised by each write."""
    lies = ""
    """`drops` what it confirms, or `alters` it."""
    hangs: threading.Event | None = None
    """Writes wait for it."""
    entered = threading.Event()
    """Set once a write waits."""
    writes = 0

    @classmethod
    def reset(cls) -> None:
        cls.refuses, cls.lies, cls.hangs, cls.writes = None, "", None, 0
        cls.entered = threading.Event()

    def _open(self, path: str, mode: str = "rb", **more: Any) -> Any:
        if "w" in mode:
            FaultyFiles.writes += 1
            if self.hangs is not None:
                self.entered.set()
                self.hangs.wait(60)
            if self.refuses is not None:
                raise self.refuses
        return super()._open(path, mode, **more)

    def mv(self, path1: str, path2: str, **more: Any) -> None:
        super().mv(path1, path2, **more)
        if self.lies == "drops":
            self.rm_file(path2)
        elif self.lies == "alters":
            with super()._open(path2, "r+b") as file:
                file.seek(10)
                file.write(b"?")


fsspec.register_implementation("faulty", FaultyFiles, clobber=True)
