"""The verdict log in a real folder: rows are read back completely, for the configured time and no longer."""

import io
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Event
from time import monotonic

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hls_origin import eventually
from logged import a_hash, row, write
from redis import Redis

from worker.bank.lists_in_force import BankMark
from worker.errors import ObjectStoreError, StoreError
from worker.store.object_store import UNFINISHED, ObjectStore
from worker.store.redis_client import now_ms
from worker.verdictlog.files import ROOT, folder_of, folders
from worker.verdictlog.reading import files_in, read_log
from worker.verdictlog.retention import KEPT, LEASE, MERGE_MS, _merge, keep_log, purge
from worker.verdictlog.rows import SCHEMA, sample_facts_of, stream_facts_of
from worker.verdictlog.writer import FAILING, FLUSH_ROWS, MOST_WAITING_ROWS, VerdictWriter

HOUR = 3_600_000
NOON = 1_800_014_400_000
"""2027-01-15, 12:00 UTC."""
NEVER = 2**62


MARK = BankMark(position="5-0")


def nowhere(_: str, __: BankMark) -> AbstractContextManager[None]:
    """A registration of files that does nothing."""
    return nullcontext()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "store")


@pytest.fixture
def store(url: str) -> ObjectStore:
    return ObjectStore(url)


@pytest.fixture
def writer(store: ObjectStore) -> Iterator[VerdictWriter]:
    writer = VerdictWriter(lambda: store, registered=nowhere)
    yield writer
    writer.close()


def captures(url: str, since_ms: int = 0, until_ms: int = NEVER) -> list[int]:
    return [
        time for batch in read_log(url, since_ms, until_ms, ["capture_ms"]) for time in batch["capture_ms"].to_pylist()
    ]


def paths(store: ObjectStore) -> list[str]:
    return [f"{folder}/{name}" for _, folder in folders(store) for name in store.all_names(folder)]


def test_all_facts_visible_to_rules_are_read_back(writer: VerdictWriter, url: str) -> None:
    """A replay would evaluate other samples than the original ones."""
    matches = [
        {
            "list": "known",
            "entry": "7",
            "distance": 4,
            "video": "v",
            "seconds": 1.5,
            "variant": None,
            "version": "a",
            "tags": ["x"],
        }
    ]
    writer.add(
        [row(a_hash(1), matches=matches, frozen=True), row(None, metadata='{"room": "gr\\u00fcn"}')],
        now_ms=NOON,
        judged_by=MARK,
    )
    assert writer.flush()
    (batch,) = read_log(url, 0, NEVER)
    assert batch.schema.equals(SCHEMA)
    first, second = batch.to_pylist()
    assert (first["pdq"], second["pdq"]) == (a_hash(1), None)
    facts = sample_facts_of(first)
    assert (facts.matches[0].video, facts.matches[0].tags, facts.matches[0].distance) == ("v", ("x",), 4)
    assert facts.scores == {"m/nsfw": 0.1}
    assert stream_facts_of(second).metadata == {"room": "grün"}
    assert stream_facts_of(second).risk == second["risk_prior"], "a log of an older version has no risk"
    assert stream_facts_of({**second, "risk": 0.75}).risk == 0.75
    assert first["frozen"] is True


def test_the_log_is_partitioned_by_capture_time(store: ObjectStore, url: str) -> None:
    """A reader of one hour would get other hours, miss rows written late, or read a whole day."""
    write(store, [row(capture_ms=NOON - 1), row(capture_ms=NOON)], written_ms=NOON + 5)
    write(store, [row(capture_ms=NOON + 1)], written_ms=NOON + 3 * HOUR)  # the store was away
    write(store, [row(capture_ms=NOON + HOUR)], written_ms=NOON + HOUR + 5)
    assert captures(url, NOON, NOON + HOUR) == [NOON, NOON + 1]
    assert [folder for _, folder in folders(store)] == [f"{ROOT}/date=2027-01-15/hour={hour}" for hour in (12, 13, 15)]
    assert captures(url, NOON + 2, NOON + 2) == []


