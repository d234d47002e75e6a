"""The decoder child: reused, replaced when it dies or hangs, gone with its parent, and shut off from all else."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from hostile_media import bomb_png, many_pictures, segment

from config.profiles import BALANCED, VIGILANT
from sampler import wire
from sampler.decoder import Decoder
from sampler.errors import (
    DecoderDiedError,
    DecoderMemoryError,
    DecoderTimeoutError,
    DecoderUnavailableError,
    InputError,
    UndecodableError,
)
from sampler.frames import SampledFrame, SampledSegment
from sampler.limits import MIB, Limits

REPOSITORY = Path(__file__).parents[2]
END_SECONDS = 20
"""For the kernel to end a process on a loaded machine."""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with Decoder() as started:
        yield started


def look(decoder: Decoder) -> SampledSegment:
    """Looks at a good segment."""
    seen = decoder.sample(segment(), profile=BALANCED, seed=b"seed")
    assert seen.frames
    return seen


def pid_of(decoder: Decoder) -> int:
    """Of its child, which must be there."""
    pid = decoder.child_pid
    assert pid is not None
    return pid


def end(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Sends our child a deadly signal and waits until it is dead, without taking its exit status from its owner."""
    os.kill(pid, how)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@cache
def large_pictures() -> bytes:
    """4K video, of which `VIGILANT` takes more than a batch."""
    return segment(width=3840, height=2160, seconds=1.2, rate=10)


def test_one_child_serves_all_calls(decoder: Decoder) -> None:
    """Each segment would pay for starting an interpreter, FFmpeg and OpenCV."""
    assert decoder.child_pid is None
    look(decoder)
    first = pid_of(decoder)
    decoder.picture(bomb_png(100, 100))
    look(decoder)
    assert decoder.child_pid == first


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_child_that_died_between_calls_is_replaced(decoder: Decoder, how: signal.Signals) -> None:
    """After the kernel's OOM killer took an idle child, the worker would never decode again."""
    look(decoder)
    first = pid_of(decoder)
    end(first, how)
    look(decoder)
    assert decoder.child_pid != first


def test_death_within_a_call_is_a_typed_failure(decoder: Decoder) -> None:
    """A segment that crashes FFmpeg would take the worker along, or hang it."""

    def kill(_frame: SampledFrame) -> None:
        # More than a batch: the child waits for us to be done with the first one, so the call is not over.
        if decoder.child_pid is not None:
            end(decoder.child_pid)

    with pytest.raises(DecoderDiedError, match="SIGKILL") as caught:
        decoder.sample(large_pictures(), profile=VIGILANT, seed=b"", consume=kill)
    assert caught.value.reason == "decoder_died"
    assert caught.value.exit_status == -signal.SIGKILL
    assert decoder.child_pid is None
    look(decoder)


def test_hanging_child_is_killed_at_its_wall_time() -> None:
    """A segment that makes FFmpeg loop for ever would hold the worker, and its stream, for ever."""
    with Decoder(limits=Limits(wall_seconds=1.5)) as decoder:
        look(decoder)
        hanging = pid_of(decoder)
        os.kill(hanging, signal.SIGSTOP)
        with pytest.raises(DecoderTimeoutError, match=r"1\.5 s") as caught:
            look(decoder)
        assert caught.value.reason == "timeout"
        assert not Path(f"/proc/{hanging}").exists()
        look(decoder)


def test_reader_that_gives_up_half_way_gets_no_stale_answers(decoder: Decoder) -> None:
    """An error of the worker's own would make the next segment's pictures those of this one."""

    class GivingUpError(Exception):
        pass

    def give_up(_frame: SampledFrame) -> None:
        raise GivingUpError

    with pytest.raises(GivingUpError):
        decoder.sample(many_pictures(500), profile=BALANCED, seed=b"", consume=give_up)
    assert look(decoder).frames[0].picture.width == 160


