"""`livewarden redis-users`: passwords and rules of the roles that use Redis."""

from pathlib import Path
from typing import Annotated

import typer


def redis_users(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where passwords and the `aclfile` are kept.")],
    rotate: Annotated[str | None, typer.Option(metavar="ROLE", help="Give this role a new password.")] = None,
    retire: Annotated[str | None, typer.Option(metavar="ROLE", help="Refuse this role's previous password.")] = None,
) -> None:
    """Make a Redis user for each role: platform, worker, moderator, desk, operator.

    FOLDER/redis/users.acl is for Redis (`aclfile`), FOLDER/ROLE/password for the processes of that role. Existing
    passwords are kept: the command may run before each start of Redis, and writes the rules of this version.
    """
    from worker.store import redis_users

    for option, role, act in (("--rotate", rotate, redis_users.rotate), ("--retire", retire, redis_users.retire)):
        if role is not None and role not in redis_users.ROLES:
            raise typer.BadParameter(f"{role!r}: expected one of {', '.join(redis_users.ROLES)}", param_hint=option)
        if role is not None:
            act(folder, role)
            typer.echo(f"{option.removeprefix('--')}d: {role}; restart Redis")
    for path in redis_users.make_users(folder):
        typer.echo(f"made {path}")
