"""Settings of a process: its environment, and the one file that the environment names a secret in."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from config.errors import SettingsError
from config.password_file import read_password
from config.settings import Settings, variable_of
from config.variables import misspelt

_URL, _USERNAME, _FILE = map(variable_of, ("redis_url", "redis_username", "redis_password_file"))

Check = Callable[[Any], Iterable[str]]
"""Returns mistakes in a field's value that this package cannot know, a line each."""


def load_settings(environment: Mapping[str, str], *, checks: Mapping[str, Check] | None = None) -> Settings:
    """Reads the settings from `environment`, and completes `redis_url` by the user and the password's file.

    Entry points call it once, so a password that changes is read by the next process.

    Args:
        checks: by field; called for fields that are set and well-formed.

    Raises:
        SettingsError: variables are wrong or misspelt, or the file cannot be read; the text lists all. Nothing of a URL
            or a file is quoted.
    """
    mistakes = [f"{name}: unknown: did you mean {meant}?" for name, meant in misspelt(environment).items()]
    settings, wrong = Settings.read(environment)
    found = {field: [text] for field, text in wrong.items()}
    for field, check in (checks or {}).items():
        if field in settings.model_fields_set:
            found.setdefault(field, []).extend(check(getattr(settings, field)))
    try:
        settings = _completed(settings)
    except SettingsError as error:
        mistakes.extend(error.mistakes)
    for field in Settings.model_fields:
        mistakes.extend(f"{variable_of(field)}: {text}" for text in found.get(field, ()))
    if mistakes:
        raise SettingsError(*mistakes)
    return settings


def _completed(settings: Settings) -> Settings:
    if not settings.redis_username and settings.redis_password_file is None:
        return settings
    password = "" if settings.redis_password_file is None else _read_password(settings.redis_password_file)
    url = _with_credentials(settings.redis_url.get_secret_value(), settings.redis_username, password)
    return settings.model_copy(update={"redis_url": SecretStr(url)})


def _read_password(path: Path) -> str:
    try:
        return read_password(path)
    except SettingsError as error:
        raise SettingsError(f"{_FILE}: {error}") from error


def _with_credentials(url: str, username: str, password: str) -> str:
    """`url` with user and password, percent-encoded, as redis-py and kombu take them apart again."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise SettingsError(f"{_URL} has a user or a password in it: leave it out, or unset {_USERNAME} and {_FILE}")
    secret = f":{quote(password, safe='')}" if password else ""
    return parts._replace(netloc=f"{quote(username, safe='')}{secret}@{parts.netloc}").geturl()
