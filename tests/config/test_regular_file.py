"""Files named by users: other file types are refused, without waiting for them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import PolicyError
from config.policy.policy import read_policy
from config.regular_file import open_regular
from worker.errors import LocalFileError, ReplayError
from worker.policytests.case_format import read_cases
from worker.store.local_file import read_file

READERS: dict[str, Callable[[Path], object]] = {
    "policy": read_policy,
    "cases": read_cases,
    "file": lambda path: read_file(path, max_bytes=10),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_refused(tmp_path: Path, reader: str) -> None:
    """A command, or the thread that follows the policy, would hang on a pipe."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises((PolicyError, ReplayError, LocalFileError), match="cannot be read: expected a regular file"):
            READERS[reader](tmp_path / name)


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/"), Path("/a\0b"), Path("/none/there")])
def test_other_file_types_are_refused(path: Path) -> None:
    """A device would be read endlessly, and a wrong path would end in a traceback."""
    with pytest.raises(OSError, match=r"expected|No such file"):
        open_regular(path)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
def test_an_open_descriptor_is_read(name: str) -> None:
    """A policy written by another command could not be checked without a temporary file."""
    reading, writing = os.pipe()
    try:
        os.write(writing, b"from a pipe")
        os.close(writing)
        with open_regular(Path(name.format(reading))) as file:
            assert file.read() == b"from a pipe"
    finally:
        os.close(reading)
