"""No picture of a stream, and nothing from which one could be made, reaches a disk in the clear while all runs."""

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
import pytest
from file_writes import FileWrites, counts, watched_writes
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import CeleryProcess, celery
from pyrage import x25519
from redis import Redis

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status

SEGMENTS = 4
MARK = "LIVEWARDEN_TEST_WRITES"
"""In the environment of the processes whose files are looked into; other tests may run on this machine."""
WITH_CORES = ("/bin/sh", "-c", 'ulimit -c unlimited && exec "$@"', "sh")
IN_MEMORY = re.compile(r"/memfd:|/dev/shm/sem\.|/dev/zero")
RUN_BYTES = 48
"""Neighbouring pixels of a row: enough to be found, and by nothing else."""


def runs_of_pixels(segment: bytes) -> set[bytes]:
    """Runs of luma and RGB from the rows of each picture of a segment, as a decoder gives them, that are not flat."""
    runs: set[bytes] = set()
    with av.open(io.BytesIO(segment)) as container:
        for frame in container.decode(video=0):
            planes = (
                frame.to_ndarray(format="gray"),
                frame.to_ndarray(format="rgb24"),
                frame.to_ndarray(format="bgr24"),
            )
            for plane in planes:
                flat = np.ascontiguousarray(plane).reshape(plane.shape[0], -1)
                for row in flat[:: flat.shape[0] // 6]:
                    run = row[64 : 64 + RUN_BYTES].tobytes()
                    if len(set(run)) > 8:
                        runs.add(run)
    return runs


def clear_pictures(content: bytes) -> list[str]:
    """Formats of pictures that begin anywhere in a file."""
    beginnings = {
        "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF",
        "JPEG without JFIF": b"\xff\xd8\xff\xdb\x00\x43",
        "PNG": b"\x89PNG\r\n\x1a\n",
        "WebP": b"WEBPVP8",
    }
    return [name for name, beginning in beginnings.items() if beginning in content]


@pytest.fixture
def writes(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[FileWrites]:
    """All files that processes of this session write, from now on, on the disk and in the shared memory."""
    with ExitStack() as stack:
        entry = f"{MARK}={tmp_path}".encode()
        try:
            found = stack.enter_context(watched_writes(entry, tmp_path, [tmp_path, Path("/dev/shm")]))
        except OSError as error:
            ci_or_skip(f"fanotify needs root and a kernel that has it: {error}")
        yield found


def written_while(found: FileWrites, folder: Path) -> list[tuple[str, bytes]]:
    """All that was written, and all that lies below `folder` now, the broken-off files too."""
    lying = [(str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [*found.contents, *lying]


def mapped_files(worker: CeleryProcess) -> Iterator[tuple[str, bytes]]:
    """Files that a worker, or a pool child of it, maps writable and shared, and what is in them now."""
    for pid in (worker.process.pid, *worker.children()):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, rights, *rest = line.split(maxsplit=5)
            path = rest[-1] if len(rest) == 4 else ""
            if rights.startswith("rw") and rights.endswith("s") and path.startswith("/") and not IN_MEMORY.match(path):
                yield path, Path(f"/proc/{pid}/map_files/{addresses}").read_bytes()


def found_in(written: list[tuple[str, bytes]], runs: set[bytes]) -> list[str]:
    """Files that hold a picture in the clear, and by what it shows."""
    clear = [f"{path}: {name}" for path, content in written for name in clear_pictures(content)]
    for path, content in written:
        clear += [f"{path}: pixels" for run in runs if run in content][:1]
    return clear


def stored(folder: Path) -> list[Path]:
    return sorted((folder / "store" / "evidence").rglob("*.age"))


def test_a_file_of_another_test_does_not_count(tmp_path: Path) -> None:
    """Pictures that a test beside this one writes in the clear would be taken for a worker's."""
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    found = FileWrites(session=b"", folder=tmp_path, shared=Path(tempfile.gettempdir()))
    assert not counts(ended.pid, found.shared / "another" / "picture.png", found)
    assert counts(ended.pid, tmp_path / "tmp" / "#12 (deleted)", found)
    assert counts(ended.pid, Path("/var/cache/picture.png"), found)


def test_no_picture_reaches_a_disk_in_the_clear(
    redis: Redis, redis_url: str, origin: LiveOrigin, writes: FileWrites, tmp_path: Path
) -> None:
    """Whoever takes a disk, a core file or a forgotten temporary file of a worker would have the pictures."""
    bodies = [segment_bytes(card=index == 1, shade=index) for index in range(SEGMENTS)]
    runs = set[bytes]().union(*map(runs_of_pixels, bodies), {body[len(body) // 2 :][:RUN_BYTES] for body in bodies})
    (tmp_path / "recipients.txt").write_text(f"{x25519.Identity.generate().to_public()}\n")
    (tmp_path / "tmp").mkdir()
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_EVIDENCE_RECIPIENTS": str(tmp_path / "recipients.txt"),
        "LIVEWARDEN_SPOOL_DIR": str(tmp_path / "spool"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "TMPDIR": str(tmp_path / "tmp"),
        MARK: str(tmp_path),
    }
    # What is written and deleted at once is found: else this test could not fail.
    control = "import sys, tempfile; file = tempfile.TemporaryFile(); file.write(bytes.fromhex(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", control, min(runs).hex()], env={**os.environ, **environment}, check=True)
    eventually(lambda: found_in(writes.contents, {min(runs)}), within_seconds=60, what="the control is found")
    writes.contents.clear()
    with celery("worker", environment, tmp_path, "--concurrency=2", through=WITH_CORES) as worker:
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
        for index, body in enumerate(bodies):
            origin.add(f"{index}.ts", body)
        eventually(lambda: stored(tmp_path), within_seconds=60, what=worker.text)
        mapped = [*mapped_files(worker)]
        for child in worker.children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSEGV)
        origin.ended = True
        eventually(lambda: stream_status(redis, "s")["state"] == "ended", within_seconds=60, what=worker.text)
    written = written_while(writes, tmp_path)
    assert any(path.endswith(".age") for path, _ in written)
    assert [path.name for path in tmp_path.rglob("core*") if path.is_file()] == []
    assert found_in([*written, *mapped], runs) == []
