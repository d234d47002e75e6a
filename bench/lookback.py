"""Look-back: new hashes against a day of logged ones, from the files of the verdict log to the matches.

    python -m bench.lookback [--quick]

One thread. The log is that of a day: most of it merged, and the last minutes in small files, as worker processes write
them. Of the logged hashes one in 10^4 is near a new one.
"""

import argparse
import tempfile
from time import perf_counter, thread_time
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.join import join
from models.bank.sweep import sweep
from worker.lookback.bulk import PART
from worker.lookback.file_search import IN_A_TASK, IN_BULK, NEAREST, SWEPT, HashQuery, files_left, scan
from worker.lookback.jobs import Job
from worker.store.object_store import ObjectStore
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.retention import MERGED_ROWS
from worker.verdictlog.rows import SCHEMA, table_of

SMALL_FILES = 600
"""Ten processes write a file each every ten seconds; files older than ten minutes are merged."""
SMALL_ROWS = 50
NOW_MS = 1_800_000_000_000
DAY_MS = 24 * 3_600_000

ROW: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {
    "stream_id": "stream-4711",
    "generation": 1,
    "segment_key": "1-0-360-000-0123456789abcdef0123456789abcdef",
    "capture_ms": NOW_MS,
    "pts_seconds": 0.5,
    "reason": "keyframe",
    "pdq": bytes(32),
    "pdq_quality": 90,
    "matches": [],
    "scores": [("open-nsfw/nsfw", 0.1), ("open-nsfw/sfw", 0.9)],
    "purpose": "live",
    "audience": "public",
    "risk_prior": 0.1,
    "metadata": '{"channel": "cooking"}',
    "model_versions": [("open-nsfw", "1")],
}


def logged_hashes(count: int, sought: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """(count, 32), uniformly random; every ten thousandth is 0 to 40 bits from one of `sought`."""
    hashes = random.integers(0, 256, (count, 32), np.uint8)
    places = np.arange(0, count, 10_000)
    near = np.unpackbits(sought[random.integers(0, len(sought), len(places))], axis=1)
    bits = random.random((len(places), 256)).argsort(axis=1) < random.integers(0, 41, (len(places), 1))
    hashes[places] = np.packbits(near ^ bits, axis=1)
    return hashes


def write_log(store: ObjectStore, hashes: npt.NDArray[np.uint8]) -> None:
    """Writes a day of them, on 10,007 streams: a stream that repeats a picture for an hour is reported only partly."""
    small = min(SMALL_FILES * SMALL_ROWS, len(hashes) // 2)
    begin = 0
    full, rest = divmod(len(hashes) - small, MERGED_ROWS)
    sizes = [MERGED_ROWS] * full + [rest] * (rest > 0) + [SMALL_ROWS] * (small // SMALL_ROWS)
    repeated = table_of([ROW] * MERGED_ROWS)
    for number, size in enumerate(sizes):
        written_ms = NOW_MS - DAY_MS // 2 + (number * DAY_MS // 2) // len(sizes)
        part = hashes[begin : begin + size]
        begin += size
        table = repeated.slice(0, size)
        columns = {
            "pdq": pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), size, [None, pa.py_buffer(part.tobytes())]),
            "stream_id": pa.array([f"stream-{(begin + row) * 7 % 10_007}" for row in range(size)]),
            "capture_ms": pa.array(np.full(size, written_ms - 5_000)),
        }
        for name, column in columns.items():
            table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
        write_table(store, table, written_ms=written_ms)


def measure(logged: int, sought_count: int) -> dict[str, float]:
    """Seconds of comparing in memory, and of the search from files to matches with its CPU seconds."""
    random = np.random.default_rng(1)
    sought = random.integers(0, 256, (sought_count, 32), np.uint8)
    hashes = logged_hashes(logged, sought, random)
    few = sought_count <= SWEPT
    began = perf_counter()
    limits = np.full(sought_count, 31, np.uint8)
    near = sweep(hashes, sought, limits) if few else join(hashes, sought, limits, nearest=NEAREST)
    compared = perf_counter() - began
    changes = [
        BankChange.add("known", Entry(entry=str(place), kind=HashKind.PDQ, value=value.tobytes()), at_ms=NOW_MS)
        for place, value in enumerate(sought)
    ]
    job = Job(id="1", bulk=False, since_ms=NOW_MS - DAY_MS, arrived_ms=NOW_MS, begun_ms=NOW_MS)
    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(folder)
        write_log(store, hashes)
        began, cpu = perf_counter(), thread_time()
        wanted = HashQuery.of(changes, {"known": ListSpec(name="known")}, {})
        steps = scan(store, files_left(store, job), wanted, job, IN_A_TASK if few else IN_BULK)
        found = sum(len(step.found) for step in steps)
        searched, cpu = perf_counter() - began, thread_time() - cpu
    return {
        "compare_seconds": compared,
        "search_seconds": searched,
        "search_cpu_seconds": cpu,
        "pairs": float(len(near.hashes)),
        "found": float(found),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="10^6 logged hashes, not 10^7")
    logged = 10**6 if parser.parse_args().quick else 10**7
    for sought_count in (1, 100, 1000, PART):
        figures = measure(logged, sought_count)
        print(
            f"{logged:.0e} logged × {sought_count:6} new: compared in {figures['compare_seconds']:6.2f} s, "
            f"from the files {figures['search_seconds']:6.2f} s ({figures['search_cpu_seconds']:.2f} s CPU); "
            f"{figures['found']:.0f} found of {figures['pairs']:.0f} near"
        )


if __name__ == "__main__":
    main()
