"""Unreadable files of the verdict log cost only their own rows."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logged import a_hash, added, row, write
from redis import Redis

from models.bank.entries import ListSpec
from worker.doctor.diagnosis import State
from worker.doctor.lists import examine_log_files
from worker.errors import ObjectStoreError
from worker.events.operations import OPERATIONS
from worker.lookback.file_search import HashQuery, files_left, scan
from worker.lookback.jobs import Job
from worker.lookback.late_files import next_late, register_again
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms
from worker.verdictlog.damaged import DAMAGED, damage_recorder, recheck_damaged
from worker.verdictlog.file_writing import HOLDS
from worker.verdictlog.files import LogFile, folders
from worker.verdictlog.reading import read_log
from worker.verdictlog.retention import KEPT, MERGE_MS, _merge, keep_log, purge
from worker.verdictlog.rows import SCHEMA, table_of

HOUR = 3_600_000
SHOWN = a_hash(1)


def _parquet(table: pa.Table, **metadata: bytes) -> bytes:
    data = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({HOLDS: metadata["holds"]} if metadata else None), data)
    return data.getvalue()


def _changed(**fields: object) -> bytes:
    return _parquet(table_of([row(SHOWN, **fields)]))


def _with_column(name: str, column: pa.Array) -> bytes:
    table = table_of([row(SHOWN)])
    return _parquet(table.set_column(SCHEMA.get_field_index(name), name, column))


def _flipped(data: bytes) -> bytes:
    """The bytes with damage in the pages, which have no checksum; the directory at the end is intact."""
    return data[:4] + bytes(byte ^ 0x5A for byte in data[4:200]) + data[200:]


RUINED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "zeros": lambda data: bytes(len(data)),
    "garbage": lambda _: b"PAR1" + a_hash(9) * 40 + b"\xff\xff\xff\x7fPAR1",
    "cut short": lambda data: data[: len(data) // 2],
    "without its beginning": lambda data: data[len(data) // 2 :],
    "without its pages": lambda data: bytes(200) + data[200:],
    "with other pages": _flipped,
    "a directory that is damaged": lambda data: data[:-3000] + bytes(2900) + data[-100:],
    "another schema": lambda _: _parquet(pa.table({"stream_id": [1.5], "capture_ms": ["noon"]})),
    "foreign": lambda _: _parquet(pa.table({"x": [1]})),
    "other rows than its name says": lambda _: _parquet(table_of([row(SHOWN)] * 3)),
    "no stream": lambda _: _changed(stream_id=None),
    "no JSON": lambda _: _changed(metadata="{"),
    "no mapping": lambda _: _changed(metadata="[]"),
    "no distance": lambda _: _changed(matches=[{"list": "x", "entry": "1", "distance": None, "tags": []}]),
    "no match": lambda _: _changed(matches=[None]),
    "no score": lambda _: _changed(scores=[("m/nsfw", None)]),
    "no text": lambda _: _with_column("segment_key", pa.array([b"\xff\xfe"]).view(pa.string())),
    "holds a number": lambda data: _parquet(table_of([row(SHOWN)]), holds=b"5"),
    "holds no JSON": lambda data: _parquet(table_of([row(SHOWN)]), holds=b"\xff["),
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(url: str) -> ObjectStore:
    return ObjectStore(url)


def ruin(store: ObjectStore, url: str, *, at_ms: int, merged: bool = False) -> dict[str, str]:
    """A file of each kind, written from `at_ms` on; path to its damage."""
    found = {}
    for number, (name, damage) in enumerate(RUINED.items()):
        file = write(store, [row(SHOWN, capture_ms=at_ms)], written_ms=at_ms + number)
        path = Path(url) / file.path
        path.write_bytes(damage(path.read_bytes()))
        kept = file.path.replace(".parquet", "-merged.parquet") if merged else file.path
        path.rename(Path(url) / kept)
        found[kept] = name
    end = "-merged.parquet" if merged else ".parquet"
    folder = (Path(url) / kept).with_name(f"{at_ms + 99}-{at_ms}-{at_ms}-1-0123456789abcdef{end}")
    folder.mkdir()
    found[str(folder.relative_to(url))] = "a folder"
    return found


def published(redis: Redis) -> list[dict[str, Any]]:
    return [json.loads(fields["event"]) for _, fields in redis.xrange(OPERATIONS)]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    return [message for message in messages if "left out" in message]


@pytest.mark.expected_errors("damaged, and left out")
@pytest.mark.parametrize("merged", [False, True])
def test_damaged_files_cost_only_themselves(
    redis: Redis, store: ObjectStore, url: str, merged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """After one minute with a full disk, no hash would be looked back for any more, and nothing purged."""
    now = now_ms(redis)
    begin = (now - 2 * HOUR) // MERGE_MS * MERGE_MS
    damaged = ruin(store, url, at_ms=begin, merged=merged)
    good = [write(store, [row(SHOWN, capture_ms=begin)], written_ms=begin + 300 + number) for number in range(2)]
    old = write(store, [row(SHOWN)], written_ms=now - 30 * HOUR)
    for _ in range(3):
        redis.delete(KEPT)
        assert not keep_log(redis, store, hours=24, deployment="test", seconds=60)
    assert redis.exists(KEPT)  # it came to its end
    assert old.path not in paths(store)
    merged_good = [path for path in paths(store) if path.endswith("-merged.parquet") and path not in damaged]
    assert len(merged_good) == 1
    noted = set(map(str, redis.hkeys(DAMAGED)))
    # Only the directory of the one that was merged has been read: its content is not merged again.
    assert noted < damaged.keys() if merged else noted == damaged.keys()
    assert len(logged(caplog)) == len(noted)
    (event,) = published(redis)
    assert event["type"] == "livewarden.operations.verdict_log_damaged.v1"
    assert event["data"]["files_new"] == event["data"]["files_total"] == len(noted)

    left_out: list[str] = []
    batches = read_log(url, 0, 2**62, left_out=lambda file, _: left_out.append(file.path))
    assert sum(batch.num_rows for batch in batches) == len(good)
    assert set(left_out) == damaged.keys()
    job = Job(id="1", bulk=False, since_ms=0, arrived_ms=now, begun_ms=now)
    wanted = HashQuery.of([added("known", "case-7", SHOWN, at_ms=now)], {"known": ListSpec(name="known")}, {})
    steps = list(scan(store, files_left(store, job), wanted, job, left_out=damage_recorder(redis)))
    assert sum(len(step.found) for step in steps) == len(good)
    noted = set(map(str, redis.hkeys(DAMAGED)))
    assert noted == damaged.keys()
    assert len(logged(caplog)) == len(noted)

    later = now + 24 * HOUR
    assert purge(store, now_ms=later, hours=24, until=monotonic() + 60)
    assert [path for path in paths(store) if damaged.get(path) != "a folder"] == []


def paths(store: ObjectStore) -> list[str]:
    return [f"{folder}/{name}" for _, folder in folders(store) for name in store.all_names(folder)]


def test_sources_of_a_damaged_merged_file_stay(store: ObjectStore, url: str) -> None:
    """The last copy of verdicts would be removed because of an unreadable merged file."""
    now = 1_800_014_400_000
    files = [write(store, [row(SHOWN, capture_ms=number)], written_ms=now + number) for number in range(3)]
    _merge(store, files, now)
    (merged,) = [path for path in paths(store) if path.endswith("-merged.parquet")]
    path = Path(url) / merged
    path.write_bytes(_flipped(path.read_bytes()))
    left_out: list[str] = []
    for _ in range(2):
        assert purge(
            store,
            now_ms=now + HOUR,
            hours=24,
            until=monotonic() + 60,
            left_out=lambda file, _: left_out.append(file.path),
        )
    assert left_out == [merged] * 2
    assert {file.path for file in files} < set(paths(store))


@pytest.mark.expected_errors("damaged, and left out")
def test_sources_of_a_damaged_merged_file_are_read_and_merged_again(redis: Redis, store: ObjectStore, url: str) -> None:
    """Intact rows on disk would be missed by every look-back and replay."""
    now = now_ms(redis)
    begin = (now - 2 * HOUR) // MERGE_MS * MERGE_MS
    files = [write(store, [row(SHOWN, capture_ms=begin + number)], written_ms=begin + number) for number in range(3)]
    _merge(store, files, now)
    (merged,) = [path for path in paths(store) if path.endswith("-merged.parquet")]
    path = Path(url) / merged
    path.write_bytes(_flipped(path.read_bytes()))
    assert captures(url) == [begin, begin + 1, begin + 2]
    assert not keep_log(redis, store, hours=24, seconds=60)
    assert captures(url) == [begin, begin + 1, begin + 2]
    assert purge(store, now_ms=now + HOUR, hours=24, until=monotonic() + 60)
    (left,) = paths(store)
    assert left != merged
    assert captures(url) == [begin, begin + 1, begin + 2]


def captures(url: str) -> list[int]:
    return sorted(time for batch in read_log(url, 0, 2**62) for time in batch["capture_ms"].to_pylist())


@pytest.mark.expected_errors("damaged, and left out")
def test_each_damaged_file_is_eventually_read_again(redis: Redis) -> None:
    """After a disk recovers, intact files behind a few slow ones would be left out indefinitely."""
    names = [f"{number}-1-1-1-0123456789abcdef.parquet" for number in range(1, 9)]
    for name in names:
        file = LogFile.parse("verdicts/date=2026-11-26/hour=12", name)
        assert file is not None
        damage_recorder(redis)(file, ObjectStoreError("cut short", damaged=True))
    first = min(map(str, redis.hkeys(DAMAGED)))
    gone = max(map(str, redis.hkeys(DAMAGED)))
    clock = [monotonic() - 1]
    for _ in range(500):
        read: list[str] = []

        def is_damaged(path: str, read: list[str] = read) -> bool:
            read.append(path)
            while monotonic() < clock[0]:
                pass  # one takes all the time there is
            return path == first

        clock[0] = monotonic() + 0.02
        recheck_damaged(redis, lambda path: path != gone, is_damaged, lambda _: None, until=clock[0])
        assert gone not in redis.hkeys(DAMAGED)
        assert len(read) <= 1
        if redis.hlen(DAMAGED) == 1:
            break
    assert redis.hkeys(DAMAGED) == [first]


class Refusing:
    """A store that slowly refuses to remove some files."""

    def __init__(self, store: ObjectStore, refused: set[str], until: Callable[[], float]) -> None:
        self._remove, self._refused, self._until = store.remove, refused, until
        self.removed: list[str] = []

    def remove(self, path: str) -> None:
        self.removed.append(path)
        if path in self._refused:
            while monotonic() < self._until():
                pass
            raise ObjectStoreError("store: refused") from PermissionError(13, "Permission denied")
        self._remove(path)


def test_files_that_cannot_be_removed_do_not_end_merging(
    redis: Redis, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder with other permissions: small files would never be merged again, and the task be sent without
    pause."""
    now = now_ms(redis)
    refused = {write(store, [row(SHOWN)], written_ms=now - 30 * HOUR + number).path for number in range(5)}
    begin = (now - 2 * HOUR) // MERGE_MS * MERGE_MS
    for number in range(2):
        write(store, [row(SHOWN, capture_ms=begin)], written_ms=begin + number)
    slice_begins = monotonic()
    stubborn = Refusing(store, refused, lambda: slice_begins + 2.0)
    monkeypatch.setattr(store, "remove", stubborn.remove)
    assert not keep_log(redis, store, hours=24, seconds=3)
    assert redis.exists(KEPT)
    assert len([path for path in paths(store) if path.endswith("-merged.parquet")]) == 1  # no new copy of due files


