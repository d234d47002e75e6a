"""The users of Redis: a password for each role, and the `aclfile` with their hashes (config/redis/users.acl).

    FOLDER/redis/users.acl     for Redis; it has hashes of passwords, and no password
    FOLDER/redis/health        the health check's password; that user may only PING
    FOLDER/ROLE/password       for processes and people in that role only: a folder each, to be mounted separately
    FOLDER/ROLE/previous       while a password is rotated: it is accepted too

Existing passwords are kept, so this may run at each start; the rules are rewritten in this version's form.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from config.password_file import read_password
from worker.errors import LocalFileError

ROLES: Final = ("platform", "worker", "moderator", "desk", "operator")
"""Beat has the role of a worker, since any worker may tick."""

HEALTH: Final = "health"

PASSWORD_BYTES: Final = 32
"""Random bytes: with so many, the hash may be public, even without salt."""

_PLACEHOLDER: Final = "{passwords}"
_RULES_OF: Final = re.compile(r"\{rules of (\w+)\}")
_ESCAPES: Final = {"\\x06": "\x06", "\\x16": "\x16"}
_OWNER_ONLY, _GROUP_TOO = 0o400, 0o440


def template() -> str:
    """The shipped rules; config/redis/users.acl describes their format."""
    return files("config").joinpath("redis", "users.acl").read_text(encoding="utf-8")


def render(rules: str, passwords: Mapping[str, Sequence[str]]) -> bytes:
    """The `aclfile` for the rules: a user a line, no comments (Redis accepts none).

    Args:
        rules: in the format of config/redis/users.acl.
        passwords: by user; all of a user's are accepted.
    """
    users: list[str] = []
    for line in rules.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            users[-1] += f" {line.strip()}"
        else:
            users.append(line.strip())
    rules_of = {user.split()[1]: user.partition(_PLACEHOLDER)[2].strip() for user in users}
    users = [_RULES_OF.sub(lambda found: rules_of[found[1]], user) for user in users]
    return "".join(f"{_filled(user, passwords)}\n" for user in users).encode()


def _filled(user: str, passwords: Mapping[str, Sequence[str]]) -> str:
    if _PLACEHOLDER in user:
        own = passwords[user.split()[1]]
        hashes = " ".join(f"#{hashlib.sha256(password.encode()).hexdigest()}" for password in own)
        user = user.replace(_PLACEHOLDER, hashes)
    for written, meant in _ESCAPES.items():
        user = user.replace(written, meant)
    return user


def password_file(folder: Path, role: str) -> Path:
    """Path of a role's password."""
    return folder / "redis" / HEALTH if role == HEALTH else folder / role / "password"


def make_users(folder: Path) -> list[Path]:
    """Creates missing passwords, and writes the `aclfile`.

    Returns:
        The created password files.

    Raises:
        SettingsError: an existing password file cannot be read, or is empty.
        LocalFileError: a file cannot be written.
    """
    made = []
    try:
        _make_folder(folder / "redis", 0o750)
        for role in ROLES:
            _make_folder(folder / role, 0o700)
        for role in (*ROLES, HEALTH):
            path = password_file(folder, role)
            if _make_once(path, secrets.token_urlsafe(PASSWORD_BYTES), _GROUP_TOO if role == HEALTH else _OWNER_ONLY):
                made.append(path)
        passwords = {role: _accepted(folder, role) for role in (*ROLES, HEALTH)}
        _replace(folder / "redis" / "users.acl", render(template(), passwords), _GROUP_TOO)
    except OSError as error:
        raise LocalFileError(f"{error.filename or folder}: {error.strerror}") from error
    return made


def rotate(folder: Path, role: str) -> None:
    """Gives a role a new password; the previous one is accepted until `retire`. Redis reads both at its next start.

    Raises:
        LocalFileError: there is a previous password already, which may still be in use; or as `make_users`.
    """
    current, previous = password_file(folder, role), folder / role / "previous"
    try:
        # A link, which unlike a rename replaces nothing: a password in use must not be lost.
        previous.hardlink_to(current)
        current.unlink()
    except FileExistsError as error:
        raise LocalFileError(f"{previous}: is still accepted: --retire {role} first") from error
    except OSError as error:
        raise LocalFileError(f"{current}: {error.strerror}") from error
    make_users(folder)


def retire(folder: Path, role: str) -> None:
    """Removes the role's password from before `rotate`; Redis refuses it from its next start on.

    Raises:
        LocalFileError: as `make_users`.
    """
    try:
        (folder / role / "previous").unlink(missing_ok=True)
    except OSError as error:
        raise LocalFileError(f"{error.filename}: {error.strerror}") from error
    make_users(folder)


def _accepted(folder: Path, role: str) -> list[str]:
    paths = [password_file(folder, role)]
    if role != HEALTH and (folder / role / "previous").exists():
        paths.append(folder / role / "previous")
    return [read_password(path) for path in paths]


def _make_folder(folder: Path, mode: int) -> None:
    """Makes a folder with exactly that mode; an existing one, such as a volume, stays as it is."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(mode)


def _make_once(path: Path, text: str, mode: int) -> bool:
    """Writes a file atomically, and never over an existing one: two concurrent first starts end with one password."""
    if path.exists():
        return False
    written = _written_beside(path, f"{text}\n".encode(), mode)
    try:
        path.hardlink_to(written)
    except FileExistsError:
        return False
    finally:
        written.unlink()
    return True


def _replace(path: Path, data: bytes, mode: int) -> None:
    written = _written_beside(path, data, mode)
    try:
        written.replace(path)
    except OSError:
        with suppress(OSError):
            written.unlink()
        raise


def _written_beside(path: Path, data: bytes, mode: int) -> Path:
    """A file of another name with that content, synced to disk; created for its owner only, then given its mode."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    return Path(file.name)
