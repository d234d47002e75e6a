"""Prints docs/redis-keys.md: `python -m tools.redis_keys > docs/redis-keys.md`."""

from worker.store.key_pattern import DAY, HOUR, MINUTE, Key
from worker.store.redis_keys import KEYS

HEAD = """\
# Keys in Redis

Made from `worker/store/*_keys.py` by `python -m tools.redis_keys`. A *life* is Redis's own (`EXPIRE`): it counts
from the last write of the key, unless stated otherwise. Keys without a life are bounded otherwise. Keys of a stream
have no life while it is watched. A worker scans all keys, and gives a life to those that should have one: an older
version's, or a foreign one's.

`read by` names the users of [redis-users.md](redis-users.md). Beside these keys there are Celery's: the queues
`control`, `segments` and their like, `unacked*` and `_kombu.*`, all bounded by waiting work, and `intake`, into which
platforms write.

No key holds a picture, or data from which a picture could be made: of pictures there are PDQ hashes, and 16 sums
of the last one whose weights the deployment's secret decides (`lw:gate`). Pending segments and records of watched
streams have URLs with their query, where signed tokens may be; it goes when the segment is settled and the watch ends.
`lw:bank:*` has hashes of the lists: treat Redis's disk as you treat these.

| key | type | holds | bound | life | read by |
|---|---|---|---|---|---|
"""


def main() -> None:
    print(document(), end="")


def document() -> str:
    """The whole document, as Markdown."""
    return HEAD + "".join(f"{_row(key)}\n" for key in KEYS.values())


def _row(key: Key) -> str:
    life = " ".join(part for part in (_told(key.seconds), key.life) if part) if key.seconds else "-"
    return f"| `{key.pattern}` | {key.type} | {key.holds} | {key.bound} | {life} | {', '.join(key.read_by)} |"


def _told(seconds: int) -> str:
    """A life in its largest whole unit."""
    for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


if __name__ == "__main__":
    main()
