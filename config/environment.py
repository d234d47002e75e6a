"""Settings of a process: its environment, and the one file that the environment names a secret in."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from config.errors import SettingsError
from config.passwordfile import read_password
from config.settings import PREFIX, Settings

_URL, _USERNAME, _FILE = (f"{PREFIX}{name}" for name in ("REDIS_URL", "REDIS_USERNAME", "REDIS_PASSWORD_FILE"))


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Reads the settings from `environment`, and completes `redis_url` by the user and the password's file.

    Entry points call it once, so a password that changes is read by the next process.

    Raises:
        SettingsError: a variable is wrong, or the file cannot be read. Nothing of a URL or a file is quoted.
    """
    settings = Settings.from_mapping(environment)
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
