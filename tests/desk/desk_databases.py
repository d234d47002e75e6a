"""Empty databases of each kind that the desk supports, for tests."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest


@contextmanager
def postgresql(ci_or_skip: Callable[[str], NoReturn]) -> Iterator[tuple[str, Path]]:
    """The address of an empty database of a real server, and the server's folder of data."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        ci_or_skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    folder = Path(f"/tmp/lw-pg-{os.getpid()}")  # a socket's path has 107 bytes
    folder.mkdir()
    try:
        with _serving(folder, found[-1].parent) as data:
            yield f"postgresql://desk@/postgres?host={folder}", data
    finally:
        shutil.rmtree(folder)


@contextmanager
def _serving(folder: Path, binaries: Path) -> Iterator[Path]:
    """A server on a socket in `folder`, as an unprivileged user, for it refuses root."""
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    data = folder / "data"
    folder.chmod(0o777)
    subprocess.run(
        [*user, binaries / "initdb", "-D", data, "-U", "desk", "-A", "trust"], check=True, capture_output=True
    )
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    control = [*user, binaries / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-l", data / "log", "-o", options, "start"], check=True, capture_output=True)
    try:
        yield data
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[str]:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/below/desk.db"
        return
    with postgresql(ci_or_skip) as (address, _):
        yield address
