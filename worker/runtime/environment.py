"""The settings of a process, read from its environment and tried: all mistakes are reported at once."""

import errno
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from config.environment import Check, load_settings
from config.errors import LivewardenError
from config.regular_file import open_regular
from config.settings import Settings
from config.variables import unknown

_log = logging.getLogger(__name__)

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""A disk without room is no mistake in a setting: moderation goes on, and logs it."""


def settings_of(environment: Mapping[str, str], *, paths: Iterable[str] = ()) -> Settings:
    """Reads the settings of a command.

    Args:
        paths: the files and folders that it needs, by field. Others are not tried: not every user can reach them.

    Raises:
        SettingsError: with every mistake.
    """
    return load_settings(environment, checks={**_TEXTS, **{field: _PATHS[field] for field in paths}})


def settings_of_worker(environment: Mapping[str, str]) -> Settings:
    """Reads the settings of a worker: all files and folders are tried, too, and made.

    Those of evidence are not: a worker without them moderates, and says so. One that could open evidence is refused.

    Raises:
        SettingsError: with every mistake.
    """
    return load_settings(environment, checks={**_TEXTS, **_PATHS, "evidence_identity": _no_identity})


def settings_of_beat(environment: Mapping[str, str]) -> Settings:
    """Reads the settings of beat. It shares a worker's environment, and need not reach the folders of workers.

    Raises:
        SettingsError: with every mistake.
    """
    return settings_of(environment, paths=("heartbeat_file",))


def log_unknown(environment: Mapping[str, str]) -> None:
    """Logs each variable that this version does not know: a rollout may carry those of a newer one."""
    for name, near in unknown(environment).items():
        _log.warning("%s is not read by this version%s", name, f" (did you mean {near}?)" if near else "")


def _redis_url(url: SecretStr) -> Iterator[str]:
    from worker.store.redis_client import NOT_A_URL, connect

    try:
        connect(url.get_secret_value()).close()
    except LivewardenError:
        yield NOT_A_URL


def _url_template(template: str) -> Iterator[str]:
    from worker.ingest.registry.registration import MAX_URL_LENGTH, playlist_of

    filled = template.replace("{stream_id}", "stream")
    if "{" in filled or "}" in filled:
        yield "expected no other { } than those of {stream_id}"
        return
    try:
        playlist_of(filled)
    except LivewardenError:
        yield (
            f"expected http://host/… or https://host/… with {{stream_id}} in it, without a user, of at most "
            f"{MAX_URL_LENGTH} characters"
        )


def _allowed_origins(entries: Iterable[str]) -> Iterator[str]:
    from worker.ingest.http.origins import AllowedOrigins

    for entry in entries:
        try:
            AllowedOrigins.parse([entry])
        except LivewardenError as error:
            yield str(error)


def _readable_file(path: Path) -> Iterator[str]:
    try:
        open_regular(path).close()
    except OSError as error:
        yield f"{path}: {error.strerror}"


def _readable_folder(path: Path) -> Iterator[str]:
    try:
        os.scandir(path).close()
    except OSError as error:
        yield f"{path}: {error.strerror}"


def _own_folder(path: Path, mode: int = 0o777) -> Iterator[str]:
    """Makes the folder where it is missing. A full disk is no mistake of the setting: it is mended."""
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in _FULL:
            yield f"{path}: expected a folder, or a place for one: {error.strerror}"


def _store_url(url: str) -> Iterator[str]:
    from worker.store.object_store import ObjectStore

    try:
        store = ObjectStore(url)
    except LivewardenError as error:
        yield str(error).partition(": ")[2]
        return
    if store.local:
        yield from _own_folder(Path(store.root), 0o700)  # as the store itself makes it


def _no_identity(_path: Path) -> Iterator[str]:
    yield (
        "expected nothing: a worker seals evidence and must not be able to open it, for whoever takes it over could: "
        "set it for the commands of reviewers only"
    )


def _touchable_file(path: Path) -> Iterator[str]:
    from worker.store.local_file import expect_writable

    if path.exists() and not path.is_file():  # opening a pipe waits for its reader
        yield f"{path}: expected a regular file, or a place for one"
        return
    try:
        expect_writable(path)
    except LivewardenError as error:
        yield str(error)


_TEXTS: Final[Mapping[str, Check]] = {
    "redis_url": _redis_url,
    "url_template": _url_template,
    "allowed_origins": _allowed_origins,
}

_PATHS: Final[Mapping[str, Check]] = {
    "bank_dir": _own_folder,
    "store_url": _store_url,
    "lists_dir": _readable_folder,
    "policy_file": _readable_file,
    "manifests_dir": _readable_folder,
    "heartbeat_file": _touchable_file,
}
