"""The Redis of demos that start in one moment."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from worker.store.redis_client import connect

DEMOS = 8


def test_each_demo_has_a_redis_of_its_own(tmp_path: Path) -> None:
    """Two demos would watch each other's streams, and the one that ends first would end the other."""
    folders = [tmp_path / str(number) for number in range(DEMOS)]
    with ExitStack() as running:
        started = []
        for folder in folders:
            folder.mkdir()
            command = [sys.executable, "-m", "worker.demo.valkey", str(folder)]
            process = running.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            running.callback(process.terminate)
            started.append(process)
        urls = [process.stdout.readline().strip() for process in started if process.stdout is not None]
        for url, folder in zip(urls, folders, strict=True):
            with connect(url) as redis:
                assert redis.config_get("dir")["dir"] == str(folder)
