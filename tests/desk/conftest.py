"""Shared fixtures of the desk's tests: a database, a desk that serves, and people of the roster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from desk_server import RunningDesk, serving_desk
from people_made import Roster
from redis import Redis
from scene import Scene

from config.policy.policy import load_policy
from desk.database.connection import DeskDatabase, open_database

RULES = """
version: "1"
update_seconds: 30
rules:
  - {name: known, when: 'matched("known")', severity: critical, cooldown_seconds: 60}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10}}
  - {name: likely, when: 'score("m/nsfw") > 0.9', severity: high}
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DeskDatabase]:
    """A new database, in a file."""
    database = open_database(f"sqlite:///{tmp_path}/desk.db")
    yield database
    database.close()


@pytest.fixture
def running(redis: Redis, database: DeskDatabase) -> Iterator[RunningDesk]:
    """A desk on loopback."""
    with serving_desk(redis, database) as desk:
        yield desk


@pytest.fixture
def roster(redis: Redis) -> Roster:
    """A roster that begins with the lead lea."""
    return Roster(redis)


@pytest.fixture
def scene(redis: Redis, tmp_path: Path) -> Scene:
    """A scene without findings."""
    path = tmp_path / "policy.yaml"
    path.write_text(RULES)
    return Scene(redis=redis, policy=load_policy(path))
