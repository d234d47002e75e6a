"""The speed of a replay, as the command runs it, from the files to the tables.

    python -m bench.replay [--quick]

One process and one thread. The log is that of 1,000 streams, a picture every 2 s in segments of 4 s, mostly merged into
files of ten minutes as workers leave them. One stream in fifty has for a minute an hour scores between 0.7 and 1.0, one
picture in 20,000 is near a listed one; the others score as harmless streams do: 0.03 on average. Half an hour of it is
replayed. A day is 48 times as much: time grows with the rows, and memory does not, since a longer log is split by
stream on the disk; the cost of more parts is measured, and included. A day is reported in minutes of CPU, the time on a
machine with a free core.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from bench.lookback import ROW
from worker.replay.rows import PART_SCHEMA
from worker.replay.spool import RowSpool
from worker.store.object_store import ObjectStore
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.reading import read_log
from worker.verdictlog.retention import MERGED_ROWS
from worker.verdictlog.rows import SCHEMA, table_of

STREAMS = 1_000
SAMPLE_SECONDS, SEGMENT_SECONDS = 2, 4
DAY_ROWS = STREAMS * 86_400 // SAMPLE_SECONDS

TWENTY = "\n".join(
    [
        'version: "bench"',
        "rules:",
        """  - {name: known, when: 'matches.exists(m, m.distance <= 31)', severity: critical}""",
        *(
            f"""  - {{name: score-{number}, when: 'score("open-nsfw/nsfw") >= {0.5 + 0.05 * number:g} && """
            f"""stream.risk_prior >= 0.{number}', severity: review, persistence: {{hits: 3, within_seconds: 30}}}}"""
            for number in range(10)
        ),
        *(
            f"""  - {{name: window-{number}, when: 'window.count("open-nsfw/nsfw", 0.{5 + number}, "30s") >= 3', """
            "severity: review}"
            for number in range(5)
        ),
        *(
            f"""  - {{name: share-{number}, when: 'window.fraction("open-nsfw/nsfw", 0.{6 + number}, "20 samples") > """
            """0.4', severity: high}"""
            for number in range(4)
        ),
    ]
)
"""Twenty rules, nine of them over windows."""

EACH = """
version: "bench"
rules:
  - {name: every-picture, when: 'sample.quality >= 50 && score("open-nsfw/nsfw") >= 0.9', severity: review}
"""
"""A rule for which no two pictures are equal, so that it is evaluated on each."""


def write_log(store: ObjectStore, *, rows: int, until_ms: int) -> None:
    """Writes the last pictures of all streams before that time."""
    random = np.random.default_rng(1)
    repeated = table_of([ROW] * MERGED_ROWS)
    begin_ms = until_ms - rows * 1000 * SAMPLE_SECONDS // STREAMS
    for begin in range(0, rows, MERGED_ROWS):
        number = np.arange(begin, min(begin + MERGED_ROWS, rows))
        stream, sample = number % STREAMS, number // STREAMS
        seconds = sample * SAMPLE_SECONDS
        segment = seconds // SEGMENT_SECONDS
        loud = (stream % 50 == 0) & ((seconds + stream * 7) % 3600 < 60)
        nsfw = np.where(loud, random.uniform(0.7, 1.0, len(number)), random.beta(1, 30, len(number)))
        keys = [f"1.0.sole.{one}.{place:020x}" for one, place in zip(segment, stream, strict=True)]
        settled = begin_ms + 1000 * SEGMENT_SECONDS * (segment + 1) + 1500 + stream
        columns = {
            "stream_id": pa.array([f"stream-{one}" for one in stream]),
            "epoch": pa.array(np.zeros(len(number), np.int32)),
            "segment_key": pa.array(keys),
            "capture_ms": pa.array(begin_ms + 1000 * seconds),
            "pts_seconds": pa.array((seconds % SEGMENT_SECONDS).astype(float)),
            "settled_ms": pa.array(settled),
            "settled_after": pa.array(np.zeros(len(number), np.int64)),
            "looked_at": pa.array(np.ones(len(number), np.bool_)),
            "risk_prior": pa.array(stream % 10 / 10),
            "segment_ms": pa.array(np.full(len(number), 1000 * SEGMENT_SECONDS, np.int32)),
            "moderated_ms": pa.array(np.full(len(number), 1000 * SEGMENT_SECONDS, np.int32)),
            "unhashable_ms": pa.array(np.zeros(len(number), np.int32)),
            "scores": _scores(nsfw),
            "matches": _matches(random.random(len(number)) < 1 / 20_000),
        }
        table = repeated.slice(0, len(number))
        for name, column in columns.items():
            table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
        write_table(store, table, written_ms=int(settled[-1]))


