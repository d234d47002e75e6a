"""Lists of files, in the audit log."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from worker.bank.file_records import GONE_MS, record_list_files
from worker.bank.keys import FILES_RECORDED
from worker.errors import StoreError
from worker.store.redis_client import now_ms
from worker.store.redis_keys import AUDIT_UNLINKED


def recorded(redis: Redis) -> list[tuple[str, str, str]]:
    entries = [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]
    assert {(entry["act"], entry["by"]) for entry in entries} <= {("list", "worker")}
    return [(entry["details"]["did"], entry["subject"], entry["details"]["version"]) for entry in entries]


def test_a_version_is_recorded_once_by_all_workers(redis: Redis):
    """A list could be emptied in its folder without a record; or each worker would write one every few seconds."""
    with ThreadPoolExecutor(8) as workers:
        assert sum(workers.map(lambda _: record_list_files(redis, {"own": "v1", "police": "v7"}), range(20))) == 2
    assert record_list_files(redis, {"own": "v2", "police": "v7"}) == 1
    # Another host has the file of before for a while.
    assert record_list_files(redis, {"own": "v1", "police": "v7"}) == 0
    assert sorted(recorded(redis)) == [("file", "own", "v1"), ("file", "own", "v2"), ("file", "police", "v7")]


def test_a_list_that_no_worker_sees_any_more_is_recorded(redis: Redis):
    """Known material could be taken out of force by deleting a file, and nobody would know when."""
    record_list_files(redis, {"own": "v1"})
    assert record_list_files(redis, {}) == 0
    redis.zadd(FILES_RECORDED, {"own v1": now_ms(redis) - GONE_MS - 1_000})
    # A worker that still has it says so first.
    assert record_list_files(redis, {"own": "v1"}) == 0
    redis.zadd(FILES_RECORDED, {"own v1": now_ms(redis) - GONE_MS - 1_000})
    assert record_list_files(redis, {}) == 1
    assert record_list_files(redis, {}) == 0
    assert recorded(redis)[1:] == [("file_gone", "own", "v1")]
    assert record_list_files(redis, {"own": "v1"}) == 1


def test_trouble_with_the_log_is_an_error_to_try_again(redis: Redis):
    """A change that was not recorded would be taken for recorded."""
    redis.set(AUDIT_UNLINKED.name, "no stream")
    with pytest.raises(StoreError):
        record_list_files(redis, {"own": "v1"})
    redis.delete(AUDIT_UNLINKED.name)
    assert record_list_files(redis, {"own": "v1"}) == 1
