"""Files with a new token in them."""

import os
import stat
from pathlib import Path

import pytest

from worker.errors import LocalFileError
from worker.people.token_file import TokenFile


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    """Every user of the machine could act as the person."""
    path = tmp_path / "token"
    path.write_text("the one before")
    path.chmod(0o644)
    with TokenFile.beside(path, replaceable=lambda text: text == "the one before") as file:
        assert path.read_text() == "the one before", "until the new one is in force"
        file.write("lwt_x")
    assert path.read_text() == "lwt_x\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_refused_change_leaves_the_file_before_and_no_other(tmp_path: Path) -> None:
    """A person's valid token would be lost where a lead's command is refused."""
    path = tmp_path / "token"
    path.write_text("the one before")
    with pytest.raises(RuntimeError), TokenFile.beside(path, replaceable=lambda text: text == "the one before"):
        raise RuntimeError
    assert path.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_found_before_the_token_is_in_force(tmp_path: Path) -> None:
    """The token would be in force, and be nowhere: a first lead would be locked out."""
    for path in (tmp_path, tmp_path / "missing" / "token", Path("/proc/token")):
        with pytest.raises(LocalFileError, match=r"token|folder"):
            TokenFile.beside(path, replaceable=lambda text: text == "the one before")


def test_what_is_something_else_is_not_replaced(tmp_path: Path) -> None:
    """A lead who mistypes a name would destroy the only copy of another person's token, or of any file."""
    path, pipe = tmp_path / "token", tmp_path / "pipe"
    path.write_text("lwt_of_another\n")
    os.mkfifo(pipe)
    for place in (path, pipe):
        with pytest.raises(LocalFileError, match=r"not overwritten|regular"):
            TokenFile.beside(place, replaceable=lambda text: text == "the one before")
    assert path.read_text() == "lwt_of_another\n"
    path.write_text("\n")
    with TokenFile.beside(path, replaceable=lambda _: False) as file:
        file.write("lwt_x")
    assert path.read_text() == "lwt_x\n"
