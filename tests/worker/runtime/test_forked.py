"""A pool child forked while threads of its worker's main process use Redis and follow the bank."""

import os
import signal
import threading

from hls_origin import Gate, eventually
from redis import Redis

from worker.runtime.worker_process import WorkerProcess


def test_a_child_does_not_wait_for_locks_of_its_parent(process: WorkerProcess, redis: Redis):
    """A child that replaces a dead one would hang, and its task would wait for a minute."""
    process.bank.refresh()
    gate = Gate()

    def hold() -> None:
        with process.redis.connection_pool._lock, process.bank._lock:
            gate.reached.set()
            gate.opened.wait(60)

    holding = threading.Thread(target=hold)
    holding.start()
    assert gate.reached.wait(60)
    child = os.fork()
    if not child:
        process.forked()
        process.bank.refresh()
        process.redis.set("forked", "goes on")
        os._exit(0)
    gate.opened.set()
    holding.join()
    try:
        eventually(lambda: redis.get("forked"), within_seconds=60, what="the child hangs")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
