"""The end of a worker's process whose model does not return."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from redis import Redis
from redis_between import redis_between

from worker.runtime.stuck_model import STATUS
from worker.verdictlog.reading import read_log

PROCESS = """
    import sys
    from logged import row
    from models.classifiers.classifier import StuckRun
    from worker.runtime.stuck_model import StuckModelEnd
    from worker.store.object_store import ObjectStore
    from worker.store.redis_client import connect
    from worker.verdictlog.writer import VerdictWriter

    url, store = sys.argv[1:]
    log = VerdictWriter(lambda: ObjectStore(store), registered=None)
    log.add([row()], now_ms=1_000_000, judged_by=None)
    run = StuckRun(model="m", version="1", sha256="0" * 64, limit_seconds=1.0, on_trial=False)
    StuckModelEnd(redis=connect(url), deployment="test", close_log=log.close).end(run)
"""


def test_its_rows_are_logged_while_redis_is_away(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """Verdicts of other segments would be lost with the process, and no look-back find their pictures."""
    assert redis.ping()
    store = str(tmp_path / "store")
    with redis_between(redis_url, lambda command, send: None) as url:
        command = [sys.executable, "-c", textwrap.dedent(PROCESS), url, store]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run(command, env=environment, check=False)
    assert ended.returncode == STATUS
    assert [one["stream_id"] for batch in read_log(store, 0, 2**62) for one in batch.to_pylist()] == ["cam-1"]
