"""The benchmark of replays: a log in which nothing is found would be gone through in no time."""

import time
from pathlib import Path

from bench.replay import EACH, STREAMS, TWENTY, measure, parting_seconds, write_log
from worker.store.object_store import ObjectStore

ROWS = 8 * STREAMS


def test_something_is_found_in_what_is_gone_through(tmp_path: Path) -> None:
    """Quick figures would be those of an empty log, or of rules that hold for nothing."""
    write_log(ObjectStore(str(tmp_path / "store")), rows=ROWS, until_ms=round(time.time() * 1000) - 60_000)
    for policy in (TWENTY, EACH):
        figures = measure(tmp_path, policy)
        assert figures["pictures"] == ROWS
        assert figures["would_be"] > 0
        assert figures["cpu_seconds"] > 0
    assert parting_seconds(tmp_path, ROWS, as_of=10**6) > 0