def _scores(nsfw: npt.NDArray[np.float64]) -> pa.MapArray:
    both = np.stack([nsfw, 1 - nsfw], axis=1).ravel()
    names = pa.array(["open-nsfw/nsfw", "open-nsfw/sfw"] * len(nsfw))
    return pa.MapArray.from_arrays(pa.array(np.arange(0, len(both) + 1, 2, dtype=np.int32)), names, pa.array(both))


def _matches(listed: npt.NDArray[np.bool_]) -> pa.Array:
    match = {"list": "police", "entry": "1", "distance": 12, "version": "1", "tags": []}
    return pa.array([[match] if one else [] for one in listed], SCHEMA.field("matches").type)


def measure(folder: Path, policy: str | None) -> dict[str, float]:
    """Runs the command on a log; seconds, CPU seconds, the most memory in MB, pictures and incidents."""
    command = [
        sys.executable,
        "-m",
        "worker.cli.main",
        "policy",
        "replay",
        "--json",
        "--since",
        "365d",
        "--until",
        "1s",
    ]
    if policy is not None:
        path = folder / "policy.yaml"
        path.write_text(policy)
        command += ["--policy", str(path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    environment = {**os.environ, "LIVEWARDEN_STORE_URL": str(folder / "store")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = json.loads(done.stdout.splitlines()[-1])
    return {
        "seconds": seconds,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mb": after.ru_maxrss / 1024,
        "pictures": summary["pictures"],
        "would_be": summary["would_be"],
    }


def parting_seconds(folder: Path, rows: int, *, as_of: int) -> float:
    """CPU of a picture: reading a log of so many rows, splitting it as one of `as_of` rows, and reading the parts."""
    began = time.process_time()
    with RowSpool(PART_SCHEMA, rows=as_of) as spool:
        for batch in read_log(str(folder / "store"), 0, 2**62, PART_SCHEMA.names):
            spool.add(batch)
        for _ in spool.tables():
            pass
    return (time.process_time() - began) / rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="six minutes of the streams, not thirty")
    rows = DAY_ROWS // (240 if parser.parse_args().quick else 48)
    table = Table(title=f"Replay of {rows:,} pictures", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in (
        "policy",
        "seconds",
        "CPU s",
        "pictures a CPU s",
        "incidents",
        "peak MB",
        "a day of 1,000 streams",
    ):
        table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_log(ObjectStore(str(folder / "store")), rows=rows, until_ms=round(time.time() * 1000) - 60_000)
        more = parting_seconds(folder, rows, as_of=DAY_ROWS) - parting_seconds(folder, rows, as_of=rows)
        for name, policy in (
            ("as shipped", None),
            ("20 rules, 9 over windows", TWENTY),
            ("each picture evaluated", EACH),
        ):
            figures = measure(folder, policy)
            each = figures["cpu_seconds"] / figures["pictures"]
            table.add_row(
                name,
                f"{figures['seconds']:.1f}",
                f"{figures['cpu_seconds']:.1f}",
                f"{1 / each:,.0f}",
                f"{figures['would_be']:.0f}",
                f"{figures['peak_mb']:.0f}",
                f"{DAY_ROWS * (each + more) / 60:.1f} CPU min",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
