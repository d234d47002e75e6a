"""Workers whose decoder cannot be confined, and the parts of a worker's memory that others could read."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from commandline import livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from redis import Redis

from config.settings import Settings
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.runtime.worker_process import SEED, WorkerProcess

HERE = Path(__file__).parents[1]
WITHOUT_SECCOMP = (sys.executable, str(HERE / "without.py"), "seccomp")
WITHOUT_DECODER = (sys.executable, str(HERE / "without.py"), "decoder")
NO_DECODER = "it does not work: there is no socket for a decoder"
LINE = (
    "the decoder child is not confined, and events are marked decoder-unconfined: no seccomp: Operation not permitted"
)


def raised(redis: Redis) -> list[dict]:
    return [json.loads(fields["event"]) for _, fields in redis.xrange("lw:escalations:high")]


def test_an_unconfined_decoder_is_logged_once_and_marks_each_event(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """On a machine without seccomp a hostile segment could take over the worker, unnoticed."""
    origin.add("0.ts", segment_bytes(card=True))
    origin.ended = True
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("worker", environment, tmp_path, "--concurrency=2", through=WITHOUT_SECCOMP) as worker:
        (event,) = eventually(lambda: raised(redis), within_seconds=60, what="the card is escalated")
        eventually(lambda: stream_status(redis, "s")["state"] == "ended", within_seconds=60, what="the stream ends")
        lines = [line for line in worker.text().splitlines() if "not confined" in line]
    assert event["data"]["degraded"] == ["decoder-unconfined"]
    assert stream_status(redis, "s")["degraded"] == event["data"]["degraded"]
    assert len(lines) == 1
    assert LINE in lines[0]


def test_a_worker_that_requires_confinement_does_not_start_without_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Hostile segments would be decoded unconfined although the operator forbids it."""
    required = {**environment, "LIVEWARDEN_REQUIRE_CONFINEMENT": "1"}
    with celery("worker", required, tmp_path, "--concurrency=1", through=WITHOUT_SECCOMP) as worker:
        assert worker.process.wait(60) == 1
    (line,) = [line for line in worker.text().splitlines() if "livewarden:" in line]
    assert "this worker does not start: LIVEWARDEN_REQUIRE_CONFINEMENT: the decoder child is not confined" in line
    assert "no seccomp: Operation not permitted" in line
    assert "Traceback" not in worker.text()


