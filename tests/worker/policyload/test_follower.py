"""Changes of the policy file: which are loaded, when, and which are not."""

import os
from pathlib import Path

import pytest

from config.errors import PolicyError
from config.policy.policy import Policy, parse_policy
from worker.policyload.follower import PolicyFollower

refuses = pytest.mark.expected_errors("the policy in force stays")


def text(name: str) -> str:
    return f"version: {name}\nrules: [{{name: {name}, severity: high, when: 'true'}}]\n"


class Watched:
    """A policy file, and a follower that checks it when the test says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.built: list[str] = []
        self.write(text("first"))
        self.follower = self.follow()

    def follow(self) -> PolicyFollower[Policy]:
        follower: PolicyFollower[Policy] = PolicyFollower(self.path, self._build)
        follower.followed = True
        return follower

    def _build(self, data: bytes) -> Policy:
        policy = parse_policy(data, str(self.path))
        self.built.append(policy.stated_version)
        return policy

    def write(self, data: str) -> None:
        """Writes as an editor does, always with a new modification time, even where the file system's clock is
        coarse."""
        self.written += 1
        self.path.write_text(data)
        os.utime(self.path, (self.written, self.written))

    @property
    def version(self) -> str:
        return self.follower.in_force.stated_version


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "policy.yaml")


def test_a_change_is_loaded_at_the_second_check(watched: Watched) -> None:
    """A half-written file would come into force, without the rules at its end."""
    assert watched.version == "first"
    watched.write("version: half\nrules: [{name: half, severity: high, when: 'true'}]\n")
    assert not watched.follower.refresh()
    watched.write(text("whole"))
    assert not watched.follower.refresh()
    assert watched.version == "first"
    assert watched.follower.refresh()
    assert watched.version == "whole"
    assert watched.built == ["first", "whole"]


def test_nothing_is_done_where_nothing_changes(watched: Watched) -> None:
    """Each second of each process would cost a compilation of the policy."""
    assert watched.version == "first"
    for _ in range(3):
        assert not watched.follower.refresh()
    watched.write(text("first"))  # touched, or written again
    for _ in range(3):
        assert not watched.follower.refresh()
    assert watched.built == ["first"]


@refuses
@pytest.mark.parametrize("broken", ["rules: [", "version: 2\nrules: []\n", text("x").replace("true", "matchd('x')")])
def test_a_broken_file_changes_nothing(watched: Watched, broken: str) -> None:
    """A typo would stop moderation, or remove all rules."""
    assert watched.version == "first"
    watched.write(broken)
    for _ in range(3):
        assert not watched.follower.refresh()
    assert watched.version == "first"
    assert str(watched.path) in watched.follower.problem
    refused = watched.follower.refused
    watched.write(text("first"))
    for _ in range(2):
        watched.follower.refresh()
    assert (watched.follower.problem, watched.follower.refused) == ("", "")
    assert len(refused) == 64


@refuses
def test_a_missing_file_changes_nothing(watched: Watched) -> None:
    """A volume that is briefly unmounted would stop moderation."""
    assert watched.version == "first"
    kept = watched.path.rename(watched.path.with_suffix(".away"))
    for _ in range(2):
        assert not watched.follower.refresh()
    assert watched.version == "first"
    assert "cannot be read: No such file" in watched.follower.problem
    kept.rename(watched.path)
    for _ in range(2):
        watched.follower.refresh()
    assert watched.follower.problem == ""
    watched.write(text("second"))
    for _ in range(2):
        watched.follower.refresh()
    assert watched.version == "second"


def test_a_file_missing_at_one_check_is_not_reported(watched: Watched) -> None:
    """Operators would be called each time somebody saves with an editor that first moves the old file away."""
    assert watched.version == "first"
    for _ in range(3):
        kept = watched.path.rename(watched.path.with_suffix(".away"))
        watched.follower.refresh()
        kept.rename(watched.path)
        watched.follower.refresh()
        assert watched.follower.problem == ""


def test_a_change_is_loaded_whatever_the_files_metadata(watched: Watched) -> None:
    """A rule copied with `tar` or `cp -p`, which keep times, or written in place, would never come into force."""
    assert watched.version == "first"
    before = watched.path.stat()
    with watched.path.open("r+") as file:
        file.write(text("equal"))
    os.utime(watched.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = watched.path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert [watched.follower.refresh() for _ in range(2)] == [False, True]
    assert watched.version == "equal"


@refuses
@pytest.mark.timeout(10)
def test_a_pipe_in_place_of_the_file_does_not_block(watched: Watched) -> None:
    """Each policy thread would wait for a writer without end, and the next good file would not be loaded."""
    assert watched.version == "first"
    watched.path.unlink()
    os.mkfifo(watched.path)
    for _ in range(2):
        assert not watched.follower.refresh()
    assert "cannot be read: expected a regular file" in watched.follower.problem
    new = watched.path.with_suffix(".new")
    new.write_text(text("second"))
    new.rename(watched.path)
    for _ in range(2):
        watched.follower.refresh()
    assert (watched.version, watched.follower.problem) == ("second", "")


@refuses
def test_a_refused_file_that_is_touched_is_tried_again(tmp_path: Path) -> None:
    """After the model that a policy lacks is installed, the policy could come into force only by a change of its
    text."""
    path, missing = tmp_path / "policy.yaml", tmp_path / "missing"

    def build(data: bytes) -> Policy:
        if b"second" in data and missing.exists():
            raise PolicyError("its model is not there")
        return parse_policy(data, str(path))

    path.write_text(text("first"))
    follower = PolicyFollower(path, build)
    follower.followed = True
    assert follower.in_force.stated_version == "first"
    missing.touch()
    path.write_text(text("second"))
    for _ in range(2):
        assert not follower.refresh()
    missing.unlink()
    assert not follower.refresh()
    os.utime(path, (1, 1))
    assert [follower.refresh() for _ in range(2)] == [False, True]
    assert follower.in_force.stated_version == "second"


@refuses
def test_a_process_that_starts_while_the_file_is_broken(watched: Watched) -> None:
    """A replacement for a dead pool child would not start, and its worker would stop working."""
    assert watched.version == "first"
    watched.write("rules: [")
    with pytest.raises(PolicyError):
        assert watched.follow().in_force
    heir = watched.follow()
    heir.good = watched.follower.good
    assert heir.in_force.stated_version == "first"
    assert "expected YAML" in heir.problem
    watched.write(text("second"))
    for _ in range(2):
        heir.refresh()
    assert (heir.in_force.stated_version, heir.problem) == ("second", "")


def test_the_shipped_policy_stays(tmp_path: Path) -> None:
    """A deployment without its own policy would look for a file that does not exist."""
    follower = PolicyFollower(None, lambda data: parse_policy(data, "config/policy.yaml"))
    first = follower.in_force
    assert not follower.refresh()
    assert follower.in_force is first
