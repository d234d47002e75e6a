"""The benchmark of replays uses a log with findings."""

import time
from pathlib import Path

from bench.replay import EACH, STREAMS, TWENTY, measure, parting_seconds, write_log
from worker.store.object_store import ObjectStore

ROWS = 8 * STREAMS


def test_the_replayed_log_has_findings(tmp_path: Path) -> None:
    """Fast figures would be those of an empty log, or of rules that never hold."""
    write_log(ObjectStore(str(tmp_path / "store")), rows=ROWS, until_ms=round(time.time() * 1000) - 60_000)
    for policy in (TWENTY, EACH):
        figures = measure(tmp_path, policy)
        assert figures["pictures"] == ROWS
        assert figures["would_be"] > 0
        assert figures["cpu_seconds"] > 0
    assert parting_seconds(tmp_path, ROWS, as_of=10**6) > 0