def test_a_worker_whose_decoder_does_not_start_is_not_taken_for_confined(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """A worker that requires confinement would start without it; and without the requirement, nobody would know why
    each segment fails."""
    required = {**environment, "LIVEWARDEN_REQUIRE_CONFINEMENT": "1"}
    with celery("worker", required, tmp_path, "--concurrency=1", through=WITHOUT_DECODER) as worker:
        assert worker.process.wait(60) == 1
    (line,) = [line for line in worker.text().splitlines() if "livewarden:" in line]
    assert "this worker does not start: LIVEWARDEN_REQUIRE_CONFINEMENT: the decoder child is not confined" in line
    assert NO_DECODER in line
    assert "Traceback" not in worker.text()
    with celery("worker", environment, tmp_path, "--concurrency=1", through=WITHOUT_DECODER) as worker:
        eventually(lambda: NO_DECODER in worker.text(), within_seconds=60, what="it is logged")


def test_a_worker_that_requires_confinement_starts_with_it(environment: dict[str, str], tmp_path: Path) -> None:
    """docker-compose.yml requires it: no worker would start."""
    required = {**environment, "LIVEWARDEN_REQUIRE_CONFINEMENT": "1"}
    with celery("worker", required, tmp_path, "--concurrency=1", "--loglevel=INFO", fresh=True) as worker:
        eventually(lambda: "ready." in worker.text(), within_seconds=60, what="the worker starts")
        assert "confined" not in worker.text()


def test_doctor_finds_an_unconfined_decoder(redis_url: str, tmp_path: Path) -> None:
    """An operator could not find out why events are marked, or why workers do not start."""
    for required, state in (("0", "warn"), ("1", "fail")):
        settings = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_STORE_URL": str(tmp_path / "store")}
        settings["LIVEWARDEN_REQUIRE_CONFINEMENT"] = required
        ran = livewarden("doctor", "--json", environment=settings, through=WITHOUT_SECCOMP)
        (check,) = [record for record in ran.records if record["name"] == "test card"]
        assert check["state"] == state
        assert "no seccomp" in check["found"]
        assert "decoder-unconfined" in check["advice"]


CORES_LIE_BESIDE = not Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/"))


def with_cores(*command: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", 'ulimit -c unlimited && exec "$@"', "sh", *command)


def cores(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("core")]


def may_leave_cores() -> bool:
    return CORES_LIE_BESIDE and resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY


def test_a_worker_that_crashes_leaves_no_core_file(environment: dict[str, str], tmp_path: Path) -> None:
    """Broadcasters' pictures and the password of Redis would be on disk in the clear."""
    if not may_leave_cores():
        pytest.skip("no process leaves core files in its folder here")
    control = tmp_path / "control"
    control.mkdir()
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    subprocess.run(with_cores(sys.executable, "-c", crash), cwd=control, check=False)
    assert cores(control)
    with celery("worker", environment, tmp_path, "--concurrency=1", "--loglevel=INFO", through=with_cores()) as worker:
        eventually(lambda: "ready." in worker.text(), within_seconds=60, what="the worker starts")
        (child,) = worker.children()
        os.kill(child, signal.SIGSEGV)
        eventually(lambda: "signal 11" in worker.text(), within_seconds=60, what="the child's death is noticed")
        os.kill(worker.process.pid, signal.SIGSEGV)
        assert worker.process.wait(60) == -signal.SIGSEGV
        worker_folder = cores(tmp_path)
        with suppress(ProcessLookupError):  # children that have not noticed yet that they are orphans
            os.killpg(worker.process.pid, signal.SIGKILL)
    assert worker_folder == []
    with celery("beat", environment, tmp_path, "--loglevel=INFO", through=with_cores()) as beat:
        eventually(lambda: "beat: Starting" in beat.text(), within_seconds=60, what="beat starts")
        os.kill(beat.process.pid, signal.SIGSEGV)
        assert beat.process.wait(60) == -signal.SIGSEGV
    assert cores(tmp_path) == []


GUARDED = """
import json, os, subprocess, sys, tempfile
from billiard.compat import get_fdmax, close_open_fds
from worker.processes.core_dumps import forbid_dumps
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
import ctypes
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as any program is that was started
if sys.argv[1] == "guarded":
    forbid_dumps()
secret = tempfile.TemporaryFile(dir=".")
parent = os.getpid()
memory = os.memfd_create("weights")
os.write(memory, b"weights")
# What our own code, prefork and the standard library do.
assert open(f"/proc/self/fd/{memory}", "rb").read() == b"weights"
assert str(memory) in os.listdir("/proc/self/fd")
assert int(open("/proc/self/statm").read().split()[0])
subprocess.run(["/bin/true"], check=True, close_fds=True)
reading, writing = os.pipe()
if not os.fork():
    outcomes = {}
    for name, path in {"fd": f"fd/{secret.fileno()}", "mem": "mem", "environ": "environ"}.items():
        try:
            os.close(os.open(f"/proc/{parent}/{path}", os.O_RDONLY))
            outcomes[name] = 0
        except OSError as error:
            outcomes[name] = error.errno
    os.write(writing, json.dumps(outcomes).encode())
    os._exit(0)
os.wait()
sys.stdout.write(os.read(reading, 4096).decode())
"""


def test_another_process_of_the_same_user_cannot_read_a_worker() -> None:
    """A decoder that escapes its filter would read the bank, pictures and passwords through /proc."""
    outcomes = {}
    for mode in ("bare", "guarded"):
        with tempfile.TemporaryDirectory() as folder:
            if os.getuid() == 0:
                os.chown(folder, 65534, 65534)
            done = subprocess.run(
                [sys.executable, "-c", GUARDED, mode],
                cwd=folder,
                env={"PYTHONPATH": str(HERE.parents[1])},
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr.decode()
            outcomes[mode] = json.loads(done.stdout)
    assert outcomes["bare"]["fd"] == 0
    assert set(outcomes["guarded"].values()) <= {errno.EACCES, errno.EPERM}


def test_the_childs_audit_instants_reveal_no_secret(redis: Redis, redis_url: str) -> None:
    """A decoder taken over once would know for good where audits sample, on every stream."""
    redis.set(SEED, "s3cret")
    one, other = (WorkerProcess(Settings.from_mapping({"LIVEWARDEN_REDIS_URL": redis_url})) for _ in range(2))
    seeds = {segment: one.seed(segment) for segment in ("s 1.0.1", "s 1.0.2", "t 1.0.1")}
    assert {segment: other.seed(segment) for segment in seeds} == seeds
    assert len(set(seeds.values())) == 3
    assert all(b"s3cret" not in seed and b"1.0" not in seed and len(seed) == 32 for seed in seeds.values())
    redis.set(SEED, "another")
    assert one.seed("s 1.0.1") != seeds["s 1.0.1"]
    one.close()
    other.close()
