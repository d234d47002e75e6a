"""The desk's database: SQLite and PostgreSQL, opened and brought to this version."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from desk_databases import emptied_postgresql as emptied_postgresql  # a fixture
from desk_databases import url as url  # a fixture: each kind of database
from sqlalchemy import text

from config.errors import SettingsError
from desk.accounts.lockout import Lockout
from desk.accounts.sessions import find_session, make_session
from desk.database import tables
from desk.database.connection import DeskDatabase, open_database
from desk.database.tables import DeskTable
from desk.errors import DeskDatabaseError
from desk.preferences.preference_store import PreferenceStore
from desk.preferences.preferences import Preferences

NOW = 1_800_000_000_000


def test_the_versions_make_the_tables_that_the_code_has(url: str) -> None:
    """A column would be missing in a deployment that was upgraded, and in no test."""
    database = open_database(url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), DeskTable.metadata) == []
    database.close()


def test_what_is_written_is_there_after_a_restart(url: str) -> None:
    """Everybody would be signed out, and lose their settings, at each restart."""
    first = open_database(url)
    PreferenceStore(first).save("kim", Preferences(theme="dark"))
    with first.begin() as session:
        token = make_session(session, "kim", "ab" * 32, NOW)
    first.close()
    second = open_database(url)
    assert PreferenceStore(second).of("kim").theme == "dark"
    with second.begin() as session:
        found = find_session(session, token, NOW)
    assert found is not None
    second.close()


def test_a_database_of_the_first_version_is_brought_to_this_one(url: str) -> None:
    """After an upgrade everybody would be signed out, or the desk not start."""
    first = open_database(url)
    with first.begin() as session:
        token = make_session(session, "kim", "ab" * 32, NOW)
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    with first.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    first.close()
    second = open_database(url)
    with second.begin() as session:
        assert find_session(session, token, NOW) is not None
    with second.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), DeskTable.metadata) == []
    second.close()


def test_desks_that_start_at_the_same_time_both_start(url: str) -> None:
    """Two replicas would make the tables twice, and one would not start."""
    with ThreadPoolExecutor(4) as pool:
        databases = list(pool.map(open_database, [url] * 4))
    for database in databases:
        database.close()


def test_failures_at_the_same_time_all_count(url: str) -> None:
    """Guesses sent side by side would be free."""
    database = open_database(url)

    def fail(_number: int) -> None:
        with database.begin() as session:
            Lockout(session, "kim", "192.0.2.1").count(NOW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fail, range(8)))
    with database.begin() as session:
        assert Lockout(session, "kim", "192.0.2.9").wait_ms(NOW) == 5_000 << 3
    database.close()


def test_a_database_that_is_locked_is_an_error_soon(url: str) -> None:
    """A backup, or a person with a forgotten transaction, would take all threads of the desk for as long."""
    locking, database = open_database(url), open_database(url, busy_seconds=0.5)
    with locking.begin() as session:
        lock = {"postgresql": "LOCK TABLE preferences", "sqlite": "SELECT 1"}  # each of SQLite's transactions locks all
        session.execute(text(lock[locking.engine.dialect.name]))
        began = time.monotonic()
        with pytest.raises(DeskDatabaseError):
            PreferenceStore(database).of("kim")
        assert time.monotonic() - began < 5
    assert PreferenceStore(database).of("kim") == Preferences()
    for one in (locking, database):
        one.close()


def test_a_server_that_says_nothing_is_an_error_soon() -> None:
    """A desk would wait for a host that is gone, and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeskDatabaseError):
        open_database(f"postgresql://desk@127.0.0.1:{silent.getsockname()[1]}/desk?connect_timeout=2")


def test_a_newer_database_is_refused(url: str) -> None:
    """An older desk would write into tables that it does not know."""
    database = open_database(url)
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(DeskDatabaseError, match="newer version"):
        open_database(url)


def test_a_file_of_the_database_is_its_owner_s(tmp_path: Path) -> None:
    """Other users of the machine could read it."""
    database: DeskDatabase = open_database(f"sqlite:///{tmp_path}/new/desk.db")
    database.close()
    assert (tmp_path / "new/desk.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("wrong", ["", "desk.db", "mysql://u:s3cret@host/db", "postgresql+nope://u:s3cret@host/db"])
def test_a_wrong_address_is_refused_without_being_quoted(wrong: str) -> None:
    """A password would be in a log."""
    with pytest.raises(SettingsError, match="LIVEWARDEN_DESK_DATABASE_URL: expected sqlite") as error:
        open_database(wrong)
    assert "s3cret" not in str(error.value)