def test_close_may_be_called_twice_and_ends_the_child(decoder: Decoder) -> None:
    """Workers that shut down would leave processes behind."""
    look(decoder)
    pid = pid_of(decoder)
    decoder.close()
    decoder.close()
    assert not Path(f"/proc/{pid}").exists()
    look(decoder)


PARENT = """
import sys
from config.profiles import BALANCED, VIGILANT
from sampler import wire
from sampler.decoder import Decoder
decoder = Decoder()
decoder.sample(sys.stdin.buffer.read(int(sys.argv[1])), profile=BALANCED, seed=b"")
print(decoder.child_pid, flush=True)
sys.stdin.buffer.read()
"""


def test_child_dies_with_its_parent() -> None:
    """Each worker that the kernel kills would leave a decoder behind, until the machine is full of them."""
    command = [sys.executable, "-c", PARENT, str(len(segment()))]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(segment())
        parent.stdin.flush()
        child = int(parent.stdout.readline())
        watched = os.pidfd_open(child)
        try:
            # Stopped, it cannot end because its socket closes: only the kernel's signal ends it.
            os.kill(child, signal.SIGSTOP)
            parent.kill()
            ended, _, _ = select.select([watched], [], [], END_SECONDS)
        finally:
            os.close(watched)
    assert ended


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
from config.profiles import BALANCED
from sampler.decoder import Decoder
data = sys.stdin.buffer.read()
decoder = Decoder()
def look():
    decoder.sample(data, profile=BALANCED, seed=b"")
    return decoder.child_pid
first = look()
forked = os.fork()
if not forked:
    os._exit(0 if look() != first else 1)
_, status = os.waitpid(forked, 0)
assert status == 0
assert look() == first
decoder.close()
"""


def test_process_that_forks_shares_no_decoder() -> None:
    """Celery forks its pool: two workers at one decoder, or in one input's memory, would get each other's pictures."""
    subprocess.run([sys.executable, "-c", FORKED], cwd=REPOSITORY, input=segment(), timeout=60, check=True)


def test_no_descriptor_stays_open(decoder: Decoder) -> None:
    """A worker would run out of them after some thousand segments, and the decoder, which may have 64, much sooner."""
    for _ in range(2):  # pictures come in two files by turns, each mapped once
        look(decoder)
    opened = Path("/proc/self/fd")
    first, counted = pid_of(decoder), len(list(opened.iterdir()))
    for data in (segment(), segment()[:5_000], b"<html>", segment("mp4"), many_pictures(100)) * 15:
        with suppress(InputError):
            decoder.sample(data, profile=BALANCED, seed=b"")
    assert len(list(opened.iterdir())) == counted
    assert decoder.child_pid == first


def impersonate(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Puts an executable script in the interpreter's place, for children only."""
    path = folder / "python"
    path.write_text(script)
    path.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(path))


