"""Settings with a password in a separate file."""

import os
from pathlib import Path

import pytest
from redis import Redis

from config.environment import load_settings
from config.errors import SettingsError

URL = "redis://redis.example:6380/2"


def loaded(path: Path | None = None, **more: str) -> str:
    """The resulting URL of the settings."""
    environment = {f"LIVEWARDEN_{name}": value for name, value in {"REDIS_URL": URL, **more}.items()}
    if path is not None:
        environment["LIVEWARDEN_REDIS_PASSWORD_FILE"] = str(path)
    return load_settings(environment).redis_url.get_secret_value()


def parts(url: str) -> tuple[object, ...]:
    """User, password, host, port and database, as parsed by the Redis client."""
    with Redis.from_url(url) as redis:
        found = redis.connection_pool.connection_kwargs
        return tuple(found.get(name) for name in ("username", "password", "host", "port", "db"))


@pytest.mark.parametrize("password", ["plain", "p@ss:w/rd?#%20 ", "ünïcode", " spaces kept ", "two\nlines"])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_user_and_password_are_put_into_the_url(tmp_path: Path, password: str, ending: str) -> None:
    """Redis would refuse a worker with a good password, and the password would be taken for a host."""
    path = tmp_path / "password"
    path.write_text(password + ending, newline="")
    assert parts(loaded(path, REDIS_USERNAME="worker")) == ("worker", password, "redis.example", 6380, 2)


def test_url_stays_as_it_is_without_a_user(tmp_path: Path) -> None:
    """Deployments with a password in the URL, or without one, would no longer start."""
    for url in ("redis://127.0.0.1:6379/0", "redis://:secret@redis.example:6379/0", "rediss://u:p%40@redis.example/1"):
        assert loaded(REDIS_URL=url) == url
    assert loaded(REDIS_USERNAME="", REDIS_PASSWORD_FILE="") == URL
    assert parts(loaded(REDIS_USERNAME="worker"))[:2] == ("worker", None)


def test_a_password_twice_is_refused(tmp_path: Path) -> None:
    """If the two differ, nobody would know which is in force."""
    path = tmp_path / "password"
    path.write_text("hunter2")
    with pytest.raises(SettingsError, match="LIVEWARDEN_REDIS_URL has a user or a password") as caught:
        loaded(path, REDIS_URL="redis://worker:hunter1@redis.example/0")
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "No such file"),
        (b"", "found an empty file"),
        (b"\n", "found an empty file"),
        (b"hunter2\xff", "in UTF-8"),
        (b"hunter2" * 1000, "at most 4096 bytes"),
    ],
)
def test_an_invalid_password_file_is_named_and_not_quoted(tmp_path: Path, content: bytes | None, expected: str) -> None:
    """An operator would look for the mistake in Redis, or the log would show a password."""
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        loaded(path)
    text = str(caught.value)
    assert text.startswith(f"LIVEWARDEN_REDIS_PASSWORD_FILE: {path}: ")
    assert expected in text
    assert "hunter" not in text
    assert "\n" not in text


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_as_a_password_file(tmp_path: Path) -> None:
    """A worker would silently hang at its start."""
    os.mkfifo(tmp_path / "password")
    with pytest.raises(SettingsError, match="found a pipe"):
        loaded(tmp_path / "password")


@pytest.mark.parametrize(
    "url", ["redis://[hunter2/0", "redis://worker:hunter2/3@redis.example/0", "redis://worker:hunter2#3@redis.example"]
)
def test_an_invalid_url_is_not_quoted(url: str) -> None:
    """A character of the password that is not percent-encoded would write the password into a log."""
    with pytest.raises(SettingsError, match=r"LIVEWARDEN_REDIS_URL: .*expected redis://") as caught:
        loaded(REDIS_URL=url)
    assert "hunter" not in str(caught.value)