def test_a_refusing_folder_does_not_use_up_the_time_of_others(
    redis: Redis, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a store takes 0.2 s to refuse each of a thousand files, nothing else would be purged in that slice."""
    hour = now_ms(redis) // HOUR * HOUR
    refused = {write(store, [row(SHOWN)], written_ms=hour - 30 * HOUR + number).path for number in range(20)}
    due = {write(store, [row(SHOWN)], written_ms=hour - hours * HOUR).path for hours in range(31, 41)}
    stubborn = Refusing(store, refused, lambda: began + 0.2 * (1 + len(refused.intersection(stubborn.removed))))
    monkeypatch.setattr(store, "remove", stubborn.remove)
    began = monotonic()
    assert purge(store, now_ms=hour, hours=24, until=began + 3)
    assert set(paths(store)) == refused
    assert len(refused.intersection(stubborn.removed)) == len(stubborn.removed) - len(due) == 3


def test_a_path_that_is_no_file_counts_as_one_damaged_file(redis: Redis, store: ObjectStore, url: str) -> None:
    """A pipe would block indefinitely, or a link to itself would look like an unreachable store."""
    now = now_ms(redis)
    whole = write(store, [row(SHOWN, capture_ms=now)], written_ms=now)
    pipe, loop = (whole.path.replace("-1-", f"-{number}-", 1) for number in (2, 3))
    os.mkfifo(f"{url}/{pipe}")
    for link in (loop, f"{whole.folder}/loop.parquet"):
        Path(url, link).symlink_to("loop.parquet")
    left_out: list[str] = []
    batches = read_log(url, 0, now + HOUR, left_out=lambda file, _: left_out.append(file.path))
    assert [batch.num_rows for batch in batches] == [1]
    assert sorted(left_out) == sorted([pipe, loop])
    assert purge(store, now_ms=now + 48 * HOUR, hours=24, until=monotonic() + 10)
    assert paths(store) == [f"{whole.folder}/loop.parquet"]


def test_folders_that_are_no_hours_are_skipped(store: ObjectStore, url: str) -> None:
    """A folder made by hand would end every reader of the log."""
    write(store, [row(SHOWN)], written_ms=1_000_000)
    for name in ("date=2026-02-30/hour=12", "date=2026-01-01/hour=99", "date=0000-01-01/hour=00"):
        (Path(url) / "verdicts" / name).mkdir(parents=True)
    assert [begin for begin, _ in folders(store)] == [0]


@pytest.mark.expected_errors("damaged, and left out")
def test_a_file_that_was_incomplete_is_searched_once_it_is_intact(redis: Redis, store: ObjectStore, url: str) -> None:
    """While a log is copied to another disk, files in transit would never be compared with a new hash."""
    now = now_ms(redis)
    file = write(store, [row(SHOWN, capture_ms=now - 9000)], written_ms=now - 5000)
    path = Path(url) / file.path
    whole = path.read_bytes()
    path.write_bytes(whole[:300])
    assert found(redis, store, now) == 0
    assert not keep_log(redis, store, hours=24)
    assert redis.hkeys(DAMAGED) == [file.path]
    path.write_bytes(whole)
    redis.delete(KEPT)
    assert not keep_log(redis, store, hours=24, when_whole=lambda path: register_again(redis, path))
    assert redis.hlen(DAMAGED) == 0
    late = next_late(redis)
    assert late is not None
    assert late.path == file.path
    assert late.judged_by.lacks_shared(late.judged_by)  # compared with all entries in force
    path.unlink()
    damage_recorder(redis)(file, ObjectStoreError("gone by then", damaged=True))
    redis.delete(KEPT)
    assert not keep_log(redis, store, hours=24)
    assert redis.hlen(DAMAGED) == 0


def found(redis: Redis, store: ObjectStore, now: int) -> int:
    job = Job(id="1", bulk=False, since_ms=0, arrived_ms=now, begun_ms=now)
    wanted = HashQuery.of([added("known", "case-7", SHOWN, at_ms=now)], {"known": ListSpec(name="known")}, {})
    return sum(
        len(step.found) for step in scan(store, files_left(store, job), wanted, job, left_out=damage_recorder(redis))
    )


def test_a_failing_store_does_not_make_files_damaged(
    redis: Redis, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a disk cannot be read, each file would count as damaged, and a look-back would end without having
    searched."""
    now = now_ms(redis)
    write(store, [row(SHOWN)], written_ms=now)
    opened = store._files.open

    def broken(*arguments: object, **options: object) -> object:
        file = opened(*arguments, **options)
        file.read = _fails
        return file

    monkeypatch.setattr(store._files, "open", broken)
    with pytest.raises(ObjectStoreError, match="Input/output error") as caught:
        found(redis, store, now)
    assert not caught.value.damaged
    assert redis.hlen(DAMAGED) == 0


def _fails(*_: object) -> bytes:
    raise OSError(5, "Input/output error")


@pytest.mark.expected_errors("damaged, and left out")
def test_doctor_names_damaged_files(redis: Redis) -> None:
    """Hours of the log would be gone, and the deployment look healthy."""
    name = f"{now_ms(redis)}-1-1-1-0123456789abcdef.parquet"
    file = LogFile.parse("verdicts/date=2026-11-26/hour=12", name)
    assert file is not None
    damage_recorder(redis)(file, ObjectStoreError(f"store: {file.path}: cut short", damaged=True))
    (shown,) = examine_log_files(redis)
    assert (shown.state, shown.name) == (State.WARN, "verdict log files")
    assert "1 file cannot be read" in shown.found
    assert "cut short" in shown.found
    redis.delete(DAMAGED)
    assert list(examine_log_files(redis)) == []
