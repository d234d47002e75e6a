"""The decoder's processes: a fresh one for every few inputs, ended with their parent, and isolated."""

import gc
import json
import os
import select
import shlex
import signal
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
from sampler.child.decoder import Decoder
from sampler.child.fork_server_handle import ENVIRONMENT, PROGRAM
from sampler.errors import (
    DecoderDiedError,
    DecoderMemoryError,
    DecoderTimeoutError,
    DecoderUnavailableError,
    InputError,
    TooLargeError,
)
from sampler.frames import SampledFrame, SampledSegment
from sampler.limits import MIB, Limits

REPOSITORY = Path(__file__).parents[3]
END_SECONDS = 20
"""Time for the kernel to end a process on a loaded machine."""
ROOMY = VIGILANT.model_copy(update={"macroblocks_per_second": 10_000_000})
"""A profile that decodes noise, which is all bytes."""


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    with Decoder() as started:
        yield started


def look(decoder: Decoder) -> SampledSegment:
    """Samples a good segment."""
    seen = decoder.sample(segment(), profile=BALANCED, seed=b"seed")
    assert seen.frames
    return seen


def fork_server_of(decoder: Decoder) -> int:
    """The process ID of its fork server, which must exist."""
    pid = decoder.fork_server_pid
    assert pid is not None
    return pid


