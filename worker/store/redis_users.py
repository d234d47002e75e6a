"""The users of Redis: a password for each role, and the `aclfile` that names their hashes (config/redis/users.acl).

    FOLDER/redis/users.acl     for Redis; it has hashes of passwords, and no password
    FOLDER/redis/health        the health check's password, which may PING and nothing else
    FOLDER/ROLE/password       for whoever acts in that role, and nobody else: a folder each, to be mounted by itself
    FOLDER/ROLE/previous       while a password is changed: it is accepted too

What is there is kept, so this may run at each start; the rules are written anew, as this version has them.
"""

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from config.password_file import read_password
from worker.errors import LocalFileError

ROLES: Final = ("platform", "worker", "moderator", "operator")
"""Beat is a worker here: what it may do, any worker does."""

HEALTH: Final = "health"

PASSWORD_BYTES: Final = 32
"""Of randomness: a hash of so much can be shown to anybody, salt or not."""

_PLACEHOLDER: Final = "{passwords}"
_ESCAPES: Final = {"\\x06": "\x06", "\\x16": "\x16"}
_OWNER_ONLY, _GROUP_TOO = 0o400, 0o440


def template() -> str:
    """The rules that ship, as config/redis/users.acl says how to read them."""
    return files("config").joinpath("redis", "users.acl").read_text(encoding="utf-8")


def render(rules: str, passwords: Mapping[str, Sequence[str]]) -> bytes:
    """The `aclfile` of the rules: a user a line, no comments (Redis takes none).

    Args:
        rules: as in config/redis/users.acl.
        passwords: by user; each of a user's is accepted.
    """
    users: list[str] = []
    for line in rules.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            users[-1] += f" {line.strip()}"
        else:
            users.append(line.strip())
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
    """Where a role's password is."""
    return folder / "redis" / HEALTH if role == HEALTH else folder / role / "password"


def make_users(folder: Path) -> list[Path]:
    """Makes what is not there of all passwords, and writes the `aclfile`.

    Returns:
        The passwords' files that were made.

    Raises:
        SettingsError: a password's file that is there cannot be read, or has none in it.
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
    """Gives a role a new password; the one before stays accepted until `retire`. Redis reads both at its next start.

    Raises:
        LocalFileError: there is one before already, which somebody may still use; or as `make_users`.
    """
    current, previous = password_file(folder, role), folder / role / "previous"
    try:
        # A link, which unlike a renaming replaces nothing: a password that is in use must not be forgotten.
        previous.hardlink_to(current)
        current.unlink()
    except FileExistsError as error:
        raise LocalFileError(f"{previous}: is accepted still: --retire {role} first") from error
    except OSError as error:
        raise LocalFileError(f"{current}: {error.strerror}") from error
    make_users(folder)


def retire(folder: Path, role: str) -> None:
    """Refuses the password that a role had before `rotate`, from Redis's next start on.

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
    """With exactly that mode if it is new; a volume's stays as it is."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(mode)


def _make_once(path: Path, text: str, mode: int) -> bool:
    """Writes a file whole or not at all, and never over another's: two first starts at once end with one password."""
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
    """A file of another name with that content, on disk; made for its owner alone, then given its mode."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    return Path(file.name)