def test_environment_is_scrubbed(decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hostile segment that takes FFmpeg over would read the deployment's secrets."""
    monkeypatch.setenv("LIVEWARDEN_SECRET", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    shown = tmp_path / "environment"
    impersonate(monkeypatch, tmp_path, f'#!/bin/sh\nenv > "{shown}"\nexec "{sys.executable}" "$@"\n')
    look(decoder)
    names = {line.partition("=")[0] for line in shown.read_text().splitlines()}
    # The shell adds the last four by itself.
    assert names <= {
        *("PATH", "LC_ALL", "PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS", "PYTHONPATH"),
        *("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"),
        *("PWD", "OLDPWD", "SHLVL", "_"),
    }


def test_limits_of_the_kernel_are_in_force(decoder: Decoder) -> None:
    """Core dumps would put broadcasters' pictures on disk, and a bomb would eat the machine's memory."""
    look(decoder)
    rows = Path(f"/proc/{pid_of(decoder)}/limits").read_text().splitlines()
    soft_and_hard = {row[:26].strip(): row[26:].split()[:2] for row in rows[1:]}
    assert soft_and_hard["Max core file size"] == ["0", "0"]
    assert soft_and_hard["Max open files"] == ["16", "16"]
    for bound in soft_and_hard["Max address space"]:
        assert int(bound) < 16 << 30


def test_child_is_filtered_or_says_that_it_is_not(decoder: Decoder) -> None:
    """Operators would take a decoder for confined that is not."""
    look(decoder)
    status = Path(f"/proc/{pid_of(decoder)}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    unfiltered = any("seccomp" in reason for reason in decoder.unconfined)
    assert (fields["Seccomp"] == "2") is not unfiltered
    assert fields["NoNewPrivs"] == "1"


PROBE = """
import json, os, socket, sys
from sampler.confine import confine_decoder, confine_zygote
ours, _ = socket.socketpair()
missing = confine_zygote(parent=os.getppid(), descriptors=32)
missing += confine_decoder(parent=os.getppid(), memory_bytes=1 << 30)
attempts = {
    "open": lambda: open("/dev/null"),
    "create": lambda: os.open("created", os.O_CREAT | os.O_WRONLY),
    "unlink": lambda: os.unlink("kept"),
    "rename": lambda: os.rename("kept", "moved"),
    "inet": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "unix": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "connect": lambda: ours.connect("somewhere"),
    "fork": os.fork,
    "execute": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
}
outcomes = {}
for name, attempt in attempts.items():
    try:
        attempt()
        outcomes[name] = "done"
    except OSError as error:
        outcomes[name] = type(error).__name__
os.write(1, json.dumps({"missing": missing, "outcomes": outcomes}).encode())
"""


def test_confined_process_reaches_nothing(tmp_path: Path) -> None:
    """A hostile segment that takes FFmpeg over would read files, reach the network or start programs."""
    (tmp_path / "kept").touch()
    command = [sys.executable, "-c", PROBE]
    environment = {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    if any("seccomp" in reason for reason in told["missing"]):
        assert "PermissionError" not in told["outcomes"].values()
    else:
        assert set(told["outcomes"].values()) == {"PermissionError"}
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]


LIAR = """#!{python}
import fcntl, os, socket, sys
from sampler import wire
sock = socket.socket(fileno=int(sys.argv[-3]))
picture = dict(layout="grey", columns=[64], rows=[64], strides=[64], full_range=True, matrix="bt601",
               rotation_degrees=0, mirrored=False, pixel_aspect=1.0)
entry = dict(offset=0, pts_seconds=0.0, until_seconds=2.0, reason="keyframe", keyframe=True,
             concealed=False, flat=None, picture=picture)
summary = dict(type="done", before_seconds=0.0, duration_seconds=1.0, frame_seconds=0.04, frames_total=1,
               frames_decoded=1, notes=[],
               packets=[], demux_seconds=0.0, decode_seconds=0.0)
def hand_over(entry, size=64 * 64, seals=fcntl.F_SEAL_SHRINK, summary=summary, file=0):
    memory = os.memfd_create("pictures", os.MFD_ALLOW_SEALING)
    os.truncate(memory, size)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
    wire.send(sock, summary | dict(pictures=[entry], file=file), [memory])
wire.send(sock, dict(type="ready", unconfined=[]))
wire.receive(sock)
{lie}
wire.send(sock, summary)
"""
LIES = {
    "not JSON": 'sock.sendall(b"\\0\\0\\0\\4oops")',
    "a length of 4 GiB": 'sock.sendall(b"\\xff" * 4)',
    "deep nesting": 'sock.sendall((100_000).to_bytes(4, "big") + b"[" * 100_000)',
    "a list": 'sock.sendall(b"\\0\\0\\0\\2[]")',
    "memory that may still shrink": "hand_over(entry, seals=fcntl.F_SEAL_WRITE)",
    "no memory": "hand_over(entry, size=0)",
    "memory that was never handed over": "wire.send(sock, summary | dict(pictures=[entry], file=1))",
    "memory of a file that there is not": "hand_over(entry, file=7)",
    "memory of a file without number": "hand_over(entry, file=[0])",
    "planes over the end of the memory": "hand_over(entry, size=4096 - 1)",
    "a negative offset": "hand_over(entry | dict(offset=-64))",
    "rows without end": "hand_over(entry | dict(picture=picture | dict(rows=[1 << 62])))",
    "a layout without name": "hand_over(entry | dict(picture=picture | dict(layout='?')))",
    "text for a number": "hand_over(entry | dict(pts_seconds='soon'))",
    "a shade that there is not": "hand_over(entry | dict(flat='green'))",
    "a picture of nothing": "hand_over(dict())",
    "a summary of nothing": "hand_over(entry, summary=dict(type='done'))",
    "silence": "sys.exit(3)",
}


@pytest.mark.parametrize("lie", LIES)
def test_child_that_lies_is_taken_for_dead(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lie: str
) -> None:
    """A decoder that was taken over would crash the worker, or make it read memory that is not there."""
    impersonate(monkeypatch, tmp_path, LIAR.format(python=sys.executable, lie=LIES[lie]))
    with pytest.raises(DecoderDiedError):
        decoder.sample(b"any", profile=BALANCED, seed=b"")
    assert decoder.child_pid is None


def test_truthful_impostor_is_believed(decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lies above would be refused for another reason than the one they name."""
    impersonate(monkeypatch, tmp_path, LIAR.format(python=sys.executable, lie="hand_over(entry)"))
    (frame,) = decoder.sample(b"any", profile=BALANCED, seed=b"").frames
    assert frame.picture.luma().shape == (64, 64)


def test_child_that_cannot_be_started_is_told(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A broken installation would look like broken segments."""
    impersonate(monkeypatch, tmp_path, "#!/bin/sh\nexit 1\n")
    with pytest.raises(DecoderUnavailableError) as caught:
        look(decoder)
    assert caught.value.reason == "decoder_unavailable"


SMALL_BYTES = 24 * MIB
"""Of memory: enough for the media of other tests, and less than one picture of 4K takes."""


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif"])
def test_still_over_the_memory_bound_is_told_and_the_next_one_is_seen(extension: str) -> None:
    """A picture that unpacks to more than the decoder may hold would be called damaged, or leave a sick decoder."""
    done, encoded = cv2.imencode(extension, np.full((2160, 3840, 3), 90, np.uint8))
    assert done
    with Decoder(limits=Limits(memory_bytes=SMALL_BYTES)) as decoder:
        look(decoder)
        first = pid_of(decoder)
        with pytest.raises(DecoderMemoryError) as caught:
            decoder.picture(bytes(encoded))
        assert caught.value.reason == "out_of_memory"
        assert not Path(f"/proc/{first}").exists()
        look(decoder)
        assert decoder.child_pid != first


def test_still_of_the_largest_size_over_the_memory_bound_is_told() -> None:
    """The bound on pixels lets it through, and the bound on memory must not."""
    with Decoder(limits=Limits(memory_bytes=128 * MIB)) as decoder:
        with pytest.raises(DecoderMemoryError):
            decoder.picture(bomb_png(8_000, 8_000))
        look(decoder)


def test_video_over_the_memory_bound_is_told_and_the_next_one_is_seen() -> None:
    """H.264's decoder calls a picture damaged for which it has no memory: the ledger would blame the broadcaster."""
    with Decoder(limits=Limits(memory_bytes=SMALL_BYTES)) as decoder:
        look(decoder)
        first = pid_of(decoder)
        with pytest.raises(DecoderMemoryError) as caught:
            decoder.sample(segment(width=3840, height=2160, seconds=0.2, rate=10), profile=BALANCED, seed=b"")
        assert caught.value.reason == "out_of_memory"
        look(decoder)
        assert decoder.child_pid != first


def peak_bytes(decoder: Decoder) -> int:
    """The most address space that the child has had (VmPeak of proc(5))."""
    status = Path(f"/proc/{pid_of(decoder)}/status").read_text()
    return int(status.partition("VmPeak:")[2].split()[0]) * 1024


HOSTILE: dict[str, Callable[[], bytes]] = {
    "4K in H.264": large_pictures,
    "4K in AV1": lambda: segment("mp4", codec="libsvtav1", width=3840, height=2160, seconds=0.2, rate=10),
    "20,000 tiny pictures": lambda: many_pictures(20_000),
    "damage": lambda: segment(width=1920, height=1080, rate=10)[: 40 * 188] + Random(6).randbytes(8 * MIB),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_stays_under_its_bound(name: str) -> None:
    """A hostile segment would take the machine's memory, and with it the workers beside."""
    bound = 256 * MIB
    peaks = []
    with Decoder(limits=Limits(memory_bytes=bound)) as decoder:
        look(decoder)
        ordinary = peak_bytes(decoder)
        try:
            decoder.sample(
                HOSTILE[name](), profile=VIGILANT, seed=b"", consume=lambda _: peaks.append(peak_bytes(decoder))
            )
            peaks.append(peak_bytes(decoder))
        except UndecodableError:
            peaks.append(peak_bytes(decoder))
    assert ordinary <= max(peaks) <= ordinary + bound


def test_memory_does_not_grow_from_segment_to_segment() -> None:
    """Pictures that nobody holds stayed until Python's collector came: after some 4K segments all were refused."""
    with Decoder(limits=Limits(memory_bytes=160 * MIB)) as decoder:
        for _ in range(12):
            assert decoder.sample(segment(width=1920, height=1080, rate=10), profile=VIGILANT, seed=b"").frames
        first = pid_of(decoder)
        look(decoder)
        assert decoder.child_pid == first


def test_pictures_wait_until_the_reader_is_done_with_those_before() -> None:
    """While a worker classifies, the decoder would pile up pictures in memory that no bound counts."""
    data = large_pictures()
    memory = os.memfd_create("input")
    os.write(memory, data)
    ours, theirs = socket.socketpair()
    limits = Limits()
    arguments = [str(theirs.fileno()), str(os.getpid()), str(limits.memory_bytes)]
    command = [sys.executable, "-m", "sampler.child", *arguments]
    settings = json.dumps({"limits": vars(limits), "profile": VIGILANT.model_dump()})
    request = {"operation": "sample", "settings": settings, "seed": "", "packets": False}
    request |= {"size": len(data), "init_size": 0}
    with subprocess.Popen(command, cwd=REPOSITORY, pass_fds=[theirs.fileno()]) as child, ours:
        theirs.close()
        ours.settimeout(END_SECONDS)
        wire.receive(ours)
        wire.send(ours, request, [memory])
        kinds = []
        while "done" not in kinds:
            message, descriptors = wire.receive(ours)
            wire.close_all(descriptors)
            kinds.append(message["type"])
            if message["type"] == "more":
                # On a machine so slow that nothing would have come anyway this says nothing, and never lies.
                assert select.select([ours], [], [], 0.5)[0] == []
                wire.go_on(ours)
        child.kill()
    os.close(memory)
    assert kinds.count("more") >= 1


def test_time_that_the_reader_takes_is_not_the_decoders() -> None:
    """A worker that is slow to classify would have its decoder killed for it, and the segment given up."""
    with Decoder(limits=Limits(wall_seconds=3.0)) as decoder:
        began = time.monotonic()
        seen = 0

        def look_closely(_frame: SampledFrame) -> None:
            nonlocal seen
            seen += 1
            while time.monotonic() < began + seen * 1.2:
                pass

        decoder.sample(large_pictures(), profile=VIGILANT, seed=b"", consume=look_closely)
        assert seen >= 3
