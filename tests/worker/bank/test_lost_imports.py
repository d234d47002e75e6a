"""Imports of large lists whose answers from Redis are lost: whatever is in force is looked back for."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from redis import Redis
from redis_between import Command, Send, redis_between

from worker.bank.imports import import_file
from worker.bank.keys import SNAPSHOT, WRITER
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import StoreError
from worker.lookback.bulk import prepare
from worker.lookback.jobs import JOBS
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect

ENTRIES = 20


class AwayAtPublication:
    """Answers until a snapshot is published, and then nothing until it is `back`: also not to the publication itself,
    or only from the next command on."""

    def __init__(self, *, answers_publication: bool) -> None:
        self.back = False
        self._answers, self._published, self._away = answers_publication, False, False

    def __call__(self, command: Command, send: Send) -> bytes | None:
        if self._away and not self.back:
            return None
        answer = send()
        publishes = command[0] in (b"EVAL", b"EVALSHA") and command[3:5] == [WRITER.encode(), SNAPSHOT.encode()]
        self._published = self._published or (publishes and not answer.startswith(b"-"))
        self._away = self._published and (command[0] == b"WAITAOF" or not self._answers)
        return answer if self._answers or not self._away or self.back else None


@pytest.mark.parametrize("answers_publication", [False, True])
def test_a_large_list_is_looked_back_for_once_it_is_in_force(
    redis: Redis,
    redis_url: str,
    storage: SnapshotStorage,
    list_file: Callable[..., Path],
    tmp_path: Path,
    answers_publication: bool,
) -> None:
    """Its hashes are no news to a second import: streams that showed them before the first would never be found."""
    store, path = ObjectStore(str(tmp_path / "store")), list_file(ENTRIES)
    between = AwayAtPublication(answers_publication=answers_publication)
    with redis_between(redis_url, between) as url, connect(url) as client:
        looked = partial(prepare, client, store)
        with suppress(StoreError):
            import_file(client, storage, "own", path, small_changes=0, look_back=looked)
        between.back = True
        redis.delete(WRITER)  # it expires after 20 s
        assert import_file(client, storage, "own", path, small_changes=0, look_back=looked).added == 0
    jobs = [tmp_path / "store" / "lookback" / f"{job}.parquet" for job in redis.hkeys(JOBS)]
    assert sum(pq.read_metadata(job).num_rows for job in jobs) == ENTRIES
