"""Steps that the tests of the audit log share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from worker.audit.chainer import link_waiting
from worker.audit.entries import Act, append_entry, audit_entry
from worker.store.object_store import ObjectStore


@pytest.fixture
def acts(redis: Redis) -> Callable[..., None]:
    """Appends that many acts of a person, and links them."""

    def happen(number: int = 1, *, by: str = "kim", act: Act = Act.VIEW, subject: str = "5a") -> None:
        for _ in range(number):
            append_entry(redis, audit_entry(act, by=by, verified=False, subject=subject))
        link_waiting(redis)

    return happen


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))
