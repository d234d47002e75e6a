"""The desk's database: opened, and brought to this version."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from config.errors import SettingsError
from desk.database.silence import Silence
from desk.errors import DeskDatabaseError

BUSY_SECONDS: Final = 5
"""Longest wait for a lock, a statement or a connection; each takes milliseconds. A database that hangs is an error
then, and does not take all threads that serve."""
UNANSWERED: Final = {
    "connect_timeout": "4",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}
"""Options of PostgreSQL's client, in seconds: a host that is gone says nothing, and would be waited for by the hour."""
MIGRATION_LOCK: Final = 7_203_164_501
"""PostgreSQL's advisory lock under which one process at a time brings the database to its version."""
VARIABLE: Final = "LIVEWARDEN_DESK_DATABASE_URL"


class DeskDatabase:
    """A database of this version; its sessions commit at the end of their block."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._make = sessionmaker(engine, expire_on_commit=False)
        self._silence = Silence()

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction.

        Raises:
            DeskDatabaseError: the database failed. Nothing was written, unless it was stopped in the last step.
        """
        try:
            with self._silence.respected(), self._make.begin() as session:
                yield session
            self._silence.ended()
        except SQLAlchemyError as error:
            self._silence.failed(getattr(error, "orig", None))
            # The text of a statement may quote its values: the kind of error is enough for people.
            raise DeskDatabaseError(f"the desk's database: {type(error).__name__}") from error

    def close(self) -> None:
        """Closes idle connections; may be called twice."""
        self.engine.dispose()


def open_database(url: str, *, busy_seconds: float = BUSY_SECONDS) -> DeskDatabase:
    """Opens the database, makes it where it is missing, and brings it to this version.

    Args:
        busy_seconds: longest wait for others, or for an answer.

    Raises:
        SettingsError: `url` names no database that can be used; the text does not quote it, for it has a password.
        DeskDatabaseError: the database is away, or of a newer version.
    """
    engine = _engine(url, busy_seconds)
    try:
        _upgrade(engine)
    except CommandError as error:
        engine.dispose()
        raise DeskDatabaseError(f"{VARIABLE}: a newer version of the desk has written this database") from error
    except (SQLAlchemyError, OSError) as error:
        engine.dispose()
        raise DeskDatabaseError(f"{VARIABLE}: {type(error).__name__}: the database cannot be opened") from error
    return DeskDatabase(engine)


def _engine(url: str, busy_seconds: float) -> Engine:
    try:
        parts = make_url(url)
        if parts.get_backend_name() not in ("sqlite", "postgresql"):
            raise SettingsError(f"{VARIABLE}: expected sqlite:///FILE or postgresql+psycopg://HOST/DATABASE")
        if parts.drivername == "postgresql":
            given = {**UNANSWERED, "tcp_user_timeout": str(round(busy_seconds * 1000)), **parts.query}
            parts = parts.set(drivername="postgresql+psycopg", query=given)
        if parts.get_backend_name() == "sqlite" and parts.database:
            file = Path(parts.database).expanduser()
            parts = parts.set(database=str(file))
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600, exist_ok=True)
        engine = create_engine(parts, pool_pre_ping=True, pool_timeout=busy_seconds)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            f"{VARIABLE}: expected sqlite:///FILE or, with the extra livewarden[postgresql], "
            "postgresql+psycopg://HOST/DATABASE"
        ) from error
    except OSError as error:
        raise SettingsError(f"{VARIABLE}: the file cannot be made: {error.strerror}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", partial(_set_up_sqlite, busy_seconds))
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.driver == "psycopg":
        # Only now: it comes with an extra.
        from desk.database.postgresql import bounded_connector

        event.listen(engine, "do_connect", bounded_connector(busy_seconds))
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", partial(_set_up_postgresql, busy_seconds))
    return engine


def _set_up_postgresql(busy_seconds: float, connection: Any, _record: object) -> None:
    connection.execute(f"SET statement_timeout = {round(busy_seconds * 1000)}")
    connection.commit()


def _set_up_sqlite(busy_seconds: float, connection: Any, _record: object) -> None:
    # sqlite3 of Python begins transactions late, at the first write: two that read before would then clash.
    connection.isolation_level = None
    cursor = connection.cursor()
    busy = f"busy_timeout={round(busy_seconds * 1000)}"
    for pragma in ("journal_mode=WAL", "synchronous=FULL", busy, "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(engine: Engine) -> None:
    """Runs the missing versions, in one process at a time."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with _one_process(engine), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # A long table, or another desk's start, takes its time.
            if engine.driver == "psycopg":
                driven: Any = connection.connection.driver_connection
                driven.longest_wait_seconds = None
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if engine.dialect.name == "postgresql":
        engine.dispose()  # that connection has no bounds


@contextmanager
def _one_process(engine: Engine) -> Iterator[None]:
    """SQLite: holds a lock on a file beside the database."""
    if engine.dialect.name != "sqlite" or not engine.url.database or engine.url.database == ":memory:":
        yield
        return
    with Path(f"{engine.url.database}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
