"""The worker's handle on its decoder child."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from config.profiles import BALANCED, SamplingProfile
from sampler import errors, wire
from sampler.answers import Memory, Seen, read_frames, read_segment, receive_answer
from sampler.errors import (
    DecoderDiedError,
    DecoderMemoryError,
    DecoderTimeoutError,
    DecoderUnavailableError,
    SamplerError,
    TooLargeError,
    UndecodableError,
)
from sampler.frames import SampledFrame, SampledSegment
from sampler.inputs import InputMemory
from sampler.limits import MIB, Limits
from sampler.picture import Picture

START_SECONDS = 30.0
"""For the child to import FFmpeg and OpenCV on a loaded machine; it takes 0.2 s."""
REASONS = {
    error.__name__: error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.InputError | DecoderMemoryError)
}
"""Errors that the child may name: not those of its own death."""
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * MIB), "MALLOC_TRIM_THRESHOLD_": str(64 * MIB)}
"""glibc else gives the memory of each decoder back and has the kernel clear it again for the next one: 250 page faults
and a seventh of the child's CPU for a segment of 2 s in 360p. 32 MiB is the most that it takes for the first."""
ENVIRONMENT = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    **KEPT_MEMORY,
}
"""All that the child sees of the environment: no secrets, no settings."""


class Decoder:
    """A decoder child, started at first use (so after any fork) and again after it died.

    Not for several threads at once: one decoder a thread.
    """

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.limits = limits if limits is not None else Limits()
        self.unconfined: tuple[str, ...] = ()
        """What this machine could not take from the child, in words; known once it is started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._owner = os.getpid()
        self._input = InputMemory()
        self._memory: Memory = {}
        self._told: tuple[SamplingProfile, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return self._process.pid if self._process is not None else None

    def sample(
        self,
        data: bytes | BinaryIO,
        *,
        init: bytes = b"",
        profile: SamplingProfile,
        seed: bytes,
        packets: bool = False,
        consume: Callable[[SampledFrame], None] | None = None,
    ) -> SampledSegment:
        """Takes the pictures worth looking at from one segment or file.

        Args:
            data: its bytes, or a file open for reading, which is handed to the child as it is and not read here.
            init: the media initialisation section (EXT-X-MAP), b"" without one.
            profile: how closely to look.
            seed: secret of the deployment with the segment's identity: from it come the instants of audits.
            packets: whether the result carries the table of all packets.
            consume: is given each picture as it comes, in the order of `frames`, which then stays empty: so that a
                file of any length is worked through in bounded memory. It must not keep the picture, whose memory is
                written again.

        Raises:
            InputError: nothing could be looked at; its `reason` is for the ledger.
            DecoderError: the child died, took too long or cannot be started. The next call starts another.
        """
        request = {"operation": "sample", "seed": seed.hex(), "packets": packets}
        frames: list[SampledFrame] = []
        seen: list[Seen] = []
        held_bytes = 0
        done: dict[str, Any] = {}
        transfer_seconds = 0.0
        for done in self._ask(request, profile, data, init):
            began = time.thread_time()
            with self._trusting_nothing():
                received = read_frames(done, self._memory, kept=consume is None)
            for frame, until_seconds in received:
                seen.append(Seen(frame.pts_seconds, until_seconds, frame.concealed))
                if consume is not None:
                    consume(frame)
                    continue
                frames.append(frame)
                held_bytes += sum(plane.nbytes for plane in frame.picture.planes)
                if held_bytes > self.limits.output_bytes:
                    raise self._abandon(
                        TooLargeError(f"the pictures are over {self.limits.output_bytes} bytes: expected fewer")
                    )
            transfer_seconds += time.thread_time() - began
        if not seen:
            raise UndecodableError("no picture of the segment could be decoded")
        with self._trusting_nothing():
            return read_segment(done, frames, seen, profile, transfer_seconds)

    def picture(self, data: bytes) -> Picture:
        """Decodes a still picture: PNG, JPEG, WebP, GIF (its first picture), BMP or TIFF.

        Raises:
            InputError, DecoderError: as `sample`.
        """
        frames: list[tuple[SampledFrame, float]] = []
        for message in self._ask({"operation": "still"}, BALANCED, data, b""):
            with self._trusting_nothing():
                frames += read_frames(message, self._memory, kept=True)
        with self._trusting_nothing():
            ((frame, _),) = frames
        return frame.picture

    def close(self) -> None:
        """Ends the child. May be called twice, and in a forked process, where it leaves the other's child alone."""
        self._end_child()
        self._input.close()

    def _end_child(self) -> None:
        process, sock = self._process, self._socket
        self._process, self._socket = None, None
        self._memory = {}
        if sock is not None:
            sock.close()
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()

    def _ask(
        self, request: dict[str, Any], profile: SamplingProfile, data: bytes | BinaryIO, init: bytes
    ) -> Iterator[dict[str, Any]]:
        """Sends one request and yields the messages that answer it."""
        descriptor, size = self._input.hold(data, init, self.limits)
        try:
            sock = self._start()
            request |= {"settings": self._settings(profile), "size": size, "init_size": len(init)}
            deadline = time.monotonic() + self.limits.wall_seconds
            wire.send(sock, request, [descriptor])
            while True:
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
                message = receive_answer(sock, self._memory)
                if message.get("type") == "error":
                    raise self._named(message)
                paused = time.monotonic()
                yield message
                deadline += time.monotonic() - paused
                if message.get("type") == "done":
                    return
                wire.go_on(sock)
        except TimeoutError as error:
            raise self._abandon(
                DecoderTimeoutError(f"decoding took over {self.limits.wall_seconds} s and was stopped")
            ) from error
        except (wire.WireError, OSError) as error:
            raise self._died() from error
        except GeneratorExit:
            # The reader gave up half-way: what the child still says would answer the next request.
            self._end_child()
            raise

    def _start(self) -> socket.socket:
        """The socket to a living child."""
        if self._owner != os.getpid():
            self._end_child()
            self._owner = os.getpid()
        if self._socket is not None and self._process is not None and self._process.poll() is None:
            return self._socket
        self._end_child()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        arguments = [str(theirs.fileno()), str(os.getpid()), str(self.limits.memory_bytes)]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
                    [sys.executable, "-s", "-P", "-m", "sampler.child", *arguments],
                    env=ENVIRONMENT | {"PYTHONPATH": str(Path(__file__).parent.parent)},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._socket = ours
            ours.settimeout(START_SECONDS)
            ready, _ = wire.receive(ours)
        except (OSError, wire.WireError) as error:
            ours.close()
            self._end_child()
            raise DecoderUnavailableError("the decoder child could not be started") from error
        self.unconfined = tuple(str(reason) for reason in ready.get("unconfined", ()))
        return ours

    def _settings(self, profile: SamplingProfile) -> str:
        """Limits and profile as the child reads them, made once for many requests."""
        if self._told is None or self._told[0] is not profile:
            text = json.dumps({"limits": vars(self.limits), "profile": profile.model_dump()})
            self._told = profile, text
        return self._told[1]

    def _named(self, message: dict[str, Any]) -> SamplerError:
        """The error that the child names."""
        error = REASONS.get(str(message.get("error")), UndecodableError)(str(message.get("text"))[:500])
        # A child near its bound would fail the next segment as well.
        return self._abandon(error) if isinstance(error, DecoderMemoryError) else error

    def _abandon(self, error: SamplerError) -> SamplerError:
        """Ends the child, whose state is unknown, and gives the error back to be raised."""
        self._end_child()
        return error

    def _died(self) -> DecoderDiedError:
        """What became of a child that fell silent."""
        process = self._process
        status = 0
        if process is not None:
            try:
                status = process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                status = -signal.SIGKILL
        self._end_child()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return DecoderDiedError(f"the decoder child ended ({how})", exit_status=status)

    @contextmanager
    def _trusting_nothing(self) -> Iterator[None]:
        """For reading what the child said: nonsense is taken for its death."""
        try:
            yield
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            self._end_child()
            raise DecoderDiedError("the decoder child spoke nonsense and was stopped", exit_status=0) from error