def end(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Sends a process a deadly signal and waits until it is dead, whichever process reaps it."""
    watched = os.pidfd_open(pid)
    try:
        os.kill(pid, how)
        assert select.select([watched], [], [], END_SECONDS)[0]
    finally:
        os.close(watched)


def while_decoding(decoder: Decoder, do: Callable[[int], None]) -> SampledSegment:
    """Acts on the decoding process once, when its first pictures have arrived and more are to come."""
    done = []

    def consume(_frame: SampledFrame) -> None:
        if not done:
            done.append(True)
            assert decoder.child_pid is not None
            do(decoder.child_pid)

    return decoder.sample(large_pictures(), profile=ROOMY, seed=b"", consume=consume)


@cache
def large_pictures() -> bytes:
    """Video of noise, of which `ROOMY` samples more than a batch."""
    return segment(width=2560, height=1440, seconds=2, rate=10)


@pytest.mark.parametrize("inputs_a_process", [1, 2])
def test_a_process_handles_a_limited_number_of_inputs(inputs_a_process: int) -> None:
    """A segment that takes over FFmpeg could read and alter the pictures of every later stream."""
    with Decoder(inputs_a_process=inputs_a_process) as decoder:
        seen: list[int] = []

        def note(_frame: SampledFrame) -> None:
            assert decoder.child_pid is not None
            seen.append(decoder.child_pid)

        for _ in range(3):
            for _ in range(inputs_a_process):
                decoder.sample(segment(), profile=BALANCED, seed=b"", consume=note)
            assert decoder.child_pid is None
            assert not Path(f"/proc/{seen[-1]}").exists()
    assert len(set(seen)) == 3


def test_no_process_handles_more_than_twenty_inputs(decoder: Decoder) -> None:
    """A caller with default settings, such as a worker, would use one process for all streams."""
    seen = set()
    for _ in range(21):
        decoder.picture(bomb_png(100, 100))
        seen.add(decoder.child_pid)
    assert len(seen - {None}) > 1


def test_a_process_ends_after_an_input_that_failed(decoder: Decoder) -> None:
    """A damaged segment's effects on the decoder would reach later streams."""
    look(decoder)
    first = decoder.child_pid
    look(decoder)
    assert decoder.child_pid == first
    with pytest.raises(InputError):
        decoder.sample(b"<html>", profile=BALANCED, seed=b"")
    assert decoder.child_pid is None


def test_a_process_that_died_between_calls_is_replaced(decoder: Decoder) -> None:
    """After the OOM killer ends an idle decoder, the next segment would be counted as one that kills decoders."""
    look(decoder)
    assert decoder.child_pid is not None
    end(decoder.child_pid)
    look(decoder)


def test_one_fork_server_serves_all_calls(decoder: Decoder) -> None:
    """Each segment would pay for starting an interpreter, FFmpeg and OpenCV."""
    assert decoder.fork_server_pid is None
    look(decoder)
    first = fork_server_of(decoder)
    decoder.picture(bomb_png(100, 100))
    with pytest.raises(InputError):
        decoder.picture(b"no picture")
    look(decoder)
    assert decoder.fork_server_pid == first


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_fork_server_that_died_between_calls_is_replaced(decoder: Decoder, how: signal.Signals) -> None:
    """After the OOM killer ends an idle fork server, the worker would never decode again."""
    look(decoder)
    first = fork_server_of(decoder)
    end(first, how)
    look(decoder)
    assert decoder.fork_server_pid != first


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_death_within_a_call_is_a_typed_failure(decoder: Decoder, how: signal.Signals) -> None:
    """A segment that crashes FFmpeg would end or hang the worker."""
    # More than a batch: the process waits until we have consumed the first one, so the call is still running.
    with pytest.raises(DecoderDiedError, match=how.name) as caught:
        while_decoding(decoder, lambda pid: end(pid, how))
    assert caught.value.reason == "decoder_died"
    assert caught.value.exit_status == -how
    assert decoder.child_pid is None
    first = fork_server_of(decoder)
    look(decoder)
    assert decoder.fork_server_pid == first


def test_a_fork_server_that_dies_within_a_call_takes_the_decoder_with_it(decoder: Decoder) -> None:
    """An orphaned decoder would keep the machine's memory, and a stream's pictures."""
    decoding: list[int] = []

    def kill(pid: int) -> None:
        decoding.append(os.pidfd_open(pid))
        end(fork_server_of(decoder))

    with pytest.raises(DecoderDiedError):
        while_decoding(decoder, kill)
    try:
        assert select.select(decoding, [], [], 0)[0]
    finally:
        os.close(decoding[0])
    look(decoder)


def test_a_hanging_child_is_killed_at_its_wall_time() -> None:
    """A segment that makes FFmpeg loop would block the worker, and its stream, for ever."""
    with Decoder(limits=Limits(wall_seconds=6)) as decoder:
        look(decoder)
        hanging: list[int] = []

        def stop(pid: int) -> None:
            hanging.append(pid)
            os.kill(pid, signal.SIGSTOP)

        with pytest.raises(DecoderTimeoutError, match=r"6 s") as caught:
            while_decoding(decoder, stop)
        assert caught.value.reason == "timeout"
        assert not Path(f"/proc/{hanging[0]}").exists()
        look(decoder)


def test_a_fork_server_that_hangs_is_replaced() -> None:
    """A stopped fork server would block the worker for ever."""
    with Decoder(limits=Limits(wall_seconds=1.5), inputs_a_process=1) as decoder:
        look(decoder)
        first = fork_server_of(decoder)
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(DecoderTimeoutError):
            look(decoder)
        assert not Path(f"/proc/{first}").exists()
        look(decoder)


def test_a_reader_that_gives_up_half_way_gets_no_stale_answers(decoder: Decoder) -> None:
    """After an error of the worker, the next segment would get this one's pictures."""

    class GivingUpError(Exception):
        pass

    def give_up(_frame: SampledFrame) -> None:
        raise GivingUpError

    with pytest.raises(GivingUpError):
        decoder.sample(many_pictures(500), profile=BALANCED, seed=b"", consume=give_up)
    assert look(decoder).frames[0].picture.width == 160


def test_close_may_be_called_twice_and_ends_all(decoder: Decoder) -> None:
    """Workers that shut down would leave processes behind."""
    look(decoder)
    pid = fork_server_of(decoder)
    decoder.close()
    decoder.close()
    assert not Path(f"/proc/{pid}").exists()
    look(decoder)


PARENT = """
import sys
from config.profiles import VIGILANT
from sampler.child.decoder import Decoder
decoder = Decoder()
def stay(_frame):
    print(decoder.fork_server_pid, decoder.child_pid, flush=True)
    sys.stdin.buffer.read()
decoder.sample(sys.stdin.buffer.read(int(sys.argv[1])), profile=VIGILANT, seed=b"", consume=stay)
"""


def test_decoders_die_with_their_parent() -> None:
    """Each worker that the kernel kills would leave decoders behind, until the machine is full of them."""
    data = large_pictures()
    command = [sys.executable, "-c", PARENT, str(len(data))]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(data)
        parent.stdin.flush()
        fork_server, child = map(int, parent.stdout.readline().split())
        watched = [os.pidfd_open(fork_server), os.pidfd_open(child)]
        try:
            # Stopped processes cannot react to a closed socket: only the kernel's signal ends them.
            os.kill(child, signal.SIGSTOP)
            os.kill(fork_server, signal.SIGSTOP)
            parent.kill()
            for one in watched:
                assert select.select([one], [], [], END_SECONDS)[0]
        finally:
            for one in watched:
                os.close(one)


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
from config.profiles import BALANCED
from sampler.child.decoder import Decoder
data = sys.stdin.buffer.read()
decoder = Decoder()
def look():
    decoder.sample(data, profile=BALANCED, seed=b"")
    return decoder.fork_server_pid
first = look()
forked = os.fork()
if not forked:
    os._exit(0 if look() != first else 1)
_, status = os.waitpid(forked, 0)
assert status == 0
assert look() == first
decoder.close()
"""


def test_a_process_that_forks_shares_no_decoder() -> None:
    """Celery forks its pool: two workers with one decoder would get each other's pictures."""
    subprocess.run([sys.executable, "-c", FORKED], cwd=REPOSITORY, input=segment(), timeout=60, check=True)


def test_no_descriptor_stays_open(decoder: Decoder) -> None:
    """A worker would run out of descriptors after some thousand segments, and the fork server much sooner."""
    look(decoder)
    first = fork_server_of(decoder)
    gc.collect()  # what earlier tests left open goes now, and not in between
    opened = [Path("/proc/self/fd"), Path(f"/proc/{first}/fd")]
    counted = [len(list(folder.iterdir())) for folder in opened]
    for data in (segment(), segment()[:5_000], b"<html>", segment("mp4"), many_pictures(100)) * 3:
        with suppress(InputError):
            decoder.sample(data, profile=BALANCED, seed=b"")
    assert [len(list(folder.iterdir())) for folder in opened] == counted
    assert decoder.fork_server_pid == first


def wrapped(folder: Path, script: str) -> list[str]:
    """A program that is a script, in place of the one that starts the fork server."""
    path = folder / "program"
    path.write_text(script)
    path.chmod(0o700)
    return [str(path)]


def test_environment_is_scrubbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hostile segment that takes over FFmpeg would read the deployment's secrets."""
    monkeypatch.setenv("LIVEWARDEN_SECRET", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    shown = tmp_path / "environment"
    script = f'#!/bin/sh\nenv > "{shown}"\nexec {shlex.join(PROGRAM)} "$@"\n'
    with Decoder(program=wrapped(tmp_path, script)) as decoder:
        look(decoder)
    names = {line.partition("=")[0] for line in shown.read_text().splitlines()}
    # The shell adds the last four.
    assert names <= {*ENVIRONMENT, "PYTHONPATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_kernel_limits_are_in_force(decoder: Decoder) -> None:
    """Core dumps would write broadcasters' pictures to disk, and a bomb would use up the machine's memory."""
    tables: list[str] = []
    while_decoding(decoder, lambda pid: tables.append(Path(f"/proc/{pid}/limits").read_text()))
    rows = tables[0].splitlines()
    soft_and_hard = {row[:26].strip(): row[26:].split()[:2] for row in rows[1:]}
    assert soft_and_hard["Max core file size"] == ["0", "0"]
    assert soft_and_hard["Max open files"] == ["16", "16"]
    for bound in soft_and_hard["Max address space"]:
        assert int(bound) < 16 << 30


def test_the_child_is_filtered_or_reports_that_it_is_not(decoder: Decoder) -> None:
    """Operators would take an unconfined decoder for confined."""
    statuses: list[str] = []
    while_decoding(decoder, lambda pid: statuses.append(Path(f"/proc/{pid}/status").read_text()))
    fields = dict(line.split(":\t", 1) for line in statuses[0].splitlines() if ":\t" in line)
    unfiltered = any("seccomp" in reason for reason in decoder.unconfined)
    assert (fields["Seccomp"] == "2") is not unfiltered
    assert fields["NoNewPrivs"] == "1"


PROBE = """
import json, os, socket, sys
from sampler.child.confine import confine_decoder, confine_fork_server
ours, _ = socket.socketpair()
missing = confine_fork_server(parent=os.getppid(), descriptors=32)
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


def test_a_confined_process_reaches_nothing(tmp_path: Path) -> None:
    """A hostile segment that takes over FFmpeg would read files, reach the network or start programs."""
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


def test_a_child_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    """A broken installation would look like broken segments."""
    with (
        Decoder(program=wrapped(tmp_path, "#!/bin/sh\nexit 1\n")) as decoder,
        pytest.raises(DecoderUnavailableError) as caught,
    ):
        look(decoder)
    assert caught.value.reason == "decoder_unavailable"


SMALL_BYTES = 24 * MIB
"""Memory in bytes: enough for the media of other tests, and less than one 4K picture needs."""


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif"])
def test_a_still_over_the_memory_bound_is_reported_and_the_next_one_decodes(extension: str) -> None:
    """A picture that unpacks to more than the decoder's memory would be reported as damaged, or leave a broken
    decoder."""
    done, encoded = cv2.imencode(extension, np.full((2160, 3840, 3), 90, np.uint8))
    assert done
    with Decoder(limits=Limits(memory_bytes=SMALL_BYTES)) as decoder:
        look(decoder)
        with pytest.raises(DecoderMemoryError) as caught:
            decoder.picture(bytes(encoded))
        assert caught.value.reason == "out_of_memory"
        look(decoder)


def test_a_still_of_the_largest_size_over_the_memory_bound_is_reported() -> None:
    """The limit on pixels accepts it, so without the limit on memory it would be decoded."""
    with Decoder(limits=Limits(memory_bytes=128 * MIB)) as decoder:
        with pytest.raises(DecoderMemoryError):
            decoder.picture(bomb_png(8_000, 8_000))
        look(decoder)


def test_a_video_over_the_memory_bound_is_reported_and_the_next_one_decodes() -> None:
    """The H.264 decoder reports a picture as damaged when it runs out of memory: the ledger would blame the
    broadcaster."""
    with Decoder(limits=Limits(memory_bytes=SMALL_BYTES)) as decoder:
        look(decoder)
        with pytest.raises(DecoderMemoryError) as caught:
            decoder.sample(segment(width=3840, height=2160, seconds=0.2, rate=10), profile=BALANCED, seed=b"")
        assert caught.value.reason == "out_of_memory"
        look(decoder)


def peak_bytes(pid: int) -> int:
    """The peak address space of a process (VmPeak of proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmPeak:")[2].split()[0]) * 1024


HOSTILE: dict[str, Callable[[], bytes]] = {
    "4K in H.264": lambda: segment(width=3840, height=2160, seconds=6, rate=2),
    "4K in AV1": lambda: segment("mp4", codec="libsvtav1", width=3840, height=2160, seconds=5, rate=1),
    "20,000 tiny pictures": lambda: many_pictures(20_000),
    "damage": lambda: segment(width=1920, height=1080, rate=10) + Random(6).randbytes(8 * MIB),
}


def test_a_segment_whose_first_picture_is_too_dear_is_no_damage(decoder: Decoder) -> None:
    """33 MB of entropy in one picture took 67 times a talking head's CPU; an operator would look for damage."""
    noise = segment(width=3840, height=2160, seconds=1, rate=2)
    with pytest.raises(TooLargeError, match="first picture"):
        decoder.sample(noise, profile=BALANCED, seed=b"")
    look(decoder)


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_stays_under_its_bound(name: str) -> None:
    """A hostile segment would use up the machine's memory, and harm the other workers."""
    bound = 256 * MIB
    peaks = []
    with Decoder(limits=Limits(memory_bytes=bound), inputs_a_process=100) as decoder:
        look(decoder)
        ordinary = peak_bytes(fork_server_of(decoder))

        def watch(_frame: SampledFrame) -> None:
            assert decoder.child_pid is not None
            peaks.append(peak_bytes(decoder.child_pid))

        decoder.sample(HOSTILE[name](), profile=VIGILANT, seed=b"", consume=watch)
    assert peaks
    assert max(peaks) <= ordinary + bound


def test_pictures_wait_until_the_reader_has_consumed_the_previous_ones(decoder: Decoder) -> None:
    """The decoder would overwrite pictures that a worker is still classifying."""
    differing = []

    def look_long(frame: SampledFrame) -> None:
        before = frame.picture.planes[0].copy()
        began = time.monotonic()
        # On a machine too slow to have written anything this proves nothing, but it never fails wrongly.
        while time.monotonic() < began + 0.1:
            pass
        differing.append((before != frame.picture.planes[0]).any())

    decoder.sample(large_pictures(), profile=ROOMY, seed=b"", consume=look_long)
    assert len(differing) > 2
    assert not any(differing)


def test_the_readers_time_does_not_count_as_the_decoders() -> None:
    """A worker that is slow to classify would have its decoder killed, and the segment given up."""
    with Decoder(limits=Limits(wall_seconds=3.0)) as decoder:
        began = time.monotonic()
        seen = 0

        def look_closely(_frame: SampledFrame) -> None:
            nonlocal seen
            seen += 1
            while time.monotonic() < began + seen * 1.2:
                pass

        decoder.sample(large_pictures(), profile=ROOMY, seed=b"", consume=look_closely)
        assert seen >= 3
