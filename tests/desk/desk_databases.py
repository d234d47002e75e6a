"""Empty databases of each kind that the desk supports, for tests."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest


@contextmanager
def postgresql(ci_or_skip: Callable[[str], NoReturn]) -> Iterator[tuple[str, Path]]:
    """The address of an empty database of a real server, and the server's folder of data."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not found:
        ci_or_skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="lw-pg-", dir="/tmp"))  # a socket's path has 107 bytes
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
        [*user, binaries / "initdb", "--no-sync", "-D", data, "-U", "desk", "-A", "trust"],
        check=True,
        capture_output=True,
    )
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    control = [*user, binaries / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-l", data / "log", "-o", options, "start"], check=True, capture_output=True)
    try:
        yield data
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def emptied_postgresql(ci_or_skip: Callable[[str], NoReturn]) -> Iterator[Callable[[], str]]:
    """Gives the address of an empty database of one server, the same each time."""
    with postgresql(ci_or_skip) as (address, _):

        def emptied() -> str:
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("DROP DATABASE IF EXISTS emptied WITH (FORCE)")
                connection.execute("CREATE DATABASE emptied")
            return address.replace("/postgres?", "/emptied?")

        yield emptied


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/below/desk.db"
    return str(request.getfixturevalue("emptied_postgresql")())