def test_no_other_user_of_the_machine_reads_it(store: ObjectStore, url: str) -> None:
    """The log is personal data: it records what people showed and when."""
    write(store, [row()], written_ms=NOON)
    assert stat.S_IMODE(Path(url).stat().st_mode) == 0o700


def test_an_older_file_lacks_newer_columns(store: ObjectStore, url: str) -> None:
    """After an update the previous day's log could not be read."""
    file = write(store, [row(a_hash(1))], written_ms=NOON)
    data = io.BytesIO()
    pq.write_table(pa.table({"capture_ms": [5], "stream_id": ["s"]}), data)
    store.write(file.path, data.getvalue())
    (batch,) = read_log(url, 0, NEVER, ["stream_id", "pdq"])
    assert batch.to_pylist() == [{"stream_id": "s", "pdq": None}]


def test_buffered_rows_are_written_at_shutdown(writer: VerdictWriter, store: ObjectStore, url: str) -> None:
    """Each restart of a worker would leave a gap in the log."""
    writer.add([row(capture_ms=1)], now_ms=NOON, judged_by=MARK)
    writer.add([row(capture_ms=2)], now_ms=NOON + 1000, judged_by=MARK)
    writer.close()
    writer.close()
    assert captures(url) == [1, 2]
    ((_, folder),) = folders(store)
    (file,) = files_in(store, folder)
    assert (folder, file.first_capture_ms, file.last_capture_ms, file.rows) == (folder_of(NOON), 1, 2, 2)
    assert NOON + 1000 <= file.written_ms < NOON + 20_000


def test_a_full_buffer_is_written_before_its_time(writer: VerdictWriter, url: str) -> None:
    """A busy process would hold all rows of ten seconds, however many."""
    writer.add([row(capture_ms=number) for number in range(FLUSH_ROWS)], now_ms=NOON, judged_by=MARK)
    eventually(lambda: len(captures(url)) == FLUSH_ROWS, within_seconds=8, what="the log is written")


@pytest.mark.expected_errors("the verdict log cannot be written")
def test_a_failing_store_stops_nothing_and_is_reported(tmp_path: Path) -> None:
    """A full disk would stop moderation, or lose verdicts unnoticed."""
    (tmp_path / "store").write_text("a file where the folder should be")
    marks: list[BankMark] = []

    @contextmanager
    def registered(_: str, mark: BankMark) -> Iterator[None]:
        marks.append(mark)
        yield

    writer = VerdictWriter(lambda: ObjectStore(str(tmp_path / "store")), registered=registered)
    writer.add([row(capture_ms=1)], now_ms=NOON, judged_by=MARK)
    assert writer.degraded == ()
    assert not writer.flush()
    assert writer.degraded == (FAILING,)
    writer.add([row(capture_ms=2)] * MOST_WAITING_ROWS, now_ms=NOON + 60_000, judged_by=BankMark(position="10-0"))
    (tmp_path / "store").unlink()
    assert writer.flush()
    assert writer.degraded == ()
    assert captures(str(tmp_path / "store")) == [2] * MOST_WAITING_ROWS
    assert marks == [MARK, MARK], "the oldest by which anything of it was judged"
    writer.add([row(capture_ms=3)], now_ms=NOON + 90_000, judged_by=BankMark(position="11-0"))
    assert writer.flush()
    assert marks[2:] == [BankMark(position="11-0")]
    writer.close()


