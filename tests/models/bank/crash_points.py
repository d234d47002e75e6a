"""Publishes a new snapshot and dies before its n-th file operation, for every n: `CRASH_POINTS DIR`.

After each death it opens the folder as a worker that starts would, and prints which snapshot is in force. Ends when no
operation is left. It forks, so it is a script: a test's own process has threads.
"""

import os
import signal
import sys
from pathlib import Path

from snapshots import prune

from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.snapshot import current_snapshot, make_current, open_snapshot, snapshot_written, tidy, verify_snapshot

FILE_EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree", "fcntl.flock"}
"""Audit events of Python (PEP 578), each of which is raised before its operation."""


def put_into_force(folder: Path, watermark: str) -> None:
    entries = [Entry(entry=str(place), kind=HashKind.PDQ, value=place.to_bytes(32)) for place in range(100)]
    with snapshot_written(folder, [(ListSpec(name="own"), entries)], watermark=watermark) as path:
        make_current(folder, path)
    tidy(folder, in_force=lambda: path.name)


def die_before(count: int) -> None:
    left = count

    def hook(event: str, _: object) -> None:
        nonlocal left
        if event in FILE_EVENTS:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(hook)


def main() -> None:
    folder = Path(sys.argv[1])
    put_into_force(folder, "0")
    died = True
    count = 0
    while died:
        child = os.fork()
        if child == 0:
            die_before(count)
            put_into_force(folder, str(count + 1))
            os._exit(0)
        died = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        current = current_snapshot(folder)
        assert current is not None
        verify_snapshot(current)
        sys.stdout.write(f"{count} {open_snapshot(current).watermark}\n")
        count += 1
        # Each time: a death comes one thing later than the last, and looking at what one death left is more than one.
        prune(folder)
    names = sorted(path.name.split("-")[0] for path in folder.iterdir())
    sys.stdout.write(" ".join(["left", *names]) + "\n")


if __name__ == "__main__":
    main()