def test_rows_that_cannot_be_registered_wait_and_are_not_lost_at_shutdown(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log would have rows that are never compared with changes made meanwhile, or a worker that ends would lose its
    rows; or each restart of Redis, which loses none of them, would log an error that calls an operator."""

    def away(_: str, __: BankMark) -> AbstractContextManager[None]:
        raise StoreError("Redis: it is away")

    writer = VerdictWriter(lambda: ObjectStore(url), registered=away)
    writer.add([row(capture_ms=1)], now_ms=NOON, judged_by=MARK)
    assert not writer.flush()
    assert captures(url) == []
    assert [(record.levelname, "wait for Redis" in record.getMessage()) for record in caplog.records] == [
        ("WARNING", True)
    ]
    writer.close()
    assert captures(url) == [1]


@pytest.mark.expected_errors("the verdict log cannot be written")
def test_a_store_failure_after_a_redis_failure_is_still_an_error(tmp_path: Path) -> None:
    """An alert on errors would come ten minutes late."""
    failures = [StoreError("Redis: it is away")]

    @contextmanager
    def registered(_: str, __: BankMark) -> Iterator[None]:
        if failures:
            raise failures.pop()
        yield

    writer = VerdictWriter(lambda: ObjectStore(str(tmp_path / "store")), registered=registered)
    writer.add([row()], now_ms=NOON, judged_by=MARK)
    assert not writer.flush()
    (tmp_path / "store").write_text("a file where the folder should be")
    assert not writer.flush()
    writer.close()


@pytest.mark.expected_errors("the verdict log cannot be written")
def test_an_unknown_store_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """An operator would not learn which setting has the typo, or the message would show a password."""
    writer = VerdictWriter(lambda: ObjectStore("nosuch://user:secret@host/x"), registered=nowhere)
    writer.add([row()], now_ms=NOON, judged_by=MARK)
    assert not writer.flush()
    assert "LIVEWARDEN_STORE_URL" in caplog.text
    assert "secret" not in caplog.text
    writer.close()


def test_a_store_that_hangs_blocks_nobody(url: str) -> None:
    """An unresponsive store would stop moderation."""
    answered, asked, went_on = Event(), Event(), Event()

    class Hanging(ObjectStore):
        def write(self, path: str, data: bytes | memoryview) -> None:
            asked.set()
            if answered.wait(60):
                went_on.set()
            super().write(path, data)

    writer = VerdictWriter(lambda: Hanging(url), registered=nowhere)
    writer.add([row(capture_ms=1)] * FLUSH_ROWS, now_ms=NOON, judged_by=MARK)
    assert asked.wait(60)
    writer.add([row(capture_ms=2)], now_ms=NOON, judged_by=MARK)
    assert writer.degraded == ()
    answered.set()
    writer.close()
    assert went_on.is_set(), "the store hung until all of that was done"
    assert len(captures(url)) == FLUSH_ROWS + 1


def test_one_row_that_cannot_be_stored_costs_no_other(writer: VerdictWriter, url: str) -> None:
    """A name with an incomplete character, as a list may have, would keep all rows of a process from being written."""
    writer.add([row(capture_ms=1), row(capture_ms=2, reason="\ud800"), row(capture_ms=3)], now_ms=NOON, judged_by=MARK)
    assert writer.flush()
    assert captures(url) == [1, 3]


DYING = """
import os, sys
from worker.store.object_store import ObjectStore
store = ObjectStore(sys.argv[1])
store._files.mv = lambda *_: os._exit(9)
store.write(sys.argv[2], b"PAR1 half")
"""

FULL = """
import resource, sys
from worker.store.object_store import ObjectStore
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
ObjectStore(sys.argv[1]).write(sys.argv[2], bytes(5000))
"""


@pytest.mark.parametrize(("script", "left", "problem"), [(DYING, 1, ""), (FULL, 0, "ObjectStoreError: store: writing")])
def test_an_incomplete_file_is_never_read(store: ObjectStore, url: str, script: str, left: int, problem: str) -> None:
    """A worker killed while writing, or a full disk, would leave a file that breaks every reader."""
    path = f"{folder_of(NOON)}/{NOON}-1-1-1-0123456789abcdef.parquet"
    done = subprocess.run(
        [sys.executable, "-c", script, url, path],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert problem in done.stderr
    write(store, [row(capture_ms=7)], written_ms=NOON)
    assert captures(url) == [7]
    assert len(paths(store)) == 1 + left
    assert all(name.endswith(UNFINISHED) for name in store.all_names(folder_of(NOON)) if "0123456789abcdef" in name)


READS = """
import os, sys
from worker.verdictlog.reading import read_log
before = len(os.listdir("/proc/self/task"))
assert [batch.num_rows for batch in read_log(sys.argv[1], 0, 2**50)] == [1]
assert len(os.listdir("/proc/self/task")) == before
"""


def test_reading_leaves_no_thread_behind(store: ObjectStore, url: str) -> None:
    """A command that ends right after reading would sometimes die by SIGABRT."""
    write(store, [row()], written_ms=1_000_000)
    done = subprocess.run(
        [sys.executable, "-c", READS, url],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_expired_files_are_removed(redis: Redis, store: ObjectStore, url: str) -> None:
    """Personal data would be kept for longer than the operator has promised."""
    now = now_ms(redis)
    for hours in (30.0, 24.01, 23.9, 0.1):
        written = now - round(hours * HOUR)
        write(store, [row(capture_ms=written)], written_ms=written)
    left = f"{folder_of(now - 30 * HOUR)}/{now - 30 * HOUR}-1-1-1-0123456789abcdef.parquet.00{UNFINISHED}"
    store.write(left, b"PAR1 half")
    while keep_log(redis, store, hours=24):
        pass
    assert captures(url) == [now - round(hours * HOUR) for hours in (23.9, 0.1)]
    assert len(paths(store)) == 2
    assert store.names(ROOT)[0] == folder_of(now - round(23.9 * HOUR)).split("/")[1]
    assert redis.exists(KEPT)
    assert not redis.exists(LEASE)


def test_small_files_are_merged_and_no_row_is_read_twice(redis: Redis, store: ObjectStore, url: str) -> None:
    """A day of small files could not be searched within a minute; a row read twice would be evaluated twice."""
    now = now_ms(redis)
    begin = (now - HOUR) // MERGE_MS * MERGE_MS
    rows = [row(a_hash(number), capture_ms=begin + number) for number in range(60)]
    for number in range(0, 60, 3):
        write(store, rows[number : number + 3], written_ms=begin + number)
    recent = write(store, [row(capture_ms=now)], written_ms=now)
    folder = folder_of(begin)
    assert not keep_log(redis, store, hours=24)
    merged = [file for file in files_in(store, folder) if file.name != recent.name]
    assert [(file.merged, file.rows) for file in merged] == [(True, 60)]
    assert sorted(captures(url)) == [begin + number for number in range(60)] + [now]
    assert len(paths(store)) == 22  # readers may have the small ones open
    reader = read_log(url, 0, NEVER, ["capture_ms", "pdq"])
    first = next(reader)
    assert not keep_log(redis, store, hours=24)
    assert first["pdq"].to_pylist() == [a_hash(number) for number in range(60)]
    assert len(files_in(store, folder)) == len(merged) + (folder_of(now) == folder)
    reader.close()


def test_sources_of_a_merged_file_are_eventually_removed(store: ObjectStore, url: str) -> None:
    """The log would take twice the space."""
    files = [write(store, [row(capture_ms=number)], written_ms=NOON + number) for number in range(5)]
    _merge(store, files, NOON + HOUR)
    for later_ms, left in ((60_000, 6), (700_000, 1)):
        assert purge(store, now_ms=NOON + HOUR + later_ms, hours=24, until=monotonic() + 60)
        assert len(paths(store)) == left
        assert sorted(captures(url)) == [0, 1, 2, 3, 4]


def test_another_kind_of_store_works_too(redis: Redis) -> None:
    """Operators who use an object store, without renaming or real folders, could have no log."""
    url = "memory://livewarden-test/log"
    store = ObjectStore(url)
    assert captures(url) == []
    now = now_ms(redis)
    write(store, [row(capture_ms=now)], written_ms=now)
    write(store, [row(capture_ms=1)], written_ms=now - 30 * HOUR)
    assert sorted(captures(url)) == [1, now]
    assert not keep_log(redis, store, hours=24)
    assert captures(url) == [now]
    with pytest.raises(ObjectStoreError, match="no such file") as caught:
        store.open("verdicts/none")
    assert caught.value.missing
